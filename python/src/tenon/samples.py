"""The rows that an export is held against: hold-out rows, rows at thresholds, and one for each edge class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from tenon.compare import Sample
from tenon.errors import ExportError, Finding
from tenon.inputs import EXACT, Array, Frame, Input, missing_value, take
from tenon.truth import row_names

Truth: TypeAlias = "Callable[[Frame], dict[str, Array]]"

CHECKED_THRESHOLDS = 400
"""Thresholds, drawn over all trees, around which rows are made: three each."""
UNSEEN = "\ue001 unseen"
_TURNS = {32: (46341,), 64: (EXACT + 1, -EXACT - 1, 3037000500)}
"""By bits, integers whose square wraps, and the first that no double holds."""
_UNICODE = ("", " ", "Ünïcødé", "日本語", "e\u0301", "\U0001f427", 'quote"back\\slash', "\u2028")


@dataclass(frozen=True)
class Edit:
    """One changed cell: the input (and element, for an array), its new value, and why."""

    why: str
    input: int
    element: int | None
    value: Any
    said: str


def holdout_sample(truth: Truth, frame: Frame, why: str) -> Sample:
    """All rows as they are; ExportError if the pipeline does not answer for them."""
    try:
        expected = truth(frame)
    except Exception as e:
        raise no_answer(why, e) from e
    return Sample(why, frame, row_names(frame), expected)


def no_answer(why: str, error: Exception) -> ExportError:
    """For a pipeline that fails on rows of its own kind."""
    said = " ".join(str(error).split())[:300]
    found = Finding(
        "no-answer",
        "",
        f"the pipeline does not answer for its own {why} rows ({type(error).__name__}: {said})",
        "make pipeline.predict work on them, or pass other rows",
    )
    return ExportError(str(found), findings=[found])


def edge_samples(
    truth: Truth, inputs: Sequence[Input], base: Frame
) -> tuple[list[Sample], set[tuple[str, int]]]:
    """One row for each edge class of each input, on top of hold-out rows.

    Rows that the pipeline itself refuses are left out; the second result names the classes that it answers
    for, as (why, input): what the signature then allows.
    """
    edits = edges(inputs, base)
    samples, answered = [], set()
    for why in dict.fromkeys(e.why for e in edits):
        mine = [e for e in edits if e.why == why]
        frame, names = apply_edits(inputs, base, mine)
        kept = answerable(truth, frame)
        answered |= {(why, mine[i].input) for i in kept}
        sample = _sample(truth, why, frame, names, kept)
        if sample is not None:
            samples.append(sample)
    return samples, answered


def edges(inputs: Sequence[Input], base: Frame) -> list[Edit]:
    """The edge classes of all inputs, each as one changed cell."""
    return [e for n, i in enumerate(inputs) for e in _edges(n, i, base)]


def threshold_sample(
    truth: Truth, inputs: Sequence[Input], base: Frame, thresholds: Sequence[tuple[int, int | None, float]]
) -> Sample | None:
    """Rows just below, at and just above thresholds of trees, drawn evenly over all of them."""
    distinct = list(dict.fromkeys(thresholds))
    picked = np.random.default_rng(0).permutation(len(distinct))[:CHECKED_THRESHOLDS]
    edits = [e for i in sorted(picked) for e in _around(inputs, *distinct[i])]
    if not edits:
        return None
    frame, names = apply_edits(inputs, base, edits)
    return _sample(truth, "boundary", frame, names, answerable(truth, frame))


def range_sample(
    truth: Truth, inputs: Sequence[Input], base: Frame, ends: Sequence[tuple[int, Any]]
) -> Sample | None:
    """Rows with an input at the end of its range, in its first and last element."""
    edits = []
    for number, value in ends:
        width = inputs[number].width
        for element in [None] if width is None else sorted({0, width - 1}):
            label = repr(inputs[number].name) if element is None else f"{inputs[number].name}[{element}]"
            edits.append(Edit("range", number, element, value, f"{label} = {value!r}"))
    if not edits:
        return None
    frame, names = apply_edits(inputs, fullest(base), edits)
    return _sample(truth, "range", frame, names, answerable(truth, frame))


def all_missing(truth: Truth, inputs: Sequence[Input], base: Frame, allowed: Iterable[int]) -> Sample | None:
    """One row with everything missing that may be."""
    columns = [i for i in allowed if inputs[i].width is None]
    if not columns or not isinstance(base, pd.DataFrame):
        return None
    frame = base.iloc[:1].copy()
    for n in columns:
        frame[inputs[n].key] = _with(inputs[n], frame[inputs[n].key], {0: missing_value(inputs[n])})
    return _sample(truth, "missing", frame, ["all missing"], answerable(truth, frame))


def within_scale(sample: Sample, held: Sample) -> Sample | None:
    """The rows whose numbers stay within those of the hold-out rows.

    A huge answer to a made-up row says little: it is held by its own size, beside which all that matters is lost.
    """
    kept = np.ones(len(sample), dtype=bool)
    for name, values in sample.expected.items():
        if values.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                most = np.nanmax(np.abs(held.expected[name]), initial=0.0)
                # Probabilities end at 1 wherever those of the hold-out rows do.
                most = 1.0 if values.ndim == 2 and 0.1 < most <= 1 else most
                kept &= ~(np.abs(values) > most).reshape(len(values), -1).any(axis=1)
    return choose(sample, np.flatnonzero(kept))


def with_numbers(sample: Sample, names: Sequence[str]) -> Sample:
    """The rows whose outputs of those names are neither NaN nor infinite; maybe none."""
    good = [np.isfinite(sample.expected[n]).reshape(len(sample), -1).all(axis=1) for n in names]
    kept = np.flatnonzero(np.all(good, axis=0)) if good else np.arange(len(sample))
    return choose(sample, kept) or Sample(
        sample.why, take(sample.frame, []), [], {k: v[[]] for k, v in sample.expected.items()}
    )


def choose(sample: Sample, rows: Array) -> Sample | None:
    """Some rows of a sample; None if there are none."""
    if len(rows) == 0:
        return None
    expected: Mapping[str, Array] = {k: v[rows] for k, v in sample.expected.items()}
    return Sample(sample.why, take(sample.frame, rows), [sample.names[i] for i in rows], expected)


def answerable(truth: Truth, frame: Frame) -> list[int]:
    """The rows for which the pipeline answers at all, found by halving."""

    def halves(rows: list[int]) -> list[int]:
        try:
            truth(take(frame, rows))
        except Exception:
            if len(rows) == 1:
                return []
            middle = len(rows) // 2
            return halves(rows[:middle]) + halves(rows[middle:])
        return rows

    return halves(list(range(len(frame))))


def apply_edits(inputs: Sequence[Input], base: Frame, edits: Sequence[Edit]) -> tuple[Frame, list[str]]:
    """One row for each edit, on the hold-out rows in turn, each with its one cell changed."""
    rows = np.arange(len(edits)) % len(base)
    names = [f"{e.said} in row {n!r}" for e, n in zip(edits, row_names(take(base, rows)), strict=True)]
    cells: dict[tuple[int, int | None], dict[int, Any]] = {}
    for i, e in enumerate(edits):
        cells.setdefault((e.input, e.element), {})[i] = e.value
    return put(inputs, take(base, rows), cells), names


def put(
    inputs: Sequence[Input], frame: Frame, cells: Mapping[tuple[int, int | None], Mapping[int, Any]]
) -> Frame:
    """The frame with some cells changed: by input and element of an array input, the new values by row."""
    if isinstance(frame, np.ndarray):
        matrix = frame.copy()
        for (_, element), values in cells.items():
            matrix[list(values), element or 0] = list(values.values())
        return matrix
    frame = frame.reset_index(drop=True)
    data = {c: frame[c] for c in frame.columns}
    for (n, _), values in cells.items():
        data[inputs[n].key] = _with(inputs[n], frame[inputs[n].key], values)
    return pd.DataFrame(data)


def fullest(frame: Frame) -> Frame:
    """One row, the first of those with the fewest gaps."""
    some = take(frame, slice(0, 1000))
    gaps = np.asarray(pd.isna(some)).sum(axis=1)
    return take(some, [int(np.argmin(gaps))])


def _with(column: Input, values: pd.Series, cells: Mapping[int, Any]) -> pd.Series:
    """The column with some cells changed and its dtype kept; an unseen category widens a category dtype."""
    dtype: Any = values.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        numbers = values.to_numpy(copy=True)
        numbers[list(cells)] = list(cells.values())
        return pd.Series(numbers, index=values.index)
    if isinstance(dtype, pd.CategoricalDtype):
        new = dict.fromkeys(v for v in cells.values() if isinstance(v, str) and v not in dtype.categories)
        values = values.cat.add_categories(list(new)) if new else values
        dtype = values.dtype
    listed = values.tolist()
    for i, value in cells.items():
        listed[i] = value
    # With its dtype said, because pandas makes text of an object array and NaN of the None in it.
    changed: pd.Series = pd.Series(listed, index=values.index, dtype=dtype)
    return changed


def _edges(number: int, column: Input, base: Frame) -> list[Edit]:
    """The edge classes of one input; of an array, at its first and last element."""
    elements: Sequence[int | None] = [None] if column.width is None else sorted({0, column.width - 1})
    edits = []
    for element in elements:
        label = repr(column.name) if element is None else f"{column.name}[{element}]"
        for why, value in _edge_values(column, _values(column, base, element)):
            edits.append(Edit(why, number, element, value, f"{label} = {value!r}"))
    return edits


def _edge_values(column: Input, values: Array) -> list[tuple[str, Any]]:
    missing = [("missing", missing_value(column))] if column.absent else []
    if column.is_text:
        known = [v for v in values if isinstance(v, str)]
        variants = [t for k in known[:1] for t in (k.upper(), k + " ", " " + k)]
        unseen = UNSEEN
        while unseen in known:
            unseen += "?"
        return [
            *missing,
            ("unseen", unseen),
            *(("unicode", t) for t in dict.fromkeys((*_UNICODE, *variants))),
        ]
    if column.type == "bool":
        return [*missing, ("zero", False), ("zero", True)]
    present = values[~np.isnan(values.astype(np.float64))]
    ends = [("extreme", v) for v in (present.min(), present.max())] if len(present) else []
    if column.is_integer:
        low, high = _integer_range(column)
        limits = np.iinfo(column.type)
        points = (low, high, int(limits.min), int(limits.max), *_TURNS.get(limits.bits, ()))
        large = [("large", v) for v in dict.fromkeys(points) if limits.min <= v <= limits.max]
        return [*missing, ("zero", 0), *large, *ends, *_between(present, low, high)]
    tiny = np.finfo(column.type).smallest_subnormal
    small = [("tiny", float(v)) for v in (tiny, -tiny, -1e-300)]
    middle = [("between", (present.min() + present.max()) / 2)] if len(present) else []
    return [*missing, ("zero", 0.0), ("zero", -0.0), *ends, ("large", 1e6), ("large", -1e6), *small, *middle]


def _between(present: Array, low: int, high: int) -> list[tuple[str, Any]]:
    """The smallest integer above the least one that training never saw: unknown to an encoder, if there is one."""
    known = {int(v) for v in present}
    if not known:
        return []
    novel = min(known)
    while novel in known:
        novel += 1
    return [("between", novel)] if low <= novel <= high else []


def _integer_range(column: Input) -> tuple[int, int]:
    """The largest integers of the type that the graph's tensor holds exactly."""
    limits = np.iinfo(column.type)
    if column.elem in ("int64", "uint64"):
        return int(limits.min), int(limits.max)
    most = 2 ** (np.finfo(column.elem).nmant + 1) if column.elem.startswith("float") else int(limits.max)
    return max(int(limits.min), -most), min(int(limits.max), most)


def _values(column: Input, base: Frame, element: int | None) -> Array:
    if isinstance(base, np.ndarray):
        return base[:, element or 0]
    values: pd.Series = base[column.key]
    if column.is_text:
        return values.to_numpy(object)
    return values.dropna().to_numpy() if column.absent == "na" else values.to_numpy()


def _around(inputs: Sequence[Input], number: int, element: int | None, threshold: float) -> list[Edit]:
    """Just below, at and just above, in the input's own type."""
    column = inputs[number]
    label = repr(column.name) if element is None else f"{column.name}[{element}]"
    dtype = np.dtype(column.type)
    if dtype.kind == "f":
        at = dtype.type(threshold)
        values = [np.nextafter(at, dtype.type(-np.inf)), at, np.nextafter(at, dtype.type(np.inf))]
    elif dtype.kind == "b":
        values = []
    else:
        low, high = _integer_range(column)
        floor = int(np.floor(threshold))
        values = [v for v in (floor - 1, floor, floor + 1) if low <= v <= high]
    places = ("just below", "at", "just above")
    return [
        Edit("boundary", number, element, v, f"{label} {place} the threshold {threshold!r}")
        for v, place in zip(values, places, strict=False)
    ]


def _sample(truth: Truth, why: str, frame: Frame, names: Sequence[Any], kept: Sequence[int]) -> Sample | None:
    if not kept:
        return None
    frame = take(frame, list(kept))
    return Sample(why, frame, [names[i] for i in kept], truth(frame))

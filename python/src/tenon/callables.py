"""A function as the truth: it answers for rows of X, and for the rows that the kit makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from tenon import samples as made
from tenon.compare import Sample, differences, distances, scale_of
from tenon.draft import servable
from tenon.errors import ExportError
from tenon.inputs import EXACT, Array, Frame, Input, Rows, count, take
from tenon.placing import Placed
from tenon.signature import Output, Policy
from tenon.thresholds import thresholds

ALONE = 5
"""Rows that the function is asked for one by one, to see that it looks at each by itself."""

Read: TypeAlias = Callable[[Any], Mapping[str, Array]]
"""Turns what the function returns into arrays by graph output."""


@dataclass(frozen=True)
class Function:
    """A function that takes rows in the form of X, and how its answers are read."""

    call: Callable[[Any], Any]
    placed: Placed
    read: Read

    def __call__(self, rows: Rows) -> Mapping[str, Array]:
        """What it says to some rows, by graph output. It gets a copy, so that it cannot change them."""
        answers = self.read(self.call(self.placed.given(rows)))
        for name, values in answers.items():
            if values.ndim == 0 or len(values) != count(rows):
                said = "one value" if values.ndim == 0 else f"{len(values)} rows"
                raise ExportError(
                    f"{self.name} answers {said} for {name!r} to {count(rows)} rows: it must return one answer a row"
                )
        return answers

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"the function {getattr(self.call, '__name__', type(self.call).__name__)}"

    def for_all(self) -> Mapping[str, Array]:
        """Its answers for all rows of X; ExportError if it has none, or others when it is asked again."""
        try:
            first, again = self(self.placed.rows), self(self.placed.rows)
        except ExportError:
            raise
        except Exception as e:
            raise ExportError(f"{self.name} does not answer for X: {type(e).__name__}: {e}") from e
        for name, values in first.items():
            differ = np.flatnonzero(~_same(values, again[name]))
            if len(differ):
                raise ExportError(
                    f"{self.name} gave other answers for {name!r} when asked again ({len(differ)} of {len(values)} "
                    f"rows, the first is row {differ[0]}): take out what is random in it, or fix its seed"
                )
        return first


def look_at_rows_alone(truth: made.Truth, outputs: Sequence[Output], sample: Sample, name: str) -> None:
    """ExportError if the function answers otherwise for a row alone than among the others."""
    scales = scale_of(outputs, [sample])
    for row in range(min(ALONE, len(sample))):
        alone = truth(take(sample.frame, slice(row, row + 1)))  # type: ignore[arg-type]
        for o in outputs:
            _, wrong = distances(o, sample.expected[o.name][row : row + 1], alone[o.name], scales[o.name])
            if wrong.any():
                raise ExportError(
                    f"{name} answers otherwise for row {sample.names[row]!r} alone than among the others, and "
                    "requests come in any size: it must look at each row by itself"
                )


def made_rows(
    truth: made.Truth, placed: Placed, outputs: Sequence[Output], model: bytes, sample: Sample
) -> tuple[list[Sample], tuple[Policy, ...]]:
    """Edge rows and rows at thresholds with the function's answers, and what a request may hold.

    Missing and unseen values are allowed where the function answers for them and the graph agrees, and where X
    itself holds them. Integers beyond 2^53 are refused unless X holds such. Of inputs with more dimensions than a
    table has no rows are made.
    """
    frame, inputs = placed.rows, placed.inputs
    if isinstance(frame, dict):
        return [], tuple(Policy(missing=_has_missing(frame[i.name])) for i in inputs)
    agreed = _agreed(truth, placed, outputs, model, sample)
    policies = tuple(_policy(n, i, frame, agreed) for n, i in enumerate(inputs))
    extra, _ = made.edge_samples(truth, inputs, frame)
    more = [
        made.all_missing(truth, inputs, frame, [n for n, p in enumerate(policies) if p.missing]),
        made.threshold_sample(truth, inputs, frame, thresholds(model, inputs, placed.columns)),
    ]
    kept = [servable(s, inputs, policies, sample) for s in (*extra, *more) if s is not None]
    unwanted = isinstance(frame, np.ndarray) and not policies[0].missing
    return [s for s in kept if s is not None and not (unwanted and s.why == "missing")], policies


def _agreed(
    truth: made.Truth, placed: Placed, outputs: Sequence[Output], model: bytes, sample: Sample
) -> set[tuple[str, int]]:
    """Missing and unseen values, as (why, input), for which the function answers and the graph says the same."""
    assert not isinstance(placed.rows, dict)
    edits = [e for e in made.edges(placed.inputs, placed.rows) if e.why in ("missing", "unseen")]
    if not edits:
        return set()
    frame, names = made.apply_edits(placed.inputs, placed.rows, edits)
    kept = made.answerable(truth, frame)
    if not kept:
        return set()
    rows = take(frame, kept)
    expected = truth(rows)
    # A NaN is what functions say that do not expect a missing value.
    silent = {names[i] for i, nothing in zip(kept, _nothing(expected, len(kept)), strict=True) if nothing}
    tried = Sample("missing", rows, [names[i] for i in kept], expected)
    wrong = set(differences(model, placed, outputs, [sample, tried]).query("why == 'missing'")["row"])
    bad = {(edits[i].why, edits[i].input) for i in range(len(edits)) if i not in kept}
    bad |= {(edits[i].why, edits[i].input) for i in kept if names[i] in wrong | silent}
    return {(e.why, e.input) for e in edits} - bad


def _ends(column: Input, frame: Frame) -> tuple[int | None, int | None]:
    """The least and greatest integer of a column of usual size: at the ends of 64 bits the function's own sums wrap."""
    if column.type not in ("int64", "uint64"):
        return None, None
    values = np.asarray(frame if isinstance(frame, np.ndarray) else frame[column.key])
    if values.dtype.kind in "iu" and (int(values.max()) > EXACT or int(values.min()) < -EXACT):
        return None, None
    return None if column.type == "uint64" else -EXACT, EXACT


def _policy(number: int, column: Input, frame: Frame, agreed: set[tuple[str, int]]) -> Policy:
    values: Any = frame if isinstance(frame, np.ndarray) else frame[column.key]
    missing = column.absent is not None and (("missing", number) in agreed or _has_missing(values))
    if not column.is_text or ("unseen", number) in agreed or column.shape is not None:
        least, most = _ends(column, frame)
        return Policy(missing, minimum=least, maximum=most)
    return Policy(missing, tuple(sorted(pd.Series(values).dropna().astype(str).unique())), True)


def _has_missing(values: Any) -> bool:
    return bool(np.asarray(pd.isna(values)).any())


def _nothing(answers: Mapping[str, Array], rows: int) -> Array:
    """The rows with a NaN among their answers."""
    gone = [np.isnan(v.reshape(rows, -1)).any(axis=1) for v in answers.values() if v.dtype.kind == "f"]
    nothing: Array = np.any([np.zeros(rows, dtype=bool), *gone], axis=0)
    return nothing


def _same(a: Array, b: Array) -> Array:
    """By row, whether two answers are the same to the last bit; NaN is the same as NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return np.zeros(len(a), dtype=bool)
    equal: Array = np.asarray((a == b) | ((a != a) & (b != b)), dtype=bool).reshape(len(a), -1)
    rows: Array = np.all(equal, axis=1)
    return rows

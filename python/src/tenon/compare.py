"""The check: the ONNX model itself beside the truth, on every sampled row, in batches of 1, 2, 7 and all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
import pandas as pd

from tenon.errors import ROW_COLUMNS, ExportError, Finding
from tenon.inputs import Array, Rows
from tenon.signature import EXACT, Output, class_keys

if TYPE_CHECKING:
    from tenon.diagnose import Cause

SMALL_RUNS = 250
"""Rows that are also run alone, in pairs and in sevens; every row runs in the large batch."""
LARGEST = 20_000
"""Rows in a run, so that a long hold-out set does not hold all intermediate tensors at once."""
SHOWN = 5
OF_DATA = ("hold-out", "training")
"""Kinds of samples that are rows of the data as it is; the others were made up, or chosen for what they reach."""


@dataclass(frozen=True)
class Sample:
    """Some rows of one kind, as a frame with the training dtypes, and what the pipeline answers for them."""

    why: str
    """hold-out, training, boundary, missing, unseen, between, zero, large, extreme, range or unicode."""
    frame: Rows
    names: Sequence[Any]
    """How each row is called in messages: its index in the frame, or what was changed in it."""
    expected: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.names)


def session(model: bytes | str) -> ort.InferenceSession:
    """A session as the server makes it: CPU, one thread, so that sums are taken in one order."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # an error is raised, and told with the row
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def differences(
    model: bytes | str,
    feed: Callable[[Rows], dict[str, Array]],
    outputs: Sequence[Output],
    samples: Sequence[Sample],
    worst: dict[str, float] | None = None,
) -> pd.DataFrame:
    """Every value in which the model differs from the truth, worst first; columns as in ExportError.rows.

    `feed` turns rows of a frame into one tensor per graph input. `worst`, if given, takes by output the largest
    distance of all values, those within tolerance too.
    """
    runner, scales = session(model), scale_of(outputs, samples)
    worst = {} if worst is None else worst
    worst.update({o.name: 0.0 for o in outputs})
    found: list[dict[str, Any]] = []
    for sample in samples:
        tensors = feed(sample.frame)
        for size in (1, 2, 7, LARGEST):
            for rows in _batches(len(sample), size):
                try:
                    got = run(runner, outputs, {name: value[rows] for name, value in tensors.items()})
                except Exception as e:
                    found.append(
                        _line(sample, rows.start, rows.stop - rows.start, "", "an answer", failed(e), np.inf)
                    )
                    continue
                for output in outputs:
                    lines, furthest = _differing(output, sample, rows, got[output.name], scales[output.name])
                    found += lines
                    worst[output.name] = max(worst[output.name], furthest)
    table = pd.DataFrame(found, columns=ROW_COLUMNS)
    return table.sort_values("distance", ascending=False, kind="stable", ignore_index=True)


def failed(error: Exception) -> str:
    """That a graph has no answer, with the end of what ONNX Runtime says; before it, it names all nodes around."""
    said = " ".join(str(error).split()).rpartition("Status Message: ")[2]
    return f"none: {said if len(said) <= 100 else said[:99] + '…'}"


def answers_apart(outputs: Sequence[Output], sample: Sample, got: Mapping[str, Array]) -> pd.DataFrame:
    """Where other answers to a sample's rows differ from its own; columns as in ExportError.rows."""
    scales, whole = scale_of(outputs, [sample]), slice(0, len(sample))
    found = [_differing(o, sample, whole, got[o.name], scales[o.name])[0] for o in outputs]
    return pd.DataFrame([line for lines in found for line in lines], columns=ROW_COLUMNS)


def run(
    runner: ort.InferenceSession, outputs: Sequence[Output], tensors: Mapping[str, Array]
) -> dict[str, Array]:
    """The model's outputs for one batch, by logical name. A graph may have dropped an input that it does not use."""
    wanted = {i.name for i in runner.get_inputs()}
    answers = runner.run([o.source for o in outputs], {n: v for n, v in tensors.items() if n in wanted})
    return {o.name: _per_row(o, np.asarray(a)) for o, a in zip(outputs, answers, strict=True)}


def scale_of(outputs: Sequence[Output], samples: Sequence[Sample]) -> dict[str, float]:
    """By output: the largest finite magnitude of the truth, 1 if that is 0; `abs` is a share of it.

    Rows of the data decide, where there are any: a huge answer to a made-up row would blunt the comparison of all.
    """
    told = [s for s in samples if s.why in OF_DATA] or samples
    found = {o.name: [float(largest(s.expected[o.name]).max(initial=0.0)) for s in told] for o in outputs}
    return {name: max(values, default=0.0) or 1.0 for name, values in found.items()}


def largest(values: Array) -> Array:
    """By row [N], the largest finite magnitude; 0 where there is none."""
    if values.dtype.kind != "f":
        return np.zeros(len(values))
    wide = np.abs(values.reshape(len(values), -1).astype(np.float64))
    most: Array = np.where(np.isfinite(wide), wide, 0.0).max(axis=1, initial=0.0)
    return most


def refuse(
    table: pd.DataFrame, rows: int, what: str, diagnose: Callable[[], Sequence[Cause]] = tuple
) -> None:
    """ExportError naming the rows, if any value differs, below what `diagnose` says that it probably is."""
    if table.empty:
        return
    causes = diagnose()
    found = difference(table, rows, what, causes)
    raise ExportError(str(found), rows=table, findings=[found], causes=causes)


def difference(table: pd.DataFrame, rows: int, what: str, causes: Sequence[Cause]) -> Finding:
    """What differs and what it probably is, in words; then the first of the rows."""
    bad = table.drop_duplicates("row")
    shown = "; ".join(
        f"row {r.row!r} ({r.why}), {r.output}: expected {r.expected!r}, got {r.got!r}"
        for r in bad.head(SHOWN).itertuples()
    )
    more = f"; and {len(bad) - SHOWN} more in .rows" if len(bad) > SHOWN else ""
    said = f"{what} differs from the pipeline on {len(bad)} of {rows} rows, so nothing was written"
    if causes:
        said += "." + "".join(f"\n  {c.detail}" for c in causes) + "\nRows"
    return Finding("differs", "", said, shown + more)


def _batches(count: int, size: int) -> Iterator[slice]:
    limit = count if size == LARGEST else min(count, SMALL_RUNS)
    for start in range(0, limit, size):
        yield slice(start, min(start + size, limit))


def _per_row(output: Output, answers: Array) -> Array:
    if output.kind == "probabilities" or output.shape is not None:
        return answers
    return answers.reshape(len(answers)) if answers.size == len(answers) else answers


def _differing(
    output: Output, sample: Sample, rows: slice, got: Array, scale: float
) -> tuple[list[dict[str, Any]], float]:
    expected = sample.expected[output.name][rows]
    count = len(expected)
    if got.shape != expected.shape or not _of_type(got, output.type):
        wanted, said = f"{output.type} {expected.shape}", f"{got.dtype} {got.shape}"
        return [_line(sample, rows.start, count, output.name, wanted, said, np.inf)], np.inf
    distance, wrong = distances(output, expected, got, scale)
    lines = []
    for where in zip(*np.nonzero(wrong), strict=True):
        name = output.name
        if output.classes is not None:
            name = f"{name}.{class_keys(output.classes)[int(where[1])]}"
        values = _plain(expected[where]), _plain(got[where]), float(distance[where])
        lines.append(_line(sample, rows.start + int(where[0]), count, name, *values))
    return lines, float(distance.max(initial=0.0))


def _line(sample: Sample, row: int, *values: Any) -> dict[str, Any]:
    """One line of the table: batch, output, expected, got, distance, and which row it is."""
    return dict(zip(ROW_COLUMNS, (sample.names[row], sample.why, *values), strict=True))


def distances(output: Output, expected: Array, got: Array, scale: float) -> tuple[Array, Array]:
    """|got - expected| and where it is more than abs·scale + rel·|expected|; 1 where what must be equal is not.

    A row [N, …] that is larger than `scale` is held by its own size: no row of the data is, but one that was made up
    may be. Both NaN are equal, as are equal infinities.
    """
    if expected.dtype.kind != "f":
        wrong = np.asarray(got != expected, dtype=bool)
        return wrong.astype(float), wrong
    tolerance = output.tolerance or EXACT
    with np.errstate(invalid="ignore"):
        wide, other = expected.astype(np.float64), got.astype(np.float64)
        equal = (wide == other) | (np.isnan(wide) & np.isnan(other))
        distance = np.where(equal, 0.0, np.abs(other - wide))
        size = np.maximum(scale, largest(wide)).reshape(-1, *[1] * (wide.ndim - 1))
        limit = tolerance["abs"] * size + tolerance["rel"] * np.abs(wide)
        within = np.isfinite(wide) & np.isfinite(other) & (distance <= limit)
    distance = np.where(np.isnan(distance), np.inf, distance)
    return distance, ~(equal | within)


def _of_type(got: Array, kind: str) -> bool:
    return got.dtype.kind in "OUS" if kind == "string" else got.dtype == np.dtype(kind)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value

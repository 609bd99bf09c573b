"""What does not make an export wrong but probably the model: a leaking target, gaps, categories, constant columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tenon.errors import Finding
from tenon.inputs import Array, Frame, Input, feeds
from tenon.signature import Signature

FEW = 20
"""Values up to which a column is read as categories; each must stand for this many rows on average."""


def suspicions(
    signature: Signature, frame: Frame, held: Frame | None, answers: Mapping[str, Array], y: Any = None
) -> list[Finding]:
    """Warnings about the training frame, the hold-out frame, and the target `y` or else the pipeline's answers."""
    found = list(_leaks(signature, frame, answers, y))
    if isinstance(frame, np.ndarray):
        return found
    for column in signature.inputs:
        values = frame[column.key]
        if len(values) > 1 and values.nunique(dropna=False) <= 1:
            said = f"column {column.name!r} holds one value only in X, so nothing can be learnt from it"
            found.append(Finding("constant", column.name, said, "leave it out", "warning"))
        if isinstance(held, pd.DataFrame) and held is not frame:
            found += _between(column, values, held[column.key])
    return found


def _between(column: Input, values: pd.Series, held: pd.Series) -> Iterator[Finding]:
    """What one of the two frames has and the other lacks."""
    name = column.name
    gaps, other = int(values.isna().sum()), int(held.isna().sum())
    if gaps and not other:
        said = f"column {name!r} is missing in {gaps} rows of X and in none of holdout, so that way was not compared"
        yield Finding("missing", name, said, "hold out rows that lack it, too", "warning")
    if other and not gaps:
        said = f"column {name!r} is missing in {other} rows of holdout and in none of X"
        yield Finding("missing", name, said, "look whether both come from the same source", "warning")
    if column.is_text:
        new = sorted(set(held.dropna().astype(str)) - set(values.dropna().astype(str)))
        if new:
            said = f"column {name!r} has {len(new)} categories in holdout that X lacks, {new[0]!r} among them"
            yield Finding("unseen", name, said, "look whether X is the frame of the fit", "warning")


def _leaks(signature: Signature, frame: Frame, answers: Mapping[str, Array], y: Any) -> Iterator[Finding]:
    """Columns that give the target away; without `y` only those that equal what the pipeline answers."""
    given = y is not None
    target = np.asarray(y) if given else answers[signature.outputs[0].name]
    if given and target.ndim == 2 and len(target) == len(frame):
        for one in target.T:
            yield from _leaks(signature, frame, answers, one)
        return
    if target.ndim != 1 or len(target) != len(frame):
        if given:
            said = f"y has the shape {target.shape}, X {len(frame)} rows, so no column was compared with it"
            yield Finding("y", "y", said, "pass the target of X, one value a row and target", "warning")
        return
    if len(pd.unique(target)) < 2:
        return
    called = "the target" if given else "every answer of the pipeline"
    remedy = "leave it out and fit again if it is not known before the answer is"
    for name, values in _columns(signature.inputs, frame):
        if _equal(values, target):
            said = f"column {name!r} equals {called}, so the target seems to leak into X"
        elif given and _tells(values, target):
            said = f"column {name!r} alone tells the target of every row, which seems to leak into X"
        else:
            continue
        yield Finding("leak", name, said, remedy, "warning")


def _columns(inputs: tuple[Input, ...], frame: Frame) -> Iterator[tuple[str, Array]]:
    tensors = feeds(inputs, frame)
    for column in inputs:
        values = tensors[column.feed]
        for j in range(values.shape[1]):
            yield column.name if column.width is None else f"{column.name}[{j}]", values[:, j]


def _equal(values: Array, target: Array) -> bool:
    """The same values: numbers as numbers, anything as its text."""
    if values.dtype.kind in "fiu" and target.dtype.kind in "fiub":
        return bool(np.array_equal(values.astype(np.float64), target.astype(np.float64)))
    return values.dtype.kind == "O" and list(map(str, values)) == list(map(str, target))


def _tells(values: Array, target: Array) -> bool:
    """Whether each value goes with one target: by category, by order, or by a straight line."""
    table = pd.DataFrame({"value": values, "target": target})
    kinds, classes = table["value"].nunique(dropna=False), table["target"].nunique()
    if kinds <= max(FEW, classes) and len(table) >= FEW * kinds:
        return bool((table.groupby("value", dropna=False)["target"].nunique() == 1).all())
    if values.dtype.kind not in "fiu" or np.isnan(values.astype(np.float64)).any():
        return False
    if classes <= FEW:
        # In the order of the column, the classes lie in one run each.
        ordered = pd.factorize(table.sort_values("value", kind="stable")["target"])[0]
        runs = bool((np.diff(ordered) != 0).sum() == classes - 1)
        return runs and not _tied(table)
    line = np.corrcoef(values.astype(np.float64), target.astype(np.float64))[0, 1]
    return bool(abs(line) > 1 - 1e-12)


def _tied(table: pd.DataFrame) -> bool:
    return bool((table.groupby("value")["target"].nunique() > 1).any())

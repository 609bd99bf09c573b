"""What the golden rows reach: categories, missing and unseen values, bins of numbers, leaves of trees.

Everything that a row can reach has a number, so that the rows that reach what no other does are easily found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from tenon.compare import Sample
from tenon.forest import Forest
from tenon.inputs import Array, Input, Rows, count, take, tensor
from tenon.profile import CATEGORIES, inner_edges
from tenon.signature import Policy, Signature

Feed: TypeAlias = "Callable[[Rows], dict[str, Array]]"

CANDIDATES = 5000
"""Training rows among which those are sought that reach something new."""
LISTED = 4096
"""Inputs that the report lists, so that it stays below the 1 MiB that a reader takes."""
ROWS = 300
"""Of them at most, so that the golden set stays small enough to travel."""
ELEMENTS = 64
"""Of an array input, those whose bins are counted."""
_NONE = -1


class Reach:
    """Numbers for all that rows can reach: of the inputs from the training frame, of the trees from the graph."""

    def __init__(self, model: bytes, signature: Signature, frame: Rows, feed: Feed) -> None:
        self.frame, self._feed = frame, feed
        self._forest = Forest(model)
        pairs = zip(signature.inputs, signature.policies, strict=True)
        self._inputs = [_Reached(i, p, frame) for i, p in pairs]

    def of(self, rows: Rows) -> Array:
        """The numbers that each row reaches [N, K]; -1 stands for none."""
        parts, start = [], 0
        for one in self._inputs:
            parts.append(_shifted(one.of(rows), start))
            start += one.size
        if self._forest.trees:
            parts.append(_shifted(self._forest.reached(self._feed(rows)), start))
        return np.hstack(parts)

    def report(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """The content of golden/coverage.json."""
        flags = self._flags(samples)
        inputs: dict[str, Any] = {}
        start = 0
        for one in self._inputs:
            if len(inputs) < LISTED:
                inputs[one.input.name] = one.report(flags[start : start + one.size])
            start += one.size
        out: dict[str, Any] = {"rows": sum(map(len, samples)), "inputs": inputs}
        if self._forest.trees:
            leaves = flags[start:]
            out["trees"] = {
                "trees": self._forest.trees,
                "leaves": self._forest.leaves,
                "reached": int(leaves.sum()),
                "splits": self._forest.splits,
                "both_sides": self._forest.both_sides(leaves),
            }
        return out

    def more(self, samples: Sequence[Sample], answers: Mapping[str, Array]) -> Sample | None:
        """Rows of the training frame, with the pipeline's answers, that reach what the samples do not.

        Those that reach most come first, and each row reaches something that none before it did.
        """
        flags = self._flags(samples)
        total = count(self.frame)
        places = np.sort(np.random.default_rng(0).permutation(total)[:CANDIDATES])
        reached = self.of(take(self.frame, places))
        new = np.where(reached == _NONE, False, ~flags[reached])
        picked: list[int] = []
        for row in np.argsort(-new.sum(axis=1), kind="stable"):
            mine = reached[row][reached[row] != _NONE]
            if len(picked) == ROWS or not new[row].any():
                break
            if not flags[mine].all():
                flags[mine] = True
                picked.append(int(places[row]))
        if not picked:
            return None
        expected = {name: values[picked] for name, values in answers.items()}
        rows = take(self.frame, picked)
        names = rows.index.tolist() if isinstance(rows, pd.DataFrame) else list(picked)
        return Sample("coverage", rows, names, expected)

    def _flags(self, samples: Sequence[Sample]) -> Array:
        """For each number, whether some row of the samples reaches it."""
        flags = np.zeros(sum(i.size for i in self._inputs) + self._forest.leaves, dtype=bool)
        for sample in samples:
            reached = self.of(sample.frame)
            flags[reached[reached != _NONE]] = True
        return flags


class _Reached:
    """One input: number 0 is a missing value, 1 an unseen one, then come categories or bins."""

    def __init__(self, column: Input, policy: Policy, frame: Rows) -> None:
        self.input, self._policy = column, policy
        values = _values(column, frame)
        self._categories: list[str] | None = None
        self._edges: list[Array] = []
        if column.is_text or column.type == "bool":
            self._categories = _categories(column, policy, values)
            self.size = 2 + len(self._categories)
        else:
            self._edges = [inner_edges(values[:, j]) for j in range(min(values.shape[1], ELEMENTS))]
            self.size = 2 + sum(len(e) + 1 for e in self._edges)

    def of(self, rows: Rows) -> Array:
        values = _values(self.input, rows)
        gone = np.asarray(pd.isna(values))
        missing = np.where(gone.any(axis=1), 0, _NONE)[:, None]
        if self._categories is not None:
            texts = pd.Index(_texts(values.ravel()), dtype=object)
            known = pd.Index(self._categories, dtype=object).get_indexer(texts).reshape(values.shape)
            return np.hstack([missing, np.where(gone, _NONE, np.where(known < 0, 1, known + 2))])
        out, start = [missing], 2
        for j, edges in enumerate(self._edges):
            bins = np.searchsorted(edges, values[:, j], side="left") + start
            out.append(np.where(np.isfinite(values[:, j]), bins, _NONE)[:, None])
            start += len(edges) + 1
        return np.hstack(out)

    def report(self, flags: Array) -> dict[str, Any]:
        """Whether what a request may hold was reached; shares as [seen, of]."""
        out: dict[str, Any] = {}
        if self._policy.missing:
            out["missing"] = bool(flags[0])
        if self._categories is not None:
            if self.input.is_text and not self._policy.refuse_unknown:
                out["unseen"] = bool(flags[1])
            out["categories"] = [int(flags[2:].sum()), len(self._categories)]
        else:
            out["bins"] = [int(flags[2:].sum()), len(flags) - 2]
        return out


def _shifted(numbers: Array, start: int) -> Array:
    return np.where(numbers == _NONE, _NONE, numbers + start).astype(np.int32)


def _values(column: Input, rows: Rows) -> Array:
    """The input's values [N, elements]: doubles, or objects for text and booleans."""
    found: Any = rows if isinstance(rows, np.ndarray) else rows[column.key]
    if column.is_text or column.type == "bool":
        values = np.asarray(found, dtype=object)
    else:
        values = tensor(column, found).astype(np.float64)
    return values.reshape(len(values), -1)


def _categories(column: Input, policy: Policy, values: Array) -> list[str]:
    """The declared domain, or else the most frequent values of the training frame."""
    if policy.domain is not None:
        return _texts(np.asarray(policy.domain, dtype=object))
    flat = values.ravel()
    counts = pd.Series(_texts(flat[~np.asarray(pd.isna(flat))]), dtype=object).value_counts()
    return [str(k) for k in counts.index[:CATEGORIES]]


def _texts(values: Array) -> list[str]:
    return [v if isinstance(v, str) else str(v) for v in values]

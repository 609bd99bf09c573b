"""The trees of a graph, read back out of it: which leaf of each tree a row reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tenon.compare import session
from tenon.inputs import Array

_TESTS: dict[int, Any] = {
    0: np.less_equal,
    1: np.less,
    2: np.greater_equal,
    3: np.greater,
    4: np.equal,
    5: np.not_equal,
}
"""By `nodes_modes`; 6 is membership in a set."""
_ROWS = 256
"""Rows that walk at once, so that a large forest needs some MB only."""


@dataclass(frozen=True)
class _Ensemble:
    """One TreeEnsemble node; a child that is a leaf has the number -1 - leaf."""

    source: str
    feature: Array
    split: Array
    mode: Array
    missing_true: Array
    true: Array
    false: Array
    roots: Array
    leaves: int
    members: dict[int, Array]

    def walk(self, values: Array) -> Array:
        """The leaf of each tree [N, trees] for values [N, k]."""
        at = np.tile(self.roots, (len(values), 1))
        rows = np.arange(len(values))[:, None]
        while (at >= 0).any():
            inner = np.maximum(at, 0)
            yes = self._passes(values[rows, self.feature[inner]], inner)
            at = np.where(at < 0, at, np.where(yes, self.true[inner], self.false[inner]))
        leaves: Array = -1 - at
        return leaves

    def _passes(self, values: Array, nodes: Array) -> Array:
        passed = np.zeros(values.shape, dtype=bool)
        for mode in np.unique(self.mode):
            here = self.mode[nodes] == mode
            if mode in _TESTS:
                passed[here] = _TESTS[mode](values[here], self.split[nodes[here]])
            else:
                for node in np.unique(nodes[here]):
                    mine = here & (nodes == node)
                    passed[mine] = np.isin(values[mine], self.members[int(node)])
        return passed | (np.isnan(values) & self.missing_true[nodes])

    def both_sides(self, reached: Array) -> int:
        """How many splits have a reached leaf on either side. Children come after parents."""
        seen, both = np.zeros(len(self.feature), dtype=bool), 0
        for node in range(len(self.feature) - 1, -1, -1):
            sides = [reached[-1 - c] if c < 0 else seen[c] for c in (self.true[node], self.false[node])]
            seen[node], both = any(sides), both + all(sides)
        return both


class Forest:
    """All trees of a graph that are written as `ai.onnx.ml` 5 TreeEnsemble."""

    def __init__(self, model: bytes) -> None:
        loaded = onnx.load_from_string(model)
        self._ensembles = [_read(n, loaded.graph) for n in loaded.graph.node if n.op_type == "TreeEnsemble"]
        self.leaves = sum(e.leaves for e in self._ensembles)
        self.splits = sum(len(e.feature) for e in self._ensembles)
        self.trees = sum(len(e.roots) for e in self._ensembles)
        if self._ensembles:
            known = {o.name for o in loaded.graph.output}
            sources = dict.fromkeys(e.source for e in self._ensembles)
            loaded.graph.output.extend(onnx.ValueInfoProto(name=s) for s in sources if s not in known)
            self._session = session(loaded.SerializeToString())
            self._inputs = {i.name for i in self._session.get_inputs()}

    def reached(self, tensors: Mapping[str, Array]) -> Array:
        """The leaves [N, trees] that rows reach, numbered from 0 over all trees."""
        count = len(next(iter(tensors.values())))
        return np.concatenate([*self._parts(tensors, count), np.empty((0, self.trees), dtype=np.int32)])

    def both_sides(self, reached: Array) -> int:
        """How many splits have a reached leaf on either side; `reached` is a flag for each leaf."""
        total, start = 0, 0
        for e in self._ensembles:
            total += e.both_sides(reached[start : start + e.leaves])
            start += e.leaves
        return total

    def _parts(self, tensors: Mapping[str, Array], count: int) -> Iterator[Array]:
        for at in range(0, count, _ROWS):
            some = {n: v[at : at + _ROWS] for n, v in tensors.items() if n in self._inputs}
            values = self._session.run([e.source for e in self._ensembles], some)
            start, leaves = 0, []
            for e, v in zip(self._ensembles, values, strict=True):
                leaves.append(e.walk(np.asarray(v)) + start)
                start += e.leaves
            yield np.hstack(leaves).astype(np.int32)


def _read(node: onnx.NodeProto, graph: onnx.GraphProto) -> _Ensemble:
    found: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    mode = numpy_helper.to_array(found["nodes_modes"])
    true, false = np.array(found["nodes_truenodeids"]), np.array(found["nodes_falsenodeids"])
    return _Ensemble(
        source=node.input[0],
        feature=np.array(found["nodes_featureids"]),
        split=numpy_helper.to_array(found["nodes_splits"]),
        mode=mode,
        missing_true=np.array(found.get("nodes_missing_value_tracks_true") or [0] * len(mode), dtype=bool),
        true=np.where(found["nodes_trueleafs"], -1 - true, true),
        false=np.where(found["nodes_falseleafs"], -1 - false, false),
        roots=np.array(found["tree_roots"]),
        leaves=len(found["leaf_targetids"]),
        members=_members(found.get("membership_values"), np.flatnonzero(mode == 6)),
    )


def _members(values: onnx.TensorProto | None, nodes: Array) -> dict[int, Array]:
    """The sets of the nodes that test membership, which NaN separates."""
    if values is None:
        return {}
    flat = numpy_helper.to_array(values)
    parts = np.split(flat, np.flatnonzero(np.isnan(flat)))
    sets = [p[~np.isnan(p)] for p in parts]
    return {int(n): s for n, s in zip(nodes, sets, strict=False)}

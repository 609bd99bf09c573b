"""Trees as arrays, and the one TreeEnsemble node that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import TensorProto, numpy_helper

from tenon.inputs import Array
from tenon.lowering.graph import ML, Graph, Value

_LEQ, _MEMBER = 0, 6
"""How a node of TreeEnsemble asks: BRANCH_LEQ, BRANCH_MEMBER."""


@dataclass
class Tree:
    """One tree by node number, root 0. A row goes left where `x[feature] <= threshold`.

    `weight` and `target` matter at leaves: what a leaf adds, and to which column of the result. At the nodes in
    `sets` a row goes left where `x[feature]`, a category's number, is one of the set.
    """

    left: Array
    right: Array
    feature: Array
    threshold: Array
    missing_left: Array
    is_leaf: Array
    weight: Array = field(default_factory=lambda: np.zeros(0))
    target: Array | None = None
    sets: Mapping[int, Sequence[float]] = field(default_factory=dict)

    @property
    def is_set(self) -> Array:
        """The nodes that ask for a category."""
        return np.isin(np.arange(len(self.is_leaf)), list(self.sets))


def leaf(weight: float, target: int) -> Tree:
    """A tree that adds one number to every row."""
    none = np.array([-1])
    return Tree(
        none,
        none,
        none,
        np.zeros(1),
        np.zeros(1, bool),
        np.ones(1, bool),
        np.array([weight]),
        np.array([target]),
    )


def of_classes(shape: Tree, fractions: Array) -> list[Tree]:
    """Trees of one leaf value each whose sum has `fractions` [nodes, C] at the leaves.

    A leaf of TreeEnsemble adds to one column only. So copy k of the tree adds the k-th class that is present
    in the leaf: pure leaves need one copy, and every class still gets its summands in the order of the trees.
    """
    present = (fractions != 0) & shape.is_leaf[:, None]
    order = np.argsort(~present, axis=1, kind="stable")
    count = present.sum(axis=1)
    copies = []
    for k in range(int(count.max())):
        target = order[:, k]
        used = shape.is_leaf & (count > k)
        weight = np.where(used, np.take_along_axis(fractions, target[:, None], axis=1)[:, 0], 0.0)
        copies.append(_pruned(shape, used, weight, np.where(used, target, 0)))
    return copies


def ensemble(g: Graph, value: Value, trees: Sequence[Tree], targets: int) -> Value:
    """The sum [N, targets] over all trees for a value [N, k], in whose precision it compares and adds."""
    nodes = _Nodes()
    for tree in trees:
        nodes.append(tree)
    columns = nodes.columns
    sets = {"membership_values": _numbers(nodes.members, value)} if nodes.members else {}
    return g.op(
        "TreeEnsemble",
        value,
        domain=ML,
        aggregate_function=1,
        post_transform=0,
        n_targets=targets,
        tree_roots=nodes.roots,
        nodes_featureids=columns["feature"],
        nodes_splits=_numbers(columns["threshold"], value),
        nodes_modes=numpy_helper.from_array(np.array(columns["mode"], dtype=np.uint8)),
        nodes_missing_value_tracks_true=columns["missing"],
        nodes_truenodeids=columns["left"],
        nodes_trueleafs=columns["left_is_leaf"],
        nodes_falsenodeids=columns["right"],
        nodes_falseleafs=columns["right_is_leaf"],
        leaf_targetids=nodes.leaf_targets,
        leaf_weights=_numbers(nodes.leaf_weights, value),
        **sets,
    )


def _numbers(values: Sequence[float], like: Value) -> TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=like.elem))


def _pruned(shape: Tree, used: Array, weight: Array, target: Array) -> Tree:
    """The tree with every part whose leaves add nothing folded into one leaf. Children come after parents."""
    alive, is_leaf = used.copy(), shape.is_leaf.copy()
    for node in range(len(is_leaf) - 1, -1, -1):
        if not shape.is_leaf[node]:
            alive[node] = alive[shape.left[node]] or alive[shape.right[node]]
            is_leaf[node] = not alive[node]
    return replace(shape, is_leaf=is_leaf, weight=weight, target=target)


class _Nodes:
    """The node's attributes, filled tree by tree: inner nodes and leaves are numbered apart."""

    def __init__(self) -> None:
        names = ("feature", "threshold", "mode", "missing", "left", "left_is_leaf", "right", "right_is_leaf")
        self.columns: dict[str, list[float | int]] = {name: [] for name in names}
        self.roots: list[int] = []
        self.leaf_targets: list[int] = []
        self.leaf_weights: list[float] = []
        self.members: list[float] = []

    def append(self, tree: Tree) -> None:
        inner = self._reachable(tree)
        start = len(self.columns["feature"])
        self.roots.append(start)
        if not inner:
            self._constant(tree)
            return
        number = {node: start + i for i, node in enumerate(inner)}
        for node in inner:
            self.columns["feature"].append(int(tree.feature[node]))
            self.columns["threshold"].append(float(tree.threshold[node]))
            self._mode(tree, node)
            self.columns["missing"].append(int(tree.missing_left[node]))
            for side, child in (("left", int(tree.left[node])), ("right", int(tree.right[node]))):
                ends = bool(tree.is_leaf[child])
                self.columns[side].append(self._leaf(tree, child) if ends else number[child])
                self.columns[side + "_is_leaf"].append(int(ends))

    def _mode(self, tree: Tree, node: int) -> None:
        """A set is a list that ends in NaN; the lists of all such nodes follow each other."""
        self.columns["mode"].append(_MEMBER if node in tree.sets else _LEQ)
        if node in tree.sets:
            self.members += [*tree.sets[node], np.nan]

    def _reachable(self, tree: Tree) -> list[int]:
        """Inner nodes from the root on, parents first."""
        found = [] if tree.is_leaf[0] else [0]
        for node in found:
            found += [int(c) for c in (tree.left[node], tree.right[node]) if not tree.is_leaf[c]]
        return found

    def _leaf(self, tree: Tree, node: int) -> int:
        self.leaf_targets.append(0 if tree.target is None else int(tree.target[node]))
        self.leaf_weights.append(float(tree.weight[node]))
        return len(self.leaf_weights) - 1

    def _constant(self, tree: Tree) -> None:
        """A tree without splits: TreeEnsemble wants one, so both ways lead to the same number."""
        for name, value in (("feature", 0), ("threshold", 0.0), ("mode", _LEQ), ("missing", 0)):
            self.columns[name].append(value)
        for side in ("left", "right"):
            self.columns[side].append(self._leaf(tree, 0))
            self.columns[side + "_is_leaf"].append(1)

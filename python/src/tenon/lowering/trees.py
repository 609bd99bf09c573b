"""Rules for trees: ai.onnx.ml 5 TreeEnsemble in double, with the original thresholds and unrounded leaves.

Trees and forests of scikit-learn compare float32 inputs with double thresholds. Sums over trees are taken in the
order of the trees and divided afterwards, because ties decide labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.ensemble import Tree, ensemble, of_classes
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import Answers, classes_of, lowers
from tenon.lowering.targets import most_probable, of_each


@lowers(DecisionTreeClassifier, ExtraTreeClassifier)
def tree_classifier(fitted: DecisionTreeClassifier, columns: Columns, g: Graph) -> Answers:
    """The fractions of the classes in a leaf; the first largest is the label."""
    return _classified(fitted, [fitted], columns, g)


@lowers(RandomForestClassifier, ExtraTreesClassifier)
def forest_classifier(fitted: RandomForestClassifier, columns: Columns, g: Graph) -> Answers:
    """The mean of the trees' fractions, summed first, then divided."""
    return _classified(fitted, fitted.estimators_, columns, g)


@lowers(DecisionTreeRegressor, ExtraTreeRegressor)
def tree_regressor(fitted: DecisionTreeRegressor, columns: Columns, g: Graph) -> Answers:
    """The values of a leaf, one for each target."""
    return {"prediction": _regressed(fitted, [fitted], columns, g)}


@lowers(RandomForestRegressor, ExtraTreesRegressor)
def forest_regressor(fitted: RandomForestRegressor, columns: Columns, g: Graph) -> Answers:
    """The mean of the trees' values, summed first, then divided."""
    return {"prediction": _regressed(fitted, fitted.estimators_, columns, g)}


def shape(estimator: Any) -> Tree:
    """The splits of a fitted scikit-learn tree; a missing value goes where training sent it."""
    tree = estimator.tree_
    return Tree(
        left=tree.children_left,
        right=tree.children_right,
        feature=tree.feature,
        threshold=tree.threshold,
        missing_left=np.asarray(tree.missing_go_to_left, dtype=bool),
        is_leaf=tree.children_left < 0,
    )


def _classified(fitted: Any, trees: Sequence[Any], columns: Columns, g: Graph) -> Answers:
    """A label and the mean fractions of the classes, for each target."""
    block = columns.rounded(g)
    shapes = _shapes(trees, block, g)
    one = fitted.n_outputs_ == 1
    known = [classes_of(fitted)[0]] if one else [np.asarray(c) for c in fitted.classes_]
    said = []
    for target, classes in enumerate(known):
        copies: list[Tree] = []
        for tree, estimator in zip(shapes, trees, strict=True):
            copies += of_classes(tree, estimator.tree_.value[:, target, : len(classes)])
        total = ensemble(g, block.value, copies, len(classes))
        said.append(most_probable(_mean(g, total, len(trees)), classes, g))
    return said[0] if one else of_each(said, known, g)


def _regressed(fitted: Any, trees: Sequence[Any], columns: Columns, g: Graph) -> Value:
    """The mean value of the leaves: [N], or [N, k] for k targets."""
    block = columns.rounded(g)
    copies = []
    for tree, estimator in zip(_shapes(trees, block, g), trees, strict=True):
        for target in range(fitted.n_outputs_):
            weight = np.asarray(estimator.tree_.value[:, target, 0], dtype=np.float64)
            copies.append(replace(tree, weight=weight, target=np.full(len(weight), target)))
    mean = _mean(g, ensemble(g, block.value, copies, fitted.n_outputs_), len(trees))
    return g.flat(mean) if fitted.n_outputs_ == 1 else mean


def _mean(g: Graph, total: Value, trees: int) -> Value:
    return total if trees == 1 else g.arith("Div", total, trees)


def _shapes(trees: Sequence[Any], block: Block, g: Graph) -> list[Tree]:
    shapes = [shape(t) for t in trees]
    for tree in shapes:
        note_thresholds(tree, block.columns, g, rounded=True)
    return shapes


def note_thresholds(tree: Tree, columns: tuple[Column, ...], g: Graph, rounded: bool) -> None:
    """Where the tree turns, as raw values of its inputs, for boundary rows.

    After a cast to float32 the turn is midway between the float32 below the threshold and the one above.
    """
    for node in np.flatnonzero(~tree.is_leaf & ~tree.is_set):
        origin = columns[tree.feature[node]].origin
        threshold = float(tree.threshold[node])
        if origin is None or not np.isfinite(threshold):
            continue
        g.notes.thresholds.append((origin.input, origin.element, origin.raw(threshold)))
        if rounded:
            turn = float32_turn(threshold)
            g.notes.thresholds.append((origin.input, origin.element, origin.raw(turn)))


def float32_turn(threshold: float) -> float:
    """The double at which `float32(x) <= threshold` changes."""
    below = np.float32(threshold)
    if float(below) > threshold:
        below = np.nextafter(below, np.float32(-np.inf))
    above = np.nextafter(below, np.float32(np.inf))
    return (float(below) + float(above)) / 2

"""Rules for trees: ai.onnx.ml 5 TreeEnsemble in double, with the original thresholds and unrounded leaves.

Trees and forests of scikit-learn compare float32 inputs with double thresholds; histogram boosting compares
doubles. Sums over trees are taken in the order of the trees and divided afterwards, because ties decide labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.ensemble import Tree, ensemble, leaf, of_classes
from tenon.lowering.graph import Graph, Value
from tenon.lowering.linear import expit, softmax, two_classes
from tenon.lowering.rules import Answers, classes_of, lowers


@lowers(DecisionTreeClassifier, ExtraTreeClassifier)
def tree_classifier(fitted: DecisionTreeClassifier, columns: Columns, g: Graph) -> Answers:
    """The fractions of the classes in a leaf; the first largest is the label."""
    classes, elem = classes_of(fitted)
    fractions = _fractions([fitted], columns, g, len(classes))
    return _most_probable(fractions, classes, elem, g)


@lowers(RandomForestClassifier, ExtraTreesClassifier)
def forest_classifier(fitted: RandomForestClassifier, columns: Columns, g: Graph) -> Answers:
    """The mean of the trees' fractions, summed first, then divided."""
    classes, elem = classes_of(fitted)
    total = _fractions(fitted.estimators_, columns, g, len(classes))
    return _most_probable(g.arith("Div", total, len(fitted.estimators_)), classes, elem, g)


@lowers(DecisionTreeRegressor, ExtraTreeRegressor)
def tree_regressor(fitted: DecisionTreeRegressor, columns: Columns, g: Graph) -> Answers:
    """The value of a leaf."""
    return {"prediction": g.flat(_values([fitted], columns, g))}


@lowers(RandomForestRegressor, ExtraTreesRegressor)
def forest_regressor(fitted: RandomForestRegressor, columns: Columns, g: Graph) -> Answers:
    """The mean of the trees' values, summed first, then divided."""
    total = _values(fitted.estimators_, columns, g)
    return {"prediction": g.flat(g.arith("Div", total, len(fitted.estimators_)))}


@lowers(HistGradientBoostingClassifier)
def boosting_classifier(fitted: HistGradientBoostingClassifier, columns: Columns, g: Graph) -> Answers:
    """Two classes: the sign of the raw score, and expit. More: the largest, and softmax."""
    classes, elem = classes_of(fitted)
    raw = _boosted(fitted, columns, g)
    if len(classes) > 2:
        index = g.op("ArgMax", raw, elem="int64", axis=1, keepdims=0)
        return {"label": g.labels(index, classes, elem), "probabilities": softmax(g, raw)}
    index = g.flat(g.cast(g.op("Greater", raw, g.constant(0, raw.elem), elem="bool"), "int64"))
    return {"label": g.labels(index, classes, elem), "probabilities": two_classes(g, expit(g, raw))}


@lowers(HistGradientBoostingRegressor)
def boosting_regressor(fitted: HistGradientBoostingRegressor, columns: Columns, g: Graph) -> Answers:
    """The raw score, or its exponential for losses with a logarithmic link."""
    raw = _boosted(fitted, columns, g)
    link = type(fitted._loss.link).__name__
    if link not in ("IdentityLink", "LogLink"):
        raise NotLowered(f"HistGradientBoostingRegressor with the link {link}")
    return {"prediction": g.flat(g.op("Exp", raw) if link == "LogLink" else raw)}


def _most_probable(proba: Value, classes: Array, elem: str, g: Graph) -> Answers:
    index = g.op("ArgMax", proba, elem="int64", axis=1, keepdims=0)
    return {"label": g.labels(index, classes, elem), "probabilities": proba}


def _fractions(estimators: list[Any], columns: Columns, g: Graph, classes: int) -> Value:
    """The sum over trees of the fractions of the classes, [N, classes]."""
    block = columns.rounded(g)
    trees: list[Tree] = []
    for estimator in estimators:
        shape = _shape(estimator)
        _note_thresholds(shape, block.columns, g, rounded=True)
        trees += of_classes(shape, estimator.tree_.value[:, 0, :classes])
    return ensemble(g, block.value, trees, classes)


def _values(estimators: list[Any], columns: Columns, g: Graph) -> Value:
    """The sum over trees of the leaves' values, [N, 1]."""
    block = columns.rounded(g)
    trees = []
    for estimator in estimators:
        tree = _shape(estimator)
        _note_thresholds(tree, block.columns, g, rounded=True)
        tree.weight = np.asarray(estimator.tree_.value[:, 0, 0], dtype=np.float64)
        trees.append(tree)
    return ensemble(g, block.value, trees, 1)


def _shape(estimator: Any) -> Tree:
    """The splits of a fitted scikit-learn tree; a missing value goes where training sent it."""
    if estimator.n_outputs_ != 1:
        raise NotLowered(f"{type(estimator).__name__} predicts several targets at once")
    tree = estimator.tree_
    return Tree(
        left=tree.children_left,
        right=tree.children_right,
        feature=tree.feature,
        threshold=tree.threshold,
        missing_left=np.asarray(tree.missing_go_to_left, dtype=bool),
        is_leaf=tree.children_left < 0,
    )


def _boosted(fitted: Any, columns: Columns, g: Graph) -> Value:
    """The raw scores [N, k]: the baseline first, then every tree in the order of training."""
    if getattr(fitted, "is_categorical_", None) is not None and np.any(fitted.is_categorical_):
        raise NotLowered(
            f"{type(fitted).__name__} with native categories is not lowered yet: put an OrdinalEncoder in front of it "
            "and fit with categorical_features=None"
        )
    numeric = columns.numeric(g)
    block = Block(g.cast(numeric.value, "float64"), numeric.columns)
    baseline = np.asarray(fitted._baseline_prediction, dtype=np.float64).ravel()
    trees = [leaf(float(b), k) for k, b in enumerate(baseline)]
    for iteration in fitted._predictors:
        for k, predictor in enumerate(iteration):
            tree = _histogram_tree(predictor.nodes, k)
            _note_thresholds(tree, block.columns, g, rounded=False)
            trees.append(tree)
    return ensemble(g, block.value, trees, len(baseline))


def _histogram_tree(nodes: Array, target: int) -> Tree:
    is_leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"],
        missing_left=nodes["missing_go_to_left"].astype(bool),
        is_leaf=is_leaf,
        weight=nodes["value"],
        target=np.full(len(nodes), target),
    )


def _note_thresholds(tree: Tree, columns: tuple[Column, ...], g: Graph, rounded: bool) -> None:
    """Where the tree turns, as raw values of its inputs, for boundary rows.

    After a cast to float32 the turn is midway between the float32 below the threshold and the one above.
    """
    for node in np.flatnonzero(~tree.is_leaf):
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

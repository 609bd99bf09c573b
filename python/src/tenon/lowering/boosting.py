"""Rules for boosted trees: a first guess, then every tree's value in the order of training, and the loss's link.

GradientBoosting compares float32 inputs, HistGradientBoosting doubles. Native categories are numbered by the
OrdinalEncoder that HistGradientBoosting keeps for them; its trees ask whether a number is in a set.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.ensemble._gb import _init_raw_predictions

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.columns import Block, Column, Columns, joined
from tenon.lowering.ensemble import Tree, ensemble, leaf
from tenon.lowering.graph import Graph, Value
from tenon.lowering.linear import expit, softmax, two_classes
from tenon.lowering.rules import Answers, classes_of, lowers, predict, transform
from tenon.lowering.trees import note_thresholds, shape


@lowers(HistGradientBoostingClassifier)
def histogram_classifier(fitted: HistGradientBoostingClassifier, columns: Columns, g: Graph) -> Answers:
    """Two classes: the sign of the raw score, and expit. More: the largest, and softmax."""
    return _classified(fitted, _histogram(fitted, columns, g), "Greater", g)


@lowers(HistGradientBoostingRegressor)
def histogram_regressor(fitted: HistGradientBoostingRegressor, columns: Columns, g: Graph) -> Answers:
    """The raw score, or its exponential for losses with a logarithmic link."""
    raw = _histogram(fitted, columns, g)
    link = type(fitted._loss.link).__name__
    if link not in ("IdentityLink", "LogLink"):
        raise NotLowered(f"HistGradientBoostingRegressor with the link {link}")
    return {"prediction": g.flat(g.op("Exp", raw) if link == "LogLink" else raw)}


@lowers(GradientBoostingClassifier)
def gradient_classifier(fitted: GradientBoostingClassifier, columns: Columns, g: Graph) -> Answers:
    """As histogram boosting, but a score of zero is the second class."""
    return _classified(fitted, _gradient(fitted, columns, g), "GreaterOrEqual", g)


@lowers(GradientBoostingRegressor)
def gradient_regressor(fitted: GradientBoostingRegressor, columns: Columns, g: Graph) -> Answers:
    """The raw score: all its losses have the identity as link."""
    return {"prediction": g.flat(_gradient(fitted, columns, g))}


def _classified(fitted: Any, raw: Value, above: str, g: Graph) -> Answers:
    classes, elem = classes_of(fitted)
    link = type(fitted._loss.link).__name__
    if link == "MultinomialLogit":
        index = g.op("ArgMax", raw, elem="int64", axis=1, keepdims=0)
        label = g.labels(index, classes, elem)
        return {"label": label, "probabilities": softmax(g, raw), "decision": raw}
    if link not in ("LogitLink", "HalfLogitLink"):
        raise NotLowered(f"{type(fitted).__name__} with the link {link}")
    index = g.flat(g.cast(g.op(above, raw, g.constant(0, raw.elem), elem="bool"), "int64"))
    positive = expit(g, g.arith("Mul", raw, 2) if link == "HalfLogitLink" else raw)
    label = g.labels(index, classes, elem)
    return {"label": label, "probabilities": two_classes(g, positive), "decision": g.flat(raw)}


def _histogram(fitted: Any, columns: Columns, g: Graph) -> Value:
    """The raw scores [N, k]: the baseline first, then every tree in the order of training."""
    columns = _numbered(fitted, columns, g)
    numeric = columns.numeric(g)
    block = Block(g.cast(numeric.value, "float64"), numeric.columns)
    baseline = np.asarray(fitted._baseline_prediction, dtype=np.float64).ravel()
    trees = [leaf(float(b), k) for k, b in enumerate(baseline)]
    for iteration in fitted._predictors:
        for k, predictor in enumerate(iteration):
            tree = _histogram_tree(predictor, k)
            note_thresholds(tree, block.columns, g, rounded=False)
            trees.append(tree)
    return ensemble(g, block.value, trees, len(baseline))


def _numbered(fitted: Any, columns: Columns, g: Graph) -> Columns:
    """The columns as the trees count them: native categories first, each as its number or NaN, then the others."""
    if fitted._preprocessor is None:
        return columns
    encoder = fitted._preprocessor.named_transformers_["encoder"]
    native = np.flatnonzero(fitted.is_categorical_).tolist()
    others = np.flatnonzero(~fitted.is_categorical_).tolist()
    parts = [transform(encoder, columns.select(g, native), g)]
    if others:
        parts.append(Columns((columns.select(g, others).numeric(g),)))
    return joined(parts)


def _histogram_tree(predictor: Any, target: int) -> Tree:
    nodes = predictor.nodes
    asks = np.flatnonzero(nodes["is_categorical"].astype(bool) & ~nodes["is_leaf"].astype(bool))
    return Tree(
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"],
        missing_left=nodes["missing_go_to_left"].astype(bool),
        is_leaf=nodes["is_leaf"].astype(bool),
        weight=nodes["value"],
        target=np.full(len(nodes), target),
        sets={int(n): _members(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][n]]) for n in asks},
    )


def _members(words: Array) -> list[float]:
    """The categories in a bitset of eight 32-bit words; of an empty one, a number that no category has."""
    return [float(c) for c in range(256) if int(words[c // 32]) >> (c % 32) & 1] or [-1.0]


def _gradient(fitted: Any, columns: Columns, g: Graph) -> Value:
    """The raw scores [N, k]: the first guess, then learning_rate * value of every tree in the order of training."""
    block = columns.rounded(g)
    trees = []
    for stage in fitted.estimators_:
        for k, estimator in enumerate(stage):
            tree = shape(estimator)
            note_thresholds(tree, block.columns, g, rounded=True)
            tree.weight = fitted.learning_rate * np.asarray(estimator.tree_.value[:, 0, 0], dtype=np.float64)
            tree.target = np.full(len(tree.weight), k)
            trees.append(tree)
    targets = fitted.estimators_.shape[1]
    guess = _constant_guess(fitted, targets)
    if guess is not None:
        trees = [leaf(float(b), k) for k, b in enumerate(guess)] + trees
        return ensemble(g, block.value, trees, targets)
    return g.op("Add", _guess(fitted, columns, g), ensemble(g, block.value, trees, targets))


def _constant_guess(fitted: Any, targets: int) -> Array | None:
    """What scikit-learn itself starts from, where it is the same for every row."""
    if isinstance(fitted.init_, str):
        return np.zeros(targets)
    if type(fitted.init_) not in (DummyClassifier, DummyRegressor):
        return None
    row = np.zeros((1, fitted.n_features_in_), dtype=np.float32)
    raw = _init_raw_predictions(row, fitted.init_, fitted._loss, is_classifier(fitted))
    return np.asarray(raw, dtype=np.float64).ravel()


def _guess(fitted: Any, columns: Columns, g: Graph) -> Value:
    """What another estimator guesses from the float32 columns, through the loss's link."""
    block = columns.rounded(g)
    single = Columns((Block(g.cast(block.value, "float32"), _single(block)),))
    said = predict(fitted.init_, single, g)
    if not is_classifier(fitted):
        return g.cast(g.op("Reshape", said["prediction"], g.constant([-1, 1], "int64")), "float64")
    if "probabilities" not in said:
        raise NotLowered(f"{type(fitted).__name__} starts from an estimator without probabilities")
    proba = g.cast(said["probabilities"], "float64")
    eps = float(np.finfo(np.float64).eps)
    proba = g.op("Min", g.op("Max", proba, g.constant(eps, "float64")), g.constant(1 - eps, "float64"))
    if not fitted._loss.is_multiclass:
        positive = g.columns(proba, [1])
        odds = g.op("Div", positive, g.op("Sub", g.constant(1, "float64"), positive))
        half = type(fitted._loss.link).__name__ == "HalfLogitLink"
        return g.arith("Mul", g.op("Log", odds), 0.5 if half else 1.0)
    logs = g.op("Log", proba)
    mean = g.op("ReduceMean", logs, g.constant([1], "int64"), keepdims=1)
    return g.op("Log", g.op("Div", proba, g.op("Exp", mean)))


def _single(block: Block) -> tuple[Column, ...]:
    return tuple(replace(c, dtype=np.dtype(np.float32)) for c in block.columns)

"""Rules for nearest neighbours in Euclid's distance: how their labels and targets are weighed.

What is guaranteed: by a tree, scikit-learn's very neighbours, ties included, where the columns are what scikit-learn
computes to the last bit. By brute force its own choice between equal distances depends on dtype, memory layout and
threads, and behind steps like PCA the last bit of a sum decides which distances are equal. Where training rows have
such ties between neighbours of different targets, an export is refused.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from tenon.errors import ExportError, NotLowered
from tenon.inputs import Array
from tenon.lowering.columns import Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.linear import predictions
from tenon.lowering.nearest import nearest
from tenon.lowering.rules import Answers, classes_of, lowers


@lowers(KNeighborsClassifier)
def classifier(fitted: KNeighborsClassifier, columns: Columns, g: Graph) -> Answers:
    """The weights of the neighbours by class, divided by their sum; the first largest is the label."""
    classes, elem = classes_of(fitted)
    votes = _gathered(fitted, np.eye(len(classes))[np.asarray(fitted._y)], columns, g)
    index = g.op("ArgMax", votes, elem="int64", axis=1, keepdims=0)
    total = g.op("ReduceSum", votes, g.constant([1], "int64"), keepdims=1)
    return {"label": g.labels(index, classes, elem), "probabilities": g.op("Div", votes, total)}


@lowers(KNeighborsRegressor)
def regressor(fitted: KNeighborsRegressor, columns: Columns, g: Graph) -> Answers:
    """The mean of the neighbours' targets, or their mean by weight."""
    y = np.asarray(fitted._y)
    if y.dtype == np.float32:
        raise NotLowered("KNeighborsRegressor with float32 targets, which numpy averages in float32")
    targets = y.reshape(len(y), -1).astype(np.float64)
    # A column of ones beside the targets sums up the weights.
    sums = _gathered(fitted, np.hstack([targets, np.ones((len(y), 1))]), columns, g)
    count = targets.shape[1]
    mean = g.op("Div", g.columns(sums, range(count)), g.columns(sums, [count]))
    return predictions(g, mean, count)


def _gathered(fitted: Any, table: Array, columns: Columns, g: Graph) -> Value:
    """The sum over the k nearest training rows of their weight times their row of the table, [N, table columns]."""
    squared, index = _nearest(fitted, columns, g)
    rows = g.op("Gather", g.constant(table, "float64"), index, axis=0)
    if fitted.weights == "distance":
        axis = g.constant([2], "int64")
        rows = g.op("Mul", rows, g.op("Unsqueeze", _closeness(squared, g), axis))
    return g.op("ReduceSum", rows, g.constant([1], "int64"), keepdims=0)


def _closeness(squared: Value, g: Graph) -> Value:
    """1 / distance [N, k]; where a neighbour is at distance 0, ones for those and zeros for the rest."""
    same = g.cast(g.op("Equal", squared, g.constant(0, "float64"), elem="bool"), "float64")
    some = g.op("ReduceMax", same, g.constant([1], "int64"), keepdims=1)
    inverse = g.op("Div", g.constant(1, "float64"), g.op("Sqrt", squared))
    return g.where(g.cast(some, "bool"), same, inverse)


def _nearest(fitted: Any, columns: Columns, g: Graph) -> tuple[Value, Value]:
    """Squared distances and positions of the k nearest training rows, nearest first, [N, k] each."""
    kind, method = type(fitted).__name__, fitted._fit_method
    if fitted.effective_metric_ != "euclidean" or fitted.weights not in ("uniform", "distance"):
        raise NotLowered(f"{kind} with metric={fitted.metric!r}, weights={fitted.weights!r}")
    if method == "brute" and fitted.weights == "distance":
        # |x|² - 2 x·y + |y|² leaves rounding noise where x is y, and 1 / noise then outweighs everything.
        raise ExportError(
            f'{kind}(weights="distance") searches by brute force, where the distance between equal rows is '
            'rounding noise and so is its weight: set algorithm="kd_tree", which finds the same neighbours'
        )
    if not isinstance(fitted._fit_X, np.ndarray):
        raise NotLowered(f"{kind} was fitted on a sparse matrix")
    value = g.cast(columns.numeric(g).value, "float64")
    _refuse_ties(fitted, INEXACT & g.made_by(value))
    return nearest(g, fitted, value)


INEXACT = frozenset(
    {"Pow", "Exp", "Log", "Sin", "Cos", "Tanh", "MatMul", "ReduceSum", "ReduceMean", "ReduceL2"}
)
"""Operators whose last bit is not numpy's."""
_LOOKED_AT, _BEYOND, _EQUAL = 2000, 10, 1e-9


def _refuse_ties(fitted: Any, inexact: Set[str]) -> None:
    """ExportError where the neighbours of training rows hang on the last bit of a distance."""
    if fitted._fit_method != "brute" and not inexact:
        return
    k, rows = fitted.n_neighbors, fitted._fit_X[:_LOOKED_AT]
    most = min(k + _BEYOND, len(fitted._fit_X))
    if most <= k:
        return
    distance, index = fitted.kneighbors(rows, n_neighbors=most)
    y = np.asarray(fitted._y).reshape(len(fitted._fit_X), -1)[index]
    last = distance[:, [k - 1]]
    tied = np.abs(distance - last) <= _EQUAL * last
    other = tied & (y != y[:, [k - 1]]).any(axis=2)
    count = int((tied[:, k] & other.any(axis=1)).sum())
    if count:
        why = f"the last bit of a {min(inexact)}" if inexact else "the memory layout of a brute-force search"
        remedy = "use columns without so many equal rows" if inexact else 'set algorithm="kd_tree"'
        raise ExportError(
            f"{type(fitted).__name__} has neighbours of different targets at one distance for {count} of {len(rows)} "
            f"training rows, and {why} decides which of them count: {remedy}, or fit another estimator"
        )

"""Rules for nearest neighbours in Euclid's distance: how their labels and targets are weighed.

What is guaranteed: by a tree, scikit-learn's very neighbours, ties included. By brute force they are the same
where the k-th and the next lie at different distances; at equal ones the rows are taken as they stand in the
training data, but scikit-learn's own choice there depends on dtype, memory layout and threads. The check refuses
an export where that changes an answer.
"""

from __future__ import annotations

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
    return nearest(g, fitted, g.cast(columns.numeric(g).value, "float64"))

"""What rules for estimators of estimators ask of the inner ones, in scikit-learn's own words for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.multiclass import _ConstantPredictor

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.columns import Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import Answers, lowers, predict


def want(answers: Answers, name: str, estimator: Any) -> Value:
    """One of the answers, which `estimator` has if scikit-learn's has it; NotLowered if its rule does not give it."""
    if name not in answers:
        raise NotLowered(f"the rule for {type(estimator).__name__} gives no {name}")
    return answers[name]


def column(g: Graph, value: Value) -> Value:
    """[N] as [N, 1]."""
    return g.op("Reshape", value, g.constant([-1, 1], "int64"))


def score(estimator: Any, answers: Answers, g: Graph) -> Value:
    """decision_function, else the probability of the second class, else the prediction: [N], for two classes."""
    if is_regressor(estimator):
        return want(answers, "prediction", estimator)
    if hasattr(estimator, "decision_function"):
        return want(answers, "decision", estimator)
    return g.flat(g.columns(want(answers, "probabilities", estimator), [1]))


def alike(g: Graph, values: Sequence[Value]) -> list[Value]:
    """The values in the type that numpy promotes all to, as it does for an array of them."""
    types = [np.dtype(v.elem) for v in values]
    elem = "float32" if np.result_type(*types) == np.float32 else "float64"
    return [g.cast(v, elem) for v in values]


def total(g: Graph, values: Sequence[Value]) -> Value:
    """The sum, taken from the first to the last."""
    out = values[0]
    for value in values[1:]:
        out = g.op("Add", out, value)
    return out


def placed(g: Graph, value: Value, places: Sequence[int], width: int) -> Value:
    """The columns of [N, k] at those places of [N, width], zeros elsewhere."""
    if list(places) == list(range(width)):
        return value
    with_zero = g.concat([value, g.arith("Mul", g.columns(value, [0]), 0)])
    where = {place: k for k, place in enumerate(places)}
    return g.columns(with_zero, [where.get(j, len(places)) for j in range(width)])


def same_rows(columns: Columns, row: Array, elem: str, g: Graph) -> Value:
    """One row for every row of the frame: [k] as [N, k]."""
    shape = g.op("Shape", columns.blocks[0].value, elem="int64")
    count = g.op("Gather", shape, g.constant([0], "int64"), axis=0)
    whole = g.op("Concat", count, g.constant([len(row)], "int64"), axis=0)
    return g.op("Expand", g.constant(np.asarray(row)[None, :], elem), whole)


def as_array(columns: Columns, g: Graph) -> Columns:
    """The columns as one array without names, for estimators that check their input before they hand it on."""
    return Columns((columns.numeric(g),))


@lowers(_ConstantPredictor)
def constant(fitted: _ConstantPredictor, columns: Columns, g: Graph) -> Answers:
    """What OneVsRestClassifier puts in place of a classifier of one class."""
    y = float(np.asarray(fitted.y_).ravel()[0])
    always = g.flat(same_rows(columns, np.array([y]), "float64", g))
    return {"decision": always, "probabilities": same_rows(columns, np.array([1 - y, y]), "float64", g)}


def each(estimators: Sequence[Any], columns: Columns, g: Graph) -> list[Answers]:
    """The answers of every inner estimator to the same columns."""
    return [predict(e, columns, g) for e in estimators]

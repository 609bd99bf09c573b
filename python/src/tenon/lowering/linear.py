"""Rules for linear models: one matrix product, then scikit-learn's own way to probabilities and labels."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge

from tenon.errors import NotLowered
from tenon.lowering.columns import Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import Answers, classes_of, lowers


@lowers(LogisticRegression)
def logistic(fitted: LogisticRegression, columns: Columns, g: Graph) -> Answers:
    """Two classes: the sign of the score, and expit. More: the largest score, and softmax."""
    classes, elem = classes_of(fitted)
    scores = g.add(g.matmul(columns.numeric(g).value, fitted.coef_.T), fitted.intercept_)
    if len(classes) > 2:
        index = g.op("ArgMax", scores, elem="int64", axis=1, keepdims=0)
        label = g.labels(index, classes, elem)
        return {"label": label, "probabilities": softmax(g, scores), "decision": scores}
    positive = g.op("Greater", scores, g.constant(0, scores.elem), elem="bool")
    index = g.flat(g.cast(positive, "int64"))
    label, proba = g.labels(index, classes, elem), two_classes(g, expit(g, scores))
    return {"label": label, "probabilities": proba, "decision": g.flat(scores)}


@lowers(LinearRegression, Ridge, Lasso, ElasticNet)
def regression(fitted: LinearRegression, columns: Columns, g: Graph) -> Answers:
    """x @ coef + intercept, for one target."""
    coef = np.asarray(fitted.coef_)
    if coef.ndim > 1 and coef.shape[0] > 1:
        raise NotLowered(f"{type(fitted).__name__} predicts several targets at once")
    value = g.matmul(columns.numeric(g).value, coef.reshape(-1, 1))
    return {"prediction": g.flat(g.add(value, np.asarray(fitted.intercept_).reshape(-1)))}


def expit(g: Graph, scores: Value) -> Value:
    """1 / (1 + exp(-x)), as SciPy has it; ONNX Runtime's Sigmoid loses the small ones."""
    below = g.arith("Add", g.op("Exp", g.op("Neg", scores)), 1)
    return g.op("Div", g.constant(1, scores.elem), below)


def two_classes(g: Graph, positive: Value) -> Value:
    """[1 - p, p] from p [N, 1]."""
    return g.concat([g.op("Sub", g.constant(1, positive.elem), positive), positive])


def softmax(g: Graph, scores: Value) -> Value:
    """exp(x - max) divided by its sum over the row."""
    top = g.op("ReduceMax", scores, g.constant([1], "int64"), keepdims=1)
    raised = g.op("Exp", g.op("Sub", scores, top))
    return g.op("Div", raised, g.op("ReduceSum", raised, g.constant([1], "int64"), keepdims=1))

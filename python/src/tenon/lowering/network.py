"""Rules for scikit-learn's multi-layer perceptrons."""

from __future__ import annotations

from typing import Any

from sklearn.neural_network import MLPClassifier, MLPRegressor

from tenon.errors import NotLowered
from tenon.lowering.columns import Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.linear import expit, predictions, softmax, two_classes
from tenon.lowering.rules import Answers, classes_of, lowers


@lowers(MLPClassifier)
def mlp_classifier(fitted: MLPClassifier, columns: Columns, g: Graph) -> Answers:
    """The last layer's activation; above one half, or the largest. Several labels are decided one by one."""
    last = _forward(fitted, columns, g)
    if fitted._label_binarizer.y_type_.startswith("multilabel"):
        return _labels(last, fitted.n_outputs_, g)
    classes, elem = classes_of(fitted)
    if fitted.n_outputs_ > 1:
        index = g.op("ArgMax", last, elem="int64", axis=1, keepdims=0)
        return {"label": g.labels(index, classes, elem), "probabilities": last}
    index = g.flat(g.cast(_above_half(last, g), "int64"))
    return {"label": g.labels(index, classes, elem), "probabilities": two_classes(g, last)}


@lowers(MLPRegressor)
def mlp_regressor(fitted: MLPRegressor, columns: Columns, g: Graph) -> Answers:
    """The last layer's activation."""
    return predictions(g, _forward(fitted, columns, g), fitted.n_outputs_)


def _labels(last: Value, count: int, g: Graph) -> Answers:
    """One boolean for each label, and the probabilities that they are true [N, count]."""
    above = _above_half(last, g)
    each = {f"label_{i}": g.flat(g.columns(above, [i])) for i in range(count)}
    return {**each, "probabilities": last}


def _above_half(value: Value, g: Graph) -> Value:
    return g.op("Greater", value, g.constant(0.5, value.elem), elem="bool")


def _forward(fitted: Any, columns: Columns, g: Graph) -> Value:
    """Layer by layer x @ weights + bias, then the activation, in place and so in the type of the product."""
    value = columns.numeric(g).value
    layers = list(zip(fitted.coefs_, fitted.intercepts_, strict=True))
    for i, (weights, bias) in enumerate(layers):
        value = g.arith("Add", g.matmul(value, weights), bias)
        value = _activated(fitted.out_activation_ if i + 1 == len(layers) else fitted.activation, value, g)
    return value


def _activated(name: str, value: Value, g: Graph) -> Value:
    if name == "identity":
        return value
    if name == "logistic":
        return expit(g, value)
    if name == "softmax":
        return softmax(g, value)
    operators = {"relu": "Relu", "tanh": "Tanh", "exp": "Exp"}
    if name not in operators:
        raise NotLowered(f"a perceptron with the activation {name}")
    return g.op(operators[name], value)

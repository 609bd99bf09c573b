"""Rules for estimators that let others vote, or learn from what the others say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor

from tenon.errors import NotLowered
from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.graph import Graph, Value, promoted
from tenon.lowering.responses import alike, column, each, total, want
from tenon.lowering.rules import Answers, elem_of, lowers, predict
from tenon.lowering.targets import most_probable


@lowers(VotingClassifier)
def voting_classifier(fitted: VotingClassifier, columns: Columns, g: Graph) -> Answers:
    """Soft: the class of the largest mean probability. Hard: the first class with most votes."""
    said = each(fitted.estimators_, columns, g)
    classes, weights = np.asarray(fitted.classes_), fitted._weights_not_none
    if fitted.voting == "soft":
        probabilities = [want(a, "probabilities", e) for a, e in zip(said, fitted.estimators_, strict=True)]
        return most_probable(_average(g, alike(g, probabilities), weights), classes, g)
    codes = g.constant(np.arange(len(classes))[None, :], "int64")
    votes = []
    for answers, weight in zip(said, [1] * len(said) if weights is None else weights, strict=True):
        # The inner classifiers were fitted on the numbers of the classes.
        voted = g.op("Equal", column(g, g.cast(answers["label"], "int64")), codes, elem="bool")
        votes.append(g.arith("Mul", g.cast(voted, "float64"), weight))
    index = g.op("ArgMax", total(g, votes), elem="int64", axis=1, keepdims=0)
    return {"label": g.labels(index, classes, elem_of(classes))}


@lowers(VotingRegressor)
def voting_regressor(fitted: VotingRegressor, columns: Columns, g: Graph) -> Answers:
    """The mean prediction, weighted if asked for."""
    said = [want(a, "prediction", fitted) for a in each(fitted.estimators_, columns, g)]
    return {"prediction": _average(g, alike(g, said), fitted._weights_not_none)}


@lowers(StackingClassifier)
def stacking_classifier(fitted: StackingClassifier, columns: Columns, g: Graph) -> Answers:
    """The final estimator on what the others say. It answers with the number of a class."""
    if isinstance(fitted.classes_, list):
        raise NotLowered("StackingClassifier of several labels")
    said = predict(fitted.final_estimator_, _said(fitted, columns, g), g)
    classes = np.asarray(fitted.classes_)
    label = g.labels(g.cast(said["label"], "int64"), classes, elem_of(classes))
    return {**said, "label": label}


@lowers(StackingRegressor)
def stacking_regressor(fitted: StackingRegressor, columns: Columns, g: Graph) -> Answers:
    """The final estimator on what the others say."""
    return predict(fitted.final_estimator_, _said(fitted, columns, g), g)


def _said(fitted: Any, columns: Columns, g: Graph) -> Columns:
    """What the estimators say, side by side, and the columns themselves behind it with `passthrough`."""
    blocks = []
    for estimator, method in zip(fitted.estimators_, fitted.stack_method_, strict=True):
        value, width = _response(fitted, estimator, method, predict(estimator, columns, g), g)
        dtype = np.dtype("bool" if value.elem == "string" else value.elem)
        blocks.append(Block(value, (Column(dtype),) * width))
    return Columns((*blocks, *(columns.blocks if fitted.passthrough else ())))


def _response(fitted: Any, estimator: Any, method: str, answers: Answers, g: Graph) -> tuple[Value, int]:
    """[N, width] of one estimator; of two probabilities only the second is kept."""
    known = len(fitted.classes_) if hasattr(fitted, "classes_") else 1
    if method == "predict_proba":
        value = want(answers, "probabilities", estimator)
        return (g.columns(value, [1]), 1) if known == 2 else (value, len(estimator.classes_))
    if method == "decision_function":
        value = want(answers, "decision", estimator)
        return (column(g, value), 1) if known == 2 else (value, len(estimator.classes_))
    value = answers["prediction"] if "prediction" in answers else want(answers, "label", estimator)
    if value.elem == "string":
        raise NotLowered(f"{type(fitted).__name__} learns from labels that are text")
    return column(g, value), 1


def _average(g: Graph, values: Sequence[Value], weights: Sequence[float] | None) -> Value:
    """numpy.average over the estimators: summed from first to last, then divided."""
    if weights is None:
        return g.arith("Div", total(g, values), len(values))
    elem = promoted(values[0].elem, np.asarray(weights).dtype)
    weighted = [g.arith("Mul", g.cast(v, elem), w) for v, w in zip(values, weights, strict=True)]
    return g.arith("Div", total(g, weighted), np.asarray(weights).sum(dtype=elem))

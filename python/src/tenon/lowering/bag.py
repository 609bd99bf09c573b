"""Rules for ensembles of one kind of estimator on samples of the rows: Bagging and AdaBoost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import AdaBoostClassifier, AdaBoostRegressor, BaggingClassifier, BaggingRegressor

from tenon.lowering.columns import Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.linear import softmax
from tenon.lowering.responses import alike, as_array, column, each, placed, total, want
from tenon.lowering.rules import Answers, elem_of, lowers, predict
from tenon.lowering.targets import most_probable


@lowers(BaggingClassifier)
def bagging_classifier(fitted: BaggingClassifier, columns: Columns, g: Graph) -> Answers:
    """The mean probabilities, or the share of votes where the classifiers have none."""
    classes = np.asarray(fitted.classes_)
    said = _on_their_columns(fitted, columns, g)
    parts = [_share(e, a, len(classes), g) for e, a in zip(fitted.estimators_, said, strict=True)]
    out = most_probable(g.arith("Div", total(g, parts), len(parts)), classes, g)
    if all("decision" in a for a in said) and len(classes) == len(fitted.estimators_[0].classes_):
        decisions = alike(g, [a["decision"] for a in said])
        out["decision"] = g.arith("Div", total(g, decisions), len(decisions))
    return out


@lowers(BaggingRegressor)
def bagging_regressor(fitted: BaggingRegressor, columns: Columns, g: Graph) -> Answers:
    """The mean prediction, summed first, then divided."""
    said = [want(a, "prediction", fitted.estimator_) for a in _on_their_columns(fitted, columns, g)]
    return {"prediction": g.arith("Div", total(g, alike(g, said)), len(said))}


def _on_their_columns(fitted: Any, columns: Columns, g: Graph) -> list[Answers]:
    array = as_array(columns, g)
    pairs = zip(fitted.estimators_, fitted.estimators_features_, strict=True)
    return [predict(e, array.select(g, [int(f) for f in features]), g) for e, features in pairs]


def _share(estimator: Any, answers: Answers, width: int, g: Graph) -> Value:
    """One classifier's part in the probabilities; it was fitted on the numbers of the classes it saw."""
    if hasattr(estimator, "predict_proba"):
        proba = g.cast(want(answers, "probabilities", estimator), "float64")
        places = [int(c) for c in estimator.classes_]
        return placed(g, proba, range(width) if len(places) == width else places, width)
    codes = g.constant(np.arange(width)[None, :], "int64")
    voted = g.op("Equal", column(g, g.cast(answers["label"], "int64")), codes, elem="bool")
    return g.cast(voted, "float64")


@lowers(AdaBoostClassifier)
def boosted_classifier(fitted: AdaBoostClassifier, columns: Columns, g: Graph) -> Answers:
    """Each classifier adds its weight to the class that it names and takes from the others."""
    classes = np.asarray(fitted.classes_)
    elem, count = elem_of(classes), len(classes)
    if count == 1:
        return each(fitted.estimators_[:1], as_array(columns, g), g)[0]
    known = g.constant(classes[None, :], elem)
    votes = []
    for answers, weight in zip(
        each(fitted.estimators_, as_array(columns, g), g), fitted.estimator_weights_, strict=False
    ):
        named = g.op("Equal", column(g, answers["label"]), known, elem="bool")
        against = -1 / (count - 1) * weight
        votes.append(g.where(named, g.constant(weight, "float64"), g.constant(against, "float64")))
    scores = g.arith("Div", total(g, votes), fitted.estimator_weights_.sum())
    if count > 2:
        index = g.op("ArgMax", scores, elem="int64", axis=1, keepdims=0)
        proba = softmax(g, g.arith("Div", scores, count - 1))
        return {"label": g.labels(index, classes, elem), "probabilities": proba, "decision": scores}
    first, second = (g.columns(scores, [k]) for k in range(2))
    decision = g.op("Add", g.op("Neg", first), second)
    index = g.flat(g.cast(g.op("Greater", decision, g.constant(0, "float64"), elem="bool"), "int64"))
    proba = softmax(g, g.arith("Div", g.concat([g.op("Neg", decision), decision]), 2))
    return {"label": g.labels(index, classes, elem), "probabilities": proba, "decision": g.flat(decision)}


@lowers(AdaBoostRegressor)
def boosted_regressor(fitted: AdaBoostRegressor, columns: Columns, g: Graph) -> Answers:
    """The weighted median of the predictions."""
    said = [want(a, "prediction", fitted) for a in each(fitted.estimators_, as_array(columns, g), g)]
    predictions = g.concat([column(g, v) for v in alike(g, said)])
    rising, order = _sorted(predictions, len(said), g)
    weights = g.constant(fitted.estimator_weights_[: len(said)], "float64")
    shares = g.op("Gather", weights, order, axis=0)
    sums = g.op("CumSum", shares, g.constant(1, "int64"))
    half = g.arith("Mul", g.columns(sums, [len(said) - 1]), 0.5)
    reached = g.cast(g.op("GreaterOrEqual", sums, half, elem="bool"), "int64")
    place = g.op("ArgMax", reached, elem="int64", axis=1, keepdims=1)
    return {"prediction": g.flat(g.op("GatherElements", rising, place, axis=1))}


def _sorted(values: Value, width: int, g: Graph) -> Sequence[Value]:
    """The values of each row in rising order, and where each came from."""
    return g.ops("TopK", [values, g.constant([width], "int64")], [values.elem, "int64"], largest=0)

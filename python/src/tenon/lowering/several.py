"""Rules for estimators that make one of many: for each target, each class against the rest, each pair of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, _threshold_for_binary_predict
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain

from tenon.errors import NotLowered
from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.linear import two_classes
from tenon.lowering.responses import alike, as_array, column, each, score, want
from tenon.lowering.rules import Answers, elem_of, lowers, predict
from tenon.lowering.targets import of_each


@lowers(MultiOutputRegressor)
def multi_output_regressor(fitted: MultiOutputRegressor, columns: Columns, g: Graph) -> Answers:
    """One regressor for each target."""
    said = [want(a, "prediction", fitted.estimator) for a in each(fitted.estimators_, columns, g)]
    return {"prediction": g.concat([column(g, v) for v in alike(g, said)])}


@lowers(MultiOutputClassifier)
def multi_output_classifier(fitted: MultiOutputClassifier, columns: Columns, g: Graph) -> Answers:
    """One classifier for each target."""
    return of_each(each(fitted.estimators_, columns, g), [np.asarray(c) for c in fitted.classes_], g)


@lowers(RegressorChain)
def regressor_chain(fitted: RegressorChain, columns: Columns, g: Graph) -> Answers:
    """Each regressor sees the columns and what those before it predicted."""
    said = _chain(fitted, "prediction", columns, g)
    return {"prediction": g.concat([column(g, g.cast(a["prediction"], "float64")) for a in said])}


@lowers(ClassifierChain)
def classifier_chain(fitted: ClassifierChain, columns: Columns, g: Graph) -> Answers:
    """Each classifier sees the columns and what those before it said."""
    names = {"predict": "label", "predict_proba": "probabilities", "decision_function": "decision"}
    out: Answers = {}
    for j, answers in enumerate(_chain(fitted, names[fitted.chain_method_], columns, g)):
        out[f"label_{j}"] = answers["label"]
        if "probabilities" in answers:
            out[f"probability_{j}"] = g.flat(g.columns(answers["probabilities"], [1]))
    return out


def _chain(fitted: Any, name: str, columns: Columns, g: Graph) -> list[Answers]:
    """The answers by target. The chain computes in double, because what it hands on is double."""
    block = columns.numeric(g)
    double = tuple(replace(c, dtype=np.dtype(np.float64)) for c in block.columns)
    seen, said = Columns((Block(g.cast(block.value, "float64"), double),)), {}
    for target, estimator in zip(fitted.order_, fitted.estimators_, strict=True):
        said[int(target)] = answers = predict(estimator, seen, g)
        value = want(answers, name, estimator)
        if name == "probabilities":
            value = g.flat(g.columns(value, [1]))
        handed_on = Block(column(g, g.cast(value, "float64")), (Column(np.dtype(np.float64)),))
        seen = Columns((*seen.blocks, handed_on))
    return [said[j] for j in range(len(said))]


@lowers(OneVsRestClassifier)
def one_vs_rest(fitted: OneVsRestClassifier, columns: Columns, g: Graph) -> Answers:
    """Many classes: the first of the largest scores. Two classes or several flags: each score against a threshold."""
    said = each(fitted.estimators_, columns, g)
    pairs = list(zip(fitted.estimators_, said, strict=True))
    scores = [score(e, a, g) for e, a in pairs]
    out: Answers = {}
    if hasattr(fitted, "predict_proba"):
        positive = [g.columns(want(a, "probabilities", e), [1]) for e, a in pairs]
        out["probabilities"] = _probabilities(fitted, g.concat(alike(g, positive)), g)
    if hasattr(fitted, "decision_function"):
        decisions = alike(g, [want(a, "decision", e) for e, a in pairs])
        single = len(decisions) == 1
        out["decision"] = decisions[0] if single else g.concat([column(g, d) for d in decisions])
    if fitted.multilabel_ or len(scores) == 1:
        limit = _threshold_for_binary_predict(fitted.estimators_[0])
        flags = [g.op("Greater", s, g.constant(limit, s.elem), elem="bool") for s in scores]
        if fitted.multilabel_:
            return {**out, **{f"label_{j}": flag for j, flag in enumerate(flags)}}
        index = g.cast(flags[0], "int64")
    else:
        largest = g.concat([column(g, s) for s in alike(g, scores)])
        index = g.op("ArgMax", largest, elem="int64", axis=1, keepdims=0)
    classes = np.asarray(fitted.classes_)
    return {**out, "label": g.labels(index, classes, elem_of(classes))}


def _probabilities(fitted: OneVsRestClassifier, positive: Value, g: Graph) -> Value:
    """Those of the classes, made to sum to one unless they are flags."""
    proba = two_classes(g, positive) if len(fitted.estimators_) == 1 else positive
    if fitted.multilabel_:
        return proba
    whole = g.op("ReduceSum", proba, g.constant([1], "int64"), keepdims=1)
    nothing = g.op("Equal", whole, g.constant(0, whole.elem), elem="bool")
    return g.where(nothing, proba, g.op("Div", proba, whole))


@lowers(OneVsOneClassifier)
def one_vs_one(fitted: OneVsOneClassifier, columns: Columns, g: Graph) -> Answers:
    """The class that wins most pairs; the sum of its confidences decides between equals."""
    if fitted.pairwise_indices_ is not None:
        raise NotLowered("OneVsOneClassifier over a precomputed kernel")
    said = each(fitted.estimators_, as_array(columns, g), g)
    scores = [score(e, a, g) for e, a in zip(fitted.estimators_, said, strict=True)]
    classes = np.asarray(fitted.classes_)
    names = ["prediction" if is_regressor(e) else "label" for e in fitted.estimators_]
    named = [column(g, g.cast(a[name], "float64")) for a, name in zip(said, names, strict=True)]
    confidences = [column(g, g.cast(s, "float64")) for s in scores]
    decision = _pairwise(named, confidences, len(classes), g)
    if len(classes) > 2:
        index = g.op("ArgMax", decision, elem="int64", axis=1, keepdims=0)
        return {"label": g.labels(index, classes, elem_of(classes)), "decision": decision}
    decision = g.flat(g.columns(decision, [1]))
    limit = _threshold_for_binary_predict(fitted.estimators_[0])
    index = g.cast(g.op("Greater", decision, g.constant(limit, "float64"), elem="bool"), "int64")
    return {"label": g.labels(index, classes, elem_of(classes)), "decision": decision}


def _pairwise(named: Sequence[Value], confidences: Sequence[Value], classes: int, g: Graph) -> Value:
    """Votes plus confidences squeezed below a third of a vote; summed pair by pair, because ties decide labels.

    What a pair names is 0 or 1; the numbers of regressors may be neither, and then no one has the vote.
    """
    zero = g.arith("Mul", named[0], 0)
    votes, sums = [zero] * classes, [zero] * classes
    for k, (i, j) in enumerate(combinations(range(classes), 2)):
        sums[i] = g.op("Sub", sums[i], confidences[k])
        sums[j] = g.op("Add", sums[j], confidences[k])
        for side, who in ((0, i), (1, j)):
            has = g.op("Equal", named[k], g.constant(side, "float64"), elem="bool")
            votes[who] = g.op("Add", votes[who], g.cast(has, "float64"))
    whole = g.concat(sums)
    below = g.arith("Mul", g.arith("Add", g.op("Abs", whole), 1), 3)
    return g.op("Add", g.concat(votes), g.op("Div", whole, below))

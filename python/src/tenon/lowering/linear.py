"""Rules for linear models: one matrix product, then scikit-learn's own way to probabilities and labels.

What computes alike stands in one list; a model that shares `coef_` and `intercept_` needs no function of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from sklearn import linear_model
from sklearn.cross_decomposition import CCA, PLSCanonical, PLSRegression
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RANSACRegressor, SGDClassifier
from sklearn.svm import LinearSVC, LinearSVR

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.graph import Graph, Value, promoted
from tenon.lowering.rules import Answers, apply, classes_of, lowers, transforms


def _present(names: str) -> list[type]:
    """Those classes of sklearn.linear_model that this scikit-learn has: some come, some are on their way out."""
    return [getattr(linear_model, n) for n in names.split() if hasattr(linear_model, n)]


SOFTMAX = [*_present("LogisticRegression LogisticRegressionCV"), LinearDiscriminantAnalysis]
LABELS_ONLY = [
    *_present("Perceptron PassiveAggressiveClassifier RidgeClassifier RidgeClassifierCV"),
    LinearSVC,
]
REGRESSORS = [
    *_present("LinearRegression Ridge RidgeCV Lasso LassoCV ElasticNet ElasticNetCV Lars LarsCV LassoLars"),
    *_present("LassoLarsCV LassoLarsIC OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV BayesianRidge"),
    *_present("ARDRegression HuberRegressor TheilSenRegressor QuantileRegressor SGDRegressor"),
    *_present("PassiveAggressiveRegressor MultiTaskLasso MultiTaskLassoCV MultiTaskElasticNet"),
    *_present("MultiTaskElasticNetCV"),
    LinearSVR,
]


@lowers(*SOFTMAX)
def logistic(fitted: Any, columns: Columns, g: Graph) -> Answers:
    """Two classes: the sign of the score, and expit. More: the largest score, and softmax."""
    scores = _scores(fitted, columns, g)
    two = len(fitted.classes_) == 2
    proba = two_classes(g, expit(g, scores)) if two else softmax(g, scores)
    return {**decided(fitted, scores, g), "probabilities": proba}


@transforms(LinearDiscriminantAnalysis)
def discriminants(fitted: LinearDiscriminantAnalysis, columns: Columns, g: Graph) -> Columns:
    """(x - mean) @ scalings, the first components; `solver="eigen"` subtracts nothing."""
    if fitted.solver == "lsqr":
        raise NotLowered('LinearDiscriminantAnalysis(solver="lsqr") does not transform')
    value = columns.numeric(g).value
    if fitted.solver == "svd":
        value = g.add(value, -fitted.xbar_)
    value = g.matmul(value, fitted.scalings_[:, : fitted._max_components])
    width = min(fitted.scalings_.shape[1], fitted._max_components)
    return Columns((Block(value, tuple(Column(np.dtype(value.elem)) for _ in range(width))),))


@lowers(*LABELS_ONLY)
def linear_classifier(fitted: Any, columns: Columns, g: Graph) -> Answers:
    """The sign of the score, or the largest score."""
    binarizer = getattr(fitted, "_label_binarizer", None)
    if binarizer is not None and binarizer.y_type_.startswith("multilabel"):
        raise NotLowered(f"{type(fitted).__name__} predicts several labels at once")
    return decided(fitted, _scores(fitted, columns, g), g)


@lowers(SGDClassifier)
def sgd_classifier(fitted: SGDClassifier, columns: Columns, g: Graph) -> Answers:
    """Labels as every linear classifier; probabilities for the two losses that have them."""
    scores = _scores(fitted, columns, g)
    answers = decided(fitted, scores, g)
    if fitted.loss == "log_loss":
        answers["probabilities"] = _one_against_rest(g, expit(g, scores), len(fitted.classes_))
    elif fitted.loss == "modified_huber":
        # Of two classes scikit-learn writes them into doubles, of more into the scores themselves.
        scores = g.cast(scores, "float64") if len(fitted.classes_) == 2 else scores
        answers["probabilities"] = _one_against_rest(g, _ramp(g, scores), len(fitted.classes_))
    return answers


@lowers(*REGRESSORS)
def regression(fitted: Any, columns: Columns, g: Graph) -> Answers:
    """x @ coef + intercept."""
    return predictions(g, _scores(fitted, columns, g), len(_matrix(fitted)))


@lowers(*_present("PoissonRegressor GammaRegressor TweedieRegressor"))
def generalized(fitted: Any, columns: Columns, g: Graph) -> Answers:
    """The linear predictor, or its exponential where the link is a logarithm."""
    link = type(fitted._base_loss.link).__name__
    if link not in ("IdentityLink", "LogLink"):
        raise NotLowered(f"{type(fitted).__name__} with the link {link}")
    raw = _scores(fitted, columns, g)
    return predictions(g, g.op("Exp", raw) if link == "LogLink" else raw, 1)


@lowers(RANSACRegressor)
def ransac(fitted: RANSACRegressor, columns: Columns, g: Graph) -> Columns | Answers:
    """The estimator that was fitted on the inliers."""
    return apply(fitted.estimator_, columns, g)


@lowers(PLSRegression, PLSCanonical, CCA)
def partial_least_squares(fitted: PLSRegression, columns: Columns, g: Graph) -> Answers:
    """(x - mean) @ coef + intercept; the mean is subtracted in double, then rounded to the frame's type."""
    x = columns.numeric(g).value
    centred = g.cast(g.arith("Sub", g.cast(x, "float64"), fitted._x_mean), x.elem)
    value = g.add(g.matmul(centred, fitted.coef_.T), fitted.intercept_)
    return predictions(g, value, len(fitted.coef_))


def predictions(g: Graph, value: Value, targets: int) -> Answers:
    """`prediction` [N] from [N, 1]; of several targets `prediction` [N, t], and each alone as `prediction_0` …"""
    if targets == 1:
        return {"prediction": g.flat(value)}
    each = {f"prediction_{t}": g.flat(g.columns(value, [t])) for t in range(targets)}
    return {"prediction": value, **each}


def decided(fitted: Any, scores: Value, g: Graph) -> Answers:
    """`label` and `decision` from scores [N, 1] of two classes or [N, C] of more."""
    classes, elem = classes_of(fitted)
    if len(classes) > 2:
        index = g.op("ArgMax", scores, elem="int64", axis=1, keepdims=0)
        return {"label": g.labels(index, classes, elem), "decision": scores}
    flat = g.flat(scores)
    index = g.cast(g.op("Greater", flat, g.constant(0, scores.elem), elem="bool"), "int64")
    return {"label": g.labels(index, classes, elem), "decision": flat}


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


def normalized(g: Graph, positive: Value, classes: int) -> Value:
    """Each class's own probability [N, C] divided by the row's sum; all classes alike where that is 0."""
    total = g.op("ReduceSum", positive, g.constant([1], "int64"), keepdims=1)
    none = g.op("Equal", total, g.constant(0, total.elem), elem="bool")
    shares = g.op("Div", positive, g.where(none, g.constant(1, total.elem), total))
    return g.where(none, g.constant(np.full(classes, 1 / classes), total.elem), shares)


def _one_against_rest(g: Graph, positive: Value, classes: int) -> Value:
    return two_classes(g, positive) if classes == 2 else normalized(g, positive, classes)


def _ramp(g: Graph, scores: Value) -> Value:
    """(clip(x, -1, 1) + 1) / 2."""
    clipped = g.op("Clip", scores, g.constant(-1, scores.elem), g.constant(1, scores.elem))
    return g.arith("Div", g.arith("Add", clipped, 1), 2)


def _scores(fitted: Any, columns: Columns, g: Graph) -> Value:
    """x @ coef + intercept as [N, k], one column for two classes or one target."""
    matrix = _matrix(fitted)
    value = g.matmul(columns.numeric(g).value, matrix.T)
    # fit_intercept=False leaves Python's 0.0, which numpy adds in the type of the rest.
    plain = type(fitted.intercept_) is float
    intercept = np.asarray(fitted.intercept_, dtype=promoted(value.elem, matrix.dtype) if plain else None)
    return g.add(value, intercept.reshape(-1))


def _matrix(fitted: Any) -> Array:
    """The coefficients as [k, features]."""
    if scipy.sparse.issparse(fitted.coef_):
        raise NotLowered(f"{type(fitted).__name__} was sparsified: call densify() before tenon.export")
    return np.atleast_2d(fitted.coef_)

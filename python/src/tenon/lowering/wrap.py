"""Rules for estimators around one other, and for those that look at nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

from tenon.errors import ExportError
from tenon.lowering.columns import Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.responses import same_rows, want
from tenon.lowering.rules import Answers, apply, elem_of, lowers, predict
from tenon.lowering.targets import of_each


@lowers(FrozenEstimator)
def frozen(fitted: FrozenEstimator, columns: Columns, g: Graph) -> Columns | Answers:
    """The estimator that is frozen."""
    return apply(fitted.estimator, columns, g)


@lowers(FixedThresholdClassifier)
def fixed_threshold(fitted: FixedThresholdClassifier, columns: Columns, g: Graph) -> Answers:
    """The inner classifier with another threshold between its classes."""
    limit = None if fitted.threshold == "auto" else float(fitted.threshold)
    return _thresholded(fitted, limit, fitted.pos_label, columns, g)


@lowers(TunedThresholdClassifierCV)
def tuned_threshold(fitted: TunedThresholdClassifierCV, columns: Columns, g: Graph) -> Answers:
    """The inner classifier with the threshold that cross-validation chose."""
    positive = fitted._curve_scorer._get_pos_label()
    return _thresholded(fitted, float(fitted.best_threshold_), positive, columns, g)


def _thresholded(fitted: Any, limit: float | None, positive: Any, columns: Columns, g: Graph) -> Answers:
    inner = getattr(fitted, "estimator_", fitted.estimator)
    answers, classes = predict(inner, columns, g), np.asarray(fitted.classes_)
    second = 1 if positive is None else int(np.flatnonzero(classes == positive)[0])
    by_probability = fitted.response_method != "decision_function" and hasattr(inner, "predict_proba")
    if by_probability:
        value = g.flat(g.columns(want(answers, "probabilities", inner), [second]))
    else:
        value = want(answers, "decision", inner)
        value = value if second == 1 else g.op("Neg", value)
    if limit is None:
        limit = 0.5 if by_probability else 0.0
    wide = g.cast(value, "float64")
    above = g.op("GreaterOrEqual", wide, g.constant(limit, "float64"), elem="bool")
    order = classes if second == 1 else classes[::-1]
    return {**answers, "label": g.labels(g.cast(above, "int64"), order, elem_of(classes))}


@lowers(DummyClassifier)
def dummy_classifier(fitted: DummyClassifier, columns: Columns, g: Graph) -> Answers:
    """The same label and the same probabilities for every row."""
    if fitted._strategy in ("stratified", "uniform"):
        raise ExportError(
            f"DummyClassifier(strategy={fitted._strategy!r}) draws its answers at random, so no served answer can be "
            'the trained one: use strategy="prior" or "most_frequent"'
        )
    row = np.zeros((1, 1))
    one = fitted.n_outputs_ == 1
    known = [np.asarray(c) for c in ([fitted.classes_] if one else fitted.classes_)]
    probabilities = [fitted.predict_proba(row)] if one else fitted.predict_proba(row)
    said = []
    for classes, label, proba in zip(known, fitted.predict(row).ravel(), probabilities, strict=True):
        said.append(_always(columns, classes, label, proba[0], g))
    return said[0] if one else of_each(said, known, g)


def _always(columns: Columns, classes: Any, label: Any, proba: Any, g: Graph) -> Answers:
    index = np.flatnonzero(classes == label)
    number: Value = g.flat(same_rows(columns, index[:1], "int64", g))
    said = same_rows(columns, proba, "float64", g)
    return {"label": g.labels(number, classes, elem_of(classes)), "probabilities": said}


@lowers(DummyRegressor)
def dummy_regressor(fitted: DummyRegressor, columns: Columns, g: Graph) -> Answers:
    """The same numbers for every row."""
    value = same_rows(columns, np.asarray(fitted.constant_, dtype=np.float64).ravel(), "float64", g)
    return {"prediction": g.flat(value) if fitted.n_outputs_ == 1 else value}

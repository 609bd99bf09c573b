"""What the original pipeline answers: the only truth that an export is held against."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor

from tenon.errors import ExportError
from tenon.inputs import Array, Frame, Rows, count
from tenon.signature import Output


def describe_outputs(pipeline: Any, frame: Frame) -> tuple[Output, ...]:
    """The logical outputs of a fitted pipeline, without tolerances; ExportError if it has none we serve.

    An output's `source` says what it is, whatever it is called: `prediction`, `label`, `probabilities`, `cluster`,
    `outlier` or `score`; of several targets `prediction_0`, `label_0`, `probabilities_0`. A label that is a flag has
    `probability_0` instead, the probability that it is set.
    """
    if is_classifier(pipeline):
        return _classifier_outputs(pipeline, frame)
    if is_regressor(pipeline):
        return _regressor_outputs(pipeline, frame)
    if is_clusterer(pipeline):
        return (Output("cluster", "label", "int64", "cluster"),)
    if is_outlier_detector(pipeline):
        score = _value_type(_call(pipeline.decision_function, frame))
        return Output("outlier", "label", "bool", "outlier"), Output("score", "value", score, "score")
    raise ExportError(
        f"the pipeline ends in {_last(pipeline)}, which neither classifies, clusters, finds outliers nor predicts a "
        "number: end it in an estimator that does"
    )


def task(pipeline: Any) -> str:
    """The manifest's word for what the pipeline does."""
    if is_classifier(pipeline):
        return "classification"
    if is_clusterer(pipeline):
        return "clustering"
    return "outlier-detection" if is_outlier_detector(pipeline) else "regression"


def answers(pipeline: Any, outputs: tuple[Output, ...], frame: Frame) -> dict[str, Array]:
    """The pipeline's answers for rows of a frame, by output: [N], or [N, C] for probabilities."""
    said = _Said(pipeline, frame)
    return {o.name: as_answers(o, said.of(o.source)) for o in outputs}


def are_flags(classes: Sequence[Array]) -> bool:
    """Whether several targets are labels that are set or not: scikit-learn's indicator matrix, 0 and 1."""
    return all(c.dtype.kind in "biuf" and set(c.tolist()) <= {0, 1} for c in classes)


class _Said:
    """What the pipeline's methods say for one frame, each asked once."""

    def __init__(self, pipeline: Any, frame: Frame) -> None:
        self._pipeline, self._frame = pipeline, frame
        self._asked: dict[str, Any] = {}

    def of(self, source: str) -> Array:
        """The values of one output, by its source."""
        stem, _, number = source.partition("_")
        if stem == "outlier":
            flags: Array = self._ask("predict") == -1
            return flags
        if stem == "score":
            return np.asarray(self._ask("decision_function"))
        values = self._ask("predict_proba" if stem.startswith("probabilit") else "predict")
        if not number:
            return np.asarray(values)
        if stem == "probability":
            return self._probability(values, int(number))
        return np.asarray(values[int(number)] if isinstance(values, list) else values[:, int(number)])

    def _ask(self, method: str) -> Any:
        if method not in self._asked:
            self._asked[method] = _call(getattr(self._pipeline, method), self._frame)
        return self._asked[method]

    def _probability(self, values: Any, number: int) -> Array:
        """That label `number` is set, from one matrix for all labels or one of two columns for each."""
        if not isinstance(values, list):
            return np.asarray(values[:, number])
        proba, classes = np.asarray(values[number]), list(self._pipeline.classes_[number])
        return proba[:, classes.index(1)] if 1 in classes else np.zeros_like(proba[:, 0])


def as_answers(output: Output, values: Array) -> Array:
    """Values [N] in the output's type, strings as an object array; probabilities [N, C] as they are."""
    if output.kind == "probabilities":
        return values
    flat = values.reshape(len(values)) if output.shape is None else values
    return flat.astype(object if output.type == "string" else output.type)


def _regressor_outputs(pipeline: Any, frame: Frame) -> tuple[Output, ...]:
    raw = _call(pipeline.predict, frame)
    kind = _value_type(raw)
    if raw.ndim == 1 or raw.shape[1] == 1:
        return (Output("prediction", "value", kind, "prediction"),)
    return tuple(Output(f"prediction_{j}", "value", kind, f"prediction_{j}") for j in range(raw.shape[1]))


def _classifier_outputs(pipeline: Any, frame: Frame) -> tuple[Output, ...]:
    raw = _call(pipeline.predict, frame)
    proba = _call(pipeline.predict_proba, frame) if hasattr(pipeline, "predict_proba") else None
    # CatBoost answers one label of many classes with a column [N, 1].
    if raw.ndim > 1 and (raw.shape[1] > 1 or isinstance(pipeline.classes_, list)):
        return _several_labels(pipeline, raw.shape[1], proba)
    label = Output("label", "label", _label_type(np.asarray(pipeline.classes_)), "label")
    if proba is None:
        return (label,)
    classes = tuple(np.asarray(pipeline.classes_).tolist())
    return label, Output("probabilities", "probabilities", _value_type(proba), "probabilities", classes)


def _several_labels(pipeline: Any, count: int, proba: Any) -> tuple[Output, ...]:
    """A label for each target, with its probabilities; of flags, with the one probability that it is set."""
    if isinstance(pipeline.classes_, list):
        classes = [np.asarray(c) for c in pipeline.classes_]
    else:
        classes = [np.array([0, 1])] * count  # the classes of an indicator matrix are the labels' numbers
    flags = are_flags(classes)
    outputs = []
    for j in range(count):
        kind = "bool" if flags else _label_type(classes[j])
        outputs.append(Output(f"label_{j}", "label", kind, f"label_{j}"))
        if proba is None:
            continue
        value = _value_type(proba[j] if isinstance(proba, list) else proba)
        if flags or not isinstance(proba, list):
            outputs.append(Output(f"probability_{j}", "value", value, f"probability_{j}"))
            continue
        name = f"probabilities_{j}"
        outputs.append(Output(name, "probabilities", value, name, tuple(classes[j].tolist())))
    return tuple(outputs)


def _label_type(classes: Array) -> str:
    if classes.dtype.kind in "OUT" and all(isinstance(c, str) for c in classes):
        return "string"
    if classes.dtype.kind == "b":
        return "bool"
    if classes.dtype.kind in "iu":
        if int(classes.max()) > np.iinfo(np.int64).max:
            raise ExportError(
                "a class label is greater than 2^63 - 1, which an int64 does not hold: "
                "fit with smaller labels, or with text"
            )
        return "int64"
    if classes.dtype.kind == "f":
        return "float64"
    raise ExportError(
        f"the classes {classes[:3].tolist()} are of several types: fit with labels that are all text or all integers"
    )


def _value_type(values: Array) -> str:
    return "float32" if values.dtype == np.float32 else "float64"


def _call(method: Any, frame: Frame) -> Any:
    """What a method answers: an array, or a list of arrays for the probabilities of several targets."""
    with warnings.catch_warnings():
        # An unseen category is a warning there and a golden row here.
        warnings.simplefilter("ignore")
        said = method(frame)
    if isinstance(said, list):
        return [np.asarray(part) for part in said]
    return np.asarray(said.toarray() if hasattr(said, "toarray") else said)


def _last(pipeline: Any) -> str:
    steps = getattr(pipeline, "steps", None)
    return type(steps[-1][1] if steps else pipeline).__name__


def row_names(frame: Rows) -> list[Any]:
    """How a person finds the rows again: the DataFrame's index, or positions."""
    return frame.index.tolist() if isinstance(frame, pd.DataFrame) else list(range(count(frame)))

"""What the original pipeline answers: the only truth that an export is held against."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_regressor

from tenon.errors import ExportError
from tenon.inputs import Array, Frame, Rows, count
from tenon.signature import Output


def describe_outputs(pipeline: Any, frame: Frame) -> tuple[Output, ...]:
    """The logical outputs of a fitted pipeline, without tolerances; ExportError if it has none we serve."""
    if is_classifier(pipeline):
        return _classifier_outputs(pipeline, frame)
    if is_regressor(pipeline):
        raw = _call(pipeline.predict, frame)
        if raw.ndim == 2 and raw.shape[1] > 1:
            raise ExportError(
                f"the pipeline predicts {raw.shape[1]} targets at once: fit one pipeline a target for now"
            )
        return (Output("prediction", "value", _value_type(raw), "prediction"),)
    raise ExportError(
        f"the pipeline ends in {_last(pipeline)}, which neither classifies nor predicts a number: "
        "end it in a classifier or a regressor"
    )


def answers(pipeline: Any, outputs: tuple[Output, ...], frame: Frame) -> dict[str, Array]:
    """The pipeline's answers for rows of a frame: label [N], probabilities [N, C], prediction [N]."""
    out: dict[str, Array] = {}
    for output in outputs:
        if output.kind == "probabilities":
            out[output.name] = _call(pipeline.predict_proba, frame)
        else:
            out[output.name] = as_answers(output, _call(pipeline.predict, frame))
    return out


def as_answers(output: Output, values: Array) -> Array:
    """Values [N] in the output's type; strings as an object array."""
    flat = values.reshape(len(values)) if output.shape is None else values
    return flat.astype(object if output.type == "string" else output.type)


def _classifier_outputs(pipeline: Any, frame: Frame) -> tuple[Output, ...]:
    # CatBoost answers several classes with a column [N, 1].
    if _call(pipeline.predict, frame).size > count(frame) or isinstance(pipeline.classes_, list):
        raise ExportError("the pipeline predicts several labels at once: fit one pipeline a label for now")
    kind = _label_type(np.asarray(pipeline.classes_))
    label = Output("label", "label", kind, "label")
    if not hasattr(pipeline, "predict_proba"):
        return (label,)
    proba = _call(pipeline.predict_proba, frame)
    classes = tuple(np.asarray(pipeline.classes_).tolist())
    return label, Output("probabilities", "probabilities", _value_type(proba), "probabilities", classes)


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


def _call(method: Any, frame: Frame) -> Array:
    with warnings.catch_warnings():
        # An unseen category is a warning there and a golden row here.
        warnings.simplefilter("ignore")
        return np.asarray(method(frame))


def _last(pipeline: Any) -> str:
    steps = getattr(pipeline, "steps", None)
    return type(steps[-1][1] if steps else pipeline).__name__


def row_names(frame: Rows) -> list[Any]:
    """How a person finds the rows again: the DataFrame's index, or positions."""
    return frame.index.tolist() if isinstance(frame, pd.DataFrame) else list(range(count(frame)))

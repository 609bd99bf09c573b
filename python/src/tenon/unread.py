"""The columns of a training frame that a pipeline provably never reads, so that no request needs them."""

from __future__ import annotations

from typing import Any

from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.pipeline import FeatureUnion, Pipeline

from tenon.inputs import Frame


def unread(pipeline: Any, frame: Frame) -> frozenset[str]:
    """Names of the columns that a `ColumnTransformer` at the pipeline's head drops or does not select.

    Nothing of an array, and nothing where no column at all is read: a request has to say how many rows it has.
    """
    names = [str(c) for c in getattr(frame, "columns", ())]
    read = _read(pipeline, len(names))
    return frozenset(n for j, n in enumerate(names) if j not in read) if read else frozenset()


def _read(step: Any, width: int) -> set[int]:
    """The places of the columns, of `width`, that a fitted step may look at; all of them unless it is known better."""
    if hasattr(step, "best_estimator_"):
        return _read(step.best_estimator_, width)
    if isinstance(step, TransformedTargetRegressor) and hasattr(step, "regressor_"):
        return _read(step.regressor_, width)
    if isinstance(step, Pipeline):
        first = next((s for _, s in step.steps if s is not None and s != "passthrough"), None)
        return _read(first, width)
    if isinstance(step, FeatureUnion):
        return set().union(*(_read(s, width) for _, s in step.transformer_list if not _is_drop(s)))
    if isinstance(step, ColumnTransformer) and hasattr(step, "_transformer_to_input_indices"):
        places = step._transformer_to_input_indices
        parts = [(s, list(places[name])) for name, s, _ in step.transformers_ if not _is_drop(s)]
        return {indices[j] for s, indices in parts for j in _read(s, len(indices))}
    return set(range(width))


def _is_drop(step: Any) -> bool:
    return isinstance(step, str) and step == "drop"

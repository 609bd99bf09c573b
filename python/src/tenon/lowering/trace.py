"""Follows a lowering step by step, on past those that fail, so that the linter can name all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from tenon.errors import ExportError, TenonError
from tenon.inputs import Input
from tenon.lowering import inputs_of
from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.graph import Graph
from tenon.lowering.rules import Answers, apply


@dataclass(frozen=True)
class Outcome:
    """What became of one step: `error` is None where a rule lowered it."""

    error: TenonError | None = None

    @property
    def refused(self) -> bool:
        """Whether no graph at all can hold the step, whatever a converter says."""
        return isinstance(self.error, ExportError)


def steps_of(pipeline: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The steps that transform or predict, in order, each with its path by the names that scikit-learn uses."""
    if hasattr(pipeline, "best_estimator_"):
        yield from steps_of(pipeline.best_estimator_, path)
        return
    if isinstance(pipeline, Pipeline):
        parts = list(pipeline.steps)
    elif isinstance(pipeline, ColumnTransformer):
        fitted = getattr(pipeline, "transformers_", pipeline.transformers)
        parts = [(name, step) for name, step, *_ in fitted]
    elif isinstance(pipeline, FeatureUnion):
        parts = list(pipeline.transformer_list)
    else:
        yield path or type(pipeline).__name__, pipeline
        return
    for name, step in parts:
        if step is not None and not isinstance(step, str):
            yield from steps_of(step, f"{path} → {name}" if path else name)


def trace(pipeline: Any, inputs: Sequence[Input], names: Sequence[str] = ()) -> dict[int, Outcome]:
    """By `id` of a step: whether a rule lowers it. Steps behind a predictor that fails are not there.

    `names` as of `inputs_of`.
    """
    tracer, g = _Tracer(), Graph()
    g.watch = tracer
    try:
        apply(pipeline, inputs_of(g, inputs, names), g)
    except Exception as e:
        tracer.note(pipeline, e)
    return tracer.outcomes


class _Tracer:
    def __init__(self) -> None:
        self.outcomes: dict[int, Outcome] = {}

    def __call__(self, rule: Any, step: Any, columns: Columns, g: Graph) -> Columns | Answers:
        try:
            result: Columns | Answers = rule(step, columns, g)
        except Exception as e:
            self.note(step, e)
            stand_in = _stand_in(step, g)
            if stand_in is None:
                raise
            return stand_in
        self.outcomes.setdefault(id(step), Outcome())
        return result

    def note(self, step: Any, error: Exception) -> None:
        # Another error is of a step that got columns it was not fitted on, and says nothing about the step.
        if isinstance(error, TenonError):
            self.outcomes.setdefault(id(step), Outcome(error))


def _stand_in(step: Any, g: Graph) -> Columns | None:
    """Columns of zeros as wide as the transformer's result, for the steps behind it; None where nobody knows."""
    if not hasattr(step, "transform"):
        return None
    try:
        names = tuple(map(str, step.get_feature_names_out()))
    except Exception:
        width = getattr(step, "n_features_in_", None)
        if width is None or not hasattr(step, "func"):
            return None
        names = tuple(f"x{j}" for j in range(width))
    zeros = g.constant(np.zeros((1, len(names))), "float64")
    return Columns((Block(zeros, tuple(Column(np.dtype(np.float64)) for _ in names)),), names)

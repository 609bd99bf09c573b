"""Rules for what holds other steps: Pipeline, ColumnTransformer, searches, and FunctionTransformer()."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from tenon.errors import ExportError
from tenon.lowering.columns import Block, Columns, joined
from tenon.lowering.graph import Graph
from tenon.lowering.rules import Answers, apply, lowers, transform


@lowers(Pipeline)
def pipeline(fitted: Pipeline, columns: Columns, g: Graph) -> Columns | Answers:
    """Every step on what the one before left."""
    *before, last = [step for _, step in fitted.steps if step is not None and step != "passthrough"] or [None]
    for step in before:
        columns = transform(step, columns, g)
    return columns if last is None else apply(last, columns, g)


@lowers(GridSearchCV, RandomizedSearchCV)
def search(fitted: GridSearchCV, columns: Columns, g: Graph) -> Columns | Answers:
    """The best pipeline that a search refitted."""
    return apply(fitted.best_estimator_, columns, g)


@lowers(ColumnTransformer)
def column_transformer(fitted: ColumnTransformer, columns: Columns, g: Graph) -> Columns:
    """Each branch on its columns, the results side by side in the order of `transformers_`."""
    parts: list[Columns] = []
    for name, step, _ in fitted.transformers_:
        # The indices as scikit-learn resolved them at fit from names, slices, masks and callables.
        indices = list(fitted._transformer_to_input_indices[name])
        if (isinstance(step, str) and step == "drop") or not indices:
            continue
        part = columns.select(g, indices)
        part = part if isinstance(step, str) else transform(step, part, g)
        parts.append(_weighted(part, (fitted.transformer_weights or {}).get(name), g))
    return joined(parts)


@lowers(FunctionTransformer)
def function_transformer(fitted: FunctionTransformer, columns: Columns, g: Graph) -> Columns:
    """Nothing, for FunctionTransformer(None). A Python function has no place in a graph."""
    if fitted.func is not None:
        name = getattr(fitted.func, "__name__", repr(fitted.func))
        raise ExportError(
            f"FunctionTransformer runs the Python function {name}, which cannot be served: compute that column "
            "before the pipeline, or bring graph and truth yourself with tenon.bundle(model, X, expected=answers)"
        )
    return columns


def _weighted(part: Columns, weight: Any, g: Graph) -> Columns:
    if weight is None:
        return part
    block = part.numeric(g)
    columns = tuple(c.undone_by(lambda y, w=float(weight): y / w) for c in block.columns)  # type: ignore[misc]
    return Columns((Block(g.arith("Mul", block.value, np.asarray(weight)), columns),))

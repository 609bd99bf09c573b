"""Rules for what holds other steps: Pipeline, ColumnTransformer, FeatureUnion and searches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline

from tenon.lowering.columns import Block, Columns, hstack, joined
from tenon.lowering.features import frames
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
    return (
        joined(parts) if frames(fitted) else hstack(parts, g, sparse="csr" if fitted.sparse_output_ else "")
    )


@lowers(FeatureUnion)
def feature_union(fitted: FeatureUnion, columns: Columns, g: Graph) -> Columns:
    """Every transformer on all columns, the results side by side."""
    parts: list[Columns] = []
    for name, step in fitted.transformer_list:
        if isinstance(step, str) and step == "drop":
            continue
        part = columns if isinstance(step, str) else transform(step, columns, g)
        parts.append(_weighted(part, (fitted.transformer_weights or {}).get(name), g))
    sparse = any(p.sparse for p in parts)
    return joined(parts) if frames(fitted) else hstack(parts, g, sparse="csr" if sparse else "")


def _weighted(part: Columns, weight: Any, g: Graph) -> Columns:
    """Times a number, which leaves float32 columns float32; integers and booleans become double."""
    if weight is None:
        return part
    blocks = []
    for block in part.blocks:
        dtypes = {c.dtype for c in block.columns}
        numbers = Columns((block,)).numeric(g) if dtypes == {np.dtype(np.float32)} else _double(block, g)
        value = g.arith("Mul", numbers.value, np.asarray(weight))
        columns = tuple(
            c.undone_by(lambda y, w=float(weight): y / w if w else y)  # type: ignore[misc]
            for c in numbers.columns
        )
        blocks.append(Block(value, columns, numbers.stored if part.sparse else None))
    return replace(part, blocks=tuple(blocks))


def _double(block: Block, g: Graph) -> Block:
    return Columns((block,)).of(np.dtype(np.float64), g).numeric(g)

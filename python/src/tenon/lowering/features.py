"""Rules for steps that choose, combine or project columns: selections, products, norms, matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)
from sklearn.preprocessing import Normalizer, PolynomialFeatures
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from sklearn.utils._set_output import _get_output_config

from tenon.inputs import Array
from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import lowers


@lowers(
    GenericUnivariateSelect,
    RFE,
    RFECV,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)
def selection(fitted: Any, columns: Columns, g: Graph) -> Columns:
    """Some columns as they are; of a DataFrame numpy makes an array of one dtype first."""
    chosen = (columns if frames(fitted) else columns.array(g)).select(g, fitted.get_support(indices=True))
    return replace(chosen, sparse="csr" if columns.sparse else "")


def frames(fitted: Any) -> bool:
    """Whether a step gives DataFrames, whose columns keep their dtypes."""
    return bool(_get_output_config("transform", fitted)["dense"] != "default")


@lowers(PolynomialFeatures)
def polynomial(fitted: PolynomialFeatures, columns: Columns, g: Graph) -> Columns:
    """Products degree by degree: each is one of the degree before times the first factor, as in scikit-learn."""
    block = columns.numeric(g)
    width, least, most = len(block.columns), fitted._min_degree, fitted._max_degree
    choose = combinations if fitted.interaction_only else combinations_with_replacement
    parts: list[Block] = []
    terms: list[tuple[int, ...]] = [(j,) for j in range(width)]
    if fitted.include_bias:
        one = g.arith("Pow", g.columns(block.value, [0]), 0)
        parts.append(Block(one, (block.columns[0].opaque(),)))
    before = block
    if least <= 1 <= most:
        parts.append(block)
    for degree in range(2, most + 1):
        place = {term: i for i, term in enumerate(terms)}
        terms = list(choose(range(width), degree))
        if not terms:
            break
        others, firsts = [place[t[1:]] for t in terms], [t[0] for t in terms]
        rest, first = g.columns(before.value, others), g.columns(block.value, firsts)
        entries = None
        if columns.sparse and most <= 3:
            # A product is stored where both factors are, also if it comes to zero; above, scipy leaves that out.
            entries = g.op("Or", _absent(before, others, g), _absent(block, firsts, g))
            entries = g.cast(g.op("Not", entries), block.value.elem)
        before = Block(g.op("Mul", rest, first), tuple(block.columns[0].opaque() for _ in terms), entries)
        if degree >= least:
            parts.append(before)
    return Columns(tuple(parts), sparse=columns.sparse)


def _absent(block: Block, indices: Sequence[int], g: Graph) -> Value:
    """Where a sparse matrix has nothing in those columns."""
    stored = g.columns(block.stored, indices)
    return g.op("Equal", stored, g.constant(0, stored.elem), elem="bool")


@lowers(Normalizer)
def normalizer(fitted: Normalizer, columns: Columns, g: Graph) -> Columns:
    """Each row divided by its norm, unless that is all but zero."""
    block = columns.numeric(g)
    value, axes = block.value, g.constant([1], "int64")
    size = g.op("Abs", value)
    if fitted.norm == "max":
        norm = g.op("ReduceMax", size, axes, keepdims=1)
    elif fitted.norm == "l1":
        norm = g.op("ReduceSum", size, axes, keepdims=1)
    else:
        norm = g.op("Sqrt", g.op("ReduceSum", g.op("Mul", value, value), axes, keepdims=1))
    least = np.nextafter(0.0, 1.0) if columns.sparse else 10 * np.finfo(value.elem).eps
    none = g.op("Less", norm, g.constant(least, value.elem), elem="bool")
    value = g.op("Div", value, g.where(none, g.constant(1, value.elem), norm))
    g.notes.single |= value.elem == "float32"
    columns_out = tuple(c.opaque() for c in block.columns)
    out = Block(value, columns_out, block.stored if columns.sparse else None)
    return Columns((out,), sparse="csr" if columns.sparse else "")


@lowers(PCA, IncrementalPCA)
def pca(fitted: PCA, columns: Columns, g: Graph) -> Columns:
    """x @ components, centred afterwards, divided by the deviations where whitened."""
    components = fitted.components_
    value = g.matmul(columns.numeric(g).value, components.T)
    value = g.arith("Sub", value, np.reshape(fitted.mean_, (1, -1)) @ components.T)
    if fitted.whiten:
        scale = np.sqrt(fitted.explained_variance_)
        value = g.arith("Div", value, np.maximum(scale, np.finfo(scale.dtype).eps))
    return _projected(value, len(components))


@lowers(TruncatedSVD, GaussianRandomProjection, SparseRandomProjection)
def projection(fitted: Any, columns: Columns, g: Graph) -> Columns:
    """x @ components."""
    components: Array = fitted.components_
    matrix = components.toarray() if hasattr(components, "toarray") else components
    return _projected(g.matmul(columns.numeric(g).value, matrix.T), len(matrix))


def _projected(value: Value, width: int) -> Columns:
    return Columns((Block(value, tuple(Column(np.dtype(value.elem)) for _ in range(width))),))

"""Rules for SimpleImputer and MissingIndicator: IsNaN on numbers, a comparison with the sentinel on text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.impute import MissingIndicator, SimpleImputer

from tenon.errors import NotLowered
from tenon.inputs import SENTINEL
from tenon.lowering.columns import Block, Column, Columns, hstack, joined
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import lowers


@lowers(SimpleImputer)
def simple_imputer(fitted: SimpleImputer, columns: Columns, g: Graph) -> Columns:
    """Fills what is missing; columns without any value at fit are dropped, indicators appended."""
    text = any(b.value.elem == "string" for b in columns.blocks)
    if not text:
        floating = fitted.strategy in ("mean", "median") or columns.dtype == object
        array = Columns((columns.numeric(g),)) if floating else columns.array(g)
        columns = replace(columns, blocks=array.blocks)
    kept = np.arange(columns.width)
    if not fitted.keep_empty_features:
        kept = np.flatnonzero(~np.asarray(pd.isna(fitted.statistics_)))
    filled = _fill_text if text else _fill_numbers
    parts = [filled(fitted, columns, g, [int(j) for j in kept])]
    if fitted.add_indicator:
        parts += [_flag(fitted.missing_values, columns, g, int(j)) for j in fitted.indicator_.features_]
    return hstack(parts, g, sparse="csc" if columns.sparse else "")


@lowers(MissingIndicator)
def missing_indicator(fitted: MissingIndicator, columns: Columns, g: Graph) -> Columns:
    """A boolean for each column, or for each that had gaps at fit."""
    flags = joined([_flag(fitted.missing_values, columns, g, int(j)) for j in fitted.features_])
    sparse = bool(columns.sparse if fitted.sparse == "auto" else fitted.sparse)
    return replace(flags, sparse="csc" if sparse else "")


def _fill_numbers(fitted: SimpleImputer, columns: Columns, g: Graph, kept: list[int]) -> Columns:
    """Each block at once; the filling is rounded to the block's own type."""
    fillings = dict(enumerate(fitted.statistics_))
    out, start = [], 0
    for block in columns.blocks:
        mine = [j for j in kept if start <= j < start + len(block.columns)]
        start += len(block.columns)
        if not mine:
            continue
        (part,) = Columns((block,)).select(g, [j - start + len(block.columns) for j in mine]).blocks
        values = np.asarray([fillings[j] for j in mine], dtype=np.float64)
        value = g.where(
            _gone(fitted.missing_values, part.value, g), g.constant(values, part.value.elem), part.value
        )
        out.append(Block(value, part.columns, part.stored if columns.sparse else None))
    return Columns(tuple(out))


def _fill_text(fitted: SimpleImputer, columns: Columns, g: Graph, kept: list[int]) -> Columns:
    out = []
    for j in kept:
        block = columns.one(g, j)
        if block.value.elem != "string":
            raise NotLowered("a SimpleImputer gets text and numbers together: give each its own")
        if _same_gap(fitted.missing_values, block.columns[0]):
            filling = g.constant([[str(fitted.statistics_[j])]], "string")
            block = Block(
                g.where(_gone(fitted.missing_values, block.value, g), filling, block.value), block.columns
            )
        out.append(block)
    return Columns(tuple(out))


def _flag(marker: Any, columns: Columns, g: Graph, j: int) -> Columns:
    """Whether column j is missing, as a boolean that numbers hold."""
    block = columns.one(g, j)
    value = g.cast(_gone(marker, block.value, g), "float64")
    if block.value.elem == "string" and not _same_gap(marker, block.columns[0]):
        value = g.arith("Mul", value, 0)
    return Columns((Block(value, (Column(np.dtype(bool)),)),))


def _gone(marker: Any, value: Value, g: Graph) -> Value:
    """Where `missing_values` stands, as a boolean tensor of the value's shape."""
    if value.elem == "string":
        text = marker if isinstance(marker, str) else SENTINEL
        return g.op("Equal", value, g.constant([text], "string"), elem="bool")
    if pd.isna(marker):
        return g.op("IsNaN", g.cast(value, "float64") if "int" in value.elem else value, elem="bool")
    return g.op("Equal", value, g.constant(marker, value.elem), elem="bool")


def _same_gap(marker: Any, column: Column) -> bool:
    """Whether what is missing in the column is what the step looks for: NaN is filled, None is left."""
    if isinstance(marker, str):
        return True
    return column.absent == {True: "none", False: "na" if marker is pd.NA else "nan"}[marker is None]

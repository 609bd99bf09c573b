"""Rules for scalers: the same operations in the same order and precision as scikit-learn's transform.

A sparse matrix is multiplied by the reciprocal of the scale, an array divided by the scale.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from tenon.inputs import Array
from tenon.lowering.columns import Block, Columns, note_threshold
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import lowers


@lowers(StandardScaler)
def standard(fitted: StandardScaler, columns: Columns, g: Graph) -> Columns:
    """(x - mean) / scale; mean and scale are rounded to the frame's own type first."""
    if columns.sparse:
        return replace(_sparse(columns, g, fitted.scale_), sparse="csr")
    block = columns.numeric(g)
    value = block.value
    if fitted.with_mean:
        value = g.arith("Sub", value, fitted.mean_)
    if fitted.with_std:
        value = g.arith("Div", value, fitted.scale_)
    mean = fitted.mean_ if fitted.with_mean else 0.0
    return _affine(block, value, mean, fitted.scale_ if fitted.with_std else 1.0)


@lowers(RobustScaler)
def robust(fitted: RobustScaler, columns: Columns, g: Graph) -> Columns:
    """(x - centre) / scale; on a float32 frame numpy computes in double and rounds after each."""
    if columns.sparse:
        return _sparse(columns, g, fitted.scale_ if fitted.with_scaling else None)
    block = columns.numeric(g)
    value = block.value
    if fitted.with_centering:
        value = in_place(g, "Sub", value, fitted.center_)
    if fitted.with_scaling:
        value = in_place(g, "Div", value, fitted.scale_)
    centre = fitted.center_ if fitted.with_centering else 0.0
    return _affine(block, value, centre, fitted.scale_ if fitted.with_scaling else 1.0)


@lowers(MinMaxScaler)
def min_max(fitted: MinMaxScaler, columns: Columns, g: Graph) -> Columns:
    """x * scale + min, cut at the range where `clip` is set."""
    block = columns.numeric(g)
    value = in_place(g, "Mul", block.value, fitted.scale_)
    value = in_place(g, "Add", value, fitted.min_)
    if fitted.clip:
        low, high = fitted.feature_range
        value = _clip(g, value, low, high)
        _note_ends(g, block, *((end - fitted.min_) / fitted.scale_ for end in (low, high)))
    return _affine(block, value, -fitted.min_ / fitted.scale_, 1.0 / fitted.scale_)


@lowers(MaxAbsScaler)
def max_abs(fitted: MaxAbsScaler, columns: Columns, g: Graph) -> Columns:
    """x / scale, cut at -1 and 1 where `clip` is set."""
    if columns.sparse:
        return _sparse(columns, g, fitted.scale_, clip=fitted.clip)
    block = columns.numeric(g)
    value = in_place(g, "Div", block.value, fitted.scale_)
    if fitted.clip:
        value = _clip(g, value, -1.0, 1.0)
        _note_ends(g, block, -fitted.scale_, fitted.scale_)
    return _affine(block, value, 0.0, fitted.scale_)


def _sparse(columns: Columns, g: Graph, scale: Array | None, clip: bool = False) -> Columns:
    """x times the reciprocal of the scale."""
    if scale is None:
        return columns
    block = columns.numeric(g)
    value = in_place(g, "Mul", block.value, 1.0 / scale)
    value = _clip(g, value, -1.0, 1.0) if clip else value
    (scaled,) = _affine(block, value, 0.0, scale).blocks
    return Columns((replace(scaled, entries=block.stored),), sparse=columns.sparse)


def in_place(g: Graph, kind: str, value: Value, operand: Array) -> Value:
    """numpy's `x op= y`: computed in the wider of both types, then rounded to x's."""
    wide = g.cast(value, "float64") if np.asarray(operand).dtype == np.float64 else value
    return g.cast(g.arith(kind, wide, operand), value.elem)


def _clip(g: Graph, value: Value, low: float, high: float) -> Value:
    """numpy.clip, which leaves NaN as it is."""
    capped = g.where(
        g.op("Greater", value, g.constant(high, value.elem), elem="bool"), g.constant(high, value.elem), value
    )
    return g.where(
        g.op("Less", capped, g.constant(low, value.elem), elem="bool"), g.constant(low, value.elem), capped
    )


def _note_ends(g: Graph, block: Block, *ends: Array) -> None:
    for end in ends:
        for column, value in zip(block.columns, end, strict=True):
            note_threshold(g, column, float(value))


def _affine(block: Block, value: Value, shift: Any, scale: Any) -> Columns:
    """The block after y = (x - shift) / scale, with the way back noted."""
    width = len(block.columns)
    shifts, scales = np.broadcast_to(shift, width), np.broadcast_to(scale, width)
    columns = [
        c.undone_by(lambda y, a=float(a), b=float(b): y * b + a)  # type: ignore[misc]
        for c, a, b in zip(block.columns, shifts, scales, strict=True)
    ]
    return Columns((Block(value, tuple(columns)),))

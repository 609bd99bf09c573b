"""numpy's plain functions, for FunctionTransformer and targets: known by identity, never called or traced.

ONNX has no log1p and expm1; `log1p` and `expm1` here are Kahan's, which repair the rounding of 1 + x and keep full
precision from 1e-300 to overflow. What numpy computes in float32 is computed in double and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.preprocessing import FunctionTransformer

from tenon.errors import ExportError, NotLowered
from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import lowers


def log1p(g: Graph, x: Value) -> Value:
    """log(1 + x) of doubles: with u = 1 + x, log(u) * (x / (u - 1)), and x itself where u is 1 or infinite."""
    u = g.arith("Add", x, 1)
    repaired = g.op("Mul", g.op("Log", u), g.op("Div", x, g.arith("Sub", u, 1)))
    one = g.op("Equal", u, g.constant(1, "float64"), elem="bool")
    itself = g.op("Or", one, g.op("IsInf", u, elem="bool", detect_negative=0))
    return g.where(itself, x, repaired)


def expm1(g: Graph, x: Value) -> Value:
    """exp(x) - 1 of doubles: with u = exp(x), (u - 1) * (x / log(u)), and the limits where that is none."""
    u = g.op("Exp", x)
    less = g.arith("Sub", u, 1)
    repaired = g.op("Mul", less, g.op("Div", x, g.op("Log", u)))
    ends = g.op("Equal", less, g.constant(-1, "float64"), elem="bool")
    ends = g.op("Or", ends, g.op("IsInf", u, elem="bool"))
    one = g.op("Equal", u, g.constant(1, "float64"), elem="bool")
    return g.where(one, x, g.where(ends, less, repaired))


@dataclass(frozen=True)
class Function:
    """One of numpy's functions as nodes on doubles.

    `back` gives the raw value at which the result passes a value; None where the last bit of the result is not
    certain, so that no row can be made at the very threshold.
    """

    build: Callable[[Graph, Value], Value]
    back: Callable[[float], float] | None = None
    keeps_integers: bool = False
    """Whether numpy answers integers for integers, wrapped in their own width."""


def _node(kind: str) -> Callable[[Graph, Value], Value]:
    return lambda g, x: g.op(kind, x)


def _times(kind: str, factor: float) -> Callable[[Graph, Value], Value]:
    return lambda g, x: g.arith(kind, x, factor)


def _log_to(base: float) -> Callable[[Graph, Value], Value]:
    return lambda g, x: g.arith("Div", g.op("Log", x), math.log(base))


def _same(y: float) -> float:
    return y


FUNCTIONS: dict[Any, Function] = {
    np.log: Function(_node("Log")),
    np.log2: Function(_log_to(2)),
    np.log10: Function(_log_to(10)),
    np.log1p: Function(log1p),
    np.exp: Function(_node("Exp")),
    np.exp2: Function(lambda g, x: g.op("Pow", g.constant(2, x.elem), x)),
    np.expm1: Function(expm1),
    np.sqrt: Function(_node("Sqrt"), lambda y: y * y),
    np.absolute: Function(_node("Abs"), _same, keeps_integers=True),
    np.fabs: Function(_node("Abs"), _same),
    np.square: Function(lambda g, x: g.op("Mul", x, x), lambda y: math.sqrt(max(y, 0)), keeps_integers=True),
    np.negative: Function(_node("Neg"), lambda y: -y, keeps_integers=True),
    np.positive: Function(lambda g, x: g.op("Identity", x), _same, keeps_integers=True),
    np.sign: Function(_node("Sign"), lambda y: 0.0, keeps_integers=True),
    np.floor: Function(_node("Floor"), lambda y: math.floor(y) + 1.0, keeps_integers=True),
    np.ceil: Function(_node("Ceil"), lambda y: float(math.floor(y)), keeps_integers=True),
    np.rint: Function(_node("Round"), lambda y: math.floor(y) + 0.5),
    np.sin: Function(_node("Sin")),
    np.cos: Function(_node("Cos")),
    np.tanh: Function(_node("Tanh")),
    np.deg2rad: Function(_times("Mul", math.pi / 180)),
    np.radians: Function(_times("Mul", math.pi / 180)),
    np.rad2deg: Function(_times("Mul", 180 / math.pi)),
    np.degrees: Function(_times("Mul", 180 / math.pi)),
}


def call(func: Any, columns: Columns, g: Graph) -> Columns:
    """`func(X)` for a function of the table or None; ExportError for any other."""
    if func is None:
        return columns
    function = FUNCTIONS.get(func) if isinstance(func, np.ufunc) else None
    if function is None:
        raise ExportError(_refusal(func))
    blocks = [p for b in columns.blocks for p in _alike(b, g)]
    applied = [_applied(function, func.__name__, block, g) for block in blocks]
    if columns.sparse:
        applied = [replace(a, entries=b.stored) for a, b in zip(applied, blocks, strict=True)]
    return Columns(tuple(applied), columns.names, columns.sparse)


@lowers(FunctionTransformer)
def function_transformer(fitted: FunctionTransformer, columns: Columns, g: Graph) -> Columns:
    """numpy's plain functions, on each column in its own dtype, or on one array where the input is validated."""
    if fitted.func is not None and fitted.kw_args:
        raise ExportError(_refusal(fitted.func, f" with {sorted(fitted.kw_args)}"))
    return call(fitted.func, columns.array(g) if fitted.validate else columns, g)


def _refusal(func: Any, options: str = "") -> str:
    name = getattr(func, "__name__", repr(func))
    known = ", ".join(sorted(f.__name__ for f in FUNCTIONS))
    return (
        f"FunctionTransformer runs the Python function {name}{options}, which cannot be served: compute that column "
        f"before the pipeline, use one of numpy's own ({known}), or bring graph and truth yourself with "
        "tenon.bundle(model, X, expected=answers)"
    )


def _alike(block: Block, g: Graph) -> list[Block]:
    """The block, cut where it holds columns of several dtypes."""
    if len({c.dtype for c in block.columns}) <= 1:
        return [block]
    return [Columns((block,)).one(g, j) for j in range(len(block.columns))]


def _applied(function: Function, name: str, block: Block, g: Graph) -> Block:
    dtype, nullable = block.columns[0].dtype, block.columns[0].nullable
    if block.value.elem == "string" or dtype.kind == "O":
        raise NotLowered(f"{name} gets a column of objects")
    whole = nullable or dtype
    if function.keeps_integers and whole.kind in "iu":
        if whole.itemsize == 8 and nullable is None:
            g.notes.whole.update(c.origin.input for c in block.columns if c.origin is not None)
        value = _wrapped(function, block.value, whole, g)
    else:
        floating = _floating(name, whole)
        value = g.cast(function.build(g, g.cast(block.value, "float64")), floating.name)
        g.notes.single |= function.back is None and floating == np.float32
        dtype = floating if nullable is None else dtype
    return Block(value, tuple(_after(function, c, dtype) for c in block.columns))


def _after(function: Function, column: Column, dtype: np.dtype[Any]) -> Column:
    if function.back is None or dtype.kind != "f":
        return replace(column.opaque(dtype), nullable=column.nullable)
    return replace(column.undone_by(function.back), dtype=dtype)


def _floating(name: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What numpy computes in: integers of 8 bits and booleans in float16, of 16 bits in float32."""
    floating = dtype if dtype.kind == "f" else np.result_type(dtype, np.float16)
    if floating == np.float16:
        raise ExportError(
            f"numpy.{name} of a {dtype.name} column computes in float16 or in booleans, which cannot be served "
            "faithfully: use .astype('float64') on that column and fit again"
        )
    return floating


def _wrapped(function: Function, value: Value, dtype: np.dtype[Any], g: Graph) -> Value:
    """Integers in their own width: -(-128) is -128 in int8, as numpy has it. A gap among them stays NaN."""
    if dtype == np.uint64:
        raise NotLowered("a function gets uint64")
    if function.build in _WHOLE:
        return value
    whole = g.cast(g.cast(function.build(g, g.cast(value, "int64")), dtype.name), "int64")
    if value.elem != "float64":
        return whole
    return g.where(g.op("IsNaN", value, elem="bool"), value, g.cast(whole, "float64"))


_WHOLE = [FUNCTIONS[f].build for f in (np.floor, np.ceil, np.positive)]
"""What leaves integers as they are; ONNX has no Floor of integers."""

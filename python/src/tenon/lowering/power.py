"""Rules for PowerTransformer and its inverse: all columns at once, with the powers as a row of constants."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import PowerTransformer

from tenon.inputs import Array
from tenon.lowering.columns import Block, Columns
from tenon.lowering.functions import expm1, log1p
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import lowers, transform

EPS = np.finfo(np.float64).eps


@lowers(PowerTransformer)
def power(fitted: PowerTransformer, columns: Columns, g: Graph) -> Columns:
    """Yeo-Johnson or Box-Cox in double, rounded to the frame's type, then standardised."""
    block = columns.numeric(g)
    x = g.cast(block.value, "float64")
    lambdas = np.asarray(fitted.lambdas_, dtype=np.float64)
    y = _yeo_johnson(g, x, lambdas) if fitted.method == "yeo-johnson" else _box_cox(g, x, lambdas)
    g.notes.single |= block.value.elem == "float32"
    raised = Columns((Block(g.cast(y, block.value.elem), tuple(c.opaque() for c in block.columns)),))
    return transform(fitted._scaler, raised, g) if fitted.standardize else raised


def _yeo_johnson(g: Graph, x: Value, lambdas: Array) -> Value:
    """Both halves are one formula: of log1p(|x|), with lambda where x >= 0, else with 2 - lambda and negated."""
    above = g.op("GreaterOrEqual", x, g.constant(0, x.elem), elem="bool")
    powers = g.where(above, g.constant(lambdas, x.elem), g.constant(2 - lambdas, x.elem))
    logs = log1p(g, g.op("Abs", x))
    raised = g.op("Div", expm1(g, g.op("Mul", powers, logs)), powers)
    none = g.op("Less", g.op("Abs", powers), g.constant(EPS, x.elem), elem="bool")
    size = g.where(none, logs, raised)
    return g.where(above, size, g.op("Neg", size))


def _box_cox(g: Graph, x: Value, lambdas: Array) -> Value:
    """expm1(lambda * log(x)) / lambda, or log(x) where lambda is 0."""
    logs = g.op("Log", x)
    none = np.abs(lambdas) < 1e-19
    raised = g.arith("Div", expm1(g, g.arith("Mul", logs, lambdas)), np.where(none, 1.0, lambdas))
    return g.where(g.constant(none, "bool"), logs, raised)


def unpower(fitted: PowerTransformer, x: Value, g: Graph) -> Value:
    """The inverse of doubles [N, k] that are not standardised any more."""
    lambdas = np.asarray(fitted.lambdas_, dtype=np.float64)
    return _un_box_cox(g, x, lambdas) if fitted.method == "box-cox" else _un_yeo_johnson(g, x, lambdas)


def _un_yeo_johnson(g: Graph, x: Value, lambdas: Array) -> Value:
    above = g.op("GreaterOrEqual", x, g.constant(0, x.elem), elem="bool")
    powers = g.where(above, g.constant(lambdas, x.elem), g.constant(2 - lambdas, x.elem))
    size = g.op("Abs", x)
    none = g.op("Less", g.op("Abs", powers), g.constant(EPS, x.elem), elem="bool")
    base = g.arith("Add", g.op("Mul", size, powers), 1)
    root = g.op("Pow", base, g.op("Div", g.constant(1, x.elem), powers))
    grown = g.arith("Sub", g.where(none, g.op("Exp", size), root), 1)
    return g.where(above, grown, g.op("Neg", grown))


def _un_box_cox(g: Graph, x: Value, lambdas: Array) -> Value:
    """exp(log1p(lambda * x) / lambda), or exp(x) where lambda is 0."""
    none: Any = lambdas == 0
    logs = log1p(g, g.arith("Mul", x, lambdas))
    logs = g.arith("Div", logs, np.where(none, 1.0, lambdas))
    return g.op("Exp", g.where(g.constant(none, "bool"), x, logs))

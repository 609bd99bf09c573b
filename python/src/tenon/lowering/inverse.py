"""The rule for TransformedTargetRegressor: the regressor's answer, and the way back from what its target was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from tenon.errors import ExportError, NotLowered
from tenon.lowering.bins import interpolate
from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.functions import call
from tenon.lowering.graph import Graph, Value
from tenon.lowering.power import unpower
from tenon.lowering.rules import Answers, apply, lowers
from tenon.lowering.scale import in_place

Inverse = Callable[[Any, Value, Graph], Value]


@lowers(TransformedTargetRegressor)
def transformed_target(fitted: TransformedTargetRegressor, columns: Columns, g: Graph) -> Answers:
    """The prediction of one target, transformed back."""
    answers = apply(fitted.regressor_, columns, g)
    if isinstance(answers, Columns) or "prediction" not in answers:
        raise NotLowered(f"{type(fitted.regressor_).__name__} gives no prediction to transform back")
    if getattr(fitted.transformer_, "n_features_in_", 1) != 1:
        raise NotLowered("TransformedTargetRegressor of several targets")
    column = g.op("Reshape", answers["prediction"], g.constant([-1, 1], "int64"))
    return {"prediction": g.flat(undo(fitted.transformer_, column, g))}


def undo(transformer: Any, value: Value, g: Graph) -> Value:
    """`transformer.inverse_transform` of a floating column [N, 1]."""
    inverse = INVERSES.get(type(transformer))
    if inverse is None:
        raise ExportError(
            f"TransformedTargetRegressor with {type(transformer).__name__}, whose inverse the kit does not know: use "
            "numpy's log1p and expm1, a scaler or PowerTransformer"
        )
    return inverse(transformer, value, g)


def _function(fitted: FunctionTransformer, value: Value, g: Graph) -> Value:
    if fitted.inv_kw_args:
        raise ExportError(
            "the inverse function of a target has arguments (inv_kw_args), which cannot be served: use numpy's own "
            "functions without any"
        )
    column = Columns((Block(value, (Column(np.dtype(value.elem)),)),))
    return call(fitted.inverse_func, column, g).blocks[0].value


def _standard(fitted: StandardScaler, value: Value, g: Graph) -> Value:
    value = g.arith("Mul", value, fitted.scale_) if fitted.with_std else value
    return g.arith("Add", value, fitted.mean_) if fitted.with_mean else value


def _min_max(fitted: MinMaxScaler, value: Value, g: Graph) -> Value:
    return in_place(g, "Div", in_place(g, "Sub", value, fitted.min_), fitted.scale_)


def _max_abs(fitted: MaxAbsScaler, value: Value, g: Graph) -> Value:
    return in_place(g, "Mul", value, fitted.scale_)


def _robust(fitted: RobustScaler, value: Value, g: Graph) -> Value:
    value = in_place(g, "Mul", value, fitted.scale_) if fitted.with_scaling else value
    return in_place(g, "Add", value, fitted.center_) if fitted.with_centering else value


def _power(fitted: PowerTransformer, value: Value, g: Graph) -> Value:
    plain = _standard(fitted._scaler, value, g) if fitted.standardize else value
    g.notes.single |= value.elem == "float32"
    return g.cast(unpower(fitted, g.cast(plain, "float64"), g), value.elem)


def _quantile(fitted: QuantileTransformer, value: Value, g: Graph) -> Value:
    if fitted.output_distribution != "uniform":
        raise NotLowered(
            'QuantileTransformer(output_distribution="normal") of a target wants the normal distribution, which graphs '
            'lack (use output_distribution="uniform", or PowerTransformer)'
        )
    wide = interpolate(g, g.cast(value, "float64"), [fitted.references_], [fitted.quantiles_[:, 0]])
    return g.cast(wide, value.elem)


def _pipeline(fitted: Pipeline, value: Value, g: Graph) -> Value:
    for _, step in reversed(fitted.steps):
        value = value if step is None or isinstance(step, str) else undo(step, value, g)
    return value


INVERSES: dict[type, Inverse] = {
    FunctionTransformer: _function,
    MaxAbsScaler: _max_abs,
    MinMaxScaler: _min_max,
    Pipeline: _pipeline,
    PowerTransformer: _power,
    QuantileTransformer: _quantile,
    RobustScaler: _robust,
    StandardScaler: _standard,
}

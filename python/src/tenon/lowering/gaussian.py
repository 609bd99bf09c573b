"""Rules for Gaussian processes, held to 1e-6: their weights multiply the last bits of every kernel value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from scipy.linalg import solve
from scipy.special import erfcx
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process import _gpc as source

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.columns import Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.kernels import covariance, variance
from tenon.lowering.linear import normalized, predictions, two_classes
from tenon.lowering.rules import Answers, classes_of, lowers


@lowers(GaussianProcessRegressor)
def regressor(fitted: GaussianProcessRegressor, columns: Columns, g: Graph) -> Answers:
    """The mean of the posterior: k(x, X) @ alpha, then the targets' own mean and spread."""
    value = _rows(columns, g)
    weights = np.asarray(fitted.alpha_).reshape(len(fitted.X_train_), -1)
    mean = g.matmul(covariance(g, fitted.kernel_, value, fitted.X_train_), weights)
    scale, shift = np.atleast_1d(fitted._y_train_std), np.atleast_1d(fitted._y_train_mean)
    return predictions(g, g.arith("Add", g.arith("Mul", mean, scale), shift), weights.shape[1])


@lowers(GaussianProcessClassifier)
def classifier(fitted: GaussianProcessClassifier, columns: Columns, g: Graph) -> Answers:
    """Two classes: the sign of the latent mean. More: one process each, and the largest is the label."""
    classes, elem = classes_of(fitted)
    value = _rows(columns, g)
    if len(classes) == 2:
        latent, positive = _binary(fitted.base_estimator_, value, g)
        above = g.op("Greater", latent, g.constant(0, "float64"), elem="bool")
        index = g.flat(g.cast(above, "int64"))
        return {"label": g.labels(index, classes, elem), "probabilities": two_classes(g, positive)}
    if fitted.multi_class != "one_vs_rest":
        raise NotLowered(f"GaussianProcessClassifier with multi_class={fitted.multi_class!r}")
    each = g.concat([_binary(e, value, g)[1] for e in fitted.base_estimator_.estimators_])
    index = g.op("ArgMax", each, elem="int64", axis=1, keepdims=0)
    return {
        "label": g.labels(index, classes, elem),
        "probabilities": normalized(g, each, len(classes)),
    }


def _rows(columns: Columns, g: Graph) -> Value:
    g.notes.single = True
    return g.cast(columns.numeric(g).value, "float64")


def _binary(fitted: Any, value: Value, g: Graph) -> tuple[Value, Value]:
    """Latent mean and probability of the second class, [N, 1] each (Rasmussen and Williams, algorithm 3.2)."""
    between = covariance(g, fitted.kernel_, value, fitted.X_train_)
    latent = g.matmul(between, (fitted.y_train_ - fitted.pi_)[:, None])
    spread = g.matmul(between, solve(fitted.L_, np.diag(fitted.W_sr_)).T)
    explained = g.op("ReduceSumSquare", spread, g.constant([1], "int64"), keepdims=1)
    remaining = g.op("Sub", g.constant(variance(fitted.kernel_), "float64"), explained)
    return latent, _averaged(latent, remaining, g)


def _averaged(mean: Value, var: Value, g: Graph) -> Value:
    """The logistic function averaged over a Gaussian, by scikit-learn's five error functions."""
    lambdas, coefficients = source.LAMBDAS.T, source.COEFS.T
    alpha = g.op("Div", g.constant(1, "float64"), g.arith("Mul", var, 2))
    ratio = g.op("Div", alpha, g.arith("Add", alpha, lambdas**2))
    inner = g.op("Mul", g.arith("Mul", mean, lambdas), g.op("Sqrt", ratio))
    width = g.op("Sqrt", g.op("Div", g.constant(np.pi, "float64"), alpha))
    below = g.arith("Mul", g.op("Sqrt", g.arith("Mul", g.arith("Mul", var, 2), np.pi)), 2)
    integrals = g.op("Div", g.op("Mul", width, erf(g, inner)), below)
    total = g.matmul(integrals, coefficients.T)
    return g.arith("Add", total, 0.5 * coefficients.sum())


def erf(g: Graph, value: Value) -> Value:
    """The error function in double, which ONNX Runtime has in float only; right to 1e-13.

    erf |x| = 1 - exp(-x²) · erfcx |x|, where erfcx falls smoothly and is a short polynomial in 1 / (1 + |x| / 2).
    """
    size = g.op("Abs", value)
    t = g.op("Div", g.constant(1, "float64"), g.arith("Add", g.arith("Mul", size, 0.5), 1))
    scaled = _series(g, g.arith("Sub", g.arith("Mul", t, 2), 1), _erfcx_series())
    tail = g.op("Mul", g.op("Exp", g.op("Neg", g.op("Mul", size, size))), scaled)
    return g.op("Mul", g.op("Sign", value), g.op("Sub", g.constant(1, "float64"), tail))


def _erfcx_series() -> Array:
    """Chebyshev coefficients of erfcx(x) by 2 / (1 + x / 2) - 1."""
    places = chebyshev.chebpts1(41)
    values = erfcx(2.0 * (2.0 / (places + 1.0) - 1.0))
    return np.asarray(chebyshev.chebfit(places, values, 40))


def _series(g: Graph, x: Value, coefficients: Array) -> Value:
    """Clenshaw's sum of a Chebyshev series on [-1, 1]."""
    double = g.arith("Mul", x, 2)
    later = g.constant(0.0, "float64")
    last = g.constant(0.0, "float64")
    for c in coefficients[:0:-1]:
        later, last = last, g.arith("Add", g.op("Sub", g.op("Mul", double, last), later), c)
    return g.arith("Add", g.op("Sub", g.op("Mul", x, last), later), coefficients[0])

"""Distances and kernels between the rows [N, d] and fixed points [S, d], as [N, S] in double."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.gaussian_process import kernels as gp

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.graph import Graph, Value


def squared_distances(g: Graph, value: Value, points: Array) -> Value:
    """Σ (x - p)² column by column, to the last bit as SciPy's cdist and scikit-learn's trees take it."""
    total: Value | None = None
    for j in range(points.shape[1]):
        step = g.op("Sub", g.columns(value, [j]), g.constant(points[None, :, j], "float64"))
        square = g.op("Mul", step, step)
        total = square if total is None else g.op("Add", total, square)
    assert total is not None
    return total


def expanded_distances(g: Graph, value: Value, points: Array) -> Value:
    """|x|² - 2 x·p + |p|² by one matrix product: fast, off by 1e-16 of the squared magnitudes, never negative.

    Callers move the origin into the middle of the points first, where that is what they want.
    """
    own = g.op("ReduceSumSquare", value, g.constant([1], "int64"), keepdims=1)
    cross = g.matmul(value, -2.0 * points.T)
    total = g.op("Add", g.op("Add", cross, own), g.constant(np.sum(points**2, axis=1)[None, :], "float64"))
    return g.op("Max", total, g.constant(0.0, "float64"))


def centred_distances(g: Graph, value: Value, points: Array) -> Value:
    """`expanded_distances` around the mean of the points, so that a large offset costs no digits."""
    centre = points.mean(axis=0)
    return expanded_distances(g, g.arith("Sub", value, centre), points - centre)


def covariance(g: Graph, kernel: Any, value: Value, points: Array) -> Value:
    """A fitted kernel of a Gaussian process between rows and points; NotLowered for kinds outside the table.

    White noise is nothing between a row and a point: scikit-learn does not compare them.
    """
    if isinstance(kernel, gp.Sum):
        parts = [covariance(g, k, value, points) for k in (kernel.k1, kernel.k2)]
        return g.op("Add", *parts)
    if isinstance(kernel, gp.Product):
        parts = [covariance(g, k, value, points) for k in (kernel.k1, kernel.k2)]
        return g.op("Mul", *parts)
    if type(kernel) is gp.ConstantKernel:
        return g.constant(np.full((1, len(points)), kernel.constant_value), "float64")
    if type(kernel) is gp.WhiteKernel:
        return g.constant(np.zeros((1, len(points))), "float64")
    if type(kernel) is gp.RBF:
        scale = np.asarray(kernel.length_scale, dtype=np.float64)
        squared = squared_distances(g, g.arith("Div", value, scale), points / scale)
        return g.op("Exp", g.arith("Mul", squared, -0.5))
    raise NotLowered(f"a Gaussian process with the kernel {kernel}")


def variance(kernel: Any) -> float:
    """The kernel of any row with itself, white noise included; the kinds of `covariance` are all stationary."""
    if isinstance(kernel, gp.Sum):
        return variance(kernel.k1) + variance(kernel.k2)
    if isinstance(kernel, gp.Product):
        return variance(kernel.k1) * variance(kernel.k2)
    return float(kernel.diag(np.zeros((1, 1)))[0])

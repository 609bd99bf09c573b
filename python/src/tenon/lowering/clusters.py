"""Rules for KMeans: the nearest centre as scikit-learn finds it, and the distances to all centres."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.utils.extmath import row_norms

from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.graph import Graph
from tenon.lowering.rules import Answers, lowers, transforms


@lowers(KMeans, MiniBatchKMeans)
def nearest(fitted: KMeans, columns: Columns, g: Graph) -> Answers:
    """The first centre with the least |c|^2 - 2 x c, in the frame's own precision."""
    centres = fitted.cluster_centers_
    products = g.matmul(columns.numeric(g).value, -2 * centres.T)
    squares = g.add(products, row_norms(centres, squared=True))
    return {"cluster": g.op("ArgMin", squares, elem="int64", axis=1, keepdims=0)}


@transforms(KMeans, MiniBatchKMeans)
def distances(fitted: KMeans, columns: Columns, g: Graph) -> Columns:
    """The distance to every centre, computed in double and rounded to the frame's type before the root."""
    block = columns.numeric(g)
    x, centres = g.cast(block.value, "float64"), np.asarray(fitted.cluster_centers_, dtype=np.float64)
    products = g.matmul(x, -2 * centres.T)
    own = g.op("ReduceSum", g.op("Mul", x, x), g.constant([1], "int64"), keepdims=1)
    squares = g.add(g.op("Add", products, own), row_norms(centres, squared=True))
    squares = g.cast(squares, block.value.elem)
    root = g.op("Sqrt", g.op("Max", squares, g.constant(0, squares.elem)))
    return Columns((Block(root, tuple(Column(np.dtype(root.elem)) for _ in centres)),))

"""Rules for steps: bins, thresholds, and lines between given points. Where a bin begins, boundary rows are made.

The bin of a value is found by a balanced tree of comparisons in double, all columns in one TreeEnsemble, so that a
thousand edges cost ten comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import Binarizer, KBinsDiscretizer, QuantileTransformer

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.columns import Block, Column, Columns, note_threshold
from tenon.lowering.ensemble import Tree, ensemble
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import lowers


@lowers(Binarizer)
def binarizer(fitted: Binarizer, columns: Columns, g: Graph) -> Columns:
    """1 where x is greater than the threshold, in the dtype that the columns have."""
    array = columns.array(g)
    block = array.numeric(g)
    typed = getattr(fitted.threshold, "dtype", None)
    # A plain number takes the type of the columns; one of numpy's own double makes the comparison double.
    value = g.cast(block.value, "float64") if typed == np.float64 else block.value
    above = g.op("Greater", value, g.constant(fitted.threshold, value.elem), elem="bool")
    for column in block.columns:
        note_threshold(g, column, float(fitted.threshold))
    dtype = np.dtype(np.float64) if array.dtype == object else array.dtype
    whole = Block(g.cast(above, block.value.elem), tuple(c.opaque(dtype) for c in block.columns))
    return Columns((whole,), sparse=columns.sparse)


@lowers(KBinsDiscretizer)
def bins(fitted: KBinsDiscretizer, columns: Columns, g: Graph) -> Columns:
    """The number of the bin, or a row of zeros and one 1; a value on an edge belongs to the bin above."""
    block = columns.numeric(g)
    elem = block.value.elem if fitted.dtype is None else np.dtype(fitted.dtype).name
    edges = [np.asarray(e[1:-1], dtype=np.float64) for e in fitted.bin_edges_]
    for column, inner in zip(block.columns, edges, strict=True):
        for edge in inner:
            note_threshold(g, column, float(edge))
    number = search(g, g.cast(block.value, elem), edges)
    if fitted.encode == "ordinal":
        return Columns((Block(g.cast(number, elem), tuple(Column(np.dtype(elem)) for _ in edges)),))
    return Columns(
        _one_hot(g, number, fitted.n_bins_, elem), sparse="csr" if fitted.encode == "onehot" else ""
    )


def _one_hot(g: Graph, number: Value, counts: Array, elem: str) -> tuple[Block, ...]:
    out = []
    for j, count in enumerate(counts):
        index = g.flat(g.cast(g.columns(number, [j]), "int64"))
        rows = g.op("Gather", g.constant(np.eye(int(count)), elem), index, axis=0)
        out.append(Block(rows, tuple(Column(np.dtype(elem)) for _ in range(int(count)))))
    return tuple(out)


@lowers(QuantileTransformer)
def quantiles(fitted: QuantileTransformer, columns: Columns, g: Graph) -> Columns:
    """The mean of the lines through the quantiles from below and from above, for the uniform distribution."""
    if fitted.output_distribution != "uniform":
        raise NotLowered(
            'QuantileTransformer(output_distribution="normal") wants the inverse of the normal distribution, which '
            'graphs lack (use output_distribution="uniform", or PowerTransformer)'
        )
    if columns.sparse:
        raise NotLowered("a QuantileTransformer gets a sparse matrix")
    block = columns.numeric(g)
    x = g.cast(block.value, "float64")
    given = [np.asarray(q, dtype=np.float64) for q in fitted.quantiles_.T]
    places = [np.asarray(fitted.references_, dtype=np.float64)] * len(given)
    up = interpolate(g, x, given, places)
    down = interpolate(g, g.op("Neg", x), [-q[::-1] for q in given], [-p[::-1] for p in places])
    value = g.arith("Mul", g.op("Sub", up, down), 0.5)
    value = _at(g, x, [q[-1] for q in given], 1.0, value)
    value = _at(g, x, [q[0] for q in given], 0.0, value)
    g.notes.single |= block.value.elem == "float32"
    out = Block(g.cast(value, block.value.elem), tuple(c.opaque() for c in block.columns))
    return Columns((out,))


def _at(g: Graph, x: Value, where: Sequence[float], answer: float, otherwise: Value) -> Value:
    there = g.op("Equal", x, g.constant(where, "float64"), elem="bool")
    return g.where(there, g.constant(answer, "float64"), otherwise)


def interpolate(g: Graph, x: Value, given: Sequence[Array], answers: Sequence[Array]) -> Value:
    """`numpy.interp` of each column of doubles [N, k]: slope * (x - start) + answer of the piece that x is in."""
    pieces = [_pieces(a, b) for a, b in zip(given, answers, strict=True)]
    starts = np.cumsum([0, *(len(p) for p in pieces[:-1])])
    index = g.cast(g.arith("Add", search(g, x, given), starts), "int64")
    start, slope, answer = (
        g.op("Gather", g.constant(np.concatenate(pieces)[:, part], "float64"), index, axis=0)
        for part in range(3)
    )
    return g.op("Add", g.op("Mul", slope, g.op("Sub", x, start)), answer)


def _pieces(given: Array, answers: Array) -> Array:
    """Start, slope and answer [m + 1, 3] before the first point, after each, and from the last on."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # Between equal points no value lies.
        slopes = np.nan_to_num(np.diff(answers) / np.diff(given), posinf=0.0, neginf=0.0)
    inner = np.column_stack([given, np.append(slopes, 0.0), answers])
    return np.vstack([[given[0], 0.0, answers[0]], inner])


def search(g: Graph, value: Value, edges: Sequence[Array]) -> Value:
    """How many of the edges of its column are not greater than each value [N, k], as doubles.

    That is `numpy.searchsorted(edges, value, side="right")` for sorted edges. NaN gets any number.
    """
    trees = [_search_tree(e, j) for j, e in enumerate(edges)]
    return ensemble(g, g.cast(value, "float64"), trees, len(edges))


def _search_tree(edges: Array, column: int) -> Tree:
    """A balanced tree; `x < edge` is asked as `x <= the double below the edge`."""
    distinct, first = np.unique(edges, return_index=True)
    counts = np.append(first, len(edges))
    nodes: list[tuple[int, int, float, bool, float]] = []

    def grow(low: int, high: int) -> int:
        number = len(nodes)
        nodes.append((0, 0, 0.0, True, float(counts[low])))
        if low < high:
            middle = (low + high) // 2
            below = float(np.nextafter(distinct[middle], -np.inf))
            nodes[number] = (grow(low, middle), grow(middle + 1, high), below, False, 0.0)
        return number

    grow(0, len(distinct))
    left, right, threshold, is_leaf, weight = (np.array(part) for part in zip(*nodes, strict=True))
    same: Any = np.full(len(nodes), column)
    return Tree(left, right, same, threshold, np.zeros(len(nodes), dtype=bool), is_leaf, weight, same)

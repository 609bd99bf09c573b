"""The k nearest training rows, ties included.

Where the k-th and the next are at the same distance, the answer depends on the order in which scikit-learn's
search meets the rows, and on which of equal ones its heap lets go. So, for batches with such a tie only, the
graph repeats the search: the tree's leaves from the nearest box on, and every row pushed onto the same heap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.graph import Graph, Value
from tenon.lowering.kernels import expanded_distances, squared_distances

FIRST = 64
"""Rows whose k-th distance bounds what can enter the heap later; any number is right, this one keeps loops short."""


def nearest(g: Graph, fitted: Any, value: Value) -> tuple[Value, Value]:
    """Squared distances and positions of the k nearest training rows, nearest first, [N, k] each."""
    points, k = np.asarray(fitted._fit_X, dtype=np.float64), fitted.n_neighbors
    measure = expanded_distances if fitted._fit_method == "brute" else squared_distances
    distances = measure(g, value, points)
    if k == len(points):
        least = _smallest(g, distances, g.constant([k], "int64"))
        return least[0], least[1]
    one_more, order = _smallest(g, distances, g.constant([k + 1], "int64"))
    last, after = g.columns(one_more, [k - 1]), g.columns(one_more, [k])
    some = g.op("ReduceMax", g.cast(g.op("Equal", last, after, elem="bool"), "float64"), keepdims=0)

    def searched() -> Sequence[Value]:
        return _searched(g, distances, _turns(g, fitted, value, len(points)), k, len(points))

    def plain() -> Sequence[Value]:
        return g.columns(one_more, range(k)), g.columns(order, range(k))

    squared, index = g.choose(g.cast(some, "bool"), searched, plain)
    return squared, index


def _turns(g: Graph, fitted: Any, value: Value, count: int) -> Value:
    """When the search comes to each training row, as a rising number: [N, rows], or [1, rows] by brute force."""
    if fitted._fit_method == "brute":
        return g.constant(np.arange(count)[None, :], "float64")
    _, order, nodes, bounds = (np.asarray(a) for a in fitted._tree.get_arrays())
    boxes = _to_boxes if fitted._fit_method == "kd_tree" else _to_balls
    leaves = _leaf_turns(g, boxes(g, value, bounds, nodes["radius"]), nodes)
    first = len(nodes) // 2
    leaf_of, place = np.zeros(count, dtype=int), np.zeros(count)
    for leaf, node in enumerate(nodes[first:]):
        rows = order[node["idx_start"] : node["idx_end"]]
        leaf_of[rows], place[rows] = leaf, np.arange(len(rows))
    return g.arith("Add", g.arith("Mul", g.columns(leaves, leaf_of.tolist()), count), place)


def _leaf_turns(g: Graph, far: Value, nodes: Array) -> Value:
    """When the search comes to each leaf [N, leaves]: of two children to the nearer first, of equals to the left."""
    first = len(nodes) // 2
    if not np.array_equal(np.flatnonzero(nodes["is_leaf"]), np.arange(first, len(nodes))):
        raise NotLowered("a search tree whose leaves are not all at one depth")
    turns = g.cast(g.op("IsNaN", g.columns(far, [0]), elem="bool"), "float64")
    parents = np.arange(1)
    while parents[0] < first:
        left, right = 2 * parents + 1, 2 * parents + 2
        ahead = g.op(
            "LessOrEqual", g.columns(far, left.tolist()), g.columns(far, right.tolist()), elem="bool"
        )
        turn = g.cast(ahead, "float64")
        doubled = g.arith("Mul", turns, 2)
        lefts = g.op("Add", doubled, g.op("Sub", g.constant(1, "float64"), turn))
        both = g.concat([lefts, g.op("Add", doubled, turn)])
        turns = g.columns(both, np.arange(2 * len(parents)).reshape(2, -1).T.ravel().tolist())
        parents = np.arange(left[0], right[-1] + 1)
    return turns


def _to_boxes(g: Graph, value: Value, bounds: Array, radius: Array) -> Value:
    """The least squared distance to each node's box [N, nodes]."""
    low, high = bounds
    total: Value | None = None
    for j in range(low.shape[1]):
        x = g.columns(value, [j])
        below = g.op("Sub", g.constant(low[None, :, j], "float64"), x)
        above = g.op("Sub", x, g.constant(high[None, :, j], "float64"))
        # Outside the box one of both is positive, and this is it: scikit-learn's sum, to the last bit.
        outside = g.op("Add", *(g.op("Add", side, g.op("Abs", side)) for side in (below, above)))
        half = g.arith("Mul", outside, 0.5)
        square = g.op("Mul", half, half)
        total = square if total is None else g.op("Add", total, square)
    assert total is not None
    return total


def _to_balls(g: Graph, value: Value, bounds: Array, radius: Array) -> Value:
    """The least squared distance to each node's ball [N, nodes]."""
    away = g.op("Sqrt", squared_distances(g, value, bounds[0]))
    least = g.op("Max", g.arith("Sub", away, radius), g.constant(0.0, "float64"))
    return g.op("Mul", least, least)


def _searched(g: Graph, distances: Value, turns: Value, k: int, count: int) -> tuple[Value, Value]:
    """What is left on the heap when every row has been pushed in its turn."""
    turns = g.op("Expand", turns, g.op("Shape", distances, elem="int64"))
    entering, who = _candidates(g, distances, turns, k, count)
    steps = g.op("Gather", g.op("Shape", entering, elem="int64"), g.constant(1, "int64"), axis=0)
    nothing = g.arith("Mul", g.columns(g.cast(who, "float64"), [0]), 0)
    empty = [g.arith("Add", nothing, np.inf)] * k + [nothing] * k

    def push(iteration: Value, state: Value) -> tuple[Value, Value]:
        at = g.op("Unsqueeze", iteration, g.constant([0], "int64"))
        heap = [(g.columns(state, [c]), g.columns(state, [k + c])) for c in range(k)]
        new = tuple(g.op("Gather", v, at, axis=1) for v in (entering, g.cast(who, "float64")))
        heap = _pushed(g, heap, (new[0], new[1]))
        after = g.concat([v for v, _ in heap] + [i for _, i in heap])
        return g.constant(True, "bool"), after

    state = g.loop(g.concat(empty), steps, push)
    return _in_order(g, g.columns(state, range(k)), g.columns(state, range(k, 2 * k)), k)


def _in_order(g: Graph, squared: Value, index: Value, k: int) -> tuple[Value, Value]:
    """By distance, of equals by position, as without a tie: a row is answered alike alone and beside others."""
    every = g.constant([k], "int64")
    rising, place = _smallest(g, index, every)
    least, order = _smallest(g, g.op("GatherElements", squared, place, axis=1), every)
    return least, g.cast(g.op("GatherElements", rising, order, axis=1), "int64")


def _candidates(g: Graph, distances: Value, turns: Value, k: int, count: int) -> tuple[Value, Value]:
    """Distances and positions of the rows that the heap may take in, in their turn; others are at infinity.

    After the first rows only what is nearer than their k-th enters, so most of a large training set is left out.
    """
    begin = min(count, max(FIRST, 4 * k))
    earliest, early = _smallest(g, turns, g.constant([begin], "int64"))
    bound, _ = _smallest(g, g.op("GatherElements", distances, early, axis=1), g.constant([k], "int64"))
    nearer = g.op("Less", distances, g.columns(bound, [k - 1]), elem="bool")
    soon = g.op("LessOrEqual", turns, g.columns(earliest, [begin - 1]), elem="bool")
    either = g.op("Or", nearer, soon, elem="bool")
    many = g.op("ReduceSum", g.cast(either, "float64"), g.constant([1], "int64"), keepdims=0)
    most = g.cast(g.op("ReduceMax", many, keepdims=0), "int64")
    never = g.constant(np.inf, "float64")
    _, who = _smallest(g, g.where(either, turns, never), g.op("Unsqueeze", most, g.constant([0], "int64")))
    return g.op("GatherElements", g.where(either, distances, never), who, axis=1), who


def _pushed(g: Graph, heap: list[tuple[Value, Value]], new: tuple[Value, Value]) -> list[tuple[Value, Value]]:
    """scikit-learn's bounded max-heap after one push: what is not less than the root stays out, else it sinks."""
    value, out = new[0], list(heap)
    here: list[Value | None] = [g.op("Less", value, heap[0][0], elem="bool"), *[None] * (len(heap) - 1)]
    for c in range(len(heap)):
        holds = here[c]
        assert holds is not None
        left, right = 2 * c + 1, 2 * c + 2
        if left >= len(heap):
            out[c] = _either(g, holds, new, heap[c])
            continue
        up, goes_left = heap[left], None
        if right < len(heap):
            goes_left = g.op("GreaterOrEqual", heap[left][0], heap[right][0], elem="bool")
            up = _either(g, goes_left, heap[left], heap[right])
        sinks = g.op("And", holds, g.op("Less", value, up[0], elem="bool"))
        out[c] = _either(g, holds, _either(g, sinks, up, new), heap[c])
        here[left] = sinks
        if goes_left is not None:
            here[left] = g.op("And", sinks, goes_left)
            here[right] = g.op("And", sinks, g.op("Not", goes_left))
    return out


def _either(
    g: Graph, condition: Value, yes: tuple[Value, Value], no: tuple[Value, Value]
) -> tuple[Value, Value]:
    return g.where(condition, yes[0], no[0]), g.where(condition, yes[1], no[1])


def _smallest(g: Graph, value: Value, k: Value) -> list[Value]:
    """The k smallest of each row, rising, and where they stand; of equals the first."""
    return g.ops("TopK", [value, k], [value.elem, "int64"], axis=1, largest=0, sorted=1)

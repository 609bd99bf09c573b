"""Rules for support vector machines, as libsvm computes them: kernel, pairwise sums, votes, coupled probabilities."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from sklearn.svm import SVC, SVR, NuSVC, NuSVR

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.columns import Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.kernels import centred_distances
from tenon.lowering.linear import predictions
from tenon.lowering.rules import Answers, classes_of, lowers


@lowers(SVR, NuSVR)
def regressor(fitted: SVR, columns: Columns, g: Graph) -> Answers:
    """Σ α k(x, sv) + intercept."""
    value = _sums(fitted, np.asarray(fitted._dual_coef_).T, columns, g)
    return predictions(g, value, 1)


@lowers(SVC, NuSVC)
def classifier(fitted: SVC, columns: Columns, g: Graph) -> Answers:
    """One machine for each pair of classes; the label is the first class with most votes, or the largest decision."""
    classes, elem = classes_of(fitted)
    count = len(classes)
    pairs = _sums(fitted, _pair_weights(fitted, count), columns, g)
    decision = g.flat(g.op("Neg", pairs)) if count == 2 else pairs
    if fitted.decision_function_shape == "ovr" and count > 2:
        decision = _one_against_rest(pairs, count, g)
    best = decision if fitted.break_ties and count > 2 else _votes(pairs, count, g)
    index = g.op("ArgMax", best, elem="int64", axis=1, keepdims=0)
    answers = {"label": g.labels(index, classes, elem), "decision": decision}
    if hasattr(fitted, "predict_proba"):
        answers["probabilities"] = _coupled(_sigmoids(fitted, pairs, g), count, g)
    return answers


def _sums(fitted: Any, weights: Array, columns: Columns, g: Graph) -> Value:
    """Σ weights · k(x, sv) + intercept as [N, P]; libsvm computes in double whatever the frame holds."""
    if fitted._sparse or fitted.kernel not in ("linear", "rbf", "poly", "sigmoid"):
        raise NotLowered(f"{type(fitted).__name__} on a sparse matrix, or with the kernel {fitted.kernel!r}")
    value = g.cast(columns.numeric(g).value, "float64")
    points = fitted.support_vectors_
    if len(points) == 0:
        raise NotLowered(f"{type(fitted).__name__} has no support vectors")
    if fitted.kernel == "linear":
        return g.add(g.matmul(value, points.T @ weights), fitted._intercept_)
    return g.add(g.matmul(_kernel(fitted, value, points, g), weights), fitted._intercept_)


def _kernel(fitted: Any, value: Value, points: Array, g: Graph) -> Value:
    if fitted.kernel == "rbf":
        return g.op("Exp", g.arith("Mul", centred_distances(g, value, points), -fitted._gamma))
    inner = g.arith("Add", g.arith("Mul", g.matmul(value, points.T), fitted._gamma), fitted.coef0)
    return g.arith("Pow", inner, fitted.degree) if fitted.kernel == "poly" else g.op("Tanh", inner)


def _pair_weights(fitted: Any, count: int) -> Array:
    """What each support vector adds to each pair of classes [S, P]: libsvm stores C - 1 rows, one for each rival."""
    alpha = np.asarray(fitted._dual_coef_)
    ends = np.cumsum(fitted._n_support)
    own = [slice(end - n, end) for end, n in zip(ends, fitted._n_support, strict=True)]
    weights = np.zeros((alpha.shape[1], count * (count - 1) // 2))
    for p, (i, j) in enumerate(combinations(range(count), 2)):
        weights[own[i], p] = alpha[j - 1, own[i]]
        weights[own[j], p] = alpha[i, own[j]]
    return weights


def _members(count: int) -> tuple[Array, Array]:
    """For each pair (rows) its first and its second class, as ones in [P, C]."""
    first, second = zip(*combinations(range(count), 2), strict=True)
    return np.eye(count)[list(first)], np.eye(count)[list(second)]


def _tally(for_first: Value, count: int, g: Graph) -> Value:
    """Votes [N, C] from where a pair decides for its first class."""
    first, second = _members(count)
    yes = g.cast(for_first, "float64")
    no = g.op("Sub", g.constant(1, "float64"), yes)
    return g.op("Add", g.matmul(yes, first), g.matmul(no, second))


def _votes(pairs: Value, count: int, g: Graph) -> Value:
    """libsvm's votes: a pair at exactly 0 goes to its second class."""
    return _tally(g.op("Greater", pairs, g.constant(0, "float64"), elem="bool"), count, g)


def _one_against_rest(pairs: Value, count: int, g: Graph) -> Value:
    """scikit-learn's decision [N, C]: votes, a pair at exactly 0 for its first class, and confidences below ⅓."""
    votes = _tally(g.op("GreaterOrEqual", pairs, g.constant(0, "float64"), elem="bool"), count, g)
    first, second = _members(count)
    sums = g.matmul(pairs, first - second)
    scale = g.arith("Mul", g.arith("Add", g.op("Abs", sums), 1), 3)
    return g.op("Add", votes, g.op("Div", sums, scale))


def _sigmoids(fitted: Any, pairs: Value, g: Graph) -> Value:
    """Platt's probability of the first class of each pair [N, P], kept off 0 and 1 as libsvm does."""
    inner = g.arith("Add", g.arith("Mul", pairs, fitted._probA), fitted._probB)
    raised = g.op("Exp", g.op("Neg", g.op("Abs", inner)))
    positive = g.op("GreaterOrEqual", inner, g.constant(0, "float64"), elem="bool")
    above = g.where(positive, raised, g.constant(1, "float64"))
    value = g.op("Div", above, g.arith("Add", raised, 1))
    return g.op("Clip", value, g.constant(1e-7, "float64"), g.constant(1 - 1e-7, "float64"))


def _coupled(pairwise: Value, count: int, g: Graph) -> Value:
    """The probabilities [N, C] that agree best with those of all pairs (Wu, Lin and Weng, 2004, method 2).

    Repeated as often as libsvm does, which stops each row early: its answers are not the fixed point.
    """
    matrix = _coupling(pairwise, count, g)
    one = g.constant(1, "float64")
    nothing = g.op("Mul", g.columns(pairwise, [0]), g.constant(np.zeros((1, count)), "float64"))
    start = g.arith("Add", nothing, 1 / count)
    diagonal = [g.columns(matrix, [t * count + t]) for t in range(count)]
    rows = [g.columns(matrix, range(t * count, (t + 1) * count)) for t in range(count)]

    def step(_: Value, p: Value) -> tuple[Value, Value]:
        product = g.concat([_row_sum(g.op("Mul", row, p), g) for row in rows])
        total = _row_sum(g.op("Mul", p, product), g)
        error = g.op(
            "ReduceMax", g.op("Abs", g.op("Sub", product, total)), g.constant([1], "int64"), keepdims=1
        )
        going = g.op("GreaterOrEqual", error, g.constant(0.005 / count, "float64"), elem="bool")
        q = p
        for t in range(count):
            own = g.columns(product, [t])
            change = g.op("Div", g.op("Sub", total, own), diagonal[t])
            grown = g.op("Add", one, change)
            q = g.op("Add", q, g.op("Mul", change, g.constant(np.eye(count)[[t]], "float64")))
            twice = g.op("Add", g.op("Mul", change, diagonal[t]), g.arith("Mul", own, 2))
            total = g.op("Add", total, g.op("Mul", change, twice))
            total = g.op("Div", g.op("Div", total, grown), grown)
            product = g.op("Div", g.op("Add", product, g.op("Mul", change, rows[t])), grown)
            q = g.op("Div", q, grown)
        some = g.op("ReduceMax", g.cast(going, "float64"), keepdims=0)
        return g.cast(some, "bool"), g.where(going, q, p)

    return g.loop(start, g.constant(max(100, count), "int64"), step)


def _coupling(pairwise: Value, count: int, g: Graph) -> Value:
    """The matrix Q of that method, flattened to [N, C·C]: Σ r(j,t)² on the diagonal, -r(j,t) r(t,j) elsewhere."""
    pairs = list(combinations(range(count), 2))
    one = g.constant(1, "float64")
    both = g.concat([pairwise, g.op("Sub", one, pairwise)])
    place = {pair: p for p, pair in enumerate(pairs)}
    place |= {(j, i): p + len(pairs) for p, (i, j) in enumerate(pairs)}

    def r(i: int, j: int) -> Value:
        return g.columns(both, [place[i, j]])

    cells = []
    for t in range(count):
        for j in range(count):
            if j != t:
                cells.append(g.op("Neg", g.op("Mul", r(j, t), r(t, j))))
                continue
            others = g.columns(both, [place[i, t] for i in range(count) if i != t])
            cells.append(_row_sum(g.op("Mul", others, others), g))
    return g.concat(cells)


def _row_sum(value: Value, g: Graph) -> Value:
    return g.op("ReduceSum", value, g.constant([1], "int64"), keepdims=1)

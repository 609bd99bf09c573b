"""Rules for calibrated classifiers: a sigmoid or a line of steps over the scores of another classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.isotonic import IsotonicRegression

from tenon.errors import ExportError, NotLowered
from tenon.inputs import Array
from tenon.lowering.columns import Columns
from tenon.lowering.ensemble import Tree, ensemble
from tenon.lowering.graph import Graph, Value
from tenon.lowering.linear import expit, two_classes
from tenon.lowering.responses import column, placed, score, total, want
from tenon.lowering.rules import Answers, lowers, predict
from tenon.lowering.targets import most_probable


@lowers(CalibratedClassifierCV)
def calibrated(fitted: CalibratedClassifierCV, columns: Columns, g: Graph) -> Answers:
    """The mean of the folds' calibrated probabilities; the first largest is the label."""
    classes = np.asarray(fitted.classes_)
    folds = [_fold(c, classes, columns, g) for c in fitted.calibrated_classifiers_]
    return most_probable(g.arith("Div", total(g, folds), len(folds)), classes, g)


@lowers(IsotonicRegression)
def isotonic(fitted: IsotonicRegression, columns: Columns, g: Graph) -> Answers:
    """A line through the thresholds of one column."""
    return {"prediction": g.flat(_line(fitted, columns.numeric(g).value, g))}


def _fold(fitted: Any, classes: Array, columns: Columns, g: Graph) -> Value:
    """One fold's probabilities [N, C], normalised over the classes."""
    if fitted.method not in ("sigmoid", "isotonic"):
        raise ExportError(
            f"CalibratedClassifierCV(method={fitted.method!r}) looks at all rows of a batch before it answers for one, "
            'so the same row has other answers in other company: use method="sigmoid" or "isotonic"'
        )
    answers = predict(fitted.estimator, columns, g)
    if len(classes) == 2:
        positive = _calibrated(fitted.calibrators[0], column(g, score(fitted.estimator, answers, g)), g)
        return _capped(two_classes(g, positive), g)
    if len(fitted.estimator.classes_) != len(fitted.calibrators):
        raise NotLowered("CalibratedClassifierCV with a fold that saw two of its classes")
    name = "decision" if hasattr(fitted.estimator, "decision_function") else "probabilities"
    scores = want(answers, name, fitted.estimator)
    parts = [_calibrated(c, g.columns(scores, [k]), g) for k, c in enumerate(fitted.calibrators)]
    places = [int(np.flatnonzero(classes == c)[0]) for c in fitted.estimator.classes_]
    raw = placed(g, g.concat(parts), places, len(classes))
    whole = g.op("ReduceSum", raw, g.constant([1], "int64"), keepdims=1)
    nothing = g.op("Equal", whole, g.constant(0, "float64"), elem="bool")
    uniform = g.constant(np.full((1, len(classes)), 1 / len(classes)), "float64")
    return _capped(g.where(nothing, uniform, g.op("Div", raw, whole)), g)


def _capped(proba: Value, g: Graph) -> Value:
    """What rounding has made greater than one is one."""
    return g.op("Min", proba, g.constant(1, "float64"))


def _calibrated(calibrator: Any, scores: Value, g: Graph) -> Value:
    """One class's probability [N, 1] in double."""
    if isinstance(calibrator, IsotonicRegression):
        return g.cast(_line(calibrator, scores, g), "float64")
    wide = g.cast(scores, "float64")
    line = g.arith("Add", g.arith("Mul", wide, float(calibrator.a_)), float(calibrator.b_))
    return expit(g, g.op("Neg", line))


def _line(fitted: IsotonicRegression, value: Value, g: Graph) -> Value:
    """Linear interpolation of [N, 1] between thresholds, in their own precision and as SciPy's interp1d does it."""
    x, y = fitted.X_thresholds_, fitted.y_thresholds_
    value = g.cast(value, str(x.dtype))
    inside = None
    if fitted.out_of_bounds == "clip":
        value = g.op("Max", value, g.constant(fitted.X_min_, value.elem))
        value = g.op("Min", value, g.constant(fitted.X_max_, value.elem))
    elif fitted.out_of_bounds == "raise":
        raise NotLowered('IsotonicRegression(out_of_bounds="raise") refuses rows, which a graph cannot')
    elif len(y) > 1:
        low, high = g.constant(x[0], value.elem), g.constant(x[-1], value.elem)
        above = g.op("GreaterOrEqual", value, low, elem="bool")
        inside = g.op("And", above, g.op("LessOrEqual", value, high, elem="bool"))
    if len(y) == 1:
        return g.arith("Add", g.arith("Mul", value, 0), y[0])
    row = g.op("Gather", g.constant(_segments(x, y), value.elem), _segment(x, value, g), axis=0)
    start, slope, base = (g.columns(row, [k]) for k in range(3))
    line = g.op("Add", g.op("Mul", slope, g.op("Sub", value, start)), base)
    return line if inside is None else g.where(inside, line, g.constant(np.nan, value.elem))


def _segments(x: Array, y: Array) -> Array:
    """Start, slope and value at the start of each segment; behind the last threshold the line is level."""
    slope = np.append((y[1:] - y[:-1]) / (x[1:] - x[:-1]), x.dtype.type(0))
    return np.column_stack([x, slope, y])


def _segment(x: Array, value: Value, g: Graph) -> Value:
    """The segment [N] that a value lies in, found by halving in a tree.

    In double (numpy.interp) a threshold begins its segment, in float32 (searchsorted) it ends the one before.
    """
    wide = x.astype(np.float64)
    splits = np.nextafter(wide[1:], -np.inf) if x.dtype == np.float64 else wide[1:-1]
    found = ensemble(g, g.cast(value, "float64"), [_halving(splits)], 1)
    return g.flat(g.cast(found, "int64"))


def _halving(splits: Array) -> Tree:
    """A balanced tree whose leaf says how many of the rising splits are below a value."""
    nodes: list[tuple[int, int, float, float]] = []

    def grow(low: int, high: int) -> int:
        """The node for `low` to `high` splits below."""
        number = len(nodes)
        nodes.append((-1, -1, 0.0, float(low)))
        if low < high:
            middle = (low + high) // 2
            nodes[number] = (grow(low, middle), grow(middle + 1, high), float(splits[middle]), 0.0)
        return number

    grow(0, len(splits))
    left, right, threshold, weight = (np.array(part) for part in zip(*nodes, strict=True))
    nowhere = np.zeros(len(nodes), dtype=bool)
    return Tree(left, right, np.zeros(len(nodes), int), threshold, nowhere, left < 0, weight)

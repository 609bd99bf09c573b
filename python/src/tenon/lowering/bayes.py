"""Rules for naive Bayes and quadratic discriminants: joint log likelihoods [N, C], then their normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB

from tenon.inputs import Array
from tenon.lowering.columns import Block, Columns
from tenon.lowering.graph import Graph, Value, promoted
from tenon.lowering.rules import Answers, classes_of, lowers


@lowers(GaussianNB)
def gaussian(fitted: GaussianNB, columns: Columns, g: Graph) -> Answers:
    """log P(c) - ½ Σ log 2πσ² - ½ Σ (x - θ)² / σ², class by class."""
    block = columns.numeric(g)
    x, joint = block.value, []
    for prior, theta, var in zip(fitted.class_prior_, fitted.theta_, fitted.var_, strict=True):
        step = _wide(g, "Sub", x, theta)
        spread = _wide(g, "Div", g.op("Mul", step, step), var)
        constant = -0.5 * np.sum(np.log(2.0 * np.pi * var))
        quadratic = g.arith("Mul", _total(g, replace(block, value=spread)), 0.5)
        inner = g.op("Sub", g.constant(constant, quadratic.elem), quadratic)
        joint.append(_wide(g, "Add", inner, np.log(prior)))
    return _posterior(fitted, g.concat(joint), g)


@lowers(MultinomialNB)
def multinomial(fitted: MultinomialNB, columns: Columns, g: Graph) -> Answers:
    """x @ log P(feature | c) + log P(c)."""
    joint = g.matmul(columns.numeric(g).value, fitted.feature_log_prob_.T)
    return _posterior(fitted, g.add(joint, fitted.class_log_prior_), g)


@lowers(ComplementNB)
def complement(fitted: ComplementNB, columns: Columns, g: Graph) -> Answers:
    """As MultinomialNB, with the weights of the complement; the priors count only where there is one class."""
    joint = g.matmul(columns.numeric(g).value, fitted.feature_log_prob_.T)
    return _posterior(
        fitted, g.add(joint, fitted.class_log_prior_) if len(fitted.classes_) == 1 else joint, g
    )


@lowers(BernoulliNB)
def bernoulli(fitted: BernoulliNB, columns: Columns, g: Graph) -> Answers:
    """Ones where x is above the threshold; absent features count too."""
    block = columns.numeric(g)
    x = block.value if fitted.binarize is None else _binarized(g, block, float(fitted.binarize))
    absent = np.log(1 - np.exp(fitted.feature_log_prob_))
    joint = g.matmul(x, (fitted.feature_log_prob_ - absent).T)
    return _posterior(fitted, g.add(joint, fitted.class_log_prior_ + absent.sum(axis=1)), g)


@lowers(QuadraticDiscriminantAnalysis)
def quadratic(fitted: QuadraticDiscriminantAnalysis, columns: Columns, g: Graph) -> Answers:
    """The log posterior of a Gaussian for each class; of two classes the decision is their difference."""
    x = columns.numeric(g).value
    norms = []
    for mean, rotation, scaling in zip(fitted.means_, fitted.rotations_, fitted.scalings_, strict=True):
        turned = g.matmul(_wide(g, "Sub", x, mean), rotation * scaling**-0.5)
        norms.append(_row_sum(g, g.op("Mul", turned, turned)))
    logs = np.asarray([np.sum(np.log(s)) for s in fitted.scalings_])
    scores = g.arith("Mul", g.add(g.concat(norms), logs), -0.5)
    scores = g.add(scores, np.log(fitted.priors_))
    below = g.op("Sub", scores, _row_max(g, scores))
    log_proba = g.op("Sub", below, g.op("Log", _row_sum(g, g.op("Exp", below))))
    decision = scores
    if len(fitted.classes_) == 2:
        decision = g.flat(g.op("Sub", g.columns(scores, [1]), g.columns(scores, [0])))
    return {**_most_likely(fitted, scores, g), "probabilities": g.op("Exp", log_proba), "decision": decision}


def _posterior(fitted: Any, joint: Value, g: Graph) -> Answers:
    """exp(joint - logsumexp(joint)): subtracted in this order, because joints of -10⁶ are ordinary.

    The logarithm is taken in double, so that float32 is rounded where scikit-learn's log1p rounds.
    """
    top = _row_max(g, joint)
    below = g.cast(g.op("Sub", joint, top), "float64")
    total = g.op("Log", _row_sum(g, g.op("Exp", below)))
    evidence = g.op("Add", g.cast(total, joint.elem), top)
    return {
        **_most_likely(fitted, joint, g),
        "probabilities": g.op("Exp", g.op("Sub", joint, evidence)),
    }


def _most_likely(fitted: Any, scores: Value, g: Graph) -> Answers:
    classes, elem = classes_of(fitted)
    index = g.op("ArgMax", scores, elem="int64", axis=1, keepdims=0)
    return {"label": g.labels(index, classes, elem)}


def _binarized(g: Graph, block: Block, threshold: float) -> Value:
    for column in block.columns:
        if column.origin is not None:
            origin = column.origin
            g.notes.thresholds.append((origin.input, origin.element, origin.raw(threshold)))
    x = block.value
    return g.cast(g.op("Greater", x, g.constant(threshold, x.elem), elem="bool"), x.elem)


def _wide(g: Graph, kind: str, value: Value, operand: Array) -> Value:
    """`value kind operand` in the type that numpy promotes both to."""
    operand = np.asarray(operand)
    elem = promoted(value.elem, operand.dtype)
    g.notes.single |= elem == "float32"
    return g.arith(kind, g.cast(value, elem), operand)


def _total(g: Graph, block: Block) -> Value:
    """The sum over the row in numpy's order: a column that hardly varies makes it so large that its last bit is seen.

    numpy adds column by column what lies in memory so, as a DataFrame of one type does, and in eights what lies
    row by row, as an array does.
    """
    width = len(block.columns)
    if width > 1 and all(c.origin is not None and c.origin.element is None for c in block.columns):
        running = g.op("CumSum", block.value, g.constant(1, "int64"))
        return g.columns(running, [width - 1])
    return _in_eights(g, block.value, 0, width)


def _in_eights(g: Graph, value: Value, start: int, stop: int) -> Value:
    """numpy's pairwise sum: halves above 128 values, below that eight running sums, then what is left over."""
    count = stop - start
    if count > 128:
        half = count // 2 - count // 2 % 8
        parts = [(start, start + half), (start + half, stop)]
        return _chain(g, [_in_eights(g, value, *part) for part in parts])
    whole = count - count % 8
    left = [g.columns(value, [j]) for j in range(start + whole, stop)]
    if whole == 0:
        return _chain(g, left)
    eights = _chain(g, [g.columns(value, range(j, j + 8)) for j in range(start, start + whole, 8)])
    for width in (8, 4, 2):
        even, odd = (g.columns(eights, range(first, width, 2)) for first in (0, 1))
        eights = g.op("Add", even, odd)
    return _chain(g, [eights, *left])


def _chain(g: Graph, values: Sequence[Value]) -> Value:
    """The sum from left to right."""
    total = values[0]
    for value in values[1:]:
        total = g.op("Add", total, value)
    return total


def _row_sum(g: Graph, value: Value) -> Value:
    return g.op("ReduceSum", value, g.constant([1], "int64"), keepdims=1)


def _row_max(g: Graph, value: Value) -> Value:
    return g.op("ReduceMax", value, g.constant([1], "int64"), keepdims=1)

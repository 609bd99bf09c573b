"""Hypotheses on the answers alone: a step at the end that is there twice, rounds, or leaves a tree out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from tenon.compare import distances
from tenon.diagnose import CONVINCES, Cause, Lab
from tenon.inputs import Array
from tenon.signature import Output

Step: TypeAlias = Callable[[Array], Array]

TREES = 500
"""Tried as the number of trees in a mean."""


def softmax(scores: Array) -> Array:
    """Over the last dimension."""
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Array = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def logistic(scores: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-scores)))


def of_second(scores: Array) -> Array:
    """The logistic function of the second of two classes; the first has the rest."""
    p = logistic(scores[:, 1])
    return np.column_stack([1 - p, p])


def _decimals(places: int) -> Step:
    return lambda x: np.asarray(np.round(x, places))


def label_not_likeliest(lab: Lab) -> list[Cause]:
    """Labels are wrong, and the likeliest class of the answer is right."""
    labels = [o for o in lab.outputs if o.kind == "label"]
    likely = [o for o in lab.outputs if o.kind == "probabilities"]
    if len(labels) != 1 or len(likely) != 1 or lab.got[likely[0].name].ndim != 2:
        return []
    label, p = labels[0], likely[0]
    classes = np.array(p.classes, dtype=lab.want[label.name].dtype)
    best = classes[np.nan_to_num(lab.got[p.name]).argmax(axis=1)]
    says = "The label does not look like the likeliest class: with that for the label,"
    return lab.judged("label-not-likeliest", says, (), {**lab.got, label.name: best})


def link_twice(lab: Lab) -> list[Cause]:
    """Softmax or the logistic function of the pipeline's probabilities makes the answers."""
    says = "The probabilities look as if {} were applied twice: applied to the pipeline's,"
    steps: list[tuple[str, Step]] = [("softmax", softmax), ("the logistic function", logistic)]
    found: list[Cause] = []
    for o, want in _numbers(lab):
        if want.ndim == 2:
            second = [("the logistic function of the second class", of_second)] if want.shape[1] == 2 else []
            found += _made_of(lab, "link-twice", says, o, [*steps[:1], *second, *steps[1:]])
    return found[:1]


def output_rounded(lab: Lab) -> list[Cause]:
    """The answers are the pipeline's, rounded."""
    steps: list[tuple[str, Step]] = [
        ("float32", lambda x: x.astype(np.float32).astype(np.float64)),
        ("whole numbers, towards zero", np.trunc),
        *((f"{n} decimals", _decimals(n)) for n in range(7)),
    ]
    says = "The answers look rounded to {}: the pipeline's rounded so,"
    return [c for o, _ in _numbers(lab) for c in _made_of(lab, "output-rounded", says, o, steps)][:1]


def tree_lost(lab: Lab) -> list[Cause]:
    """The answers are off by a few amounts only, as by the leaves of a tree."""
    for o, whole in _numbers(lab):
        rows = lab.wrong & np.isfinite(whole.reshape(len(whole), -1)).all(axis=1)
        want, got = whole[rows].astype(np.float64), lab.got[o.name][rows].astype(np.float64)
        if want.ndim != 1 or len(want) < 20 or not np.isfinite(got).all():
            continue
        near = (1e-9 if lab.got[o.name].dtype == np.float64 else 1e-6) * float(np.abs(want).max())
        many = _amounts(want, near)
        for trees in (1, *range(2, TREES + 1)):
            few = _amounts(want * trees - got * (trees - 1) if trees > 1 else want - got, near * trees)
            if few <= 64 and 5 * few <= len(want) and 4 * few <= many:
                says = (
                    f'A tree looks lost, or there twice: the output "{o.name}" is off by only {few} amounts, '
                    "as many as a tree has leaves, and"
                )
                ends = "differing rows are off by one of them"
                return [lab.cause("tree-lost", says, (), len(want), ends)]
    return []


def _numbers(lab: Lab) -> Iterator[tuple[Output, Array]]:
    """The outputs of numbers whose shapes are the pipeline's, with the pipeline's answers."""
    for o in lab.outputs:
        if lab.want[o.name].dtype.kind == "f" and lab.got[o.name].shape == lab.want[o.name].shape:
            yield o, lab.want[o.name]


def _made_of(lab: Lab, code: str, says: str, o: Output, steps: Any) -> list[Cause]:
    """The first step that makes the graph's answers of the pipeline's, those that are right among them."""
    right, mine = ~lab.wrong, lab.wrong & lab.apart(o)
    for name, step in steps:
        with np.errstate(all="ignore"):
            made = step(lab.want[o.name].astype(np.float64))
        off = distances(o, made, lab.got[o.name], lab.scale(o))[1]
        good = ~off.reshape(len(off), -1).any(axis=1)
        explains = int((good & mine).sum())
        spoiled = int((right & ~good).sum())
        if explains >= max(2, CONVINCES * lab.wrong.sum()) and spoiled <= (1 - CONVINCES) * right.sum():
            return [lab.cause(code, says.format(name), (), explains, "differing rows are what is answered")]
    return []


def _amounts(values: Array, near: float) -> int:
    """How many distinct values there are, up to rounding."""
    return 1 + int((np.diff(np.sort(values)) > near).sum())

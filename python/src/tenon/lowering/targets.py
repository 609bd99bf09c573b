"""Several targets at once: what rules answer for them, and how one output is read out of it.

A regressor answers `prediction` [N, k]. A classifier answers `label_0`, `probabilities_0` … for each target, and
`probability_0` … where the labels are flags; or `label` and `probabilities` [N, k] if it has one number a flag.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import Answers, elem_of
from tenon.signature import Output
from tenon.truth import are_flags


def answer(g: Graph, result: Answers, output: Output) -> Value:
    """The value of one output, [N] or [N, C]; NotLowered if the rule gives none."""
    stem, _, number = output.source.partition("_")
    stem = {"probability": "probabilities"}.get(stem, stem)
    if output.source in result:
        value = result[output.source]
    elif number and stem in result:
        value = g.flat(g.columns(result[stem], [int(number)]))
    else:
        raise NotLowered(f"no rule gives the output {output.name}")
    return g.cast(value, "bool") if output.type == "bool" else value


def most_probable(proba: Value, classes: Array, g: Graph) -> Answers:
    """The first class of the largest probability, and the probabilities [N, C]."""
    index = g.op("ArgMax", proba, elem="int64", axis=1, keepdims=0)
    return {"label": g.labels(index, classes, elem_of(classes)), "probabilities": proba}


def of_each(answers: Sequence[Answers], classes: Sequence[Array], g: Graph) -> Answers:
    """One classifier's answers for each target as the answers for all."""
    out: Answers = {}
    flags = are_flags(classes)
    for j, (said, known) in enumerate(zip(answers, classes, strict=True)):
        out[f"label_{j}"] = said["label"]
        if "probabilities" not in said:
            continue
        out[f"probabilities_{j}"] = said["probabilities"]
        if flags:
            out[f"probability_{j}"] = _of_one(said["probabilities"], known, g)
    return out


def _of_one(proba: Value, classes: Array, g: Graph) -> Value:
    """The probability that a flag is set; zero if it never was in training."""
    set_ = np.flatnonzero(classes == 1)
    column = g.columns(proba, [int(set_[0]) if len(set_) else 0])
    return g.flat(column if len(set_) else g.arith("Mul", column, 0))

"""Lowering: a fitted scikit-learn pipeline as one float64 ONNX graph of standard operators.

`lower` is the door; `rules` holds the table, the other modules fill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tenon.errors import NotLowered
from tenon.inputs import Input
from tenon.lowering import (  # noqa: F401  (they fill the table)
    bag,
    bayes,
    bins,
    boosting,
    calibrate,
    catboost,
    clusters,
    committee,
    compose,
    encode,
    features,
    functions,
    gaussian,
    impute,
    inverse,
    isolation,
    lightgbm,
    linear,
    neighbors,
    network,
    power,
    scale,
    several,
    svm,
    trees,
    wrap,
    xgboost,
)
from tenon.lowering.columns import Block, Column, Columns, Origin
from tenon.lowering.graph import Graph, Value
from tenon.lowering.refused import refuse
from tenon.lowering.rules import RULES, apply, lowers
from tenon.lowering.targets import answer
from tenon.signature import Output

__all__ = ["RULES", "Graph", "inputs_of", "lower", "lowers"]


def lower(
    pipeline: Any, inputs: Sequence[Input], outputs: Sequence[Output], names: Sequence[str] = ()
) -> Graph:
    """The graph of a fitted pipeline, its outputs named as the signature's; `names` as of `inputs_of`.

    NotLowered if no rule covers a step, ExportError if a step at any depth can never be served.
    """
    refuse(pipeline)
    g = Graph()
    result = apply(pipeline, inputs_of(g, inputs, names), g)
    if isinstance(result, Columns):
        raise NotLowered("the pipeline ends in a transformer")
    for output in outputs:
        g.output(output.source, answer(g, result, output), len(output.classes) if output.classes else None)
    return g


UNREAD = Block(Value("", "unread"), (Column(np.dtype(object)),))
"""Holds the place of a column that no step reads; a graph that did would not pass onnx's checker."""


def inputs_of(g: Graph, inputs: Sequence[Input], names: Sequence[str] = ()) -> Columns:
    """The graph's inputs as the columns that a pipeline begins with.

    `names` are those of all columns of its frame, where some are no inputs because no step reads them.
    """
    blocks = {i.name: _block(g, i, n) for n, i in enumerate(inputs)}
    if inputs[0].width is not None:
        return Columns(tuple(blocks.values()))
    places = tuple(names or blocks)
    return Columns(tuple(blocks.get(n, UNREAD) for n in places), places)


def _block(g: Graph, column: Input, number: int) -> Block:
    value = g.input(column.feed, column.elem, column.width or 1)
    elements: Sequence[int | None] = [None] if column.width is None else range(column.width)
    dtype = np.dtype(object) if column.is_text else column.dtype
    nullable = np.dtype(column.type) if column.absent == "na" and not column.is_text else None
    return Block(value, tuple(Column(dtype, column.absent, Origin(number, e), nullable) for e in elements))

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
    bayes,
    compose,
    encode,
    gaussian,
    impute,
    linear,
    neighbors,
    network,
    scale,
    svm,
    trees,
)
from tenon.lowering.columns import Block, Column, Columns, Origin
from tenon.lowering.graph import Graph
from tenon.lowering.rules import RULES, apply, lowers
from tenon.signature import Output

__all__ = ["RULES", "Graph", "lower", "lowers"]


def lower(pipeline: Any, inputs: Sequence[Input], outputs: Sequence[Output]) -> Graph:
    """The graph of a fitted pipeline, its outputs named as the signature's; NotLowered if no rule covers a step."""
    g = Graph()
    result = apply(pipeline, Columns(tuple(_block(g, i, n) for n, i in enumerate(inputs)), _names(inputs)), g)
    if isinstance(result, Columns):
        raise NotLowered("the pipeline ends in a transformer")
    for output in outputs:
        if output.source not in result:
            raise NotLowered(f"no rule gives the output {output.name}")
        g.output(output.source, result[output.source], len(output.classes) if output.classes else None)
    return g


def _block(g: Graph, column: Input, number: int) -> Block:
    value = g.input(column.feed, column.elem, column.width or 1)
    elements: Sequence[int | None] = [None] if column.width is None else range(column.width)
    dtype = np.dtype(object) if column.is_text else column.dtype
    return Block(value, tuple(Column(dtype, column.absent, Origin(number, e)) for e in elements))


def _names(inputs: Sequence[Input]) -> tuple[str, ...] | None:
    return None if inputs[0].width is not None else tuple(i.name for i in inputs)

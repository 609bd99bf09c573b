"""Thresholds read out of a graph's trees, so that rows are made that sit on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import onnx
from onnx import numpy_helper

from tenon.inputs import Input

Place: TypeAlias = tuple[int, "int | None"]
"""A logical input's number, and the element of an array input."""
_MEMBER = 6
"""The mode of a split by a set of categories, in ai.onnx.ml 5."""
_KEEPS = ("Cast", "Identity")


def thresholds(
    model: bytes, inputs: Sequence[Input], columns: Mapping[str, int]
) -> list[tuple[int, int | None, float]]:
    """Input, element and value for each split of a tree that reads the graph's inputs as they are, or only cast.

    Behind a scaler the raw value is not known, and the split is left out.
    """
    known = _places(inputs, columns)
    found: list[tuple[int, int | None, float]] = []
    for node in onnx.load_from_string(model).graph.node:
        reads = [known.get(name) for name in node.input]
        if node.op_type.startswith("TreeEnsemble") and reads[0]:
            places = reads[0]
            found += [(*places[f], v) for f, v in _splits(node) if 0 <= f < len(places)]
        elif node.op_type in _KEEPS and reads[0]:
            known[node.output[0]] = reads[0]
        elif node.op_type == "Concat" and all(reads):
            known[node.output[0]] = [place for some in reads for place in some or []]
    return found


def _places(inputs: Sequence[Input], columns: Mapping[str, int]) -> dict[str, list[Place]]:
    """By graph input, what each of its columns is."""
    known: dict[str, list[Place]] = {}
    for n, i in sorted(enumerate(inputs), key=lambda item: columns.get(item[1].name, 0)):
        elements: Sequence[int | None] = [None] if i.width is None else range(i.width)
        known.setdefault(i.feed, []).extend((n, e) for e in elements)
    return known


def _splits(node: onnx.NodeProto) -> list[tuple[int, float]]:
    """The feature and the value of each inner node."""
    given: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    features = given.get("nodes_featureids", [])
    values = given.get("nodes_splits") or given.get("nodes_values_as_tensor")
    values = given.get("nodes_values", []) if values is None else numpy_helper.to_array(values).tolist()
    modes = given.get("nodes_modes", [])
    if isinstance(modes, onnx.TensorProto):
        inner = [m != _MEMBER for m in numpy_helper.to_array(modes).tolist()]
    else:
        inner = [m != b"LEAF" for m in modes]
    return [(f, float(v)) for f, v, is_inner in zip(features, values, inner, strict=True) if is_inner]

"""Converters end classifiers in ZipMap, a list of dictionaries; without it the probabilities are a plain matrix."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper


def without_zipmap(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, list[Any]]]:
    """The model with every ZipMap at an output replaced by what it reads, and the classes of those outputs.

    The outputs keep their names. A model without ZipMap comes back as it is, with no classes.
    """
    classes: dict[str, list[Any]] = {}
    outputs = {o.name: o for o in model.graph.output}
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    for node in list(model.graph.node):
        if node.op_type != "ZipMap" or node.output[0] not in outputs:
            continue
        name = node.output[0]
        classes[name] = _classes(node)
        replaced = helper.make_node("Identity", [node.input[0]], [name])
        elem = types.get(node.input[0]) or onnx.TensorProto.FLOAT
        node.CopyFrom(replaced)
        outputs[name].CopyFrom(helper.make_tensor_value_info(name, elem, ["N", len(classes[name])]))
    return model, classes


def _classes(node: onnx.NodeProto) -> list[Any]:
    for attribute in node.attribute:
        if attribute.name == "classlabels_strings" and attribute.strings:
            return [s.decode() for s in attribute.strings]
        if attribute.name == "classlabels_int64s" and attribute.ints:
            return list(attribute.ints)
    return []

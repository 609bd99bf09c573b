"""A small builder of ONNX graphs with typed values, and what rules tell the export besides nodes.

Everything is computed in double unless scikit-learn itself computes in float32. The operators are the
standard ones of opset 20 and ai.onnx.ml 5, written as IR 10; onnx's own defaults are newer than runtimes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tenon.errors import ExportError
from tenon.inputs import Array

OPSET, ML_OPSET, IR = 20, 5, 10
ML = "ai.onnx.ml"

_PROTO = {
    "float64": TensorProto.DOUBLE,
    "float32": TensorProto.FLOAT,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}


@dataclass(frozen=True)
class Value:
    """A tensor in the graph and its element type (numpy's name, or `string`)."""

    name: str
    elem: str


@dataclass
class Notes:
    """What rules learn on the way, for signature, boundary rows and tolerance."""

    domains: dict[int, list[tuple[tuple[Any, ...], bool]]] = field(default_factory=dict)
    """By input: the categories that an encoder knows, and whether it refuses others."""
    thresholds: list[tuple[int, int | None, float]] = field(default_factory=list)
    """Input, element of an array input, and the raw value at which some tree turns."""
    whole: set[int] = field(default_factory=set)
    """Inputs whose integers of 64 bits are computed with as such, so that no double may carry them."""
    single: bool = False
    """Whether some sum is taken in float32, as scikit-learn does for float32 frames, or is as ill-conditioned."""


class Graph:
    """Collects nodes; each method adds one and returns its value. Used once, by one export."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.watch: Callable[..., Any] | None = None
        """Stands around every rule, where the linter follows the steps (lowering/trace.py)."""
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def input(self, name: str, elem: str, width: int) -> Value:
        """A graph input [N, width]."""
        self._inputs.append(helper.make_tensor_value_info(name, _PROTO[elem], ["N", width]))
        return Value(name, elem)

    def output(self, name: str, value: Value, width: int | None = None) -> None:
        """Names a value as a graph output, [N] or [N, width]."""
        self._nodes.append(helper.make_node("Identity", [value.name], [name]))
        shape: list[Any] = ["N"] if width is None else ["N", width]
        self._outputs.append(helper.make_tensor_value_info(name, _PROTO[value.elem], shape))

    def constant(self, values: Any, elem: str) -> Value:
        """A constant of that element type."""
        name = self._fresh("c")
        self._constants.append(tensor_proto(name, np.asarray(values), elem))
        return Value(name, elem)

    def op(
        self, kind: str, *args: Value, elem: str | None = None, domain: str = "", **attributes: Any
    ) -> Value:
        """One node with one output, of the first argument's element type unless said otherwise."""
        name = self._fresh(kind.lower())
        node = helper.make_node(kind, [a.name for a in args], [name], domain=domain, **attributes)
        self._nodes.append(node)
        return Value(name, elem or args[0].elem)

    def ops(self, kind: str, args: Sequence[Value], elems: Sequence[str], **attributes: Any) -> list[Value]:
        """One node with several outputs, of those element types."""
        names = [self._fresh(kind.lower()) for _ in elems]
        self._nodes.append(helper.make_node(kind, [a.name for a in args], names, **attributes))
        return [Value(n, e) for n, e in zip(names, elems, strict=True)]

    def cast(self, value: Value, elem: str) -> Value:
        """The value in another element type; itself if it has that already."""
        if value.elem == elem:
            return value
        return self.op("Cast", value, elem=elem, to=_PROTO[elem])

    def arith(self, kind: str, value: Value, operand: Any) -> Value:
        """`value kind operand`, the operand a constant in the value's own type, as numpy's in-place operators."""
        return self.op(kind, value, self.constant(operand, value.elem))

    def where(self, condition: Value, yes: Value, no: Value) -> Value:
        """Elementwise choice; yes and no are of one type."""
        return self.op("Where", condition, yes, no, elem=no.elem)

    def concat(self, values: Sequence[Value]) -> Value:
        """Columns side by side; all of one element type."""
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=1)

    def columns(self, value: Value, indices: Sequence[int]) -> Value:
        """Some columns of [N, k], in that order."""
        return self.op("Gather", value, self.constant(list(indices), "int64"), elem=value.elem, axis=1)

    def flat(self, value: Value) -> Value:
        """[N, 1] as [N]."""
        return self.op("Reshape", value, self.constant([-1], "int64"))

    def matmul(self, value: Value, matrix: Array) -> Value:
        """value [N, k] @ matrix [k, m], in the type that numpy promotes both to."""
        elem = promoted(value.elem, matrix.dtype)
        self.notes.single |= elem == "float32"
        return self.op("MatMul", self.cast(value, elem), self.constant(matrix, elem))

    def add(self, value: Value, row: Array) -> Value:
        """value + row, in the type that numpy promotes both to."""
        return self.arith("Add", self.cast(value, promoted(value.elem, np.asarray(row).dtype)), row)

    def labels(self, index: Value, classes: Array, elem: str) -> Value:
        """classes[index] for an index [N]; this keeps the labels' type."""
        return self.op("Gather", self.constant(classes, elem), index, axis=0)

    def loop(self, state: Value, limit: Value, body: Callable[[Value, Value], tuple[Value, Value]]) -> Value:
        """Repeats `body` at most `limit` times: from the iteration and the state, whether to go on, and the next state.

        The body may use any value of the graph around it; constants that it makes are the graph's.
        """
        iteration, going, before = (self._fresh(n) for n in ("iteration", "going", "state"))
        inputs = [
            helper.make_tensor_value_info(iteration, TensorProto.INT64, []),
            helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            _unshaped(Value(before, state.elem)),
        ]
        inside = self._inside(lambda: body(Value(iteration, "int64"), Value(before, state.elem)), inputs)
        start = [limit, self.constant(True, "bool"), state]
        return self.op("Loop", *start, elem=state.elem, body=inside)

    def choose(
        self, condition: Value, yes: Callable[[], Sequence[Value]], no: Callable[[], Sequence[Value]]
    ) -> list[Value]:
        """The values that one of both makes, by a condition (a bool) for the whole batch; the other is not run."""
        branches = [self._inside(make, []) for make in (yes, no)]
        kinds = {proto: elem for elem, proto in _PROTO.items()}
        elems = [kinds[o.type.tensor_type.elem_type] for o in branches[0].output]
        return self.ops("If", [condition], elems, then_branch=branches[0], else_branch=branches[1])

    def _inside(
        self, make: Callable[[], Sequence[Value]], inputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.GraphProto:
        """A graph within this one, whose outputs are the values that `make` gives."""
        around, self._nodes = self._nodes, []
        made = [self.op("Identity", v) for v in make()]
        inside, self._nodes = self._nodes, around
        return helper.make_graph(inside, self._fresh("inside"), inputs, [_unshaped(v) for v in made])

    def made_by(self, value: Value) -> set[str]:
        """The operators that a value comes out of, its own and those before it."""
        makers = {out: node for node in self._nodes for out in node.output}
        found: set[str] = set()
        names, seen = [value.name], {value.name}
        while names:
            node = makers.get(names.pop())
            if node is None:
                continue
            found.add(node.op_type)
            names += [n for n in node.input if n not in seen]
            seen.update(node.input)
        return found

    def model(self) -> bytes:
        """The graph as a checked model file."""
        graph = helper.make_graph(self._nodes, "tenon", self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="tenon-kit")
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"


def _unshaped(value: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(value.name, _PROTO[value.elem], None)


def tensor_proto(name: str, values: Array, elem: str) -> onnx.TensorProto:
    """numpy values as an ONNX tensor; strings are UTF-8, and ExportError says which cannot be."""
    if elem == "string":
        data: Any = [_utf8(str(v)) for v in values.ravel()]
        return helper.make_tensor(name, TensorProto.STRING, values.shape, data)
    return numpy_helper.from_array(np.ascontiguousarray(values, dtype=elem).reshape(values.shape), name)


def _utf8(text: str) -> bytes:
    try:
        if "\x00" not in text:
            return text.encode()
    except UnicodeEncodeError:
        pass
    raise ExportError(
        f"the pipeline has {text!r} among its classes, categories or fillings, with U+0000 or a lone surrogate, "
        "which graphs and requests cannot carry: replace it in the data and fit again"
    )


def promoted(elem: str, dtype: np.dtype[Any]) -> str:
    """numpy's promotion, for the two floating types that graphs are computed in."""
    return "float32" if np.result_type(np.dtype(elem), dtype) == np.float32 else "float64"

"""Versions of one small classifier, each with something wrong or harmless about it, as graphs that do it for real.

All columns come with every request: `x`, which decides the answer; `group`, one of twelve letters; and `n`, a number
that the load counts up, so that a graph, which remembers nothing, can do something at every twentieth request.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tenon import Bundle
from tenon.bundlefile import write

GROUPS = list("abcdefghijkl")
CLASSES = ["low", "mid", "high"]
LIKELY, UNLIKELY = 0.9, 0.05
TURNS = 600
"""Products of a vector and a matrix that a usual run does: 1.5 ms on a core of one's own."""
WIDTH = 128


def truth(x: float, retrained: bool = False) -> tuple[str, float]:
    """The label and the score. A model that was trained anew gives another label to 3 % of the rows."""
    whole = int(np.floor(x))
    other = retrained and whole % 100 < 3
    return CLASSES[(whole + other) % 3], 2 * x + 1


class Graph:
    """Nodes in the order in which they were asked for."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: Any, domain: str = "", **attributes: Any) -> str:
        """The name of its output. An input is the name of another one, or a number or an array."""
        names = [name if isinstance(name, str) else self._constant(name) for name in inputs]
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], domain=domain, **attributes))
        return output

    def _constant(self, value: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def where(self, condition: str, yes: Any, no: Any) -> str:
        return self.node("Where", condition, yes, no)

    def every(self, period: int, number: str) -> str:
        """Whether the number is a multiple of the period."""
        return self.node("Equal", self.node("Mod", number, np.int64(period)), np.int64(0))


@dataclass
class Parts:
    """The graph's names for what a variant may change."""

    graph: Graph
    request: str
    """The greatest `n` of the request's rows, a scalar."""
    x: str
    group: str
    """0 to 11."""
    turns: str
    """How much is computed, a scalar."""
    label: str
    likely: str
    """0 to 2: the place in the labels, and among the probabilities."""
    score: str

    def add(self, to_score: str) -> None:
        """Lets the score depend on something, so that it is computed."""
        self.score = self.graph.node("Add", self.score, to_score)


Change = Callable[[Parts], None]


def plain(_: Parts) -> None:
    """The stable version."""


def retrained(p: Parts) -> None:
    whole = p.graph.node("Cast", p.graph.node("Floor", p.x), to=TensorProto.INT64)
    rare = p.graph.node("Less", p.graph.node("Mod", whole, np.int64(100)), np.int64(3))
    moved = p.graph.node("Add", p.likely, p.graph.node("Cast", rare, to=TensorProto.INT64))
    p.likely = p.label = p.graph.node("Mod", moved, np.int64(3))


def turns(factor: float) -> Change:
    def change(p: Parts) -> None:
        p.turns = p.graph.node("Add", p.turns, np.int64(TURNS * (factor - 1)))

    return change


def slower_over_time(p: Parts) -> None:
    """Twice the time at the five hundredth request, three times at the thousandth."""
    more = p.graph.node("Div", p.graph.node("Mul", p.request, np.int64(TURNS)), np.int64(500))
    p.turns = p.graph.node("Add", p.turns, more)


def slow_in_the_tail(p: Parts) -> None:
    p.turns = p.graph.where(p.graph.every(16, p.request), np.int64(30 * TURNS), p.turns)


def hanging(p: Parts) -> None:
    p.turns = p.graph.where(p.graph.every(20, p.request), np.iinfo(np.int64).max, p.turns)


def _fail(p: Parts, condition: str) -> None:
    """A place beyond the end of a table: ONNX Runtime refuses to go on."""
    place = p.graph.where(condition, np.int64(1000), np.int64(0))
    p.add(p.graph.node("Gather", np.zeros(3), place))


def errors(p: Parts) -> None:
    _fail(p, p.graph.every(20, p.request))


def failing_for_one_group(p: Parts) -> None:
    _fail(p, p.graph.node("Equal", p.group, np.int64(11)))


def not_a_number(p: Parts) -> None:
    whole = p.graph.node("Cast", p.graph.node("Floor", p.x), to=TensorProto.INT64)
    p.score = p.graph.where(p.graph.every(12, whole), np.nan, p.score)


def shifted(p: Parts) -> None:
    p.add(p.graph.node("Identity", np.float64(500)))


def wrong_labels(p: Parts) -> None:
    p.label = p.graph.node("Gather", np.array([1, 2, 0]), p.label)


def crashing(p: Parts) -> None:
    """The least integer divided by -1 ends the process."""
    deadly = p.graph.every(20, p.request)
    above = p.graph.where(deadly, np.iinfo(np.int64).min, np.int64(0))
    below = p.graph.where(deadly, np.int64(-1), np.int64(1))
    p.add(p.graph.node("Cast", p.graph.node("Div", above, below), to=TensorProto.DOUBLE))


def out_of_memory(p: Parts) -> None:
    """8 GiB of zeros, at once."""
    many = p.graph.where(p.graph.every(20, p.request), np.int64(1 << 30), np.int64(1))
    value = numpy_helper.from_array(np.zeros(1))
    zeros = p.graph.node("ConstantOfShape", p.graph.node("Reshape", many, np.array([1])), value=value)
    p.add(p.graph.node("ReduceSum", zeros, keepdims=0))


def _compute(p: Parts) -> str:
    """A loop that takes time and changes nothing: a zero."""
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))[0].astype(np.float32)
    step = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "turned"], ["after"]),
            helper.make_node("Identity", ["go"], ["goes"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [1, WIDTH]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [1, WIDTH]),
        ],
    )
    p.graph.constants.append(numpy_helper.from_array(turned, "turned"))
    end = p.graph.node("Loop", p.turns, "", np.ones((1, WIDTH), np.float32), body=step)
    zero = p.graph.node("Mul", p.graph.node("ReduceMax", end, keepdims=0), np.float32(0))
    return p.graph.node("Cast", zero, to=TensorProto.DOUBLE)


def _parts() -> Parts:
    g = Graph()
    whole = g.node("Cast", g.node("Floor", "x"), to=TensorProto.INT64)
    likely = g.node("Mod", whole, np.int64(3))
    group = g.node(
        "LabelEncoder",
        "group",
        domain="ai.onnx.ml",
        keys_strings=GROUPS,
        values_int64s=list(range(len(GROUPS))),
    )
    score = g.node("Add", g.node("Mul", "x", np.float64(2)), np.float64(1))
    request = g.node("ReduceMax", "n", keepdims=0)
    return Parts(g, request, "x", group, g.node("Identity", np.int64(TURNS)), likely, likely, score)


def model(change: Change) -> bytes:
    """The graph of a version."""
    p = _parts()
    change(p)
    p.add(_compute(p))
    g = p.graph
    g.nodes += [
        helper.make_node("Gather", ["classes", p.label], ["label"]),
        helper.make_node("Identity", [p.score], ["score"]),
        helper.make_node("Gather", ["shares", p.likely], ["probabilities"]),
    ]
    g.constants += [
        helper.make_tensor("classes", TensorProto.STRING, [3], CLASSES),
        numpy_helper.from_array(np.where(np.eye(3), LIKELY, UNLIKELY), "shares"),
    ]
    inputs = {"x": TensorProto.DOUBLE, "group": TensorProto.STRING, "n": TensorProto.INT64}
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.STRING, ["N"]),
        helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["N"]),
        helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["N", 3]),
    ]
    columns = [helper.make_tensor_value_info(name, kind, ["N"]) for name, kind in inputs.items()]
    graph = helper.make_graph(g.nodes, "g", columns, outputs, g.constants)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def signature(groups: list[str]) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "x", "type": "float64"},
            {"name": "group", "type": "string", "domain": groups, "unknown": "refuse"},
            {"name": "n", "type": "int64"},
        ],
        "outputs": [
            {"name": "label", "kind": "label", "type": "string"},
            {"name": "score", "kind": "value", "type": "float64"},
            {"name": "probabilities", "kind": "probabilities", "type": "float64", "classes": CLASSES},
        ],
    }


def bundle(name: str, path: Path, change: Change, groups: list[str] = GROUPS) -> Bundle:
    """Without a golden set: nothing but a trial can tell what is wrong with it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "model.onnx").write_bytes(model(change))
        (folder / "signature.json").write_text(json.dumps(signature(groups)))
        return write(path, {"bundle": 1, "name": name, "tags": {"version": path.stem}}, folder)

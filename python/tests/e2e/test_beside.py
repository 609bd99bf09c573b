"""Graphs from elsewhere, with a function as their truth, pushed and proven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper
from serving import Served

import tenon


def two_matrices(path: Path) -> Path:
    """y = p0 + p1 + 2 q0 + 2 q1, of a float matrix p and an integer matrix q; the name of neither is a column's."""
    nodes = [
        helper.make_node("Cast", ["q"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["wide", "wide"], ["twice"]),
        helper.make_node("Add", ["p", "twice"], ["both"]),
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("ReduceSum", ["both", "axis"], ["y"], keepdims=0),
    ]
    inputs = [
        helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 2]),
        helper.make_tensor_value_info("q", TensorProto.INT64, ["N", 2]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_a_frame_over_two_matrices_with_a_function_as_truth(server: Served, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=80), "größe": rng.normal(size=80).astype("float32")})
    X = X.assign(n=rng.integers(0, 9, 80), small=rng.integers(-3, 3, 80).astype("int8"))

    def truth(rows: pd.DataFrame) -> Any:
        assert rows.dtypes.equals(X.dtypes)
        return rows["a"] + rows["größe"] + 2 * (rows["n"] + rows["small"])

    bundle = tenon.bundle(two_matrices(tmp_path / "two.onnx"), X, expected=truth, path=tmp_path / "t.tenon")
    version = tenon.push(bundle, server=server.url, deploy=True)
    assert version.parity == "proven"
    assert {"hold-out", "zero", "extreme"} <= set(version.report["why"])
    with tenon.Client(server.url) as client:
        answers = client.predict("two", X.iloc[5:9])
    assert np.allclose(answers["y"], truth(X.iloc[5:9]), rtol=1e-4, atol=1e-5)

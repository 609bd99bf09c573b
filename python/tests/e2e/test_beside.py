"""Graphs beside their truth and quantised ones, pushed and proven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper
from serving import Served
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

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


def test_a_quantised_bundle_is_proven_by_agreement(server: Served, tmp_path: Path) -> None:
    X, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=200)).fit(X[:600], y[:600])
    bundle = tenon.export(
        pipeline, X[:600], name="digits-int8", holdout=X[600:1000], path=tmp_path / "d.tenon"
    )
    assert tenon.push(bundle, server=server.url).parity == "proven"
    small = tenon.quantize(bundle, path=tmp_path / "q.tenon")
    version = tenon.push(small, server=server.url, deploy=True)
    assert (version.number, version.parity, version.loosened) == (2, "proven", "agreement ≥ 99 %")
    listed = server.http.get("/v1/models").json()["models"]
    assert [m["loosened"] for m in listed if m["name"] == "digits-int8"] == ["agreement ≥ 99 %"]
    versions = server.http.get("/v1/models/digits-int8/versions").json()["versions"]
    assert [v.get("loosened") for v in versions] == ["agreement ≥ 99 %", None]
    for mine, theirs in zip(small.report, version.report["outputs"], strict=True):
        assert theirs["tolerance"]["agreement"] == 0.99, "the loosening is shown"
        assert theirs["tolerance"]["declared"] is True
        assert theirs["agreement"] == mine.agreement, "the server counts as the kit does"
        assert theirs["made_up"] == dict(zip(("rows", "agree"), mine.made_up, strict=True))
    with tenon.Client(server.url) as client:
        labels = client.predict("digits-int8", X[600:1000])["label"]
    assert (labels == pipeline.predict(X[600:1000])).mean() >= 0.98

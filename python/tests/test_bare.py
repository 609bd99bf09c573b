"""tenon.bundle: a graph from elsewhere beside its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression

import tenon
from reader import Reader

X, Y = load_iris(return_X_y=True)
X32 = X.astype(np.float32)


@pytest.fixture
def linear(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """y = x W in float32, three outputs a row, and the truth."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["Y"])],
        "g",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weights, "W")],
    )
    path = tmp_path / "linear.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path, X @ weights


def test_an_array_in_and_a_matrix_out(linear: Any, tmp_path: Path) -> None:
    path, truth = linear
    bundle = tenon.bundle(path, X, expected=truth, path=tmp_path / "l.tenon")
    read = Reader(bundle.path)
    assert bundle.name == "linear"
    assert read.signature["inputs"] == [
        {"name": "x", "type": "float32", "missing": "refused", "feed": "X", "shape": [4]}
    ]
    (output,) = read.signature["outputs"]
    assert (output["kind"], output["shape"], output["tolerance"]) == (
        "value",
        [3],
        {"rel": 1e-4, "abs": 1e-5},
    )
    assert read.answers["g00000"]["predictions"] == [{"Y": truth[0].tolist()}]


def test_a_frame_is_the_columns_of_the_matrix(linear: Any, tmp_path: Path) -> None:
    path, truth = linear
    frame = pd.DataFrame(X, columns=["a", "b", "c", "größe"])
    read = Reader(tenon.bundle(path, frame, expected={"Y": truth}, path=tmp_path / "l.tenon").path)
    assert [(i["name"], i["feed"], i["column"]) for i in read.signature["inputs"]] == [
        ("a", "X", 0), ("b", "X", 1), ("c", "X", 2), ("größe", "X", 3)
    ]  # fmt: skip
    with pytest.raises(tenon.ExportError, match="3 columns"):
        tenon.bundle(path, frame.iloc[:, :3], expected={"Y": truth})


def test_wrong_truth_names_the_rows(linear: Any, tmp_path: Path) -> None:
    path, truth = linear
    truth[17, 1] += 0.5
    with pytest.raises(tenon.ExportError, match="row 17") as caught:
        tenon.bundle(path, X, expected=truth, path=tmp_path / "l.tenon")
    assert set(caught.value.rows["row"]) == {17}
    assert not (tmp_path / "l.tenon").exists()


def test_a_stock_classifier_with_zipmap(tmp_path: Path) -> None:
    names = np.array(["setosa", "versicolor", "virginica"])
    model = LogisticRegression(max_iter=500).fit(X32, names[Y])
    path = tmp_path / "iris.onnx"
    path.write_bytes(to_onnx(model, X32[:1], target_opset=20).SerializeToString())
    proba = model.predict_proba(X32)
    frame = pd.DataFrame(
        {
            "output_label": model.predict(X32),
            **{f"output_probability.{n}": proba[:, j] for j, n in enumerate(names)},
        }
    )
    read = Reader(tenon.bundle(path, X32, expected=frame, path=tmp_path / "i.tenon").path)
    assert [(o["kind"], o["type"]) for o in read.signature["outputs"]] == [
        ("label", "string"),
        ("probabilities", "float32"),
    ]
    assert read.signature["outputs"][1]["classes"] == names.tolist()
    assert read.replay()["output_probability"] < 1e-5


def test_probabilities_without_zipmap(tmp_path: Path) -> None:
    names = np.array(["virginica", "setosa", "versicolor"])
    model = LogisticRegression(max_iter=500).fit(X32, names[Y])
    path = tmp_path / "iris.onnx"
    path.write_bytes(to_onnx(model, X32[:1], target_opset=20, options={"zipmap": False}).SerializeToString())
    truth = {"label": model.predict(X32), "probabilities": model.predict_proba(X32)}
    read = Reader(tenon.bundle(path, X32, expected=truth, path=tmp_path / "i.tenon").path)
    probabilities = read.signature["outputs"][1]
    assert (probabilities["kind"], probabilities["classes"]) == ("probabilities", sorted(names))
    assert probabilities["tolerance"] == {"rel": 0.0, "abs": 1e-5}
    assert read.replay()["probabilities"] < 1e-5

    del truth["label"]
    read = Reader(tenon.bundle(path, X32, expected=truth, path=tmp_path / "j.tenon").path)
    (values,) = read.signature["outputs"]
    assert (values["kind"], values["tolerance"]) == ("value", {"rel": 1e-4, "abs": 1e-5}), (
        "classes of no label"
    )


def test_several_inputs_by_name(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["flag"], ["f"], to=TensorProto.DOUBLE),
            helper.make_node("Add", ["a", "f"], ["sum"]),
        ],
        "g",
        [
            helper.make_tensor_value_info("a", TensorProto.DOUBLE, ["N", 1]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, ["N", 1]),
        ],
        [helper.make_tensor_value_info("sum", TensorProto.DOUBLE, ["N", 1])],
    )
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    inputs = {"a": np.array([1.0, np.nan]), "flag": np.array([True, False])}
    read = Reader(tenon.bundle(path, inputs, expected=[2.0, np.nan], path=tmp_path / "t.tenon").path)
    assert [(i["name"], i["type"], i["missing"]) for i in read.signature["inputs"]] == [
        ("a", "float64", "allowed"), ("flag", "bool", "refused")
    ]  # fmt: skip
    assert "shape" not in read.signature["outputs"][0]
    with pytest.raises(tenon.ExportError, match="inputs are a, flag"):
        tenon.bundle(path, {"a": inputs["a"]}, expected=[2.0, np.nan])


def test_refusals(linear: Any, tmp_path: Path) -> None:
    path, truth = linear
    with pytest.raises(tenon.ExportError, match="no row"):
        tenon.bundle(path, X[:0], expected=truth[:0])
    with pytest.raises(tenon.ExportError, match="150 rows for 'Y', X has 3"):
        tenon.bundle(path, X[:3], expected=truth)
    with pytest.raises(tenon.ExportError, match="outputs are Y"):
        tenon.bundle(path, X, expected={"y": truth})
    with pytest.raises(tenon.ExportError, match="cannot name a model"):
        tenon.bundle(path, X, expected=truth, name="No Name")
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(path.read_bytes()[:40])
    with pytest.raises(tenon.ExportError, match="save it again"):
        tenon.bundle(junk, X, expected=truth)
    with pytest.raises(tenon.ExportError, match="does not exist"):
        tenon.bundle(tmp_path / "none.onnx", X, expected=truth)


def test_a_regressor_keeps_one_number_a_row(tmp_path: Path) -> None:
    model = LinearRegression().fit(X, X[:, 0] * 2)
    path = tmp_path / "reg.onnx"
    path.write_bytes(to_onnx(model, X[:1], target_opset=20).SerializeToString())
    read = Reader(tenon.bundle(path, X, expected=model.predict(X), path=tmp_path / "r.tenon").path)
    assert isinstance(read.answers["g00000"]["predictions"][0]["variable"], float)
    read.replay()

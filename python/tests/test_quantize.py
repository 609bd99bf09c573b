"""tenon.quantize: 8-bit weights, held to the original pipeline's answers."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import tenon
from reader import Reader

X, Y = load_digits(return_X_y=True)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tenon.Bundle:
    pipeline = make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=200)).fit(X[:600], Y[:600])
    path = tmp_path_factory.mktemp("digits") / "d.tenon"
    return tenon.export(pipeline, X[:600], name="digits", holdout=X[600:1000], path=path)


def test_a_float64_graph_of_digits(digits: tenon.Bundle, tmp_path: Path) -> None:
    small = tenon.quantize(digits, path=tmp_path / "q.tenon")
    before, after = Reader(digits.path), Reader(small.path)
    assert small.digest == after.digest() != digits.digest
    ops = [n.op_type for n in onnx.load_from_string(after.files["model.onnx"]).graph.node]
    assert "MatMulInteger" in ops
    assert "MatMul" not in ops
    assert len(after.files["model.onnx"]) == small.sizes[1] < small.sizes[0]
    assert [o["tolerance"] for o in after.signature["outputs"]] == [{"agreement": 0.99}] * 2
    assert [o["type"] for o in after.signature["outputs"]] == [o["type"] for o in before.signature["outputs"]]
    for name in ("golden/requests.jsonl.gz", "golden/answers.jsonl.gz", "profile.json"):
        assert after.files[name] == before.files[name], "the truth is the original pipeline's"
    label, probabilities = small.report
    assert 0.99 <= label.agreement < 1 or label.agreement == 1
    assert probabilities.distance > 1e-4, "8 bits are not 64"
    assert after.manifest["tags"]["quantized-from"] == digits.digest
    assert after.manifest["metrics"]["agreement_label"] == label.agreement
    assert str(label) in after.files["README.md"].decode()


def test_made_up_rows_are_told_beside_the_share(digits: tenon.Bundle, tmp_path: Path) -> None:
    label = tenon.quantize(digits, path=tmp_path / "q.tenon").report[0]
    lines = gzip.decompress(Reader(digits.path).files["golden/requests.jsonl.gz"]).splitlines()
    rows = {True: 0, False: 0}
    for request in map(json.loads, lines):
        body = request["body"]
        count = len(body["instances"] if "instances" in body else next(iter(body["inputs"].values())))
        rows[request["why"] == "hold-out"] += count
    assert rows[False] > 0
    assert (label.rows, label.made_up[0]) == (rows[True], rows[False])
    assert (
        f"of {rows[False]} rows made up to sit on edges, which do not count, {label.made_up[1]} agree"
        in str(label)
    )


def test_refused_below_the_agreed_figure(digits: tenon.Bundle, tmp_path: Path) -> None:
    with pytest.raises(
        tenon.ExportError, match=r"label: 9\d\.\d\d % of \d+ rows agree \(99.999 % are asked for\); of"
    ):
        tenon.quantize(digits, path=tmp_path / "q.tenon", agreement=0.99999)
    assert list(tmp_path.iterdir()) == []


def test_trees_and_small_matrices_gain_nothing(tmp_path: Path) -> None:
    iris, y = load_iris(return_X_y=True)
    forest = tenon.export(RandomForestClassifier(5).fit(iris, y), iris, name="f", path=tmp_path / "f.tenon")
    with pytest.raises(tenon.ExportError, match="trees compare, they do not multiply"):
        tenon.quantize(forest)
    line = tenon.export(LinearRegression().fit(iris, y), iris, name="l", path=tmp_path / "l.tenon")
    with pytest.raises(tenon.ExportError, match="no matrix of 256 weights"):
        tenon.quantize(line)
    with pytest.raises(tenon.ExportError, match=r"from 0\.5 to below 1"):
        tenon.quantize(line, agreement=99)


def network(path: Path, outputs: int) -> tuple[Path, Any]:
    """Two Gemms in float32, and themselves as a function of rows."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(8, 64)).astype("f4"), rng.normal(size=(outputs, 64)).astype("f4")
    nodes = [
        helper.make_node("Gemm", ["X", "A", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "C", "d"], ["Y"], transB=1),
    ]
    held = {"A": first, "b": np.ones(64, "f4"), "C": second, "d": np.zeros(outputs, "f4")}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", 8])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["N", outputs])],
        [numpy_helper.from_array(v, n) for n, v in held.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path, lambda rows: np.maximum(np.asarray(rows, "f4") @ first + 1, 0) @ second.T


@pytest.mark.parametrize(("outputs", "asked"), [(1, {"rel": 0.0, "abs": 0.05}), (16, {"cosine": 0.95})])
def test_numbers_by_distance_and_vectors_by_direction(outputs: int, asked: Any, tmp_path: Path) -> None:
    path, truth = network(tmp_path / "net.onnx", outputs)
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(150, 8)), columns=list("abcdefgh"))
    bundle = tenon.bundle(path, frame, expected=truth, path=tmp_path / "n.tenon")
    small = tenon.quantize(bundle, path=tmp_path / "q.tenon", agreement=0.95)
    read = Reader(small.path)
    assert json.loads(read.files["signature.json"])["outputs"][0]["tolerance"] == asked
    (figures,) = small.report
    assert 1e-5 < figures.distance < 0.05
    assert figures.rows > 150
    least = tenon.quantize(bundle, path=tmp_path / "least.tenon", agreement=0.5)
    assert least.report[0].asked == ({"rel": 0.0, "abs": 0.1} if "abs" in asked else {"cosine": 0.5})
    with pytest.raises(tenon.ExportError, match="of the largest answer"):
        tenon.quantize(bundle, path=tmp_path / "r.tenon", agreement=1 - 1e-7)


def test_more_rows_are_counted(digits: tenon.Bundle, tmp_path: Path) -> None:
    fitted = make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=200)).fit(X[:600], Y[:600])
    more = X[1000:1200]
    answers = {"label": fitted.predict(more), "probabilities": fitted.predict_proba(more)}
    small = tenon.quantize(digits, path=tmp_path / "q.tenon", holdout=(more, answers))
    assert small.report[0].rows == tenon.quantize(digits, path=tmp_path / "r.tenon").report[0].rows + len(
        more
    )
    wrong = {**answers, "label": (answers["label"] + 1) % 10}
    with pytest.raises(tenon.ExportError, match=r"label: .* are asked for"):
        tenon.quantize(digits, path=tmp_path / "s.tenon", holdout=(more, wrong))
    table = pd.DataFrame({"label": answers["label"]})
    with pytest.raises(tenon.ExportError, match="no "):
        tenon.quantize(digits, path=tmp_path / "s.tenon", holdout=(more, table))


def test_a_bundle_without_a_truth(digits: tenon.Bundle, tmp_path: Path) -> None:
    with pytest.raises(tenon.TenonError, match="does not exist"):
        tenon.quantize(tmp_path / "none.tenon")


def test_a_float64_network_with_ranges_is_valid_json_and_answers_nan_beyond_float32(tmp_path: Path) -> None:
    """Its golden rows at ±1e300 overflow in float32: neither an infinite figure nor a refusal of all its rows."""
    random = np.random.default_rng(0)
    X = pd.DataFrame(random.normal(size=(200, 8)), columns=list("abcdefgh"))
    model = MLPClassifier((64,), max_iter=30, random_state=0).fit(X, (X["a"] > 0).astype(int))
    bundle = tenon.export(model, X[:120], name="net", holdout=X[120:], path=tmp_path / "net.tenon")
    small = tenon.quantize(bundle, agreement=0.9, path=tmp_path / "small.tenon")
    assert all(np.isfinite(a.distance) for a in small.report if a.distance is not None)
    assert "rows agree" in str(small)
    with tarfile.open(small.path) as tar:
        head = tar.extractfile("manifest.json").read().decode()  # type: ignore[union-attr]
        signature = json.loads(tar.extractfile("signature.json").read())  # type: ignore[union-attr]
    assert "Infinity" not in head
    assert "NaN" not in head
    assert signature["inputs"][0]["maximum"] == 1e300
    assert not any(o.get("finite") for o in signature["outputs"])

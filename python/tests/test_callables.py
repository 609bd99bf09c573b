"""tenon.bundle with a function as the truth: asked for rows of X, and for rows that the kit makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tenon
from reader import Reader

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(120, 3)), columns=["a", "b", "größe"])
TARGET = (FRAME["a"] + FRAME["b"] > 0).to_numpy()


@pytest.fixture
def graph(tmp_path: Path) -> Any:
    """Writes a graph of some nodes, with inputs and outputs as (name, type, width); returns its path."""

    def write(nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> Path:
        described = [
            [helper.make_tensor_value_info(n, t, ["N", w]) for n, t, w in s] for s in (inputs, outputs)
        ]
        made = helper.make_graph(nodes, "g", *described)
        opsets = [helper.make_opsetid("", 20)]
        onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=10), tmp_path / "g.onnx")
        return tmp_path / "g.onnx"

    return write


@pytest.fixture
def doubled(graph: Any) -> Path:
    """y = x + x in float32, three columns."""
    node = helper.make_node("Add", ["X", "X"], ["Y"])
    return graph([node], [("X", TensorProto.FLOAT, 3)], [("Y", TensorProto.FLOAT, 3)])


def whys(read: Reader) -> set[str]:
    return {r["why"] for r in read.requests}


def test_made_rows_get_their_truth_from_the_function(doubled: Path, tmp_path: Path) -> None:
    seen: list[pd.DataFrame] = []

    def truth(rows: pd.DataFrame) -> np.ndarray:
        seen.append(rows)
        return rows.to_numpy() * 2

    read = Reader(tenon.bundle(doubled, FRAME, expected=truth, path=tmp_path / "m.tenon").path)
    assert {"hold-out", "zero", "extreme"} <= whys(read)
    assert "missing" not in whys(read), "NaN for a missing value is no answer"
    assert [i["missing"] for i in read.signature["inputs"]] == ["refused"] * 3
    assert [(i["name"], i["type"], i["column"]) for i in read.signature["inputs"]] == [
        ("a", "float64", 0), ("b", "float64", 1), ("größe", "float64", 2)
    ]  # fmt: skip
    assert all(part.dtypes.equals(FRAME.dtypes) for part in seen)
    assert read.replay()["Y"] < 1e-5


def test_a_function_that_changes_its_rows_changes_nothing(doubled: Path, tmp_path: Path) -> None:
    def truth(rows: np.ndarray) -> np.ndarray:
        rows *= 2
        return rows

    X = FRAME.to_numpy()
    before = X.copy()
    tenon.bundle(doubled, X, expected=truth, path=tmp_path / "m.tenon")
    assert (before == X).all()


def test_missing_is_allowed_where_both_sides_say_the_same(graph: Any, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("IsNaN", ["a"], ["gone"]),
        helper.make_node("Sub", ["a", "a"], ["none"]),
        helper.make_node("Constant", [], ["zero"], value_floats=[0.0]),
        helper.make_node("Where", ["gone", "zero", "a"], ["filled"]),
        helper.make_node("Add", ["filled", "b"], ["Y"]),
    ]
    path = graph(
        nodes, [("a", TensorProto.FLOAT, 1), ("b", TensorProto.FLOAT, 1)], [("Y", TensorProto.FLOAT, 1)]
    )

    def truth(rows: pd.DataFrame) -> Any:
        return rows["a"].fillna(0) + rows["b"].fillna(7)

    read = Reader(tenon.bundle(path, FRAME[["a", "b"]], expected=truth, path=tmp_path / "m.tenon").path)
    assert [i["missing"] for i in read.signature["inputs"]] == ["allowed", "refused"]
    gaps = FRAME[["a", "b"]].copy()
    gaps.loc[17] = np.nan
    with pytest.raises(tenon.ExportError, match="row 17"):
        tenon.bundle(path, gaps, expected=truth, path=tmp_path / "n.tenon")


@pytest.fixture
def text(tmp_path: Path) -> tuple[Path, Any, pd.DataFrame]:
    """A converted pipeline with two graph inputs, one of text, that ignores unseen categories; itself; its frame."""
    X = pd.DataFrame({"size (m)": RNG.normal(size=90), "kind": RNG.choice(["x", "y", "z"], 90)})
    columns = make_column_transformer(
        (StandardScaler(), ["size (m)"]), (OneHotEncoder(handle_unknown="ignore"), ["kind"])
    )
    pipeline = make_pipeline(columns, LogisticRegression()).fit(X, X["kind"] == "x")
    types = [("size (m)", FloatTensorType([None, 1])), ("kind", StringTensorType([None, 1]))]
    model = to_onnx(pipeline, initial_types=types, target_opset=20, options={"zipmap": False})
    (tmp_path / "t.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "t.onnx", pipeline, X


def test_a_frame_fills_several_inputs_that_a_converter_renamed(text: Any, tmp_path: Path) -> None:
    path, pipeline, X = text

    def truth(rows: pd.DataFrame) -> dict[str, np.ndarray]:
        return {"label": pipeline.predict(rows).astype(int), "probabilities": pipeline.predict_proba(rows)}

    read = Reader(tenon.bundle(path, X, expected=truth, path=tmp_path / "m.tenon").path)
    number, kind = read.signature["inputs"]
    assert (number["name"], number["type"], number["missing"]) == ("size (m)", "float64", "refused")
    assert number["feed"] != "size (m)"
    assert (kind["name"], kind["type"], kind.get("unknown")) == ("kind", "string", None)
    assert {"unseen", "unicode"} <= whys(read)
    assert read.replay()["probabilities"] < 1e-5


def test_unseen_text_is_refused_where_the_function_does(text: Any, tmp_path: Path) -> None:
    path, pipeline, X = text

    def strict(rows: pd.DataFrame) -> Any:
        assert rows["kind"].isin(["x", "y", "z"]).all()
        return pipeline.predict(rows).astype(int)

    read = Reader(tenon.bundle(path, X, expected=strict, path=tmp_path / "m.tenon").path)
    assert (read.input("kind")["unknown"], read.input("kind")["domain"]) == ("refuse", ["x", "y", "z"])
    assert not {"unseen", "unicode"} & whys(read)


def test_rows_sit_on_the_thresholds_of_the_graphs_trees(tmp_path: Path) -> None:
    X = FRAME.astype(np.float32)
    forest = RandomForestClassifier(5, max_depth=4, random_state=0).fit(X.to_numpy(), TARGET.astype(int))
    options = {id(forest): {"zipmap": False}}
    model = to_onnx(forest, X.to_numpy()[:1], target_opset=20, options=options)
    path = tmp_path / "forest.onnx"
    path.write_bytes(model.SerializeToString())

    def truth(rows: Any) -> dict[str, np.ndarray]:
        values = np.asarray(rows)
        return {"label": forest.predict(values), "probabilities": forest.predict_proba(values)}

    read = Reader(tenon.bundle(path, X, expected=truth, path=tmp_path / "m.tenon").path)
    boundary = [r for r in read.requests if r["why"] == "boundary"]
    splits = {s for t in forest.estimators_ for s in t.tree_.threshold[t.tree_.feature == 0]}
    sent = {row["a"] for r in boundary for row in r["body"].get("instances", [])}
    assert sent & {float(np.float32(s)) for s in splits}


def test_thresholds_that_differ_refuse_the_graph(tmp_path: Path) -> None:
    forest = RandomForestRegressor(5, max_depth=4, random_state=0).fit(FRAME.to_numpy(), FRAME["a"])
    path = tmp_path / "forest.onnx"
    path.write_bytes(
        to_onnx(forest, FRAME.to_numpy().astype(np.float32)[:1], target_opset=20).SerializeToString()
    )
    double = [t.tree_.threshold.copy() for t in forest.estimators_]

    def truth(rows: np.ndarray) -> np.ndarray:
        """Compares in float64, as other libraries do; scikit-learn rounds to float32 first."""
        answers = np.zeros(len(rows))
        for tree, threshold in zip(forest.estimators_, double, strict=True):
            shape = tree.tree_
            for i, row in enumerate(rows):
                node = 0
                while shape.children_left[node] >= 0:
                    side = (
                        shape.children_left
                        if row[shape.feature[node]] <= threshold[node]
                        else shape.children_right
                    )
                    node = side[node]
                answers[i] += shape.value[node, 0, 0] / len(double)
        return answers

    with pytest.raises(tenon.ExportError, match="threshold") as caught:
        tenon.bundle(path, FRAME.to_numpy()[:40], expected=truth, path=tmp_path / "m.tenon")
    assert set(caught.value.rows["why"]) == {"boundary"}


def test_dicts_and_more_dimensions(graph: Any, tmp_path: Path) -> None:
    node = helper.make_node("Add", ["a", "b"], ["Y"])
    inputs = [("a", TensorProto.FLOAT, 1), ("b", TensorProto.FLOAT, 1)]
    path = graph([node], inputs, [("Y", TensorProto.FLOAT, 1)])
    X = {"a": np.arange(9.0), "b": np.arange(9)[:, None]}
    sum_of = lambda rows: rows["a"] + rows["b"][:, 0]  # noqa: E731
    read = Reader(tenon.bundle(path, X, expected=sum_of, path=tmp_path / "m.tenon").path)
    assert [i["type"] for i in read.signature["inputs"]] == ["float64", "int64"]
    assert {"zero", "extreme"} <= whys(read)

    images = RNG.normal(size=(6, 4, 4))
    node = helper.make_node("ReduceMean", ["X"], ["Y"], keepdims=0, axes=[1, 2])
    info = [
        helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", 4, 4]),
        helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["N"]),
    ]
    made = helper.make_model(
        helper.make_graph([node], "g", info[:1], info[1:]),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=10,
    )
    onnx.save(made, tmp_path / "i.onnx")
    mean = lambda rows: rows.mean(axis=(1, 2))  # noqa: E731
    read = Reader(tenon.bundle(tmp_path / "i.onnx", images, expected=mean, path=tmp_path / "i.tenon").path)
    assert (read.input("x")["shape"], whys(read)) == ([4, 4], {"hold-out"})


def test_what_a_function_must_not_do(doubled: Path, tmp_path: Path) -> None:
    def refused(truth: Any, match: str, X: Any = FRAME) -> None:
        with pytest.raises(tenon.ExportError, match=match):
            tenon.bundle(doubled, X, expected=truth, path=tmp_path / "m.tenon")
        assert not (tmp_path / "m.tenon").exists()

    noise = np.random.default_rng(1)
    refused(lambda rows: rows.to_numpy() * 2 + noise.normal(size=rows.shape) / 1e6, "asked again .* random")
    refused(lambda rows: (rows - rows.mean()).to_numpy(), "look at each row by itself")
    refused(lambda rows: rows.to_numpy()[:1], "1 rows for 'Y' to 120 rows")
    refused(lambda rows: rows["c"], "does not answer for X: KeyError")
    refused(lambda rows: {"Z": rows.to_numpy()}, "outputs are Y")
    refused(lambda rows: rows.to_numpy() * 2.01, "differs from the pipeline on")
    refused(lambda rows: 2, "text|float32", FRAME.assign(a="x"))

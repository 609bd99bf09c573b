"""What the golden rows reach is counted as it is, and rows are sought for what they do not reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

import tenon
from reader import Reader
from tenon import coverage
from tenon.forest import Forest
from tenon.inputs import describe, feeds
from tenon.lowering import lower
from tenon.truth import describe_outputs


def frame(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kinds = rng.choice(["a", "b", "c"], rows).astype(object)
    kinds[7] = "once"
    numbers = np.where(rng.random(rows) < 0.02, np.nan, rng.normal(size=rows))
    return pd.DataFrame({"kind": kinds, "n": numbers, "flag": rng.random(rows) < 0.5})


def forest(X: pd.DataFrame) -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer((encoder, ["kind"]), remainder="passthrough")
    noise = np.random.default_rng(1).normal(size=len(X))
    y = (X["n"].fillna(0) + (X["kind"] == "a") + noise > 0.5).astype(int)
    return make_pipeline(columns, RandomForestClassifier(10, max_depth=6, random_state=0)).fit(X, y)


def said(bundle: tenon.Bundle) -> dict[str, Any]:
    return dict(json.loads(Reader(bundle.path).files["golden/coverage.json"]))


def test_rows_are_sought_for_what_the_holdout_does_not_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = frame(1500)
    model, held = forest(X), X.iloc[100:130]
    full = tenon.export(model, X, name="m", holdout=held, path=tmp_path / "full.tenon")
    read = Reader(full.path)
    with_rows = said(full)
    assert with_rows["inputs"] == {
        "kind": {"missing": True, "unseen": True, "categories": [4, 4]},
        "n": {"missing": True, "bins": [20, 20]},
        "flag": {"categories": [2, 2]},
    }
    trees = with_rows["trees"]
    assert trees["trees"] >= 10, "ten, and copies where the leaves of two classes cannot share one"
    assert trees["reached"] / trees["leaves"] > 0.95
    assert trees["both_sides"] / trees["splits"] > 0.95
    assert "coverage" in {r["why"] for r in read.requests}
    read.replay()
    monkeypatch.setattr(coverage, "ROWS", 0)
    without = said(tenon.export(model, X, name="m", holdout=held, path=tmp_path / "few.tenon"))
    assert without["inputs"]["kind"]["categories"] == [3, 4]
    assert without["inputs"]["n"]["bins"][0] <= 20
    assert without["trees"]["reached"] < trees["reached"] - 5
    assert without["rows"] < with_rows["rows"]


def test_gaps_and_a_model_without_trees(tmp_path: Path) -> None:
    X = pd.DataFrame({"a": np.arange(50.0), "t": ["x", "y"] * 25})
    columns = make_column_transformer((OneHotEncoder(), ["t"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(X, X["a"] > 25)
    got = said(tenon.export(model, X, name="m", path=tmp_path / "m.tenon"))
    assert got["inputs"] == {"a": {"bins": [20, 20]}, "t": {"categories": [2, 2]}}
    assert "trees" not in got


def test_an_array_and_a_bare_graph(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    tree = DecisionTreeRegressor(max_depth=3, random_state=0).fit(X, X[:, 0])
    exported = tenon.export(tree, X, name="m", path=tmp_path / "m.tenon")
    got = said(exported)
    assert got["inputs"] == {"x": {"missing": True, "bins": [60, 60]}}
    assert got["trees"] == {
        "trees": 1, "leaves": tree.get_n_leaves(), "reached": 8, "splits": 7, "both_sides": 7,
    }  # fmt: skip
    (tmp_path / "g.onnx").write_bytes(Reader(exported.path).files["model.onnx"])
    bare = tenon.bundle(tmp_path / "g.onnx", X, expected=tree.predict(X), path=tmp_path / "b.tenon")
    assert said(bare)["trees"]["reached"] == 8


@pytest.mark.parametrize("gaps", [False, True])
def test_leaves_are_those_of_scikit_learn(gaps: bool) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 3))
    if gaps:
        X[rng.random(X.shape) < 0.2] = np.nan
    tree = DecisionTreeRegressor(max_leaf_nodes=40, random_state=0).fit(X, rng.normal(size=400))
    inputs = describe(X, X)
    mine = Forest(lower(tree, inputs, describe_outputs(tree, X)).model()).reached(feeds(inputs, X))
    theirs = tree.apply(X)
    pairs = set(zip(mine[:, 0].tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == len(set(theirs.tolist())) == 40, "one leaf for one leaf"


def test_every_tree_of_boosting_is_walked() -> None:
    X = np.random.default_rng(0).normal(size=(300, 2))
    model = HistGradientBoostingRegressor(max_iter=7, min_samples_leaf=5).fit(X, X[:, 0] * X[:, 1])
    inputs, outputs = describe(X, X), describe_outputs(model, X)
    grown = Forest(lower(model, inputs, outputs).model())
    reached = grown.reached(feeds(inputs, X))
    assert reached.shape == (300, grown.trees)
    assert grown.leaves == len(np.unique(reached)), "training rows reach every leaf"
    assert grown.both_sides(np.ones(grown.leaves, dtype=bool)) == grown.splits


def test_sets_and_the_other_tests_of_nodes() -> None:
    """x in {2, 5}, else x > 7: leaves 0, 1, 2."""
    node = helper.make_node(
        "TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", aggregate_function=1, post_transform=0, n_targets=1,
        tree_roots=[0], nodes_featureids=[0, 0], nodes_truenodeids=[0, 1], nodes_trueleafs=[1, 1],
        nodes_falsenodeids=[1, 2], nodes_falseleafs=[0, 1], leaf_targetids=[0, 0, 0],
        nodes_splits=numpy_helper.from_array(np.array([0.0, 7.0])),
        nodes_modes=numpy_helper.from_array(np.array([6, 3], dtype=np.uint8)),
        membership_values=numpy_helper.from_array(np.array([2.0, 5.0, np.nan])),
        leaf_weights=numpy_helper.from_array(np.array([10.0, 20.0, 30.0])),
    )  # fmt: skip
    shape = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, ["N", 1]) for n in ("x", "y")]
    graph = helper.make_graph([node], "g", shape[:1], shape[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 5)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    values = np.array([[2.0], [5.0], [3.0], [8.0], [7.0]])
    assert Forest(model.SerializeToString()).reached({"x": values})[:, 0].tolist() == [0, 0, 2, 1, 2]

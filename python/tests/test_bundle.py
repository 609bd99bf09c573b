"""The bundle on disk: its tar, manifest, signature, golden set and profile as docs/bundle-format.md says."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import tenon
from reader import Reader
from tenon import golden, profile
from tenon.compare import Sample
from tenon.inputs import Input
from tenon.signature import Output

IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
FITTED = make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS, SPECIES)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    path = tmp_path_factory.mktemp("bundle") / "iris.tenon"
    return Reader(tenon.export(FITTED, IRIS, name="iris", holdout=IRIS.iloc[::2], path=path).path)


def test_the_tar_begins_with_the_manifest_and_names_nobody(reader: Reader) -> None:
    assert reader.members[0] == "manifest.json"
    assert set(reader.members[1:]) == set(reader.manifest["files"])
    for header in reader.headers:
        assert (header.uid, header.gid, header.uname, header.gname) == (0, 0, "", "")
        assert (header.mtime, header.mode, header.type) == (0, 0o644, tarfile.REGTYPE)


def test_the_manifest_lists_every_file(reader: Reader) -> None:
    assert reader.manifest["bundle"] == 1
    assert reader.manifest["name"] == "iris"
    assert reader.manifest["task"] == "classification"
    for name, said in reader.manifest["files"].items():
        content = reader.files[name]
        assert said == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert set(reader.manifest["files"]) == {
        "model.onnx", "signature.json", "profile.json", "environment.json", "README.md",
        "golden/requests.jsonl.gz", "golden/answers.jsonl.gz", "golden/coverage.json",
    }  # fmt: skip


def test_the_path_defaults_to_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = tenon.export(FITTED, IRIS, name="iris")
    assert str(bundle.path) == "iris.tenon"
    assert [p.name for p in tmp_path.iterdir()] == ["iris.tenon"]


def test_two_exports_are_two_versions(tmp_path: Path) -> None:
    first = tenon.export(FITTED, IRIS, name="iris", path=tmp_path / "a.tenon")
    second = tenon.export(FITTED, IRIS, name="iris", path=tmp_path / "b.tenon")
    assert first.digest != second.digest


def test_golden_bodies_have_every_size_form_and_order(reader: Reader) -> None:
    sizes, forms, orders = Counter[int](), Counter[str](), set()
    for request in reader.requests:
        body = request["body"]
        assert len(body) == 1
        forms[next(iter(body))] += 1
        rows = body.get("instances") or [dict.fromkeys(body["inputs"])] * len(
            next(iter(body["inputs"].values()))
        )
        sizes[len(rows)] += 1
        orders.add(tuple(rows[0]))
    assert {1, 2, 7, 75} <= set(sizes), "75 is the whole hold-out set"
    assert len(forms) == 2
    assert orders == {tuple(IRIS.columns), tuple(reversed(IRIS.columns))}


def test_golden_answers_join_by_id_and_have_the_form_of_the_body(reader: Reader) -> None:
    assert [r["id"] for r in reader.requests] == list(reader.answers)
    for request in reader.requests:
        assert ("predictions" in reader.answers[request["id"]]) is ("instances" in request["body"])
    first = next(a for a in reader.answers.values() if "predictions" in a)
    assert list(first["predictions"][0]) == ["label", "probabilities"]
    assert list(first["predictions"][0]["probabilities"]) == ["0", "1", "2"]


def test_golden_rows_say_whether_they_were_held_out(reader: Reader, tmp_path: Path) -> None:
    assert {"hold-out", "zero", "large", "extreme"} <= {r["why"] for r in reader.requests}
    assert b"75 hold-out rows" in reader.files["README.md"]
    own = Reader(tenon.export(FITTED, IRIS, name="iris", path=tmp_path / "own.tenon").path)
    assert "training" in {r["why"] for r in own.requests}
    assert b"150 training rows" in own.files["README.md"]


def test_boundary_rows_lie_on_both_sides_of_a_threshold(tmp_path: Path) -> None:
    tree = DecisionTreeClassifier(max_depth=1, random_state=0).fit(IRIS, SPECIES)
    read = Reader(tenon.export(tree, IRIS, name="tree", path=tmp_path / "t.tenon").path)
    bodies = [r for r in read.requests if r["why"] == "boundary"]
    said = []
    for request in bodies:
        answer = read.answers[request["id"]]
        said += (
            [p["label"] for p in answer["predictions"]]
            if "predictions" in answer
            else answer["outputs"]["label"]
        )
    name = IRIS.columns[tree.tree_.feature[0]]
    values = [
        v
        for r in bodies
        for v in (r["body"].get("inputs") or {name: [i[name] for i in r["body"]["instances"]]})[name]
    ]
    assert len(set(said)) == 2
    assert float(tree.tree_.threshold[0]) in values
    assert np.nextafter(tree.tree_.threshold[0], np.inf) in values


def test_large_holdout_is_sampled_by_label() -> None:
    labels = np.array(["rare"] * 8 + ["common"] * 4992, dtype=object)
    sample = Sample("hold-out", pd.DataFrame({"a": np.arange(5000.0)}), list(range(5000)), {"label": labels})
    rows = golden.stratified(sample, [Output("label", "label", "string", "label")], 1000)
    assert len(rows) == len(set(rows.tolist())) == 1000
    assert (labels[rows] == "rare").sum() >= 5


def test_wide_rows_travel_in_fewer_and_smaller_bodies() -> None:
    wide = (Input("x", "float32", "in_0", "float32", "nan", (30_000,)),)
    outputs = (Output("prediction", "value", "float64", "prediction"),)
    truth = {"prediction": np.arange(90.0)}
    (chosen,) = golden.select([Sample("training", np.zeros((90, 30_000)), range(90), truth)], wide, outputs)
    assert len(chosen) == 66, "2,000,000 values"
    sizes = [stop - start for _, start, stop in golden.cuts([chosen], wide)]
    assert max(sizes) == golden.VALUES // 30_000
    assert sum(sizes) == 66 + max(sizes)


def test_a_thousand_rows_of_a_large_holdout_travel(tmp_path: Path) -> None:
    X, y = make_classification(3000, 4, random_state=0)
    model = LogisticRegression().fit(X, y)
    read = Reader(tenon.export(model, X, name="m", path=tmp_path / "m.tenon").path)
    rows = sum(
        len(r["body"].get("instances") or r["body"]["inputs"]["x"])
        for r in read.requests
        if r["why"] == "training"
    )
    assert rows == golden.HOLDOUT_ROWS + golden.ALL_AT_ONCE
    read.replay()


def test_golden_files_are_gzip_without_a_time(reader: Reader) -> None:
    for name in ("golden/requests.jsonl.gz", "golden/answers.jsonl.gz"):
        assert reader.files[name][4:8] == b"\0\0\0\0"
        assert gzip.decompress(reader.files[name]).endswith(b"\n")


def test_the_profile_counts_every_row(reader: Reader) -> None:
    assert reader.profile["rows"] == 150
    for name in IRIS.columns:
        said = reader.profile["inputs"][name]
        assert sum(said["counts"]) + said["missing"] + said["non_finite"] == 150
        assert len(said["counts"]) == len(said["edges"]) + 1
        assert said["mean"] == pytest.approx(IRIS[name].mean())
        assert said["std"] == pytest.approx(IRIS[name].std(ddof=0))
    assert sum(c["count"] for c in reader.profile["outputs"]["label"]["categories"]) == 150
    assert set(reader.profile["outputs"]["probabilities"]["classes"]) == {"0", "1", "2"}


def test_profile_bins_are_closed_above() -> None:
    values = np.array([*range(1, 41), np.nan, np.inf, -np.inf], dtype=float)
    said = profile.numeric(values)
    assert said["edges"] == [float(v) for v in range(2, 40, 2)]
    assert said["counts"] == [2] * 20
    assert (said["missing"], said["non_finite"], said["min"], said["max"]) == (1, 2, 1.0, 40.0)
    huge = profile.numeric(np.array([1.5e308, 1.5e308, -1.0]))
    assert (huge["max"], huge["mean"], huge["std"]) == (1.5e308, 1e308, None)
    few = profile.numeric(np.array([0.0] * 99 + [1.0]))
    assert (few["edges"], few["counts"]) == ([0.0], [99, 1])


def test_profile_of_text_keeps_the_hundred_most_frequent() -> None:
    values = np.array([f"c{i:03d}" for i in range(150) for _ in range(150 - i)] + [None] * 3, dtype=object)
    said = profile.categorical(values)
    assert [c["value"] for c in said["categories"]] == [f"c{i:03d}" for i in range(100)]
    assert said["categories"][0]["count"] == 150
    assert (said["other"], said["distinct"], said["missing"]) == (sum(range(1, 51)), 150, 3)


def test_the_environment_names_versions_and_no_person(reader: Reader) -> None:
    said = json.loads(reader.files["environment.json"])
    assert {"onnxruntime", "scikit-learn", "numpy"} <= set(said["packages"])
    assert said["opsets"] == {"ai.onnx": 20, "ai.onnx.ml": 5}
    assert set(said) == {"python", "implementation", "platform", "packages", "opsets", "ir", "unicode"}


def test_the_graph_is_of_the_agreed_versions(reader: Reader) -> None:
    import onnx

    model = onnx.load_from_string(reader.files["model.onnx"])
    assert {o.domain: o.version for o in model.opset_import} == {"": 20, "ai.onnx.ml": 5}
    assert model.ir_version == 10
    assert [i.name for i in model.graph.input] == [f"in_{i}" for i in range(4)]


def test_the_signature_says_what_a_request_may_hold(tmp_path: Path, mixed: Any) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    X, y = mixed
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["text"]),
        (OneHotEncoder(handle_unknown="ignore"), ["größe (m²)"]),
        (SimpleImputer(), ["float"]),
        (StandardScaler(), ["int", "single"]),
    )
    model = make_pipeline(columns, LogisticRegression()).fit(X, y)
    read = Reader(tenon.export(model, X, name="m", path=tmp_path / "m.tenon").path)
    assert read.input("text") == {
        "name": "text", "type": "string", "missing": "allowed", "sentinel": "\ue000",
        "domain": ["x", "y", "z"], "unknown": "refuse", "feed": "in_6",
    }  # fmt: skip
    assert read.input("größe (m²)")["unknown"] == "accept"
    ends = {"minimum": -1e300, "maximum": 1e300}  # before scikit-learn's "Input X contains infinity"
    assert read.input("float") == {
        "name": "float",
        "type": "float64",
        "missing": "allowed",
        **ends,
        "feed": "in_0",
    }
    assert read.input("int") == {"name": "int", "type": "int64", "missing": "refused", "feed": "in_2"}
    assert read.input("single")["type"] == "float32"

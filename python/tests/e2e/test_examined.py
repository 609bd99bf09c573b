"""The examination: what is proven, and what a wrong export with consistent digests is told."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from examples import SHIPPED, Case, example, exported
from mistakes import before, in_float32, instead, labels_rolled
from serving import Served
from serving import tenon as command
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from wrong import lowered, with_files

import tenon

Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {name: example(name) for name in SHIPPED}


@pytest.mark.parametrize("name", SHIPPED)
def test_each_example_is_proven(name: str, cases: dict[str, Case], server: Served, tmp_path: Path) -> None:
    case, model = cases[name], f"{name}-proven"
    version = tenon.push(exported(case, model, tmp_path / "m.tenon"), server=server.url, deploy=True)
    assert version.parity == "proven"
    body = server.get(f"/v1/models/{model}/versions/1/example")
    answer = server.http.post(f"/v1/models/{model}/predict", json=body)
    assert answer.headers["Tenon-Parity"] == "proven"
    assert server.get(f"/v1/models/{model}")["parity"] == "proven"

    report = version.report
    assert report == server.get(f"/v1/models/{model}/versions/1/report")
    assert report["passed"] is True
    assert (report["model"], report["digest"]) == (model, version.digest)
    # Golden bodies hold some rows more than once: alone, and in batches.
    assert report["why"]["hold-out"] >= len(case.hold)
    assert report["rows"] == sum(report["why"].values())
    assert report["failed_rows"] == 0
    assert report["worst"] == []
    assert "Expected against got" in report._repr_html_()
    shown = command("report", f"{model}/1", "--out", "-", server=server)
    assert shown.returncode == 0, shown.stderr
    assert "✓ same answers" in shown.stdout
    for output in report["outputs"]:
        assert output["values"] >= report["rows"]
        assert output["failed"] == 0
        assert 0 <= output["worst"] <= output["allowed"]
        assert output["tolerance"].get("exact") or output["tolerance"]["rel"] + output["tolerance"]["abs"] > 0


PLANTS: dict[str, tuple[str, Plant]] = {
    "labels-permuted": ("penguins", labels_rolled),
    "digits-permuted": ("digits", labels_rolled),
    "scaler-in-float32": ("diabetes", before(StandardScaler, in_float32)),
    "imputer-dropped": ("penguins", instead(SimpleImputer)),
}
"""On the models that ship; the others are in test_skews.py, on smaller ones."""


def planted(
    name: str, cases: dict[str, Case], folder: Path, monkeypatch: pytest.MonkeyPatch, model: str | None = None
) -> tuple[tenon.Bundle, tenon.Bundle]:
    """The right bundle, and the same with the graph of a wrong export."""
    shipped, wrong = PLANTS[name]
    case = cases[shipped]
    right = exported(case, model or name, folder / "right.tenon")
    with monkeypatch.context() as patch:
        wrong(patch)
        graph = lowered(case.pipeline, case.train, case.hold)
    return right, with_files(right, folder / "wrong.tenon", model_onnx=graph)


@pytest.mark.parametrize("name", PLANTS)
def test_a_wrong_export_is_refused_and_the_right_one_accepted(
    name: str, cases: dict[str, Case], server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = planted(name, cases, tmp_path, monkeypatch)
    with pytest.raises(tenon.ParityError) as caught:
        tenon.push(wrong, server=server.url)
    error, report = caught.value, caught.value.report
    assert error.status == 422
    assert report["passed"] is False
    assert report["digest"] == wrong.digest
    assert 0 < report["failed_rows"] <= report["rows"]
    names_rows(error, wrong)
    finds(name, error)

    points_at_columns(name, error)

    done = command("push", wrong.path, server=server)
    assert done.returncode == 3, done.stderr
    assert report["summary"] in done.stderr
    assert error.rows["request"][0] in done.stderr
    assert server.http.get(f"/v1/models/{name}").status_code == 404, "nothing is registered"
    assert name not in [m["name"] for m in server.get("/v1/models")["models"]]

    version = tenon.push(right, server=server.url)
    assert (version.number, version.parity) == (1, "proven"), "no number is spent on what was refused"


def names_rows(error: tenon.ParityError, bundle: tenon.Bundle) -> None:
    """Every row of the report is one of the golden set, with its input, what was expected, and what came."""
    with tarfile.open(bundle.path) as tar:
        columns = {i["name"] for i in json.load(tar.extractfile("signature.json"))["inputs"]}  # type: ignore[arg-type]
    assert 0 < len(error.rows) <= 20
    for row in error.rows.to_dict("records"):
        assert row["expected"] != row["got"]
        assert row["distance"] > row["allowed"]
        assert row["why"]
        assert set(row["input"]) == columns
        assert row["request"] in str(error) or len(error.rows) > 8
    assert error.rows["request"][0] in str(error)
    assert error.rows["request"][0] in error._repr_html_()


def points_at_columns(name: str, error: tenon.ParityError) -> None:
    """The plots' numbers add up, and where a column is to blame it comes first."""
    report = error.report
    for column in report.get("columns", []):
        assert sum(b["rows"] for b in column["bins"]) == report["rows"], column["name"]
        assert sum(b["failed"] for b in column["bins"]) == report["failed_rows"], column["name"]
    plots = [o["plot"] for o in report["outputs"] if "plot" in o]
    assert plots
    assert "<circle" in error._repr_html_() or "<table" in error._repr_html_()
    if name == "imputer-dropped":
        first = report["columns"][0]["bins"][-1]
        assert first["value"] is None
        assert first["failed"] == first["rows"], "rows with a gap are all wrong"


def finds(name: str, error: tenon.ParityError) -> None:
    """The report points at what is wrong, for whoever knows the pipeline."""
    failed = {o["name"]: o["failed"] for o in error.report["outputs"]}
    rows = error.report["rows"]
    if name.endswith("permuted"):
        assert failed["label"] > 0.9 * rows
        assert failed["probabilities"] == 0
    if name == "imputer-dropped":
        assert all(None in row.values() for row in error.rows["input"]), "only rows with gaps differ"
    if name == "scaler-in-float32":
        assert "boundary" in set(error.rows["why"]), "rows at thresholds are what finds this one"


def test_let_in_on_purpose(
    cases: dict[str, Case], server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, wrong = planted("labels-permuted", cases, tmp_path, monkeypatch, model="let-in")
    version = tenon.push(wrong, server=server.url, deploy=True, allow_parity_failure=True)
    assert version.parity == "overridden"
    assert version.report["passed"] is False
    answer = server.http.post(
        "/v1/models/let-in/predict", json=server.get("/v1/models/let-in/versions/1/example")
    )
    assert answer.headers["Tenon-Parity"] == "overridden"
    assert server.get("/v1/models/let-in")["parity"] == "overridden"
    assert server.get("/v1/models/let-in/versions/1")["parity"] == "overridden"
    assert server.get("/v1/models/let-in/versions")["versions"][0]["parity"] == "overridden"
    assert tenon.push(wrong, server=server.url).parity == "overridden", (
        "the same version, which stays what it is"
    )


def test_the_right_bundle_is_not_overridden_because_it_might_be(
    cases: dict[str, Case], server: Served, tmp_path: Path
) -> None:
    bundle = exported(cases["penguins"], "might", tmp_path / "m.tenon")
    assert tenon.push(bundle, server=server.url, allow_parity_failure=True).parity == "proven"


def test_a_bare_graph_alone_and_beside_its_truth(server: Served, tmp_path: Path) -> None:
    from skl2onnx import to_onnx

    X, y = load_iris(return_X_y=True)
    X = X.astype(np.float32)
    model = LogisticRegression(max_iter=500).fit(X, y)
    path = tmp_path / "bare.onnx"
    path.write_bytes(to_onnx(model, X[:1], target_opset=20).SerializeToString())

    done = command("push", path, "--json", server=server)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parity"] == "not-proven"
    assert "report" not in json.loads(done.stdout)
    missing = server.http.get("/v1/models/bare/versions/1/report")
    assert (missing.status_code, missing.json()["code"]) == (404, "report-not-found")

    expected = {"output_label": model.predict(X), "output_probability": model.predict_proba(X)}
    bundle = tenon.bundle(path, X, expected=expected, path=tmp_path / "b.tenon")
    version = tenon.push(bundle, server=server.url, deploy=True)
    assert (version.number, version.parity) == (2, "proven")
    assert version.report["why"]["hold-out"] >= len(X)
    with tenon.Client(server.url) as client:
        assert client.predict("bare", X)["output_label"].tolist() == expected["output_label"].tolist()

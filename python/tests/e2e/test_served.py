"""The whole way: train, export, push, deploy, and the server's answers are the pipeline's on every hold-out row.

It starts the real server. TENON_BIN names the binary, else bin/tenon of this repository is taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boosters
import numpy as np
import pandas as pd
import pytest
from examples import Case, example
from forms import columns_of, flat
from serving import Served
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tenon
from reader import Reader


def boosting_with_gaps() -> Case:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X.mask(np.random.default_rng(0).random(X.shape) < 0.1)
    model = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(X[:400], y[:400])
    return Case(model, X[:400], X[400:])


def single_precision() -> Case:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X.astype("float32")
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[:400], y[:400])
    return Case(model, X[:400], X[400:])


def single_precision_forest() -> Case:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X.astype("float32")
    model = make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)).fit(X[:400], y[:400])
    return Case(model, X[:400], X[400:])


def bool_labels() -> Case:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[:400], y[:400].astype(bool))
    return Case(model, X[:400], X[400:])


def int_labels() -> Case:
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = RandomForestClassifier(20, max_depth=3, random_state=0).fit(X, y * 10 - 5)
    return Case(model, X, X)


def every_kind_of_column() -> Case:
    rng, n = np.random.default_rng(0), 400
    text = pd.Series(rng.choice(["x", "y", 'a"b\\', "日本", None], n), dtype=object)
    X = pd.DataFrame(
        {
            "float": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "masse (kg/m²)": rng.normal(size=n).astype("float32"),
            "id": rng.integers(2**60, 2**60 + 4, n),
            "tiny": rng.integers(-3, 3, n).astype("int8"),
            "flag": rng.random(n) < 0.5,
            "none": text,
            "kind.of": text.astype("category"),
            "nullable": pd.array(np.where(rng.random(n) < 0.2, None, rng.integers(0, 9, n)), dtype="Int64"),
            "maybe": pd.array(rng.choice([True, False, None], n), dtype="boolean"),
        }
    )
    y = np.where(X["tiny"] + rng.normal(size=n) > 0, "ja", "nein")
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["id", "flag", "none", "kind.of"]),
        (
            make_pipeline(SimpleImputer(), StandardScaler()),
            ["float", "masse (kg/m²)", "tiny", "nullable", "maybe"],
        ),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(X[:250], y[:250])
    return Case(model, X[:250], X[250:])


CASES: dict[str, Callable[[], Case]] = {
    "penguins": lambda: example("penguins"),
    "digits": lambda: example("digits"),
    "diabetes": lambda: example("diabetes"),
    "boosting-with-gaps": boosting_with_gaps,
    "single-precision": single_precision,
    "single-precision-forest": single_precision_forest,
    "bool-labels": bool_labels,
    "int-labels": int_labels,
    "every.kind_of-column": every_kind_of_column,
    **boosters.CASES,
}


@pytest.fixture(scope="module", params=list(CASES))
def live(
    request: pytest.FixtureRequest, server: Served, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, ...]:
    """A case that is exported, pushed and deployed: name, case, its bundle read back."""
    name, case = request.param, CASES[request.param]()
    path = tmp_path_factory.mktemp("bundles") / f"{name}.tenon"
    bundle = tenon.export(case.pipeline, case.train, name=name, holdout=case.hold, path=path)
    version = tenon.push(bundle, server=server.url, deploy=True)
    assert (version.model, version.number, version.digest) == (name, 1, bundle.digest)
    assert tenon.push(bundle, server=server.url) == version, "the same bundle again is the same version"
    return name, case, Reader(path)


def test_all_at_once_through_the_client(live: Any, server: Served) -> None:
    name, case, read = live
    with tenon.Client(server.url) as client:
        answer = client.predict(name, case.hold)
        assert client.predict(f"{name}/1", case.hold).equals(answer)
    compare(read, case, answer)
    if isinstance(case.hold, pd.DataFrame):
        assert answer.index.equals(case.hold.index)
    if hasattr(case.pipeline, "classes_"):
        kind = np.asarray(case.pipeline.classes_).dtype.kind
        assert answer["label"].dtype.kind == {"b": "b", "i": "i"}.get(kind, "O")


def test_one_row_at_a_time_in_both_forms(live: Any, server: Served) -> None:
    name, case, read = live
    columns = columns_of(case.hold)
    rows_form, columns_form = [], []
    for i in range(len(case.hold)):
        one = {k: [v[i]] for k, v in columns.items()}
        columns_form.append(server.predict(name, {"inputs": one})["outputs"])
        (said,) = server.predict(name, {"instances": [{k: v[i] for k, v in columns.items()}]})["predictions"]
        rows_form.append(said)
    compare(read, case, pd.DataFrame([flat(r) for r in rows_form]))
    compare(read, case, pd.DataFrame([flat(first(c)) for c in columns_form]))


def test_all_rows_in_the_rows_form(live: Any, server: Served) -> None:
    name, case, read = live
    columns = columns_of(case.hold)
    rows = [{k: v[i] for k, v in columns.items()} for i in range(len(case.hold))]
    answer = server.predict(name, {"instances": rows})
    assert (answer["model"], answer["version"]) == (name, 1)
    compare(read, case, pd.DataFrame([flat(r) for r in answer["predictions"]]))


def test_every_golden_body(live: Any, server: Served) -> None:
    """Boundary rows and edge classes too: the server's answers against those in the bundle."""
    name, _, read = live
    for request in read.requests:
        got, said = server.predict(name, request["body"]), read.answers[request["id"]]
        form = "predictions" if "predictions" in said else "outputs"
        mine = [flat(r) for r in got[form]] if form == "predictions" else flat(got[form])
        theirs = [flat(r) for r in said[form]] if form == "predictions" else flat(said[form])
        near(read, pd.DataFrame(mine), pd.DataFrame(theirs), f"{request['id']} ({request['why']})")


def test_a_bare_graph_beside_its_truth(server: Served, tmp_path: Path) -> None:
    from skl2onnx import to_onnx

    X, y = load_iris(return_X_y=True)
    X = X.astype(np.float32)
    model = LogisticRegression(max_iter=500).fit(X, y)
    path = tmp_path / "bare-iris.onnx"
    path.write_bytes(to_onnx(model, X[:1], target_opset=20, options={"zipmap": False}).SerializeToString())
    expected = {"label": model.predict(X), "probabilities": model.predict_proba(X)}
    bundle = tenon.bundle(path, X, expected=expected, path=tmp_path / "b.tenon")
    tenon.push(bundle, server=server.url, deploy=True)
    with tenon.Client(server.url) as client:
        answer = client.predict("bare-iris", X)
    assert answer["label"].tolist() == expected["label"].tolist()
    served = answer[[f"probabilities.{c}" for c in model.classes_]].to_numpy()
    assert np.abs(served - expected["probabilities"]).max() < 1e-5


def test_a_refusal_names_field_and_row(server: Served, live: Any) -> None:
    name, case, _ = live
    columns = columns_of(case.hold)
    wrong = dict(columns, **{next(iter(columns)): [{"no": "value"}] * len(case.hold)})
    answer = server.http.post(f"/v1/models/{name}/predict", content=json.dumps({"inputs": wrong}))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"].startswith("inputs")
    with tenon.Client(server.url) as client, pytest.raises(tenon.ServerError) as caught:
        client.predict(name, pd.DataFrame({"no such column": [1]}))
    assert caught.value.status == 400
    with tenon.Client(server.url) as client, pytest.raises(tenon.ServerError) as caught:
        client.predict("nobody", case.hold)
    assert caught.value.status == 404


def first(columns: dict[str, Any]) -> dict[str, Any]:
    return {k: first(v) if isinstance(v, dict) else v[0] for k, v in columns.items()}


def compare(read: Reader, case: Case, answer: pd.DataFrame) -> None:
    """The answers against the original pipeline on the hold-out frame itself."""
    truth: dict[str, Any] = {}
    for output in read.signature["outputs"]:
        if output["kind"] == "probabilities":
            proba = case.pipeline.predict_proba(case.hold)
            keys = [c if isinstance(c, str) else json.dumps(c) for c in output["classes"]]
            truth.update({f"{output['name']}.{k}": proba[:, j] for j, k in enumerate(keys)})
        else:
            # CatBoost answers several classes with a column.
            truth[output["name"]] = np.ravel(case.pipeline.predict(case.hold))
    near(read, answer.reset_index(drop=True), pd.DataFrame(truth), "hold-out")


def near(read: Reader, got: pd.DataFrame, truth: pd.DataFrame, what: str) -> None:
    """Labels equal in value and kind, numbers within the signature's tolerance."""
    assert list(got.columns) == list(truth.columns), what
    assert len(got) == len(truth), what
    for output in read.signature["outputs"]:
        names = [c for c in truth.columns if c == output["name"] or c.startswith(output["name"] + ".")]
        if "tolerance" not in output:
            assert got[names[0]].tolist() == truth[names[0]].tolist(), what
            continue
        mine, theirs = got[names].to_numpy(np.float64), truth[names].to_numpy(np.float64)
        scale = np.abs(theirs).max() or 1.0
        limit = output["tolerance"]["abs"] * scale + output["tolerance"]["rel"] * np.abs(theirs)
        assert (np.abs(mine - theirs) <= limit).all(), (what, output["name"], np.abs(mine - theirs).max())

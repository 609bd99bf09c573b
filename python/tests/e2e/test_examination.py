"""Nothing unproven goes live: wrong exports with consistent digests are refused by the server's own comparison."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from palmerpenguins import load_penguins
from serving import BINARY, Served
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_planted import _in_float32, classifier
from test_served import example

import tenon
from tenon import exporter
from tenon.lowering import RULES, encode
from tenon.lowering.graph import Graph

Patch = pytest.MonkeyPatch


def penguins() -> tuple[Any, Any]:
    frame = load_penguins()
    data = frame.drop(columns="species"), frame["species"]
    return classifier(data), data[0]


def forest() -> tuple[Any, Any]:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return make_pipeline(StandardScaler(), RandomForestRegressor(30, random_state=0)).fit(X, y), X


def columns_swapped(patch: Patch) -> None:
    right = RULES[StandardScaler]
    patch.setitem(RULES, StandardScaler, lambda f, columns, g: right(f, columns.select(g, [1, 0, 2]), g))


def float32_scaler(patch: Patch) -> None:
    patch.setitem(RULES, StandardScaler, _in_float32(RULES[StandardScaler]))


def categories_shifted(patch: Patch) -> None:
    right = encode.category_table
    patch.setattr(encode, "category_table", lambda f, j: np.roll(right(f, j)[:-1], 1, axis=0))


def mean_off_by_one_percent(patch: Patch) -> None:
    right = RULES[StandardScaler]

    def wrong(fitted: Any, columns: Any, g: Graph) -> Any:
        other = copy.copy(fitted)
        other.mean_ = fitted.mean_ * 1.01
        return right(other, columns, g)

    patch.setitem(RULES, StandardScaler, wrong)


def labels_permuted(patch: Patch) -> None:
    right = Graph.labels
    patch.setattr(
        Graph,
        "labels",
        lambda g, index, classes, elem: right(g, index, np.roll(np.asarray(classes), 1), elem),
    )


def imputer_dropped(patch: Patch) -> None:
    patch.setitem(RULES, SimpleImputer, lambda fitted, columns, g: columns)


SKEWS: dict[str, tuple[Callable[[Patch], None], Callable[[], tuple[Any, Any]]]] = {
    "columns-swapped": (columns_swapped, penguins),
    "float32-scaler": (float32_scaler, forest),
    "categories-shifted": (categories_shifted, penguins),
    "mean-off": (mean_off_by_one_percent, penguins),
    "labels-permuted": (labels_permuted, penguins),
    "imputer-dropped": (imputer_dropped, penguins),
}


def wrong_bundle(name: str, folder: Path) -> tenon.Bundle:
    """A wrong graph beside the right pipeline's golden set, with digests that fit: export's own check is off."""
    skew, train = SKEWS[name]
    pipeline, X = train()
    with pytest.MonkeyPatch.context() as patch:
        skew(patch)
        patch.setattr(exporter, "refuse", lambda *_: None)
        return tenon.export(pipeline, X, name=name, path=folder / f"{name}.tenon")


@pytest.mark.parametrize("name", SKEWS)
def test_a_planted_skew_is_refused_with_its_rows(name: str, server: Served, tmp_path: Path) -> None:
    bundle = wrong_bundle(name, tmp_path)
    with pytest.raises(tenon.ParityError) as caught:
        tenon.push(bundle, server.url, deploy=True)
    report = caught.value.report
    assert not report["passed"]
    assert report["failed_rows"] > 0
    worst = report["worst"][0]
    assert worst["input"]
    assert worst["expected"] != worst["got"]
    assert server.http.get(f"/v1/models/{name}").status_code == 404, "nothing is registered"

    command = [str(BINARY), "push", str(bundle.path), "--server", server.url]
    pushed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert pushed.returncode == 3, pushed.stderr


@pytest.mark.parametrize("train", [penguins, forest])
def test_the_same_pipelines_exported_rightly_are_proven(
    train: Callable[[], tuple[Any, Any]], server: Served, tmp_path: Path
) -> None:
    pipeline, X = train()
    name = f"right-{train.__name__}"
    version = tenon.push(tenon.export(pipeline, X, name=name, path=tmp_path / "right.tenon"), server.url)
    assert version.parity == "proven"


@pytest.mark.parametrize("name", ["penguins", "digits", "diabetes"])
def test_each_example_is_proven_on_its_hold_out_rows(name: str, server: Served, tmp_path: Path) -> None:
    case = example(name)
    bundle = tenon.export(
        case.pipeline, case.train, name=name, holdout=case.hold, path=tmp_path / f"{name}.tenon"
    )
    version = tenon.push(bundle, server.url, deploy=True)
    assert version.parity == "proven"
    report = server.http.get(f"/v1/models/{name}/versions/{version.number}/report").json()
    assert report["passed"]
    assert report["why"]["hold-out"] >= len(case.hold)
    assert {o["name"] for o in report["outputs"]} <= {"label", "probabilities", "prediction"}
    assert all(o["failed"] == 0 and o["worst"] <= max(o["allowed"], 0) for o in report["outputs"])
    answer = server.http.post(
        f"/v1/models/{name}/predict", json=server.http.get(f"/v1/models/{name}/versions/1/example").json()
    )
    assert answer.headers["Tenon-Parity"] == "proven"


def test_a_skew_may_be_let_in_and_shows_for_ever(server: Served, tmp_path: Path) -> None:
    bundle = wrong_bundle("mean-off", tmp_path)
    command = [
        str(BINARY),
        "push",
        str(bundle.path),
        "--allow-parity-failure",
        "--deploy",
        "--server",
        server.url,
    ]
    pushed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert pushed.returncode == 0, pushed.stderr
    assert server.http.get("/v1/models/mean-off").json()["parity"] == "overridden"

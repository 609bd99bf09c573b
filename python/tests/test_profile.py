"""The profile is complete for every kind of input and output, and counts every value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import tenon
from reader import Reader
from tenon import profile
from tenon.inputs import Input
from tenon.signature import Output, Policy, Signature


def described(inputs: list[Input], outputs: list[Output], frame: Any, answers: Any) -> dict[str, Any]:
    policies = tuple(Policy() for _ in inputs)
    return profile.profile(Signature(tuple(inputs), tuple(outputs), policies), frame, answers)


def test_every_kind_of_output() -> None:
    rows, rng = 60, np.random.default_rng(0)
    outputs = [
        Output("label_0", "label", "string", "a"),
        Output("label_1", "label", "int64", "b"),
        Output("outlier", "label", "bool", "c"),
        Output("probabilities_0", "probabilities", "float64", "d", ("x", "y")),
        Output("prediction", "value", "float64", "e"),
        Output("vector", "value", "float32", "f", shape=(2, 3)),
        Output("cluster", "value", "int64", "g"),
    ]
    answers = {
        "label_0": rng.choice(["x", "y"], rows).astype(object),
        "label_1": rng.integers(0, 3, rows),
        "outlier": rng.random(rows) < 0.5,
        "probabilities_0": rng.random((rows, 2)),
        "prediction": np.where(rng.random(rows) < 0.1, np.inf, rng.normal(size=rows)),
        "vector": rng.normal(size=(rows, 2, 3)).astype(np.float32),
        "cluster": rng.integers(0, 4, rows),
    }
    frame = rng.normal(size=(rows, 1))
    said = described([Input("x", "float64", "in_0", "float64", "nan", (1,))], outputs, frame, answers)[
        "outputs"
    ]
    assert {n: o["kind"] for n, o in said.items()} == {
        "label_0": "categorical", "label_1": "categorical", "outlier": "categorical", "cluster": "numeric",
        "probabilities_0": "probabilities", "prediction": "numeric", "vector": "array",
    }  # fmt: skip
    assert {c["value"] for c in said["outlier"]["categories"]} == {"true", "false"}
    assert {c["value"] for c in said["label_1"]["categories"]} == {"0", "1", "2"}
    assert len(said["vector"]["elements"]) == 6
    assert said["prediction"]["non_finite"] == np.isinf(answers["prediction"]).sum()


def test_every_kind_of_input() -> None:
    frame = pd.DataFrame(
        {
            "flag": [True, False, True],
            "maybe": pd.array([True, None, False], dtype="boolean"),
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "huge": [2**62, 2**62 + 1, 5],
            "largest": [1.7e308, 1.7e308, 1.7e308],
        }
    )
    kinds = {"flag": "bool", "maybe": "bool", "whole": "int64", "huge": "int64", "largest": "float64"}
    inputs = [
        Input(n, t, f"in_{i}", "float64", "na" if n in ("maybe", "whole") else None, key=n)
        for i, (n, t) in enumerate(kinds.items())
    ]
    said = described(inputs, [], frame, {})["inputs"]
    assert said["flag"]["categories"] == [{"value": "true", "count": 2}, {"value": "false", "count": 1}]
    assert (said["maybe"]["missing"], said["whole"]["missing"]) == (1, 1)
    assert sum(said["whole"]["counts"]) == 2
    assert said["largest"]["mean"] == pytest.approx(1.7e308)


def test_a_wide_array_has_one_profile_over_all() -> None:
    wide = np.zeros((2, profile.ELEMENTS + 1))
    column = Input("x", "float64", "in_0", "float64", "nan", (profile.ELEMENTS + 1,))
    said = described([column], [], wide, {})["inputs"]["x"]
    assert sum(said["counts"]) == 2 * (profile.ELEMENTS + 1)


def test_values_outside_the_domain_are_counted(tmp_path: Path) -> None:
    X = pd.DataFrame({"c": ["a", "b", "z"] * 20, "n": np.arange(60.0)})
    encoder = OneHotEncoder(categories=[["a", "b"]], handle_unknown="ignore")
    columns = make_column_transformer((encoder, ["c"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(X, X["n"] > 30)
    said = Reader(tenon.export(model, X, name="m", path=tmp_path / "m.tenon").path).profile["inputs"]
    assert said["c"]["unseen"] == 20
    assert "unseen" not in said["n"]


def test_a_profile_that_loses_rows_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = profile.numeric
    monkeypatch.setattr(profile, "numeric", lambda values: right(values[1:]))
    X = pd.DataFrame({"n": np.arange(60.0)})
    with pytest.raises(tenon.ExportError, match="counts 59 of 60 values"):
        tenon.export(LogisticRegression().fit(X, X["n"] > 30), X, name="m", path=tmp_path / "m.tenon")
    assert list(tmp_path.iterdir()) == []

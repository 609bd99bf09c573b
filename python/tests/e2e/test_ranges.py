"""A server answers exactly where the original pipeline does: 400 where it raises, equal answers elsewhere."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Served
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, PowerTransformer, StandardScaler

import tenon

RANDOM = np.random.default_rng(1)
FLOATS = pd.DataFrame({"a": RANDOM.uniform(1, 9, 80), "b": RANDOM.uniform(1, 2, 80)})
WHOLE = pd.DataFrame({"a": RANDOM.integers(-50, 50, 80), "b": RANDOM.integers(1, 9, 80)})
MODELS: dict[str, tuple[Any, pd.DataFrame]] = {
    "scaler": (make_pipeline(StandardScaler(), LogisticRegression()), FLOATS),
    "forest": (RandomForestClassifier(9, random_state=0), FLOATS),
    "log1p": (make_pipeline(FunctionTransformer(np.log1p), Ridge()), FLOATS),
    "box-cox": (make_pipeline(PowerTransformer("box-cox"), LogisticRegression()), FLOATS),
    "histogram": (HistGradientBoostingClassifier(max_iter=5), FLOATS),
    "xgboost": (xgboost.XGBClassifier(n_estimators=5), FLOATS),
    "lightgbm": (lightgbm.LGBMClassifier(n_estimators=5, verbose=-1), FLOATS),
    "products": (make_pipeline(PolynomialFeatures(2), LogisticRegression()), FLOATS),
    "absolute": (make_pipeline(FunctionTransformer(np.abs), StandardScaler(), LogisticRegression()), WHOLE),
    "square": (
        make_pipeline(FunctionTransformer(np.square), RandomForestClassifier(9, random_state=0)),
        WHOLE,
    ),
}
NUMBERS = st.one_of(
    st.sampled_from(
        [np.inf, -np.inf, 1e39, -1e39, -5.0, -1.0, 0.0, 5e-324, 3.4028235677973362e38, 3.4028235677973366e38]
    ),
    st.floats(-1e99, 1e99),
    st.floats(-20, 20),
)
INTEGERS = st.one_of(
    st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1, 3037000500]),
    st.integers(-(2**63), 2**63 - 1),
)


@cache
def pushed(name: str, url: str) -> Any:
    """The fitted pipeline, proven and deployed."""
    model, X = MODELS[name]
    model.fit(X, X["a"] * 2 if name == "log1p" else (X["a"] > X["a"].median()).astype(int))
    with tempfile.TemporaryDirectory() as folder:
        bundle = tenon.export(model, X, name=name, path=Path(folder) / "b.tenon")
        assert tenon.push(bundle, server=url, deploy=True).parity == "proven"
    return model


def said(model: Any, rows: pd.DataFrame) -> list[float] | None:
    """The pipeline's numbers; None where it raises or answers none."""
    with np.errstate(all="ignore"):
        try:
            numbers = np.asarray(getattr(model, "predict_proba", model.predict)(rows), dtype=float).ravel()
        except ValueError:
            return None
    return numbers.tolist() if np.isfinite(numbers).all() else None


@pytest.mark.parametrize("name", MODELS)
def test_a_number_is_answered_exactly_where_the_pipeline_answers(server: Served, name: str) -> None:
    model, X = pushed(name, server.url), MODELS[name][1]

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(INTEGERS if X is WHOLE else NUMBERS, st.sampled_from(["a", "b"]))
    def one(value: Any, column: str) -> None:
        rows = X.iloc[:1].copy()
        rows[column] = np.array([value], dtype=X[column].dtype)
        wire = {np.inf: "Infinity", -np.inf: "-Infinity"}.get(value, value)
        row = {**X.iloc[0].to_dict(), **{c: int(v) for c, v in X.iloc[0].items() if X is WHOLE}, column: wire}
        answer = server.http.post(f"/v1/models/{name}/predict", json={"instances": [row]})
        expected = said(model, rows)
        if expected is None:
            assert answer.status_code == 400, (value, answer.text)
            assert answer.json()["code"] == "invalid-input"
            assert answer.json()["errors"][0]["path"] in (f"instances[0].{column}", "instances[0]")
            return
        assert answer.status_code == 200, (value, answer.text)
        got = answer.json()["predictions"][0]
        numbers = list(got["probabilities"].values()) if "probabilities" in got else [got["prediction"]]
        assert numbers == pytest.approx(expected, rel=1e-6, abs=1e-9), value

    one()


def test_columns_that_overflow_together_are_never_answered(server: Served) -> None:
    model = pushed("products", server.url)
    rows = pd.DataFrame({"a": [1e200], "b": [1e200]})
    assert said(model, rows) is None
    answer = server.http.post("/v1/models/products/predict", json={"inputs": {"a": [1e200], "b": [1e200]}})
    assert answer.status_code == 400, answer.text

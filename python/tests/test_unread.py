"""Columns that a pipeline never reads are no inputs: whatever they hold, an export is not refused for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tenon
from reader import Reader
from tenon.unread import unread

Export = Callable[..., Reader]
N = 120
_random = np.random.default_rng(0)
X = pd.DataFrame(
    {
        "when": pd.date_range("2024-01-01", periods=N),
        "a": _random.normal(size=N),
        "b": _random.choice(["x", "y"], N),
        "c": _random.normal(size=N),
        "note": [{"any": 1}, "text", None] * (N // 3),
    }
)
Y = X["a"] + (X["b"] == "x")


def columns(remainder: Any = "drop") -> Any:
    """Of `a` and `b`."""
    text = OneHotEncoder(handle_unknown="ignore")
    return make_column_transformer((StandardScaler(), ["a"]), (text, ["b"]), remainder=remainder)


PLACES = make_column_transformer((StandardScaler(), [1, 3]), ("drop", [0]), ("passthrough", []))
NESTED = make_column_transformer(
    (make_column_transformer((StandardScaler(), ["c"])), ["when", "c"]), (OneHotEncoder(), [2])
)
UNION = FeatureUnion(
    [("one", columns()), ("none", "drop"), ("c", make_column_transformer(("passthrough", ["c"])))]
)


@pytest.mark.parametrize(
    ("pipeline", "left"),
    [
        (make_pipeline(columns(), Ridge()), {"when", "c", "note"}),
        (make_pipeline("passthrough", columns(), StandardScaler(), Ridge()), {"when", "c", "note"}),
        (make_pipeline(PLACES, Ridge()), {"when", "b", "note"}),
        (make_pipeline(NESTED, Ridge()), {"when", "a", "note"}),
        (make_pipeline(UNION, Ridge()), {"when", "note"}),
        (
            GridSearchCV(make_pipeline(columns(), Ridge()), {"ridge__alpha": [1, 2]}, cv=2),
            {"when", "c", "note"},
        ),
        (TransformedTargetRegressor(make_pipeline(columns(), Ridge())), {"when", "c", "note"}),
        (make_pipeline(columns(), KNeighborsRegressor(metric="manhattan")), {"when", "c", "note"}),
    ],
    ids=lambda p: "" if isinstance(p, set) else type(getattr(p, "steps", [("", p)])[-1][1]).__name__,
)
def test_what_is_never_read_is_no_input(pipeline: Any, left: set[str], exported: Export) -> None:
    fitted = pipeline.fit(X, Y)
    assert unread(fitted, X) == left
    check = tenon.check(fitted, X)
    assert check.ok, check
    assert {c.name for c in check.columns if c.status == "unused"} == left
    reader = exported(fitted, X)
    assert set(reader.signature["unused"]) == left
    assert {i["name"] for i in reader.signature["inputs"]} == set(X) - left
    assert max(reader.replay().values()) < 1e-6
    assert b"never reads: when" in reader.files["README.md"]


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(columns(remainder="passthrough"), Ridge()),
        make_pipeline(StandardScaler(), columns(), Ridge()),
        TransformedTargetRegressor(Ridge()),
        Ridge(),
        make_pipeline(make_column_transformer(("drop", ["a"]))),
    ],
    ids=lambda p: type(p).__name__,
)
def test_what_is_read_stays(pipeline: Any) -> None:
    """Nothing is left out where a step sees the column, nor where nothing would be left."""
    numbers = X[["a", "c"]].assign(b=1.0)
    if "standardscaler" not in getattr(pipeline, "named_steps", {}):
        pipeline.fit(numbers, Y)
    assert unread(pipeline, numbers) == frozenset()
    assert unread(pipeline, numbers.to_numpy()) == frozenset()


def test_a_date_that_is_read_is_refused_with_what_to_do() -> None:
    frame = X[["when", "a"]]
    check = tenon.check(
        make_pipeline(make_column_transformer(("passthrough", ["a", "when"])), Ridge()).fit(
            frame.assign(when=1.0), Y
        ),
        frame,
    )
    (found,) = [f for f in check.refused if f.where == "when"]
    assert "derive numbers" in found.remedy

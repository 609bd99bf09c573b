"""What is missing and what is a category: imputers, indicators and encoders with all their settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

import tenon
from reader import Reader

Export = Callable[..., Reader]
ROWS = 150


@pytest.fixture(scope="module")
def gaps() -> tuple[pd.DataFrame, np.ndarray]:
    """Columns with gaps of every kind, and one that is all gap."""
    rng = np.random.default_rng(0)

    def some(values: Any) -> Any:
        return np.where(rng.random(ROWS) < 0.2, None, values)

    X = pd.DataFrame(
        {
            "double": pd.Series(some(rng.normal(size=ROWS)), dtype="float64"),
            "single": pd.Series(some(rng.integers(0, 4, ROWS)), dtype="float32"),
            "empty": np.full(ROWS, np.nan),
            "coded": rng.choice([-1, 0, 3, 5], ROWS),
            "tiny": rng.choice([-1, 0, 3], ROWS).astype("int8"),
            "nullable": pd.array(some(rng.integers(0, 9, ROWS)), dtype="Int64"),
            "maybe": pd.array(some(rng.random(ROWS) < 0.5), dtype="boolean"),
            "text": pd.Series(some(rng.choice(["x", "y", "z", "?"], ROWS)), dtype="str"),
            "none": pd.Series(some(rng.choice(["x", "y", "?"], ROWS)), dtype=object),
            "kind": pd.Series(some(rng.choice(["p", "q", "r", "s"], ROWS)), dtype="category"),
            "nothing": pd.Series([np.nan] * ROWS, dtype="str"),
        }
    )
    return X, (X["coded"] + rng.normal(size=ROWS) > 1).to_numpy().astype(int)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
def test_imputing_with_an_empty_column(strategy: str, keep: bool, gaps: Any, exported: Export) -> None:
    X, y = gaps
    X = X[["double", "single", "empty", "tiny"]]
    for frame, model in (
        (X, LogisticRegression()),
        (X.astype("float32"), DecisionTreeClassifier(max_depth=5)),
    ):
        indicator = frame is X
        imputer = SimpleImputer(strategy=strategy, add_indicator=indicator, keep_empty_features=keep)
        reader = exported(make_pipeline(imputer, model).fit(frame, y), frame)
        assert reader.replay()["probabilities"] < 1e-6
        assert reader.input("empty")["missing"] == "allowed"


@pytest.mark.parametrize("marker", [-1, 0])
@pytest.mark.parametrize("strategy", ["mean", "most_frequent", "constant"])
def test_numbers_that_stand_for_missing(strategy: str, marker: int, gaps: Any, exported: Export) -> None:
    X, y = gaps
    imputer = SimpleImputer(missing_values=marker, strategy=strategy, fill_value=7, add_indicator=True)
    for frame in (X[["coded", "tiny"]], X[["coded"]].astype("float32")):
        reader = exported(make_pipeline(imputer, DecisionTreeClassifier()).fit(frame, y), frame)
        assert reader.replay() == {"label": 0.0, "probabilities": 0.0}


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("marker", "columns"), [(np.nan, ["text", "kind", "nothing"]), ("?", ["text"]), (None, ["none"])], ids=str
)
def test_imputing_text(marker: Any, columns: list[str], keep: bool, gaps: Any, exported: Export) -> None:
    X, y = gaps
    X = X[columns] if marker != "?" else X[columns].fillna("z")
    for strategy in ("most_frequent", "constant"):
        imputer = SimpleImputer(
            missing_values=marker, strategy=strategy, add_indicator=True, keep_empty_features=keep
        )
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        fitted = make_pipeline(imputer, encoder, DecisionTreeClassifier(max_depth=6)).fit(X, y)
        assert exported(fitted, X).replay()["probabilities"] == 0.0


@pytest.mark.parametrize("features", ["missing-only", "all"])
def test_indicators(features: str, gaps: Any, exported: Export) -> None:
    X, y = gaps
    missing = MissingIndicator(features=features)
    columns = make_column_transformer(
        (missing, ["double", "single", "empty"]),
        (MissingIndicator(features=features), ["nullable", "maybe"]),
        (MissingIndicator(features=features), ["text", "kind"]),
        (MissingIndicator(missing_values=-1, features="all", sparse=True), ["coded", "tiny"]),
        (MissingIndicator(missing_values=None, features="all"), ["none"]),
        (MissingIndicator(features="all"), ["none"]),
    )
    reader = exported(make_pipeline(columns, LogisticRegression()).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-14
    beside = make_union(StandardScaler(), MissingIndicator(error_on_new=False), SimpleImputer())
    frame = X[["double", "single"]]
    fitted = make_pipeline(beside, HistGradientBoostingClassifier(max_iter=5)).fit(frame, y)
    assert exported(fitted, frame).replay()["probabilities"] < 1e-15


def test_new_gaps_are_refused_where_the_indicator_refuses_them(gaps: Any, exported: Export) -> None:
    X, y = gaps
    frame = X[["double"]].assign(full=np.arange(ROWS, dtype=float))
    union = make_union(MissingIndicator(), SimpleImputer())
    reader = exported(make_pipeline(union, DecisionTreeClassifier()).fit(frame, y), frame)
    assert [i["missing"] for i in reader.signature["inputs"]] == ["allowed", "refused"]


ENCODERS = [
    OneHotEncoder(),
    OneHotEncoder(handle_unknown="ignore", min_frequency=25),
    OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.2, sparse_output=False),
    OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=3),
    OneHotEncoder(handle_unknown="warn", max_categories=2),
    OneHotEncoder(drop="first"),
    OneHotEncoder(drop="if_binary", handle_unknown="ignore", dtype=np.int8, sparse_output=False),
    OneHotEncoder(drop="first", min_frequency=25, handle_unknown="infrequent_if_exist"),
    OrdinalEncoder(encoded_missing_value=-7),
    OrdinalEncoder(
        encoded_missing_value=-7, handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.int32
    ),
    OrdinalEncoder(
        encoded_missing_value=-7, handle_unknown="use_encoded_value", unknown_value=99, min_frequency=25
    ),
    OrdinalEncoder(encoded_missing_value=-7, max_categories=3, dtype=np.float32),
    TargetEncoder(random_state=0),
    TargetEncoder(smooth=2.0, target_type="continuous", random_state=0),
]


@pytest.mark.parametrize("encoder", ENCODERS, ids=repr)
def test_encoders_of_mixed_columns(encoder: Any, gaps: Any, exported: Export) -> None:
    """Text with gaps, categories, numbers with gaps and codes, side by side in one encoder."""
    X, y = gaps
    X = X[["text", "none", "single", "coded", "nullable"]]
    tree = isinstance(encoder, OrdinalEncoder)
    model = DecisionTreeClassifier(max_depth=6) if tree else LogisticRegression()
    reader = exported(make_pipeline(encoder, model).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-14
    refuses = getattr(encoder, "handle_unknown", "") == "error"
    assert reader.input("coded")["unknown"] == ("refuse" if refuses else "accept")


def test_unknown_as_nan(gaps: Any, exported: Export) -> None:
    X, y = gaps
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    fitted = make_pipeline(encoder, HistGradientBoostingClassifier(max_iter=5)).fit(X[["text", "coded"]], y)
    assert exported(fitted, X[["text", "coded"]]).replay()["probabilities"] < 1e-15


def test_categories_given_by_hand(gaps: Any, exported: Export) -> None:
    X, y = gaps
    frame = X[["coded", "tiny"]]
    given = [[-1, 0, 3, 5, 8], [-1, 0, 1, 3]]
    encoder = OneHotEncoder(categories=given, drop=[3, 0], handle_unknown="ignore")
    reader = exported(make_pipeline(encoder, LogisticRegression()).fit(frame, y), frame)
    assert reader.replay()["probabilities"] < 1e-14
    assert reader.input("coded")["domain"] == given[0]


def test_targets_of_every_kind_as_encodings(gaps: Any, exported: Export) -> None:
    X, y = gaps
    frame = X[["text", "kind", "coded"]]
    text = make_pipeline(TargetEncoder(), LogisticRegression()).fit(frame, np.where(y, "yes", "no"))
    assert exported(text, frame).replay()["probabilities"] < 1e-14
    number = make_pipeline(TargetEncoder(), LinearRegression()).fit(frame, y + X["coded"] * 1.5)
    assert exported(number, frame).replay()["prediction"] < 1e-12


def test_passing_columns_of_every_dtype_through(gaps: Any, exported: Export) -> None:
    X, y = gaps
    columns = make_column_transformer(
        ("passthrough", ["double", "single", "tiny"]), (FunctionTransformer(), ["coded"])
    )
    fitted = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=5)).fit(X, y)
    assert exported(fitted, X).replay()["probabilities"] < 1e-15


@pytest.mark.parametrize(
    ("known", "dtype"),
    [([0, 255], "uint8"), ([0, 65535], "uint16"), ([-128, 0, 127], "int8"), ([-(2**63), 2**63 - 1], "int64")],
)
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ],
    ids=["one-hot", "ordinal"],
)
def test_unknown_beside_categories_at_the_ends_of_a_type(
    encoder: Any, known: list[int], dtype: str, exported: Export
) -> None:
    random = np.random.default_rng(0)
    X = pd.DataFrame({"mask": random.choice(np.array(known, dtype=dtype), 200), "z": random.normal(size=200)})
    pipeline = make_pipeline(
        make_column_transformer((encoder, ["mask"]), remainder="passthrough"), LogisticRegression()
    )
    read = exported(pipeline.fit(X, X["mask"] == known[-1]), X)
    assert any(r["why"] == "between" for r in read.requests)
    fresh = pd.DataFrame({"mask": np.array([1, 2, 100], dtype=dtype), "z": [0.0, 1.0, 2.0]})
    _, got = read.run({c: fresh[c].tolist() for c in fresh}, len(fresh))
    assert np.allclose(got, pipeline.predict_proba(fresh), rtol=1e-9, atol=1e-12)


def test_a_closed_domain_behind_a_changed_value_is_refused(tmp_path: Path) -> None:
    X = pd.DataFrame({"k": np.arange(60.0) % 4})
    pipeline = make_pipeline(MinMaxScaler(), OneHotEncoder(), LogisticRegression()).fit(X, X["k"] > 1)
    with pytest.raises(tenon.ExportError, match="where the pipeline refuses"):
        tenon.export(pipeline, X, name="m", path=tmp_path / "m.tenon")

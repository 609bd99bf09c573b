"""Every kind that is lowered: exported, read back by an independent reader, and replayed within its tolerance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from reader import Reader

Export = Callable[..., Reader]
SCALERS = [StandardScaler(), MinMaxScaler(), MinMaxScaler(clip=True), MaxAbsScaler(), RobustScaler()]


def forest(**options: Any) -> RandomForestClassifier:
    return RandomForestClassifier(n_estimators=20, random_state=0, **options)


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_forest_behind_scaler(scaler: Any, dtype: str, cancer: Any, exported: Export) -> None:
    X, y = cancer
    X = X.iloc[:, :8].astype(dtype)
    worst = exported(make_pipeline(scaler, forest()).fit(X, y), X).replay()
    assert worst == {"label": 0.0, "probabilities": 0.0}


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(random_state=0),
        DecisionTreeClassifier(max_depth=3, random_state=0),
        forest(min_samples_leaf=3),
        forest(max_depth=4, class_weight="balanced"),
        ExtraTreesClassifier(20, random_state=0, max_depth=6),
    ],
    ids=repr,
)
def test_trees_of_ten_classes(model: Any, exported: Export) -> None:
    X, y = load_digits(return_X_y=True)
    assert exported(model.fit(X, y), X).replay() == {"label": 0.0, "probabilities": 0.0}


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeRegressor(random_state=0),
        RandomForestRegressor(20, random_state=0),
        ExtraTreesRegressor(20, random_state=0),
        HistGradientBoostingRegressor(random_state=0, max_iter=30),
    ],
    ids=repr,
)
def test_tree_regressors(model: Any, exported: Export) -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X = X.mask(np.random.default_rng(1).random(X.shape) < 0.05)
    assert exported(make_pipeline(StandardScaler(), model).fit(X, y), X).replay() == {"prediction": 0.0}


def test_histogram_boosting_with_log_link(exported: Export) -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = HistGradientBoostingRegressor(loss="poisson", max_iter=20).fit(X, y)
    assert exported(model, X).replay()["prediction"] < 1e-11


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_histogram_boosting_with_missing_values(
    dtype: str, gaps: pd.DataFrame, cancer: Any, exported: Export
) -> None:
    X, y = gaps.astype(dtype), cancer[1]
    reader = exported(HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-15
    assert {i["missing"] for i in reader.signature["inputs"]} == {"allowed"}


def test_histogram_boosting_of_many_classes(exported: Export) -> None:
    X, y = load_digits(return_X_y=True)
    model = HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(X, y)
    assert exported(model, X).replay()["probabilities"] < 1e-14


def test_forest_with_missing_values(gaps: pd.DataFrame, cancer: Any, exported: Export) -> None:
    reader = exported(forest().fit(gaps, cancer[1]), gaps)
    assert reader.replay() == {"label": 0.0, "probabilities": 0.0}
    assert "missing" in {r["why"] for r in reader.requests}


@pytest.mark.parametrize("model", [LinearRegression(), Ridge(), Lasso(), ElasticNet()], ids=repr)
def test_linear_regressions(model: Any, exported: Export) -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    assert exported(make_pipeline(StandardScaler(), model).fit(X, y), X).replay()["prediction"] < 1e-11


@pytest.mark.parametrize("labels", ["text", "bool", "int"])
@pytest.mark.parametrize("scaler", SCALERS[::2], ids=repr)
def test_logistic_regression_keeps_the_type_of_labels(
    labels: str, scaler: Any, cancer: Any, exported: Export
) -> None:
    X, y = cancer
    y = {"text": np.where(y, "gut", "böse"), "bool": y.astype(bool), "int": y * 7 - 2}[labels]
    reader = exported(make_pipeline(scaler, LogisticRegression(max_iter=200)).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-14
    assert (
        reader.signature["outputs"][0]["type"] == {"text": "string", "bool": "bool", "int": "int64"}[labels]
    )
    assert reader.signature["outputs"][1]["classes"] == sorted(set(y.tolist()))


def test_float32_frame_is_computed_in_float32(cancer: Any, exported: Export) -> None:
    X, y = cancer
    X = X.astype("float32")
    reader = exported(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-6
    assert reader.signature["outputs"][1]["type"] == "float32"
    assert reader.signature["outputs"][1]["tolerance"] == {"rel": 1e-6, "abs": 1e-6}


def test_digits_are_one_input_of_64_elements(exported: Export) -> None:
    X, y = load_digits(return_X_y=True)
    reader = exported(make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=300)).fit(X, y), X)
    assert [(i["name"], i["shape"], i["feed"]) for i in reader.signature["inputs"]] == [("x", [64], "in_0")]
    assert reader.replay()["probabilities"] < 1e-14


ENCODERS = [
    OneHotEncoder(handle_unknown="ignore"),
    OneHotEncoder(handle_unknown="error"),
    OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False),
    OneHotEncoder(drop="if_binary"),
    OneHotEncoder(min_frequency=190, handle_unknown="infrequent_if_exist"),
    OneHotEncoder(max_categories=2, dtype=np.float32, handle_unknown="ignore"),
    OrdinalEncoder(),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
]


@pytest.mark.parametrize("encoder", ENCODERS, ids=repr)
@pytest.mark.parametrize("imputed", [True, False])
def test_encoders_on_text_with_gaps(encoder: Any, imputed: bool, mixed: Any, exported: Export) -> None:
    X, y = mixed
    nan_left = isinstance(encoder, OrdinalEncoder) and np.isnan(encoder.encoded_missing_value)
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder) if imputed else encoder
    columns = make_column_transformer(
        (text, ["text", "kind", "größe (m²)"]),
        (SimpleImputer(add_indicator=True), ["float", "single", "int"]),
    )
    # A missing category that stays NaN needs an estimator that takes it.
    model = forest() if nan_left else LogisticRegression(max_iter=500)
    reader = exported(make_pipeline(columns, model).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-14
    text_input = reader.input("text")
    assert text_input["unknown"] == ("refuse" if encoder.handle_unknown == "error" else "accept")
    assert text_input["domain"] == ["x", "y", "z"]


def test_numbers_as_categories(mixed: Any, exported: Export) -> None:
    X, y = mixed
    encoder = OneHotEncoder(handle_unknown="error")
    columns = make_column_transformer((encoder, ["int", "tiny", "id", "flag"]))
    reader = exported(make_pipeline(columns, LogisticRegression()).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-14
    assert reader.input("id")["domain"] == [2**60 + i for i in range(4)]
    assert reader.input("flag")["domain"] == [False, True]
    assert reader.input("tiny")["type"] == "int8"


@pytest.mark.parametrize(
    "encoder", [OneHotEncoder(handle_unknown="ignore"), OrdinalEncoder(encoded_missing_value=-9)]
)
def test_numbers_with_gaps_as_categories(encoder: Any, mixed: Any, exported: Export) -> None:
    X, y = mixed
    X = X.assign(rounded=X["float"].round(0), half=(X["single"] / 2).round(0) / 3)
    columns = make_column_transformer((encoder, ["rounded", "half"]))
    reader = exported(make_pipeline(columns, LogisticRegression()).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-14
    assert reader.input("rounded")["missing"] == "allowed"


def test_a_search_is_its_best_pipeline(cancer: Any, exported: Export) -> None:
    X, y = cancer
    grid = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, cv=2
    )
    assert exported(grid.fit(X, y), X).replay()["probabilities"] < 1e-14


def test_none_is_filled_only_by_an_imputer_that_looks_for_none(mixed: Any, exported: Export) -> None:
    X, y = mixed
    for marker in (None, np.nan):
        imputer = SimpleImputer(missing_values=marker, strategy="constant", fill_value="gap")
        columns = make_column_transformer(
            (make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore")), ["none"])
        )
        reader = exported(make_pipeline(columns, LogisticRegression()).fit(X, y), X)
        assert reader.replay()["probabilities"] < 1e-14
        assert ("gap" in reader.input("none")["domain"]) is (marker is None)


def test_nullable_columns(mixed: Any, exported: Export) -> None:
    X, y = mixed
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["nullable", "maybe", "float"])
    )
    reader = exported(make_pipeline(columns, forest()).fit(X, y), X)
    assert reader.replay() == {"label": 0.0, "probabilities": 0.0}
    assert [reader.input(c)["type"] for c in ("nullable", "maybe")] == ["int64", "bool"]
    assert [reader.input(c)["missing"] for c in ("nullable", "maybe")] == ["allowed", "allowed"]


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("columns", [["float", "int"], ["single"], ["tiny", "int"]])
def test_imputing_numbers(strategy: str, columns: list[str], mixed: Any, exported: Export) -> None:
    X, y = mixed
    model = make_pipeline(SimpleImputer(strategy=strategy), forest(max_depth=4)).fit(X[columns], y)
    assert exported(model, X[columns]).replay() == {"label": 0.0, "probabilities": 0.0}


def test_selecting_columns_in_every_way(mixed: Any, exported: Export) -> None:
    X, y = mixed
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=["category"])),
        (StandardScaler(), slice(1, 4)),
        (MinMaxScaler(), [2]),
        (MaxAbsScaler(), np.array([c == "tiny" for c in X.columns])),
        ("drop", ["text", "none", "größe (m²)", "maybe", "nullable"]),
        (FunctionTransformer(), ["int"]),
        remainder="passthrough",
    )
    reader = exported(make_pipeline(columns, HistGradientBoostingClassifier(max_iter=10)).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-15
    assert "text" in reader.signature["unused"], "a dropped column may be sent, whatever it holds"


def test_selecting_by_names_that_an_earlier_step_made(mixed: Any, exported: Export) -> None:
    X, y = mixed
    first = make_column_transformer(
        (StandardScaler(), ["float", "single"]),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["größe (m²)"]),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    second = make_column_transformer((MinMaxScaler(), ["größe (m²)", "single"]), (SimpleImputer(), ["float"]))
    assert (
        exported(make_pipeline(first, second, LogisticRegression()).fit(X, y), X).replay()["probabilities"]
        < 1e-14
    )


def test_transformer_weights(mixed: Any, exported: Export) -> None:
    X, y = mixed
    columns = make_column_transformer((StandardScaler(), ["int"]), (MinMaxScaler(), ["single"]))
    columns.set_params(transformer_weights={"standardscaler": 3.0})
    assert exported(make_pipeline(columns, forest()).fit(X, y), X).replay()["probabilities"] == 0.0


def test_holdout_rows_may_come_in_another_order_of_columns(cancer: Any, exported: Export) -> None:
    X, y = cancer
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    reader = exported(model, X, holdout=X[list(reversed(X.columns))].head(50))
    assert reader.replay()["probabilities"] < 1e-14


def test_integer_column_names_become_text(exported: Export, cancer: Any) -> None:
    X, y = cancer
    frame = pd.DataFrame(X.to_numpy()[:, :3])
    reader = exported(LogisticRegression(max_iter=500).fit(frame, y), frame)
    assert [i["name"] for i in reader.signature["inputs"]] == ["0", "1", "2"]


def test_converted_models_are_held_to_looser_figures(cancer: Any, exported: Export) -> None:

    X, y = cancer
    X = X.iloc[:, :5]
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(metric="manhattan"))
    reader = exported(model.fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-5
    assert reader.signature["outputs"][1]["tolerance"] == {"rel": 0.0, "abs": 1e-5}
    assert b"skl2onnx" in reader.files["README.md"]


def test_the_first_integer_that_a_double_cannot_tell_from_the_next(exported: Export) -> None:
    X = pd.DataFrame({"k": [0, 2**52, 2**53] * 20})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    reader = exported(model.fit(X, np.arange(60) % 3 == 2), X)
    assert reader._session().get_inputs()[0].type == "tensor(int64)", "2^53 + 1 must stay an unseen category"
    assert reader.replay()["label"] == 0.0


@pytest.mark.parametrize(
    "model", [KNeighborsClassifier(metric="manhattan"), AdaBoostClassifier(n_estimators=5)], ids=repr
)
def test_converted_models_take_integers_beside_floats(model: Any, exported: Export) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"age": rng.integers(18, 90, 300), "fee": rng.normal(50, 9, 300), "city": rng.choice(["a", "b"], 300)}
    )
    columns = make_column_transformer(
        (StandardScaler(), ["age", "fee"]), (OneHotEncoder(sparse_output=False), ["city"])
    )
    reader = exported(make_pipeline(columns, model).fit(X, np.where(X["age"] > 50, "yes", "no")), X)
    assert reader.input("age")["type"] == "int64"
    assert reader.replay()["label"] == 0.0

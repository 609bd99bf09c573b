"""Trees of several targets, boosted trees, native categories, isolation forests and clusters: not one value differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from palmerpenguins import load_penguins
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

import tenon
from reader import Reader
from tenon.lowering import boosting
from tenon.lowering.isolation import _turn

Export = Callable[..., Reader]
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
SUM = 1e-14
"""Where an exponential of exact sums differs in its last bits."""


@pytest.fixture(scope="module")
def diabetes() -> tuple[pd.DataFrame, np.ndarray]:
    """200 rows of ten numbers with gaps, and three targets."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X, y = X[:200], y[:200].to_numpy()
    targets = np.column_stack([y, X["bmi"] * 3, np.sqrt(y)])
    return X.mask(np.random.default_rng(0).random(X.shape) < 0.05), targets


@pytest.fixture(scope="module")
def flags(cancer: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """300 rows of eight numbers, and three labels that are set or not; the third never is."""
    X, y = cancer
    X = X.iloc[:300, :8]
    return X, np.column_stack([y[:300], X["mean area"] > 500, np.zeros(300)]).astype(int)


@pytest.fixture(scope="module")
def penguins() -> tuple[pd.DataFrame, np.ndarray]:
    """Penguins with two columns of native categories, one with gaps."""
    X = load_penguins()
    y = X.pop("species").to_numpy()
    return X.astype({"island": "category", "sex": "category"}), y


@DTYPES
@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeRegressor(max_depth=6, random_state=0),
        ExtraTreeRegressor(max_depth=6, random_state=0),
        RandomForestRegressor(8, random_state=0),
        ExtraTreesRegressor(8, random_state=0),
    ],
    ids=repr,
)
def test_several_targets(model: Any, dtype: str, diabetes: Any, thinned: Export) -> None:
    X, targets = diabetes
    # A copy, because a float32 frame's own memory is read-only, which the trees of scikit-learn 1.9 do not take.
    X = np.array(X, dtype=dtype)
    worst = thinned(model.fit(X, targets), X).replay()
    assert worst == {"prediction_0": 0.0, "prediction_1": 0.0, "prediction_2": 0.0}


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(max_depth=4, random_state=0),
        ExtraTreeClassifier(max_depth=6, random_state=0),
        RandomForestClassifier(8, random_state=0),
        ExtraTreesClassifier(8, max_depth=6, random_state=0),
    ],
    ids=repr,
)
def test_several_flags(model: Any, flags: Any, thinned: Export) -> None:
    X, y = flags
    reader = thinned(model.fit(X, y), X)
    assert set(reader.replay().values()) == {0.0}
    outputs = [(o["name"], o["kind"], o["type"]) for o in reader.signature["outputs"]]
    assert outputs == [
        (name, kind, type_)
        for j in range(3)
        for name, kind, type_ in ((f"label_{j}", "label", "bool"), (f"probability_{j}", "value", "float64"))
    ]
    assert reader.profile["outputs"]["label_2"]["categories"] == [{"value": "false", "count": 300}]


def test_several_labels_keep_their_classes(flags: Any, thinned: Export) -> None:
    X, y = flags
    text = np.column_stack(
        [np.where(y[:, 0], "gut", "böse"), np.array(["klein", "mittel", "groß"])[y[:, 1] + 1]]
    )
    reader = thinned(RandomForestClassifier(8, random_state=0).fit(X, text), X)
    assert set(reader.replay().values()) == {0.0}
    classes = {o["name"]: o.get("classes") for o in reader.signature["outputs"]}
    assert classes == {
        "label_0": None,
        "probabilities_0": ["böse", "gut"],
        "label_1": None,
        "probabilities_1": ["groß", "mittel"],
    }


@DTYPES
@pytest.mark.parametrize("loss", ["log_loss", "exponential"])
def test_gradient_boosting_of_two_classes(loss: str, dtype: str, flags: Any, thinned: Export) -> None:
    X, y = flags
    X = X.astype(dtype)
    reader = thinned(
        GradientBoostingClassifier(n_estimators=12, loss=loss, random_state=0).fit(X, y[:, 0]), X
    )
    assert reader.replay()["probabilities"] < SUM
    assert "boundary" in {r["why"] for r in reader.requests}


def test_gradient_boosting_calls_a_score_of_zero_the_second_class(thinned: Export) -> None:
    """Two equal classes and no split that helps: every row has the score 0."""
    X = pd.DataFrame({"a": [0.0, 0.0, 1.0, 1.0] * 10})
    y = np.array([0, 1, 0, 1] * 10)
    reader = thinned(GradientBoostingClassifier(n_estimators=3).fit(X, y), X)
    assert reader.replay() == {"label": 0.0, "probabilities": 0.0}
    assert {r["label"] for a in reader.answers.values() for r in a.get("predictions", [])} == {1}


@pytest.mark.parametrize(
    "init", [None, "zero", DecisionTreeClassifier(max_depth=3, random_state=0)], ids=repr
)
def test_gradient_boosting_of_ten_classes(init: Any, thinned: Export) -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    model = GradientBoostingClassifier(n_estimators=3, init=init, random_state=0)
    assert thinned(model.fit(X, y), X).replay()["probabilities"] < SUM


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
@DTYPES
def test_gradient_boosting_of_numbers(loss: str, dtype: str, diabetes: Any, thinned: Export) -> None:
    X, targets = diabetes
    X = X.fillna(0).astype(dtype)
    model = GradientBoostingRegressor(n_estimators=12, loss=loss, random_state=0).fit(X, targets[:, 0])
    assert thinned(model, X).replay() == {"prediction": 0.0}


def test_gradient_boosting_on_top_of_another_estimator(diabetes: Any, flags: Any, thinned: Export) -> None:
    X, targets = diabetes
    X = X.fillna(0)
    trees = GradientBoostingRegressor(n_estimators=8, init=DecisionTreeRegressor(max_depth=2))
    assert thinned(trees.fit(X, targets[:, 0]), X).replay()["prediction"] < 1e-12
    line = GradientBoostingRegressor(n_estimators=8, init=LinearRegression()).fit(X, targets[:, 0])
    reader = thinned(line, X)
    assert reader.replay()["prediction"] < 1e-3
    assert reader.signature["outputs"][0]["tolerance"] == {"rel": 1e-6, "abs": 1e-6}, (
        "it sees a float32 frame"
    )
    X, y = flags
    guess = make_pipeline(StandardScaler(), LogisticRegression())
    model = GradientBoostingClassifier(n_estimators=8, init=guess).fit(X, y[:, 0])
    assert thinned(model, X).replay()["label"] == 0.0


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "gamma", "poisson", "quantile"])
def test_histogram_boosting_losses(loss: str, diabetes: Any, thinned: Export) -> None:
    X, targets = diabetes
    quantile = 0.3 if loss == "quantile" else None
    model = HistGradientBoostingRegressor(loss=loss, quantile=quantile, max_iter=8).fit(X, targets[:, 0])
    worst = thinned(model, X).replay()["prediction"]
    assert worst < 1e-12 if loss in ("gamma", "poisson") else worst == 0.0


@pytest.mark.parametrize("native", ["from_dtype", ["island", "sex", "year"], [0, 5]], ids=repr)
def test_native_categories(native: Any, penguins: Any, thinned: Export) -> None:
    X, y = penguins
    model = HistGradientBoostingClassifier(max_iter=6, categorical_features=native).fit(X, y)
    reader = thinned(model, X)
    assert reader.replay()["probabilities"] < SUM
    assert reader.input("sex")["domain"] == ["female", "male"]
    assert {reader.input(c)["missing"] for c in ("island", "sex")} == {"allowed"}
    assert {"missing", "unseen", "unicode", "boundary"} <= {r["why"] for r in reader.requests}


def test_a_category_that_a_set_forgets_is_found(
    penguins: Any, monkeypatch: pytest.MonkeyPatch, thinned: Export
) -> None:
    X, y = penguins
    model = HistGradientBoostingClassifier(max_iter=6).fit(X, y)
    right = boosting._members
    monkeypatch.setattr(boosting, "_members", lambda words: [c for c in right(words) if c != 0.0] or [-1.0])
    with pytest.raises(tenon.ExportError, match="differs from the pipeline"):
        thinned(model, X)


@DTYPES
@pytest.mark.parametrize("native", [[0, 2], [True, False, True]], ids=repr)
def test_native_categories_in_an_array(native: Any, dtype: str, thinned: Export) -> None:
    rng, n = np.random.default_rng(0), 300
    X = np.column_stack([rng.integers(0, 60, n), rng.normal(size=n), rng.integers(-3, 4, n)]).astype(dtype)
    y = X[:, 0] % 7 + X[:, 1] - X[:, 2] ** 2
    X[rng.random(n) < 0.1, 0] = np.nan
    model = HistGradientBoostingRegressor(max_iter=12, categorical_features=native, min_samples_leaf=3)
    assert thinned(model.fit(X, y), X).replay() == {"prediction": 0.0}


def test_many_native_categories_behind_another_step(thinned: Export) -> None:
    rng, n = np.random.default_rng(0), 500
    X = pd.DataFrame(
        {"x": rng.normal(size=n), "zip": pd.Series(rng.integers(0, 180, n).astype(str), dtype="category")}
    )
    X.loc[::9, "zip"] = np.nan
    X.loc[::7, "x"] = np.nan
    y = X["zip"].cat.codes % 13 + X["x"].fillna(0)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    for steps in (
        make_column_transformer(
            (SimpleImputer(), ["x"]), ("passthrough", ["zip"]), verbose_feature_names_out=False
        ).set_output(transform="pandas"),
        make_column_transformer((SimpleImputer(), ["x"]), (encoder, ["zip"])),
    ):
        model = HistGradientBoostingRegressor(
            max_iter=12, min_samples_leaf=3, categorical_features=[False, True]
        )
        reader = thinned(make_pipeline(steps, model).fit(X, y), X)
        assert reader.replay() == {"prediction": 0.0}
        assert len(reader.input("zip")["domain"]) > 150


@DTYPES
@pytest.mark.parametrize(
    "options",
    [{}, {"contamination": 0.1}, {"max_features": 0.5, "contamination": 0.2}, {"max_samples": 1}],
    ids=repr,
)
def test_isolation_forest(options: dict[str, Any], dtype: str, gaps: pd.DataFrame, thinned: Export) -> None:
    X = gaps.iloc[:300, :8].astype(dtype)
    reader = thinned(IsolationForest(n_estimators=10, random_state=0, **options).fit(X), X)
    assert reader.replay() == {"outlier": 0.0, "score": 0.0}
    assert reader.manifest["task"] == "outlier-detection"
    outlier, score = reader.signature["outputs"]
    assert (outlier["kind"], outlier["type"]) == ("label", "bool")
    assert (score["kind"], score["type"]) == ("value", "float64")


def test_the_depth_at_which_an_outlier_begins() -> None:
    for offset in (-0.5, -0.6180339887, -1.0):

        def score(depth: np.ndarray, offset: float = offset) -> np.ndarray:
            return -(2 ** -(depth / 17.3)) - offset

        turn = _turn(score)
        assert score(np.array([turn]))[0] >= 0
        assert turn == 0.0 or score(np.array([np.nextafter(turn, -np.inf)]))[0] < 0
    assert _turn(lambda d: -(2 ** -(d / 17.3)) + 1.0) == 0.0, "no row can be an outlier"
    assert _turn(lambda d: 0 * d - 1.0) == np.inf, "every row is one"


@DTYPES
@pytest.mark.parametrize(
    "model", [KMeans(5, n_init=1, random_state=0), MiniBatchKMeans(5, random_state=0)], ids=repr
)
def test_clusters(model: Any, dtype: str, flags: Any, thinned: Export) -> None:
    X, y = flags
    X = X.astype(dtype)
    reader = thinned(make_pipeline(StandardScaler(), model).fit(X), X)
    assert reader.replay() == {"cluster": 0.0}
    assert reader.manifest["task"] == "clustering"
    assert reader.signature["outputs"] == [
        {"name": "cluster", "kind": "label", "from": "cluster", "type": "int64"}
    ]
    distances = make_pipeline(StandardScaler(), model, DecisionTreeClassifier(max_depth=4, random_state=0))
    assert thinned(distances.fit(X, y[:, 0]), X).replay() == {"label": 0.0, "probabilities": 0.0}


def test_a_row_between_two_centres_belongs_to_the_first(thinned: Export) -> None:
    X = pd.DataFrame({"a": [0.0, 0.0, 2.0, 2.0, 1.0]})
    model = KMeans(2, init=np.array([[2.0], [0.0]]), n_init=1, max_iter=1).fit(X[:4])
    assert model.predict(X).tolist() == [1, 1, 0, 0, 0]
    assert thinned(model, X).replay() == {"cluster": 0.0}

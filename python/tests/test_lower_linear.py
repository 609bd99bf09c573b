"""Linear models, discriminants and naive Bayes: exported, replayed within tolerance, and their decisions compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.linear_model import (
    GammaRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MultiTaskLasso,
    Perceptron,
    PoissonRegressor,
    RANSACRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from lowered import decisions, is_lowered, values
from reader import Reader
from tenon.errors import NotLowered
from tenon.lowering.linear import LABELS_ONLY, REGRESSORS

Export = Callable[..., Reader]
CLASSIFIERS = [
    LogisticRegressionCV(Cs=3, cv=2, l1_ratios=(0,), scoring="accuracy", use_legacy_attributes=False),
    SGDClassifier(random_state=0),
    SGDClassifier(loss="log_loss", random_state=0),
    SGDClassifier(loss="modified_huber", random_state=0),
    Perceptron(random_state=0),
    RidgeClassifier(),
    LinearSVC(random_state=0),
    LinearDiscriminantAnalysis(),
    LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    QuadraticDiscriminantAnalysis(reg_param=0.1),
    GaussianNB(),
    BernoulliNB(binarize=0.3),
]
FEW = {"TheilSenRegressor": {"max_subpopulation": 50, "n_subsamples": 20}}
SEVERAL = [k for k in REGRESSORS if k.__name__.startswith("MultiTask")]


@pytest.fixture(scope="module")
def wine() -> tuple[pd.DataFrame, np.ndarray]:
    """178 rows of 13 numbers, two of them whole, three classes named by text."""
    X, y = load_wine(return_X_y=True, as_frame=True)
    return X.astype({"proline": "int64", "magnesium": "int16"}), np.array(["a", "b", "c"])[y]


@pytest.fixture(scope="module")
def diabetes() -> tuple[pd.DataFrame, np.ndarray]:
    """200 rows of 10 numbers and a positive target."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return X.head(200), y.head(200).to_numpy()


@pytest.mark.parametrize("model", CLASSIFIERS, ids=repr)
@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers(model: Any, classes: int, wine: Any, exported: Export) -> None:
    X, y = wine
    X, y = X[y != "c"] if classes == 2 else X, y[y != "c"] if classes == 2 else y
    fitted = make_pipeline(StandardScaler(), model).fit(X, y)
    reader = exported(fitted, X)
    assert is_lowered(reader)
    assert reader.replay().get("probabilities", 0.0) < 1e-13
    if hasattr(fitted, "decision_function"):
        assert decisions(fitted, X) < 1e-12


@pytest.mark.parametrize("layout", ["frame", "array"])
@pytest.mark.parametrize("width", [3, 13, 150])
def test_gaussian_bayes_sums_as_numpy_does(width: int, layout: str, exported: Export) -> None:
    """A constant column has next to no variance, so that a made-up row's sum is 10⁹ and its last bit an answer."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, width))).rename(columns="c{}".format).assign(c1=37.3)
    y = (X["c0"] + rng.normal(size=200) > 0).to_numpy()
    rows: Any = X if layout == "frame" else np.ascontiguousarray(X)
    reader = exported(GaussianNB().fit(rows, y), rows)
    assert is_lowered(reader)
    assert reader.replay()["probabilities"] < 1e-9


@pytest.mark.parametrize("model", [LinearDiscriminantAnalysis(), GaussianNB(), LinearSVC()], ids=repr)
def test_classifiers_on_a_float32_frame(model: Any, diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    X = pd.DataFrame({c: X[c].astype("float32") for c in X})
    reader = exported(make_pipeline(StandardScaler(), model).fit(X, y > 100), X)
    assert is_lowered(reader)
    assert reader.replay().get("probabilities", 0.0) < 2e-6


def test_liblinear_and_every_class_without_probabilities(wine: Any, exported: Export) -> None:
    X, y = wine
    liblinear = LogisticRegression(solver="liblinear").fit(X, y == "a")
    assert exported(liblinear, X).replay()["probabilities"] < 1e-14
    for kind in LABELS_ONLY:
        fitted = kind().fit(X, y)
        assert decisions(fitted, X) < 1e-12, kind


@pytest.mark.parametrize("kind", [k for k in REGRESSORS if k not in SEVERAL], ids=lambda k: k.__name__)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_regressors(kind: type, dtype: str, diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    X = X.astype(dtype)
    fitted = make_pipeline(StandardScaler(), kind(**FEW.get(kind.__name__, {}))).fit(X, y)
    if dtype == "float64" or kind in (Ridge, Lasso):
        reader = exported(fitted, X)
        assert is_lowered(reader)
        assert reader.replay()["prediction"] < (1e-10 if dtype == "float64" else 1e-3)
    got, said = values(fitted, X)["prediction"], fitted.predict(X)
    assert got.dtype == said.dtype
    limit = 1e-12 if dtype == "float64" else 1e-6
    assert np.max(np.abs(got - said)) <= limit * np.max(np.abs(said))


@pytest.mark.parametrize(
    "model",
    [
        PoissonRegressor(),
        GammaRegressor(),
        TweedieRegressor(power=0),
        TweedieRegressor(power=1.5, link="log"),
        RANSACRegressor(random_state=0),
        PLSRegression(3),
        LinearRegression(fit_intercept=False),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_regressors_with_a_way_of_their_own(model: Any, dtype: str, diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    X = X.astype(dtype)
    reader = exported(make_pipeline(StandardScaler(), model).fit(X, y), X)
    assert is_lowered(reader)
    assert reader.replay()["prediction"] < (1e-10 if dtype == "float64" else 1e-2)


@pytest.mark.parametrize("model", [LinearRegression(), MultiTaskLasso(), PLSRegression(2)], ids=repr)
def test_several_targets(model: Any, diabetes: Any) -> None:
    X, y = diabetes
    several = np.column_stack([y, -y, y**2])
    got = values(model.fit(X, several), X)
    assert np.allclose(got["prediction"], model.predict(X), rtol=1e-12)
    assert all(np.array_equal(got[f"prediction_{t}"], got["prediction"][:, t]) for t in range(3))


@pytest.mark.parametrize(
    "model",
    [MultinomialNB(), ComplementNB(), ComplementNB(norm=True), GaussianNB(), BernoulliNB(binarize=4)],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_naive_bayes_on_counts(model: Any, dtype: str, exported: Export) -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:300].astype(dtype), y[:300]
    reader = exported(model.fit(X, y), X)
    assert is_lowered(reader)
    assert reader.replay()["probabilities"] < (2e-6 if dtype == "float32" else 1e-12)


def test_rows_at_the_threshold_of_bernoulli(wine: Any, exported: Export) -> None:
    X, y = wine
    reader = exported(make_pipeline(StandardScaler(), BernoulliNB(binarize=0.3)).fit(X, y), X)
    assert "boundary" in {r["why"] for r in reader.requests}


def test_bernoulli_on_ones_as_they_are(exported: Export) -> None:
    X = np.random.default_rng(0).integers(0, 2, (200, 6))
    reader = exported(BernoulliNB(binarize=None).fit(X, X[:, 0] ^ X[:, 1]), X)
    assert is_lowered(reader)
    assert reader.replay()["probabilities"] < 1e-14


def test_all_classes_impossible_are_alike(wine: Any) -> None:
    X, y = wine
    far = X.assign(alcohol=1e9)
    for loss in ("log_loss", "modified_huber"):
        fitted = SGDClassifier(loss=loss, random_state=0).fit(X, y)
        fitted.coef_[:, 0] = -1.0
        proba = values(fitted, far)["probabilities"]
        assert np.array_equal(proba, fitted.predict_proba(far))
        assert np.allclose(proba, 1 / 3)


def test_what_is_not_lowered_says_so(wine: Any) -> None:
    X, y = wine
    sparse = SGDClassifier(random_state=0).fit(X, y).sparsify()
    with pytest.raises(NotLowered, match="call densify"):
        values(sparse, X)
    labels = RidgeClassifier().fit(X, np.column_stack([y == "a", y == "b"]).astype(int))
    with pytest.raises(NotLowered, match="several labels"):
        values(labels, X)


def test_the_table_names_only_linear_models() -> None:
    for kind in (*LABELS_ONLY, *REGRESSORS):
        assert kind.__module__.startswith(("sklearn.linear_model", "sklearn.svm"))
    assert {LinearRegression, Ridge, Lasso, linear_model.HuberRegressor} <= set(REGRESSORS)


@pytest.mark.parametrize("solver", ["svd", "eigen"])
@pytest.mark.parametrize("components", [None, 1])
def test_discriminants_before_a_classifier(
    solver: str, components: int | None, wine: Any, exported: Export
) -> None:
    X, y = wine
    before = LinearDiscriminantAnalysis(solver=solver, n_components=components)
    read = exported(make_pipeline(StandardScaler(), before, LogisticRegression()).fit(X, y), X)
    assert is_lowered(read)
    assert read.replay()["label"] == 0.0

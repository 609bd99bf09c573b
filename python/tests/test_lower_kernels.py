"""Support vectors, neighbours, perceptrons and Gaussian processes: exported, replayed, and their decisions compared."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import erf as scipy_erf
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, NuSVR

from lowered import decisions, is_lowered, values
from reader import Reader
from tenon.compare import session
from tenon.errors import ExportError, NotLowered
from tenon.lowering import Graph
from tenon.lowering.gaussian import erf

Export = Callable[..., Reader]
FLAT = ConstantKernel(2.0, "fixed") * RBF(1.5, "fixed")
SVMS = [
    SVC(),
    SVC(kernel="linear", decision_function_shape="ovo"),
    SVC(kernel="poly", coef0=0.5, break_ties=True),
    SVC(kernel="sigmoid", gamma=0.1),
    NuSVC(nu=0.1, gamma=0.3),
]
REGRESSORS = [
    SVR(C=100.0),
    SVR(kernel="linear"),
    NuSVR(kernel="poly"),
    KNeighborsRegressor(),
    KNeighborsRegressor(weights="distance"),
    KNeighborsRegressor(algorithm="brute"),
    MLPRegressor(hidden_layer_sizes=(8,), max_iter=50, random_state=0),
    MLPRegressor(hidden_layer_sizes=(8,), activation="identity", max_iter=50, random_state=0),
    MLPRegressor(loss="poisson", hidden_layer_sizes=(8,), max_iter=50, random_state=0),
]


@pytest.fixture(scope="module")
def iris() -> tuple[pd.DataFrame, np.ndarray]:
    """150 rows of 4 numbers in tenths, 3 classes."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    return X, y.to_numpy()


@pytest.fixture(scope="module")
def grid() -> tuple[pd.DataFrame, np.ndarray]:
    """250 rows of 3 small whole numbers with labels at random: most k-th neighbours have equals."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({c: rng.integers(0, 7, 250) for c in "abc"})
    return frame, rng.integers(0, 3, 250)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """300 rows of 64 whole numbers, 10 classes."""
    X, y = load_digits(return_X_y=True)
    return X[:300], y[:300]


@pytest.fixture(scope="module")
def diabetes() -> tuple[pd.DataFrame, np.ndarray]:
    """200 rows of 10 numbers."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return X.head(200), y.head(200).to_numpy()


def two(data: tuple[Any, np.ndarray]) -> tuple[Any, np.ndarray]:
    """The last two classes only."""
    X, y = data
    return X[y > 0], y[y > 0]


@pytest.mark.parametrize("model", SVMS, ids=repr)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_support_vector_classifiers(
    model: Any, classes: int, dtype: str, iris: Any, exported: Export
) -> None:
    X, y = two(iris) if classes == 2 else iris
    X = X.astype(dtype)
    fitted = make_pipeline(StandardScaler(), model).fit(X, y)
    reader = exported(fitted, X)
    assert is_lowered(reader)
    assert reader.replay() == {"label": 0.0}
    assert decisions(fitted, X) < 1e-13


@pytest.mark.parametrize("model", [SVC(), NuSVC(nu=0.1, kernel="linear")], ids=repr)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.filterwarnings("ignore:The `probability` parameter")
def test_probabilities_of_support_vectors(model: Any, classes: int, iris: Any, exported: Export) -> None:
    X, y = two(iris) if classes == 2 else iris
    reader = exported(model.set_params(probability=True, random_state=0).fit(X, y), X)
    assert is_lowered(reader)
    assert reader.replay()["probabilities"] < 1e-12


@pytest.mark.filterwarnings("ignore:The `probability` parameter")
def test_ten_classes_of_support_vectors(digits: Any, exported: Export) -> None:
    X, y = digits
    fitted = SVC(probability=True, random_state=0).fit(X, y)
    assert exported(fitted, X).replay()["probabilities"] < 1e-12
    assert decisions(fitted, X) < 1e-13


def test_a_pair_at_zero_goes_to_its_second_class(iris: Any) -> None:
    X, y = iris
    fitted = SVC(kernel="linear").fit(X, y)
    fitted._dual_coef_ = np.zeros_like(fitted._dual_coef_)
    fitted._intercept_ = np.zeros(3)
    got = values(fitted, X)
    assert np.array_equal(got["label"], fitted.predict(X))
    assert np.array_equal(got["decision"], fitted.decision_function(X))


@pytest.mark.parametrize("model", REGRESSORS, ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_regressors(model: Any, dtype: str, diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    X = X.astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        reader = exported(make_pipeline(StandardScaler(), model).fit(X, y), X)
    assert is_lowered(reader)
    single = dtype == "float32" and isinstance(model, MLPRegressor)
    assert reader.replay()["prediction"] < (1e-2 if single else 1e-10)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("k", [1, 4])
def test_neighbours_by_tree(weights: Any, k: int, cancer: Any, exported: Export) -> None:
    X, y = cancer
    X, y = X.iloc[:250, :8], y[:250]
    reader = exported(KNeighborsClassifier(k, weights=weights).fit(X, y), X)
    assert is_lowered(reader)
    assert reader.replay()["probabilities"] < 1e-15


@pytest.mark.parametrize("k", [1, 2, 3, 6])
@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize("data", ["iris", "grid"])
def test_neighbours_at_equal_distances(k: int, algorithm: Any, data: str, request: Any) -> None:
    X, y = request.getfixturevalue(data)
    model = KNeighborsClassifier(k, algorithm=algorithm, leaf_size=5).fit(X, y)
    distances = model.kneighbors(X, k + 1)[0]
    assert np.sum(distances[:, k - 1] == distances[:, k]) > (0 if data == "iris" else 50), "too few ties"
    for rows in (X, X + 0.5):
        assert np.array_equal(values(model, rows)["probabilities"], model.predict_proba(rows))


def test_equal_distances_in_a_bundle(iris: Any, exported: Export) -> None:
    X, y = iris
    reader = exported(KNeighborsClassifier().fit(X, y), X)
    assert is_lowered(reader)
    assert reader.replay() == {"label": 0.0, "probabilities": 0.0}
    assert exported(KNeighborsRegressor(3, weights="distance").fit(X, y), X).replay()["prediction"] < 1e-13


def test_more_training_rows_than_enter_the_heap() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 40, (3000, 2)).astype(float), rng.normal(size=3000)
    model = KNeighborsRegressor(7, algorithm="kd_tree").fit(X, y)
    assert np.allclose(values(model, X[:100])["prediction"], model.predict(X[:100]), rtol=1e-13)


def test_a_row_is_answered_alike_alone_and_beside_a_tie(iris: Any) -> None:
    X, y = iris
    model = KNeighborsRegressor(5, weights="distance").fit(X, y + np.sqrt(np.arange(150)))
    whole, rows = values(model, X)["prediction"], range(70, 80)
    alone = [values(model, X.iloc[[i]])["prediction"][0] for i in rows]
    assert alone == whole[list(rows)].tolist()


def test_all_training_rows_are_neighbours(iris: Any) -> None:
    X, y = iris
    model = KNeighborsRegressor(150, algorithm="kd_tree").fit(X, y)
    assert np.allclose(values(model, X)["prediction"], model.predict(X), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_neighbours_by_brute_force(dtype: str, digits: Any, exported: Export) -> None:
    X, y = digits
    X = X.astype(dtype)
    reader = exported(KNeighborsClassifier(1, algorithm="brute").fit(X, y), X)
    assert is_lowered(reader)
    assert reader.replay() == {"label": 0.0, "probabilities": 0.0}


def test_neighbours_with_several_targets(diabetes: Any) -> None:
    X, y = diabetes
    model = KNeighborsRegressor(3, weights="distance").fit(X, np.column_stack([y, -y]))
    got = values(model, X)
    assert np.allclose(got["prediction"], model.predict(X), rtol=1e-13)
    assert np.array_equal(got["prediction_1"], got["prediction"][:, 1])


def test_neighbours_whose_weights_are_noise_are_refused(diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    model = KNeighborsRegressor(weights="distance", algorithm="brute").fit(X, y)
    with pytest.raises(ExportError, match='set algorithm="kd_tree"'):
        exported(model, X)


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_perceptrons(activation: Any, dtype: str, iris: Any, exported: Export) -> None:
    X, y = iris
    X = X.astype(dtype)
    model = MLPClassifier((8, 4), activation=activation, max_iter=30, random_state=0)
    for target in (y, y > 1):
        reader = exported(make_pipeline(StandardScaler(), model).fit(X, target), X)
        assert is_lowered(reader)
        assert reader.replay()["probabilities"] < (2e-6 if dtype == "float32" else 1e-14)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_perceptrons_of_several_outputs(iris: Any) -> None:
    X, y = iris
    labels = np.column_stack([y == 0, y > 1]).astype(int)
    model = MLPClassifier((8,), max_iter=60, random_state=0).fit(X, labels)
    got = values(model, X)
    assert np.array_equal(np.column_stack([got["label_0"], got["label_1"]]), model.predict(X))
    assert np.allclose(got["probabilities"], model.predict_proba(X), rtol=1e-13)
    several = MLPRegressor(hidden_layer_sizes=(8,), max_iter=60, random_state=0).fit(X, labels)
    assert np.allclose(values(several, X)["prediction"], several.predict(X), rtol=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        GaussianProcessRegressor(FLAT + WhiteKernel(0.1, "fixed"), normalize_y=True),
        GaussianProcessRegressor(FLAT, alpha=0.01),
        GaussianProcessRegressor(RBF(np.arange(1, 11), "fixed") + ConstantKernel(0.5, "fixed")),
        GaussianProcessRegressor(optimizer=None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gaussian_process_regressors(model: Any, dtype: str, diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    X = X.astype(dtype)
    reader = exported(make_pipeline(StandardScaler(), model).fit(X, y), X)
    assert is_lowered(reader)
    assert reader.replay()["prediction"] < 1e-6
    assert reader.signature["outputs"][0]["tolerance"] == {"rel": 1e-6, "abs": 1e-6}


@pytest.mark.parametrize("classes", [2, 3])
def test_gaussian_process_classifiers(classes: int, iris: Any, exported: Export) -> None:
    X, y = two(iris) if classes == 2 else iris
    reader = exported(GaussianProcessClassifier(FLAT).fit(X, y), X)
    assert is_lowered(reader)
    assert reader.replay()["probabilities"] < 1e-10


def test_the_error_function() -> None:
    g = Graph()
    g.output("y", erf(g, g.input("x", "float64", 1)), 1)
    x = np.concatenate([np.linspace(-7, 7, 4001), [0.0, 1e-300, 1e-10, 50.0, -1e300]])
    got = session(g.model()).run(None, {"x": x[:, None]})[0][:, 0]
    assert np.max(np.abs(got - scipy_erf(x))) < 1e-13


def test_what_is_not_lowered_says_so(iris: Any) -> None:
    X, y = iris
    refused = [
        (SVC(kernel=lambda a, b: a @ b.T), "kernel"),
        (KNeighborsClassifier(metric="manhattan"), "metric='manhattan'"),
        (KNeighborsClassifier(weights=np.reciprocal), "weights"),
        (GaussianProcessRegressor(DotProduct(1.0, "fixed") + WhiteKernel(1.0, "fixed")), "DotProduct"),
        (GaussianProcessClassifier(FLAT, multi_class="one_vs_one"), "one_vs_one"),
    ]
    for model, said in refused:
        with pytest.raises(NotLowered, match=said):
            values(model.fit(X, y), X)

"""Estimators of estimators: they answer as scikit-learn's do, whatever the inner ones are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_wine
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from reader import Reader
from tenon.lowering.calibrate import _line
from tenon.lowering.graph import Graph

Export = Callable[..., Reader]
CLOSE = 1e-13


def line() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def tree(depth: int = 3) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=depth, random_state=0)


def stump(depth: int = 3) -> DecisionTreeRegressor:
    return DecisionTreeRegressor(max_depth=depth, random_state=0)


def boosted() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=4)


THREE = [("tree", tree()), ("line", line()), ("boosted", boosted())]


@pytest.fixture(scope="module")
def wine() -> tuple[pd.DataFrame, np.ndarray]:
    """178 rows of thirteen numbers, three classes of text."""
    X, y = load_wine(return_X_y=True, as_frame=True)
    return X, np.array(["weiß", "rosé", "rot"])[y]


@pytest.fixture(scope="module")
def diabetes() -> tuple[pd.DataFrame, np.ndarray]:
    """200 rows of ten numbers, two targets."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return X[:200], np.column_stack([y, np.sqrt(y)])[:200]


@pytest.fixture(scope="module")
def flags(cancer: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """300 rows of eight numbers, and three labels that are set or not."""
    X, y = cancer
    X = X.iloc[:300, :8]
    return X, np.column_stack([y[:300], X["mean area"] > 500, X["mean texture"] > 20]).astype(int)


def close(reader: Reader) -> bool:
    """Lowered by our own rules, and within a few last bits everywhere."""
    assert b"skl2onnx" not in reader.files["README.md"]
    return max(reader.replay().values()) < CLOSE


@pytest.mark.parametrize("weights", [None, [1, 2, 0.5]])
@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_voting(voting: str, weights: Any, wine: Any, thinned: Export) -> None:
    X, y = wine
    reader = thinned(VotingClassifier(THREE, voting=voting, weights=weights).fit(X, y), X)
    assert close(reader)
    names = [o["name"] for o in reader.signature["outputs"]]
    assert names == (["label", "probabilities"] if voting == "soft" else ["label"])


def test_equal_votes_go_to_the_first_class(cancer: Any, thinned: Export) -> None:
    X, y = cancer
    X, y = X.iloc[:200, :3], y[:200]
    both = [("no", DummyClassifier(strategy="constant", constant=0)), ("yes", tree(1))]
    model = VotingClassifier(both).fit(X, y)
    assert (model.predict(X) == 0).all()
    assert close(thinned(model, X))


@pytest.mark.parametrize("weights", [None, [1, 2]])
def test_voting_of_regressors(weights: Any, diabetes: Any, thinned: Export) -> None:
    X, targets = diabetes
    model = VotingRegressor([("tree", stump()), ("line", Ridge())], weights=weights).fit(X, targets[:, 0])
    assert thinned(model, X).replay()["prediction"] < 1e-12


@pytest.mark.parametrize("final", [None, RandomForestClassifier(5, max_depth=4, random_state=0)], ids=repr)
@pytest.mark.parametrize("passthrough", [False, True])
def test_stacking(passthrough: bool, final: Any, wine: Any, cancer: Any, thinned: Export) -> None:
    X, y = wine
    options: dict[str, Any] = {"final_estimator": final, "passthrough": passthrough, "cv": 2}
    assert close(thinned(StackingClassifier(THREE, **options).fit(X, y), X))
    X, y = cancer[0].iloc[:200, :5], cancer[1][:200].astype(bool)
    reader = thinned(StackingClassifier(THREE, **options).fit(X, y), X)
    assert close(reader)
    assert reader.signature["outputs"][0]["type"] == "bool"


@pytest.mark.parametrize("method", ["predict", "decision_function"])
def test_stacking_on_labels_and_scores(method: str, wine: Any, thinned: Export) -> None:
    X, y = wine
    inner = [("line", line()), ("boosted", boosted())]
    model = StackingClassifier(inner, stack_method=method, final_estimator=tree(), cv=2)
    assert close(thinned(model.fit(X, y), X))


def test_stacking_of_fitted_estimators(flags: Any, thinned: Export) -> None:
    X, y = flags
    fitted = [("tree", tree().fit(X, y[:, 0])), ("line", line().fit(X, y[:, 0]))]
    assert close(thinned(StackingClassifier(fitted, cv="prefit").fit(X, y[:, 0]), X))


@pytest.mark.parametrize("passthrough", [False, True])
def test_stacking_of_regressors(passthrough: bool, diabetes: Any, thinned: Export) -> None:
    X, targets = diabetes
    inner = [("tree", stump()), ("line", Ridge())]
    model = StackingRegressor(inner, final_estimator=Ridge(), passthrough=passthrough, cv=2)
    assert thinned(model.fit(X, targets[:, 0]), X).replay()["prediction"] < 1e-11


@pytest.mark.parametrize("ensemble", [True, False])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("inner", [tree(4), line()], ids=["tree", "line"])
def test_calibrated(inner: Any, method: str, ensemble: bool, wine: Any, flags: Any, thinned: Export) -> None:
    for X, y in (wine, (flags[0], flags[1][:, 0])):
        model = CalibratedClassifierCV(inner, method=method, cv=2, ensemble=ensemble)
        assert close(thinned(model.fit(X, y), X))


def test_calibrated_around_a_fitted_classifier(flags: Any, thinned: Export) -> None:
    X, y = flags
    model = CalibratedClassifierCV(FrozenEstimator(tree(5).fit(X, y[:, 0])), method="isotonic")
    assert close(thinned(model.fit(X, y[:, 0]), X))


def test_calibrated_in_single_precision(flags: Any, thinned: Export) -> None:
    X, y = flags[0].astype("float32"), flags[1][:, 0]
    reader = thinned(CalibratedClassifierCV(line(), cv=2).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-6
    assert reader.signature["outputs"][1]["tolerance"] == {"rel": 1e-6, "abs": 1e-6}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("bounds", ["clip", "nan"])
def test_a_line_of_steps_at_and_beside_its_thresholds(bounds: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=150).astype(dtype)
    fitted = IsotonicRegression(out_of_bounds=bounds).fit(x, (x + rng.normal(size=150)).astype(dtype))
    at = fitted.X_thresholds_
    assert at.dtype == dtype
    probes = np.concatenate(
        [at, np.nextafter(at, at.dtype.type(9)), np.nextafter(at, at.dtype.type(-9)), x, x * 2]
    )
    g = Graph()
    g.output("y", _line(fitted, g.input("x", dtype, 1), g), 1)
    got = ort.InferenceSession(g.model()).run(None, {"x": probes.reshape(-1, 1)})[0].ravel()
    np.testing.assert_array_equal(got, fitted.predict(probes))


def test_isotonic_regression_of_one_column(diabetes: Any, thinned: Export) -> None:
    X, targets = diabetes
    model = IsotonicRegression(out_of_bounds="clip").fit(X[["bmi"]], targets[:, 0])
    assert thinned(model, X[["bmi"]]).replay() == {"prediction": 0.0}


@pytest.mark.parametrize(
    "model",
    [
        MultiOutputRegressor(stump()),
        RegressorChain(stump(), order=[1, 0]),
        RegressorChain(Ridge(), order=[1, 0]),
    ],
    ids=repr,
)
def test_several_targets(model: Any, diabetes: Any, thinned: Export) -> None:
    X, targets = diabetes
    worst = thinned(model.fit(X, targets), X).replay()
    assert list(worst) == ["prediction_0", "prediction_1"]
    assert max(worst.values()) < 1e-11


@pytest.mark.parametrize("inner", [tree(), line(), boosted()], ids=["tree", "line", "boosted"])
def test_several_labels(inner: Any, flags: Any, thinned: Export) -> None:
    X, y = flags
    reader = thinned(MultiOutputClassifier(inner).fit(X, y), X)
    assert close(reader)
    assert [o["type"] for o in reader.signature["outputs"]] == ["bool", "float64"] * 3
    kinds = np.column_stack([y[:, 0], np.arange(len(y)) % 3])
    reader = thinned(MultiOutputClassifier(inner).fit(X, kinds), X)
    assert close(reader)
    assert [o["type"] for o in reader.signature["outputs"]] == ["int64", "float64"] * 2
    assert reader.signature["outputs"][3]["classes"] == [0, 1, 2]


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_chained_labels(method: str, flags: Any, thinned: Export) -> None:
    X, y = flags
    reader = thinned(ClassifierChain(line(), order=[1, 2, 0], chain_method=method).fit(X, y), X)
    assert close(reader)
    assert [o["name"] for o in reader.signature["outputs"]][:2] == ["label_0", "probability_0"]


@pytest.mark.parametrize("inner", [tree(), line(), stump()], ids=["tree", "line", "regressor"])
@pytest.mark.parametrize("kind", [OneVsRestClassifier, OneVsOneClassifier])
def test_one_class_against_others(kind: Any, inner: Any, wine: Any, flags: Any, thinned: Export) -> None:
    for X, y in (wine, (flags[0], flags[1][:, 0])):
        assert close(thinned(kind(inner).fit(X, y), X))


@pytest.mark.parametrize("inner", [tree(), line()], ids=["tree", "line"])
def test_one_vs_rest_of_flags(inner: Any, flags: Any, thinned: Export) -> None:
    X, y = flags
    y = np.column_stack([y, np.zeros(len(y), int), np.ones(len(y), int)])
    reader = thinned(OneVsRestClassifier(inner).fit(X, y), X)
    assert close(reader)
    assert [o["name"] for o in reader.signature["outputs"]][-2:] == ["label_4", "probability_4"]


def test_other_thresholds(flags: Any, thinned: Export) -> None:
    X, y = flags
    text = np.where(y[:, 0], "ja", "nein")
    for model, target in (
        (FixedThresholdClassifier(tree(), threshold=0.3), y[:, 0]),
        (FixedThresholdClassifier(tree(), threshold=0.3, pos_label="ja"), text),
        (FixedThresholdClassifier(line(), response_method="decision_function", pos_label="ja"), text),
        (TunedThresholdClassifierCV(line(), cv=2, thresholds=20), y[:, 0]),
    ):
        assert close(thinned(model.fit(X, target), X))


@pytest.mark.parametrize("strategy", ["prior", "most_frequent", "constant"])
def test_answers_that_look_at_nothing(strategy: str, wine: Any, flags: Any, thinned: Export) -> None:
    X, y = wine
    constant = "rot" if strategy == "constant" else None
    assert close(thinned(DummyClassifier(strategy=strategy, constant=constant).fit(X, y), X))
    X, y = flags
    constant = [0, 1, 1] if strategy == "constant" else None
    assert close(thinned(DummyClassifier(strategy=strategy, constant=constant).fit(X, y), X))


def test_numbers_that_look_at_nothing(diabetes: Any, thinned: Export) -> None:
    X, targets = diabetes
    assert close(thinned(DummyRegressor().fit(X, targets[:, 0]), X))
    assert close(thinned(DummyRegressor(strategy="median").fit(X, targets), X))


@pytest.mark.parametrize("inner", [tree(), line()], ids=["tree", "line"])
def test_bagging(inner: Any, wine: Any, thinned: Export) -> None:
    X, y = wine
    model = BaggingClassifier(inner, 5, max_features=0.5, bootstrap_features=True, random_state=0)
    assert close(thinned(model.fit(X, y), X))


def test_bagging_of_samples_that_lack_a_class(wine: Any, thinned: Export) -> None:
    X, y = wine
    model = BaggingClassifier(make_pipeline(StandardScaler(), tree()), 6, max_samples=3, random_state=0).fit(
        X, y
    )
    assert min(len(e.classes_) for e in model.estimators_) < 3
    assert close(thinned(model, X))


def test_bagging_of_regressors(diabetes: Any, thinned: Export) -> None:
    X, targets = diabetes
    model = BaggingRegressor(stump(5), 5, max_features=0.5, random_state=0).fit(X, targets[:, 0])
    assert thinned(model, X).replay() == {"prediction": 0.0}


def test_ada_boost(wine: Any, flags: Any, diabetes: Any, thinned: Export) -> None:
    for X, y in (wine, (flags[0], flags[1][:, 0])):
        assert close(thinned(AdaBoostClassifier(n_estimators=6, random_state=0).fit(X, y), X))
    X, targets = diabetes
    model = AdaBoostRegressor(n_estimators=6, random_state=0).fit(X, targets[:, 0])
    assert thinned(model, X).replay() == {"prediction": 0.0}

"""XGBoost, LightGBM and CatBoost: exported alone and in pipelines, replayed by an independent reader, or refused.

The libraries are extras of the kit; the lock has them, so only an environment made by hand skips these tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from palmerpenguins import load_penguins
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_diabetes, load_wine
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

import tenon
from lowered import is_lowered
from reader import Reader
from tenon.lowering import boosters, catboost, lightgbm, xgboost

Export = Callable[..., Reader]
MEASURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
SINGLE, LOWERED = {"rel": 1e-6, "abs": 1e-6}, {"rel": 1e-9, "abs": 1e-12}


def xgb(kind: str, **options: Any) -> Any:
    library = pytest.importorskip("xgboost", reason="xgboost is not installed")
    return getattr(library, "XGB" + kind)(**{"n_estimators": 8, "max_depth": 4, "n_jobs": 1, **options})


def lgbm(kind: str, **options: Any) -> Any:
    library = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    usual = {"n_estimators": 8, "min_child_samples": 5, "n_jobs": 1, "verbose": -1}
    return getattr(library, "LGBM" + kind)(**{**usual, **options})


def cat(kind: str, **options: Any) -> Any:
    library = pytest.importorskip("catboost", reason="catboost is not installed")
    usual = {"n_estimators": 8, "depth": 4, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
    return getattr(library, "CatBoost" + kind)(**{**usual, **options})


BOOSTERS = {"xgboost": xgb, "lightgbm": lgbm, "catboost": cat}
ALL = pytest.mark.parametrize("library", BOOSTERS)


@pytest.fixture(scope="module")
def wine() -> tuple[pd.DataFrame, np.ndarray]:
    """178 rows of 6 numbers, three classes."""
    X, y = load_wine(return_X_y=True, as_frame=True)
    return X.iloc[:, :6], y.to_numpy()


@pytest.fixture(scope="module")
def diabetes() -> tuple[pd.DataFrame, np.ndarray]:
    """200 rows of 10 numbers about zero, and targets from 25 to 346."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return X[:200], y[:200].to_numpy()


@pytest.fixture(scope="module")
def penguins() -> tuple[pd.DataFrame, np.ndarray]:
    """344 rows with gaps in text and numbers, and the species as 0, 1, 2."""
    frame = load_penguins()
    return frame[["island", "sex", *MEASURES]], frame["species"].astype("category").cat.codes.to_numpy()


def native(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"island": "category", "sex": "category"})


def whys(reader: Reader) -> set[str]:
    return {r["why"] for r in reader.requests}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@ALL
def test_two_classes_with_missing_values(
    library: str, dtype: str, gaps: pd.DataFrame, cancer: Any, exported: Export
) -> None:
    X = gaps.iloc[:250, :8].astype(dtype)
    reader = exported(BOOSTERS[library]("Classifier").fit(X, cancer[1][:250]), X)
    assert reader.replay()["probabilities"] < (1e-7 if library == "xgboost" else 1e-15)
    assert reader.signature["outputs"][1]["tolerance"] == (SINGLE if library == "xgboost" else LOWERED)
    assert {"boundary", "missing"} <= whys(reader)
    assert b"skl2onnx" not in reader.files["README.md"]


@ALL
def test_three_classes_of_an_array(library: str, wine: Any, exported: Export) -> None:
    X, y = wine
    X = X.to_numpy()
    assert exported(BOOSTERS[library]("Classifier").fit(X, y), X).replay()["probabilities"] < 2e-7


@ALL
def test_regression_is_equal_to_the_last_bit(library: str, diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    assert exported(BOOSTERS[library]("Regressor").fit(X, y), X).replay() == {"prediction": 0.0}


@ALL
def test_integers_flags_and_large_identifiers(library: str, exported: Export) -> None:
    rng, n = np.random.default_rng(0), 200
    X = pd.DataFrame(
        {
            "tiny": rng.integers(-3, 3, n).astype("int8"),
            "id": rng.integers(2**60, 2**60 + 2**20, n),
            "flag": rng.random(n) < 0.5,
            "count": rng.integers(0, 9, n).astype(float),
        }
    )
    y = (X["id"] > 2**60 + 2**19) ^ X["flag"] ^ (X["count"] > 4)
    assert exported(BOOSTERS[library]("Classifier").fit(X, y.astype(int)), X).replay()["label"] == 0.0
    whole = X[["tiny", "id"]].to_numpy()
    reader = exported(BOOSTERS[library]("Classifier").fit(whole, y.astype(int)), whole)
    assert reader.replay()["label"] == 0.0


@pytest.mark.parametrize("sparse", [False, True])
@ALL
def test_behind_encoders(library: str, sparse: bool, penguins: Any, exported: Export) -> None:
    """XGBoost takes the zeros of a sparse matrix for missing; the others do not."""
    X, y = penguins
    X = X.assign(town=[f"t{i % 11}" for i in range(len(X))], **X[MEASURES].fillna(0.0))
    y = (y + np.arange(len(X)) % 11 % 2) % 3
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=sparse)
    rest = MaxAbsScaler() if sparse else StandardScaler()
    columns = make_column_transformer(
        (encode, ["town", "sex"]), (rest, MEASURES), sparse_threshold=float(sparse)
    )
    pipeline = make_pipeline(columns, BOOSTERS[library]("Classifier")).fit(X, y)
    assert pipeline[0].sparse_output_ == sparse
    reader = exported(pipeline, X)
    assert reader.replay()["label"] == 0.0
    assert {"unseen", "missing", "boundary"} <= whys(reader)


def test_sparse_columns_stay_sparse_behind_a_scaler(penguins: Any, exported: Export) -> None:
    X, y = penguins
    pipeline = make_pipeline(OneHotEncoder(), MaxAbsScaler(), xgb("Classifier"))
    assert exported(pipeline.fit(X[["island", "sex"]], y), X[["island", "sex"]]).replay()["label"] == 0.0


def zeros_filled() -> SimpleImputer:
    return SimpleImputer(strategy="constant", fill_value=0)


AFTER_SPARSE: dict[str, list[Any]] = {
    "nothing": [],
    "zeros filled in": [zeros_filled()],
    "zeros filled in, with indicators": [SimpleImputer(strategy="median", add_indicator=True)],
    "divided": [MaxAbsScaler()],
    "divided otherwise": [RobustScaler(with_centering=False)],
    "filled and divided": [zeros_filled(), StandardScaler(with_mean=False)],
    "filled and chosen": [zeros_filled(), SelectKBest(k=3)],
    "filled and side by side": [make_union(zeros_filled(), zeros_filled())],
    "filled and weighted": [
        make_union(zeros_filled(), zeros_filled()).set_params(transformer_weights={"simpleimputer-1": 0.0})
    ],
    "products by row": [zeros_filled(), StandardScaler(with_mean=False), PolynomialFeatures(3)],
    "products by column": [zeros_filled(), PolynomialFeatures(2)],
    "products that scipy multiplies": [zeros_filled(), PolynomialFeatures(4, interaction_only=True)],
    "norms": [zeros_filled(), Normalizer()],
    "a function": [zeros_filled(), FunctionTransformer(np.rint)],
}


@pytest.mark.parametrize("steps", AFTER_SPARSE)
@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_cells_of_a_sparse_matrix(library: str, steps: str, exported: Export) -> None:
    """A stored zero is a zero to XGBoost, an absent one is missing; LightGBM takes stored cells as they are.

    A cell of -1e-35 (as float32) is 0 to LightGBM in an array and in a matrix by column, and goes left of that
    very threshold in a matrix by row.
    """
    rng = np.random.default_rng(0)
    rows = 300
    X = pd.DataFrame(
        {
            "a": np.where(rng.random(rows) < 0.5, 0.0, rng.normal(size=rows)),
            "b": rng.normal(size=rows),
            "c": rng.choice(list("xyz"), rows),
        }
    )
    y = np.where(X["a"] == 0, X["b"] > 0, X["a"] < 0).astype(int)
    if steps.startswith(("zeros", "filled", "products", "norms", "a function")):
        X.loc[rng.random(rows) < 0.2, "a"] = np.nan
        X.loc[rng.random(rows) < 0.2, "b"] = np.nan
    encode = ColumnTransformer(
        [("c", OneHotEncoder(handle_unknown="ignore"), ["c"])], remainder="passthrough", sparse_threshold=1.0
    )
    pipeline = make_pipeline(encode, *AFTER_SPARSE[steps], BOOSTERS[library]("Classifier")).fit(X, y)
    assert pipeline[0].sparse_output_
    reader = exported(pipeline, X)
    assert is_lowered(reader)
    assert reader.replay()["label"] == 0.0
    assert {"tiny", "zero"} <= whys(reader)


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "reg:squaredlogerror"},
        {"objective": "reg:absoluteerror"},
        {"objective": "reg:pseudohubererror", "base_score": 150.0, "huber_slope": 50.0},
        {"objective": "reg:quantileerror", "quantile_alpha": 0.3},
        {"objective": "count:poisson"},
        {"objective": "reg:gamma"},
        {"objective": "reg:tweedie"},
        {"objective": "reg:squarederror", "num_parallel_tree": 3, "subsample": 0.7},
        {"missing": 0.0506801187398187},
        {"booster": "dart", "rate_drop": 0.5},
        {"grow_policy": "lossguide", "max_leaves": 5},
    ],
    ids=str,
)
def test_xgboost_regressors(options: dict[str, Any], diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    assert exported(xgb("Regressor", **options).fit(X, y), X).replay()["prediction"] < 1e-4


def test_xgboost_logistic_regressor_and_random_forest(diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    reader = exported(xgb("Regressor", objective="reg:logistic").fit(X, y / 400), X)
    assert reader.replay()["prediction"] < 1e-7
    assert exported(xgb("RFRegressor").fit(X, y), X).replay() == {"prediction": 0.0}


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "multi:softmax"},
        {"multi_strategy": "multi_output_tree", "tree_method": "hist"},
        {"booster": "dart", "rate_drop": 0.5},
    ],
    ids=str,
)
def test_xgboost_classifiers(options: dict[str, Any], wine: Any, exported: Export) -> None:
    X, y = wine
    fitted = xgb("Classifier", **options).fit(X, y)
    assert exported(fitted, X).replay()["probabilities"] < 2e-7


@pytest.mark.parametrize("objective", ["binary:logitraw", "binary:hinge", "reg:squarederror"])
def test_xgboost_classifiers_by_other_objectives(objective: str, cancer: Any, exported: Export) -> None:
    X, y = cancer[0].iloc[:200, :5], cancer[1][:200]
    worst = exported(xgb("Classifier", objective=objective).fit(X, y), X).replay()
    assert worst == {"label": 0.0, "probabilities": 0.0}


def test_xgboost_random_forest_and_a_loaded_model(wine: Any, exported: Export, tmp_path: Path) -> None:
    X, y = wine
    fitted = xgb("RFClassifier").fit(X, y)
    assert exported(fitted, X).replay()["probabilities"] < 2e-7
    fitted.save_model(tmp_path / "m.json")
    loaded = xgb("Classifier")
    loaded.load_model(tmp_path / "m.json")
    assert exported(loaded, X).replay()["label"] == 0.0


@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
def test_early_stopping_serves_the_best_iteration(library: str, cancer: Any, exported: Export) -> None:
    X, y = cancer[0].iloc[:, :5], cancer[1]
    train, valid = (X[:300], y[:300]), (X[300:], y[300:])
    if library == "xgboost":
        fitted = xgb("Classifier", n_estimators=60, learning_rate=1.0, early_stopping_rounds=2)
        fitted.fit(*train, eval_set=[valid], verbose=0)
        trained, best = fitted.get_booster().num_boosted_rounds(), fitted.best_iteration + 1
    elif library == "lightgbm":
        fitted = lgbm("Classifier", n_estimators=60, learning_rate=1.0)
        stop = pytest.importorskip("lightgbm").early_stopping(2, verbose=False)
        fitted.fit(*train, eval_X=valid[0], eval_y=valid[1], callbacks=[stop])
        trained, best = len(next(iter(fitted.evals_result_["valid_0"].values()))), fitted.best_iteration_
    else:
        fitted = cat("Classifier", n_estimators=60, learning_rate=1.0, early_stopping_rounds=2)
        fitted.fit(*train, eval_set=valid)
        trained, best = 60, fitted.tree_count_
    assert best < trained
    assert exported(fitted, X).replay()["label"] == 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "regression_l1"},
        {"objective": "huber"},
        {"objective": "fair"},
        {"objective": "quantile"},
        {"objective": "mape"},
        {"objective": "poisson"},
        {"objective": "gamma"},
        {"objective": "tweedie"},
        {"reg_sqrt": True},
        {"boosting_type": "rf", "subsample": 0.7, "subsample_freq": 1},
        {"boosting_type": "dart", "drop_rate": 0.5},
        {"zero_as_missing": True},
        {"use_missing": False},
    ],
    ids=str,
)
def test_lightgbm_regressors(options: dict[str, Any], diabetes: Any, exported: Export) -> None:
    """Half of the numbers are zeros, and thresholds lie about them; LightGBM's zeros are up to 1e-35 wide."""
    X, y = diabetes
    X = X.where(X > 0, 0.0).mask(np.random.default_rng(0).random(X.shape) < 0.1)
    reader = exported(lgbm("Regressor", **options).fit(X, y), X)
    assert reader.replay()["prediction"] < 1e-12
    assert {"boundary", "zero", "missing"} <= whys(reader)


@pytest.mark.parametrize("objective", ["cross_entropy", "cross_entropy_lambda"])
def test_lightgbm_cross_entropy(objective: str, diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    assert exported(lgbm("Regressor", objective=objective).fit(X, y / 400), X).replay()["prediction"] < 1e-14


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "multiclassova", "sigmoid": 0.7},
        {"boosting_type": "rf", "subsample": 0.7, "subsample_freq": 1},
        {"boosting_type": "goss"},
    ],
    ids=str,
)
def test_lightgbm_classifiers(options: dict[str, Any], wine: Any, exported: Export) -> None:
    X, y = wine
    fitted = lgbm("Classifier", **options).fit(X, np.array(["rot", "weiß", "rosé"])[y])
    assert exported(fitted, X).replay()["probabilities"] < 1e-14


def test_lightgbm_two_classes_with_a_sigmoid_of_its_own(cancer: Any, exported: Export) -> None:
    X, y = cancer[0].iloc[:200, :5], cancer[1][:200].astype(bool)
    reader = exported(lgbm("Classifier", sigmoid=2.5).fit(X, y), X)
    assert reader.replay()["probabilities"] < 1e-15
    assert reader.signature["outputs"][0]["type"] == "bool"


@pytest.mark.parametrize(
    "options",
    [
        {"loss_function": "MAE"},
        {"loss_function": "Quantile:alpha=0.3"},
        {"loss_function": "Poisson"},
        {"loss_function": "Tweedie:variance_power=1.5"},
        {"grow_policy": "Depthwise"},
        {"grow_policy": "Lossguide", "max_leaves": 6},
        {"nan_mode": "Max"},
        {"nan_mode": "Min", "boost_from_average": False},
    ],
    ids=str,
)
def test_catboost_regressors(options: dict[str, Any], diabetes: Any, exported: Export) -> None:
    X, y = diabetes
    X = X.mask(np.random.default_rng(0).random(X.shape) < 0.1)
    reader = exported(cat("Regressor", **options).fit(X, y), X)
    assert reader.replay()["prediction"] < 1e-12
    assert {"boundary", "missing"} <= whys(reader)


@pytest.mark.parametrize(
    "options", [{"loss_function": "MultiClassOneVsAll"}, {"grow_policy": "Lossguide"}], ids=str
)
def test_catboost_classifiers(options: dict[str, Any], wine: Any, exported: Export) -> None:
    X, y = wine
    fitted = cat("Classifier", **options).fit(X, np.array(["rot", "weiß", "rosé"])[y])
    assert exported(fitted, X).replay()["probabilities"] < 1e-14


@pytest.mark.parametrize("labels", ["int", "bool", "float", "text"])
def test_catboost_keeps_the_type_of_labels(labels: str, cancer: Any, exported: Export) -> None:
    X, y = cancer[0].iloc[:200, :5], cancer[1][:200]
    y = {"int": y * 7 - 2, "bool": y.astype(bool), "float": y + 0.5, "text": np.where(y, "gut", "böse")}[
        labels
    ]
    reader = exported(cat("Classifier").fit(X, y), X)
    assert reader.replay()["label"] == 0.0
    types = {"int": "int64", "bool": "bool", "float": "float64", "text": "string"}
    assert reader.signature["outputs"][0]["type"] == types[labels]


def test_catboost_scale_bias_and_threshold(cancer: Any, exported: Export, tmp_path: Path) -> None:
    X, y = cancer[0].iloc[:200, :5], cancer[1][:200]
    fitted = cat("Classifier").fit(X, y)
    fitted.set_scale_and_bias(0.3, [-0.2])
    fitted.set_probability_threshold(0.7)
    assert (fitted.predict(X) != (fitted.predict_proba(X)[:, 1] > 0.5)).any(), "the threshold matters"
    assert exported(fitted, X).replay()["label"] == 0.0
    fitted.save_model(tmp_path / "m.cbm")
    loaded = cat("Classifier").load_model(tmp_path / "m.cbm")
    assert exported(loaded, X).replay()["label"] == 0.0


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_native_categories(library: str, ordered: bool, penguins: Any, exported: Export) -> None:
    X, species = penguins
    towns = [f"town {i % 40}" for i in range(len(X))]
    dtype = pd.CategoricalDtype([f"town {i}" for i in range(45)], ordered=ordered)
    X = native(X).assign(town=pd.Series(towns, dtype=dtype))
    y = (species + np.arange(len(X)) % 40 % 3) % 3
    if library == "xgboost":
        fitted = xgb("Classifier", enable_categorical=True, max_cat_to_onehot=1).fit(X, y)
    else:
        fitted = lgbm("Classifier", min_data_per_group=2, cat_smooth=0.1, max_cat_to_onehot=1).fit(X, y)
    reader = exported(fitted, X)
    assert reader.replay()["label"] == 0.0
    assert "missing" in whys(reader)
    town = reader.input("town")
    assert town["domain"] == list(dtype.categories), "those without a row too"
    # XGBoost refuses a category that it does not know, for LightGBM it is a missing one.
    assert town["unknown"] == ("refuse" if library == "xgboost" else "accept")
    assert ("unseen" in whys(reader)) == (library == "lightgbm")


def test_native_categories_are_found_by_name(penguins: Any, exported: Export) -> None:
    """The order of the training frame's categories is the booster's, not that of the frame at hand."""
    X, y = native(penguins[0]), penguins[1]
    fitted = xgb("Classifier", enable_categorical=True).fit(X, y)
    other = X.assign(island=X["island"].cat.reorder_categories(["Torgersen", "Dream", "Biscoe"]))
    assert exported(fitted, other).replay()["label"] == 0.0


def test_native_categories_behind_a_transformer(penguins: Any, exported: Export) -> None:
    X, y = native(penguins[0]), penguins[1]
    columns = make_column_transformer((SimpleImputer(), MEASURES), remainder="passthrough")
    columns.set_output(transform="pandas")
    for model in (xgb("Classifier", enable_categorical=True), lgbm("Classifier", min_data_per_group=2)):
        assert exported(make_pipeline(columns, model).fit(X, y), X).replay()["label"] == 0.0


@pytest.mark.parametrize("gap", [False, True])
def test_lightgbm_categories_that_are_numbers(gap: bool, penguins: Any, exported: Export) -> None:
    """It cuts their fractions off; what is negative, missing or unknown goes right."""
    kind = np.arange(len(penguins[0])) % 12 - 1.0
    X = pd.DataFrame(
        {
            "kind": np.where(kind < 1, np.nan, kind + 0.3) if gap else kind.astype(int),
            "mass": penguins[0]["body_mass_g"],
        }
    )
    y = np.nan_to_num(kind) % 5 + X["mass"].fillna(0) / 1000
    fitted = lgbm("Regressor", min_data_per_group=2).fit(X, y, categorical_feature=[0])
    assert "num_cat=0" not in fitted.booster_.model_to_string().split("Tree=1")[0]
    reader = exported(fitted, X)
    assert reader.replay() == {"prediction": 0.0}
    assert "boundary" in whys(reader)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_model_without_splits(library: str, exported: Export) -> None:
    X = pd.DataFrame({"a": np.arange(40.0)})
    y = np.arange(40) % 2
    options = {"gamma": 1e9} if library == "xgboost" else {"min_split_gain": 1e9}
    assert exported(BOOSTERS[library]("Classifier", **options).fit(X, y), X).replay()["label"] == 0.0


def test_the_library_s_version_is_recorded(wine: Any, exported: Export) -> None:
    X, y = wine
    packages = json.loads(exported(lgbm("Classifier").fit(X, y), X).files["environment.json"])["packages"]
    assert packages["lightgbm"] == metadata.version("lightgbm")


def test_the_kit_imports_none_of_the_libraries() -> None:
    sources = [path.read_text() for path in Path(tenon.__file__).parent.rglob("*.py")]
    assert any('"xgboost.sklearn.XGBClassifier"' in text for text in sources), "rules name classes by text"
    for text in sources:
        assert not re.search(r"^\s*(import|from) (xgboost|lightgbm|catboost)\b", text, re.MULTILINE)


def refusal(model: Any, X: Any, tmp_path: Path) -> str:
    with pytest.raises(tenon.ExportError) as caught:
        tenon.export(model, X, name="m", path=tmp_path / "m.tenon")
    assert list(tmp_path.iterdir()) == [], "nothing is written"
    return str(caught.value)


@pytest.mark.parametrize("library", BOOSTERS)
def test_a_comparison_that_is_nearly_right_is_caught_by_boundary_rows(
    library: str, wine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hardly a row of the data lies so near to a threshold; those that the export makes there do."""
    X, y = wine
    X = X + np.random.default_rng(0).normal(scale=1e-3, size=X.shape)
    fitted = BOOSTERS[library]("Classifier").fit(X, y)
    if library == "xgboost":
        right = xgboost._tree

        def at_most(*args: Any) -> Any:
            tree = right(*args)
            return replace(
                tree, threshold=np.nextafter(tree.threshold.astype(np.float32), np.float32(np.inf))
            )

        monkeypatch.setattr(xgboost, "_tree", at_most)
    else:
        module, wrong = (lightgbm, "float32") if library == "lightgbm" else (catboost, "float64")
        monkeypatch.setattr(
            module, "Reading", lambda compares, *rest, **more: boosters.Reading(wrong, *rest, **more)
        )
    said = refusal(fitted, X, tmp_path)
    assert "(boundary)" in said
    # XGBoost splits at values of the data itself, the others between them.
    assert library == "xgboost" or "(training)" not in said


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: xgb("Regressor", booster="gblinear"), ["gblinear", "booster='gbtree'"]),
        (lambda: lgbm("Regressor", linear_tree=True), ["linear trees", "linear_tree=False"]),
        (
            lambda: lgbm("Regressor", objective=lambda y, p: (p - y, np.ones_like(y))),
            ["an objective of its own", "train with"],
        ),
        (lambda: lgbm("Regressor", pred_early_stop=True), ["pred_early_stop", "leave it out"]),
        (lambda: cat("Regressor", cat_features=["sex"]), ["native categories", "OrdinalEncoder"]),
    ],
    ids=["gblinear", "linear trees", "own objective", "early stop", "categories"],
)
def test_refused_regressors(make: Any, words: list[str], diabetes: Any, tmp_path: Path) -> None:
    X, y = diabetes
    X = X.assign(sex=(X["sex"] > 0).astype(int))
    said = refusal(make().fit(X, y), X, tmp_path)
    for word in words:
        assert word in said


def test_catboost_categories_of_text_are_refused(penguins: Any, tmp_path: Path) -> None:
    X, y = penguins[0][["island", *MEASURES]].astype({"island": "category"}), penguins[1]
    said = refusal(cat("Classifier", cat_features=["island"]).fit(X, y), X, tmp_path)
    assert "native categories" in said
    fixed = make_column_transformer((OrdinalEncoder(), ["island"]), remainder="passthrough")
    tenon.export(make_pipeline(fixed, cat("Classifier")).fit(X, y), X, name="m", path=tmp_path / "m.tenon")


def test_xgboost_categories_that_are_not_ascii_are_refused(penguins: Any, tmp_path: Path) -> None:
    X, y = native(penguins[0]), penguins[1]
    X["island"] = X["island"].cat.rename_categories({"Dream": "Träume"})
    said = refusal(xgb("Classifier", enable_categorical=True).fit(X, y), X, tmp_path)
    assert "not ASCII" in said
    assert "rename" in said


def native_catboost(X: Any, y: Any) -> Any:
    library = pytest.importorskip("catboost", reason="catboost is not installed")
    return library.CatBoost({"iterations": 2, "verbose": 0, "allow_writing_files": False}).fit(X, y)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda X, y: xgb("Classifier").fit(X, y).get_booster(), ["xgboost.Booster", "load_model"]),
        (lambda X, y: lgbm("Classifier").fit(X, y).booster_, ["lightgbm.Booster", "LGBMClassifier"]),
        (native_catboost, ["catboost.CatBoost", "load_model"]),
        (lambda X, y: xgb("Classifier"), ["not fitted"]),
        (lambda X, y: lgbm("Classifier"), ["not fitted"]),
        (lambda X, y: cat("Classifier"), ["not fitted"]),
    ],
    ids=["xgboost", "lightgbm", "catboost", "unfitted xgboost", "unfitted lightgbm", "unfitted catboost"],
)
def test_native_and_unfitted_models(make: Any, words: list[str], wine: Any, tmp_path: Path) -> None:
    said = refusal(make(*wine), wine[0], tmp_path)
    for word in words:
        assert word in said

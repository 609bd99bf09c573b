"""Every transformer that is lowered: behind a linear model and behind a tree, on frames of every dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from sklearn.tree import DecisionTreeRegressor

from reader import Reader

Export = Callable[..., Reader]
ROWS = 120


@pytest.fixture(scope="module")
def numbers() -> tuple[pd.DataFrame, np.ndarray]:
    """Positive numbers of three scales and signs on both sides, all float64, and a target of them."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "small": rng.normal(size=ROWS),
            "skewed": np.exp(rng.normal(size=ROWS)),
            "large": rng.normal(4, 0.5, ROWS),
            "count": rng.integers(0, 9, ROWS).astype(float),
        }
    )
    return X, (X["small"] + np.log(X["skewed"]) + X["large"] + rng.normal(size=ROWS)).to_numpy()


LINEAR, TREE = LinearRegression(), DecisionTreeRegressor(max_depth=4, random_state=0)
WHOLE = {"small": "int8", "skewed": "int16", "large": "int32", "count": "int64"}
FRAMES: list[tuple[Callable[[pd.DataFrame], pd.DataFrame], Any]] = [
    (lambda X: X, TREE),
    (lambda X: X.astype("float32"), TREE),
    (lambda X: (6 * X).astype(WHOLE), LINEAR),
]
"""Each dtype, with what stands behind the transformer there."""

TRANSFORMERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    make_pipeline(StandardScaler(with_std=False), RobustScaler(with_scaling=False)),
    MinMaxScaler(feature_range=(-2, 3)),
    MinMaxScaler(clip=True),
    MaxAbsScaler(),
    MaxAbsScaler(clip=True),
    RobustScaler(),
    RobustScaler(with_centering=False, quantile_range=(5, 95)),
    RobustScaler(unit_variance=True),
    Normalizer(),
    Normalizer("l1"),
    Normalizer("max"),
    Binarizer(),
    Binarizer(threshold=np.float64(2.1)),
    PowerTransformer(),
    PowerTransformer(standardize=False),
    PolynomialFeatures(2),
    make_pipeline(StandardScaler(), PolynomialFeatures(3, include_bias=False)),
    PolynomialFeatures(3, interaction_only=True),
    PolynomialFeatures((2, 3)),
    PolynomialFeatures((0, 1)),
    KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"),
    KBinsDiscretizer(4, encode="onehot-dense", strategy="uniform"),
    KBinsDiscretizer(5, encode="ordinal", strategy="kmeans", random_state=0),
    KBinsDiscretizer(3, encode="ordinal", quantile_method="linear", dtype=np.float32),
    QuantileTransformer(n_quantiles=20),
    PCA(),
    PCA(2, whiten=True),
    IncrementalPCA(2),
    TruncatedSVD(2, random_state=0),
    GaussianRandomProjection(3, random_state=0),
    SparseRandomProjection(3, random_state=0),
]


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
def test_transformers_of_numbers(transformer: Any, numbers: Any, exported: Export) -> None:
    X, y = numbers
    for convert, model in FRAMES:
        frame = convert(X)
        exported(make_pipeline(clone(transformer), clone(model)).fit(frame, y), frame).replay()


def test_float32_beside_booleans_stays_float32(numbers: Any, exported: Export) -> None:
    """numpy promotes the two to float32, pandas makes objects of them and a nullable column makes double of all."""
    X, y = numbers
    frame = (
        X[["small", "skewed"]]
        .astype("float32")
        .assign(flag=X["large"] > 4, b8=(X["large"] > 3).astype("int8"))
    )
    stacked = make_column_transformer((StandardScaler(), ["small"]), remainder="passthrough")
    nullable = frame.assign(flag=frame["flag"].astype("boolean"))
    for step in (StandardScaler(), stacked, FunctionTransformer(np.abs, validate=True)):
        for part in (frame, nullable):
            reader = exported(make_pipeline(step, PowerTransformer(), LinearRegression()).fit(part, y), part)
            reader.replay()
    direct = exported(LinearRegression().fit(frame, y), frame)
    assert direct.signature["outputs"][0]["type"] == "float32"
    assert direct.replay()["prediction"] < 1e-5


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("method", ["box-cox", "yeo-johnson"])
def test_powers(method: str, standardize: bool, numbers: Any, exported: Export) -> None:
    """Powers of all sizes, 0 and 2 among them."""
    X, y = numbers
    frame = X[["skewed", "large"]].assign(third=X["skewed"] ** 3, plain=X["large"] + 1, fifth=X["large"])
    for dtype, model in (("float64", LINEAR), ("float32", TREE)):
        power = PowerTransformer(method=method, standardize=standardize)
        fitted = make_pipeline(power, clone(model)).fit(frame.astype(dtype), y)
        power.lambdas_[:3] = 0.0, 2.0, -1.5
        exported(fitted, frame.astype(dtype)).replay()


SELECTORS = [
    SelectKBest(k=2),
    SelectPercentile(percentile=50),
    SelectFpr(),
    SelectFdr(),
    SelectFwe(),
    GenericUnivariateSelect(mode="k_best", param=2),
    SelectFromModel(DecisionTreeRegressor(random_state=0)),
    VarianceThreshold(0.3),
    RFE(LinearRegression(), n_features_to_select=2),
    RFECV(LinearRegression(), cv=2),
    SequentialFeatureSelector(LinearRegression(), n_features_to_select=2, cv=2),
]


@pytest.mark.parametrize("selector", SELECTORS, ids=lambda s: type(s).__name__)
def test_selections_choose_columns(selector: Any, numbers: Any, exported: Export) -> None:
    X, y = numbers
    frame = X.astype({"small": "float32", "count": "int8"}).assign(noise=np.arange(ROWS) % 7)
    target = (y > y.mean()).astype(int)
    fitted = make_pipeline(StandardScaler(), clone(selector), LogisticRegression()).fit(frame, target)
    assert 0 < fitted[1].get_support().sum() <= 5
    assert exported(fitted, frame).replay()["probabilities"] < 1e-13
    tree = make_pipeline(clone(selector), TREE).set_output(transform="pandas").fit(frame, target)
    assert exported(tree, frame).replay() == {"prediction": 0.0}


def test_edges_of_bins_have_rows_of_their_own(numbers: Any, exported: Export) -> None:
    X, y = numbers
    bins = KBinsDiscretizer(3, encode="ordinal", quantile_method="linear")
    reader = exported(make_pipeline(StandardScaler(), bins, LinearRegression()).fit(X, y), X)
    reader.replay()
    rows = [r for r in reader.requests if r["why"] == "boundary"]
    values = np.concatenate(
        [
            v["inputs"]["small"] if "inputs" in v else [i["small"] for i in v["instances"]]
            for v in (r["body"] for r in rows)
        ]
    )
    edges = bins.bin_edges_[0][1:-1] * X["small"].std(ddof=0) + X["small"].mean()
    for edge in edges:
        assert (np.abs(values - edge) < 1e-12).sum() >= 3, "just below, at, and just above"


# Whole pipelines: what holds other steps.


def test_every_form_of_columns(mixed: Any, exported: Export) -> None:
    """Nested, by dtype, by name, by callable, dropped, passed through, weighted, and the rest in a scaler."""
    X, y = mixed
    X = X.drop(columns=["nullable", "maybe"])
    inner = ColumnTransformer(
        [("scale", StandardScaler(), ["int"]), ("same", "passthrough", make_column_selector("tiny"))],
        remainder=MinMaxScaler(),
        verbose_feature_names_out=False,
        transformer_weights={"scale": 2.5, "remainder": 3},
    )
    columns = ColumnTransformer(
        [
            ("inner", inner, ["int", "tiny", "single"]),
            (
                "text",
                OneHotEncoder(handle_unknown="ignore"),
                make_column_selector(dtype_include=["str", "category"]),
            ),
            ("gone", "drop", ["none", "größe (m²)"]),
            ("none", StandardScaler(), []),
            ("flag", "passthrough", lambda frame: ["flag"]),
        ],
        remainder=SimpleImputer(),
    )
    assert (
        exported(make_pipeline(columns, LogisticRegression()).fit(X, y), X).replay()["probabilities"] < 1e-14
    )
    outer = (
        clone(columns).set_params(remainder="drop", text__sparse_output=False).set_output(transform="pandas")
    )
    again = make_column_transformer((StandardScaler(), ["inner__int"]), (MaxAbsScaler(), ["inner__single"]))
    fitted = make_pipeline(outer, again, DecisionTreeRegressor(max_depth=5)).fit(X, y)
    assert exported(fitted, X).replay() == {"prediction": 0.0}


@pytest.mark.parametrize("remainder", ["passthrough", "drop", OrdinalEncoder()], ids=repr)
@pytest.mark.parametrize("verbose", [True, False])
def test_remainders(remainder: Any, verbose: bool, numbers: Any, exported: Export) -> None:
    X, y = numbers
    columns = make_column_transformer(
        (PowerTransformer(), ["skewed"]),
        (KBinsDiscretizer(3, quantile_method="linear"), ["large"]),
        remainder=remainder,
        verbose_feature_names_out=verbose,
    )
    frame = X.assign(small=X["small"].round())
    fitted = make_pipeline(columns, TREE).fit(frame, y)
    assert exported(fitted, frame).replay() == {"prediction": 0.0}


def test_unions(numbers: Any, exported: Export) -> None:
    X, y = numbers
    union = FeatureUnion(
        [
            ("scaled", make_pipeline(StandardScaler(), PCA(2))),
            ("same", "passthrough"),
            ("gone", "drop"),
            ("bins", KBinsDiscretizer(3, quantile_method="linear")),
            ("missing", MissingIndicator(features="all")),
        ],
        transformer_weights={"scaled": 0.5, "same": 2},
    )
    fitted = Pipeline([("skip", "passthrough"), ("union", union), ("none", None), ("model", LINEAR)]).fit(
        X, y
    )
    assert exported(fitted, X).replay()["prediction"] < 1e-12
    dense = make_union(PowerTransformer(), MinMaxScaler()).set_output(transform="pandas")
    assert exported(make_pipeline(dense, TREE).fit(X, y), X).replay() == {"prediction": 0.0}


@pytest.mark.parametrize(
    "scaler", [StandardScaler(with_mean=False), MaxAbsScaler(), RobustScaler(with_centering=False)], ids=repr
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sparse_matrices_are_multiplied(scaler: Any, dtype: str, numbers: Any, exported: Export) -> None:
    """Where scikit-learn holds a sparse matrix it multiplies by the reciprocal, and a tree sees the last bit."""
    X, y = numbers
    frame = X.astype(dtype).assign(kind=np.arange(ROWS) % 11)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", dtype=dtype), ["kind"]),
        remainder="passthrough",
        sparse_threshold=1.0,
    )
    tree = make_pipeline(columns, scaler, DecisionTreeRegressor(random_state=0)).fit(frame, y)
    assert tree[0].sparse_output_
    assert exported(tree, frame).replay() == {"prediction": 0.0}

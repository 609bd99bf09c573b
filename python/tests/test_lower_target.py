"""TransformedTargetRegressor: whatever the target was made, the served answer is in the target's own units."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeRegressor

import tenon
from reader import Reader

Export = Callable[..., Reader]


@pytest.fixture(scope="module")
def priced() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=150), "b": rng.uniform(0, 1, 150)})
    return X, np.exp(X["a"] / 2 + X["b"] + rng.normal(size=150) / 9).to_numpy()


FUNCTIONS = [
    (np.log1p, np.expm1),
    (np.log, np.exp),
    (np.sqrt, np.square),
    (np.square, np.sqrt),
    (np.log2, np.exp2),
    (None, None),
]


@pytest.mark.parametrize(("func", "inverse"), FUNCTIONS, ids=str)
def test_functions_of_the_target(func: Any, inverse: Any, priced: Any, exported: Export) -> None:
    X, y = priced
    for dtype, model, most in (("float64", LinearRegression(), 1e-12), ("float32", LinearRegression(), 1e-5)):
        inner = make_pipeline(StandardScaler(), model)
        fitted = TransformedTargetRegressor(inner, func=func, inverse_func=inverse)
        frame = X.astype(dtype)
        assert exported(fitted.fit(frame, y.astype(dtype)), frame).replay()["prediction"] < most


TRANSFORMERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    MinMaxScaler((1, 2)),
    MaxAbsScaler(),
    RobustScaler(),
    PowerTransformer(),
    PowerTransformer("box-cox"),
    PowerTransformer(standardize=False),
    QuantileTransformer(n_quantiles=30),
    FunctionTransformer(np.log, np.exp),
    make_pipeline(FunctionTransformer(np.log, np.exp), StandardScaler()),
]


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
def test_transformers_of_the_target(transformer: Any, priced: Any, exported: Export) -> None:
    X, y = priced
    linear = TransformedTargetRegressor(LinearRegression(), transformer=transformer).fit(X, y)
    assert exported(linear, X).replay()["prediction"] < 1e-11
    tree = TransformedTargetRegressor(DecisionTreeRegressor(max_depth=5), transformer=transformer).fit(X, y)
    assert exported(make_pipeline(StandardScaler(), tree).fit(X, y), X).replay()["prediction"] < 1e-11


@pytest.mark.parametrize("power", [0.0, 2.0, -0.7, 2.9, 0.4])
def test_powers_of_the_target(power: float, priced: Any, exported: Export) -> None:
    X, y = priced
    for target, method in ((y - 1.5, "yeo-johnson"), (y, "box-cox")):
        transformer = PowerTransformer(method, standardize=False)
        fitted = TransformedTargetRegressor(LinearRegression(), transformer=transformer).fit(X, target)
        fitted.transformer_.lambdas_[:] = power
        assert exported(fitted, X).replay()["prediction"] < 1e-10


def test_inverses_that_no_graph_holds(priced: Any, tmp_path: Path) -> None:
    X, y = priced

    def cube(v: Any) -> Any:
        return v**3

    def refusal(**options: Any) -> str:
        model = TransformedTargetRegressor(LinearRegression(), check_inverse=False, **options).fit(X, y)
        with pytest.raises(tenon.ExportError) as caught:
            tenon.export(model, X, name="m", path=tmp_path / "m.tenon")
        assert list(tmp_path.iterdir()) == []
        return str(caught.value)

    assert "cube" in refusal(func=np.cbrt, inverse_func=cube)
    assert "KBinsDiscretizer" in refusal(
        transformer=KBinsDiscretizer(encode="ordinal", quantile_method="linear")
    )
    arguments = FunctionTransformer(np.log, np.exp, inv_kw_args={"dtype": "float32"})
    assert "inv_kw_args" in refusal(transformer=arguments)

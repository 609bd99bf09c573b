"""numpy's functions as nodes: the last digits over all magnitudes, integers in their own width, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import tenon
from reader import Reader
from tenon.compare import session
from tenon.lowering.functions import FUNCTIONS
from tenon.lowering.graph import Graph, Value

Export = Callable[..., Reader]
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 709.0, 709.78, 710.0, -745.0, -746.0, 5e-324]


def computed(build: Callable[[Graph, Value], Value], values: np.ndarray) -> np.ndarray:
    g = Graph()
    g.output("y", build(g, g.input("x", "float64", values.shape[1])), values.shape[1])
    return session(g.model()).run(["y"], {"x": values})[0]


def magnitudes(low: float, high: float, count: int = 4000) -> np.ndarray:
    """Both signs, evenly over the decades, and what is special."""
    sizes = 10.0 ** np.random.default_rng(0).uniform(low, high, count)
    return np.concatenate([sizes, -sizes, SPECIAL]).reshape(-1, 1)


def ulps(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest distance in units of the last digit; infinite where NaN, signs or infinities differ."""
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        distance = np.abs(got - expected) / np.spacing(np.abs(expected))
    return float(np.where(same, 0.0, np.nan_to_num(distance, nan=np.inf)).max())


@pytest.mark.parametrize("function", [np.log1p, np.expm1], ids=lambda f: f.__name__)
def test_what_onnx_lacks_keeps_its_digits_over_all_magnitudes(function: np.ufunc) -> None:
    build = FUNCTIONS[function].build
    x = np.vstack([magnitudes(-300, 300), magnitudes(-20, 3), np.nextafter(-1.0, [[0.0]])])
    with np.errstate(all="ignore"):
        expected = function(x)
    assert ulps(computed(build, x), expected) <= 4


@settings(max_examples=200, deadline=None)
@given(st.floats(min_value=-1, allow_infinity=True))
def test_log1p_of_any_double(x: float) -> None:
    with np.errstate(all="ignore"):
        assert ulps(LOG1P(np.array([[x]])), np.log1p([[x]])) <= 4


@settings(max_examples=200, deadline=None)
@given(st.floats(min_value=-800, max_value=800))
def test_expm1_of_any_double(x: float) -> None:
    with np.errstate(all="ignore"):
        assert ulps(EXPM1(np.array([[x]])), np.expm1([[x]])) <= 4


def runner(function: np.ufunc) -> Callable[[np.ndarray], np.ndarray]:
    """One session for many examples."""
    g = Graph()
    g.output("y", FUNCTIONS[function].build(g, g.input("x", "float64", 1)), 1)
    ready = session(g.model())
    return lambda x: ready.run(["y"], {"x": x})[0]


LOG1P, EXPM1 = runner(np.log1p), runner(np.expm1)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_function_of_doubles(function: np.ufunc) -> None:
    x = np.vstack([magnitudes(-300, 300), magnitudes(-5, 3), np.arange(-4, 5)[:, None] / 2])
    if function in (np.sin, np.cos):
        x = x[np.abs(x[:, 0]) < 1e12]
    with np.errstate(all="ignore"):
        expected = function(x)
    got = computed(FUNCTIONS[function].build, x)
    if FUNCTIONS[function].back is not None:
        assert np.array_equal(got, expected, equal_nan=True), "rows are made at thresholds behind it"
    finite = np.isfinite(expected)
    assert np.array_equal(np.isfinite(got), finite)
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    assert np.allclose(got[finite], expected[finite], rtol=1e-13, atol=1e-15)


# In pipelines.


@pytest.fixture(scope="module")
def numbers() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"a": np.exp(rng.normal(size=120)), "b": rng.uniform(0.5, 2, 120), "n": rng.integers(1, 99, 120)}
    )
    return X, (X["a"] + X["b"] + np.log(X["n"])).to_numpy()


@pytest.mark.parametrize(
    "functions",
    [
        (np.log, np.log1p, np.sqrt),
        (np.exp, np.expm1, np.abs),
        (np.square, np.floor, np.negative),
        (np.log10, np.sin, np.sign),
    ],
    ids=lambda f: "-".join(u.__name__ for u in f),
)
@pytest.mark.parametrize("validate", [True, False])
def test_functions_behind_a_linear_model_and_a_tree(
    functions: Any, validate: bool, numbers: Any, exported: Export
) -> None:
    X, y = numbers
    frame = X.astype({"b": "float32"}).assign(
        small=(X["n"] / 4 + 1).astype("int16"), maybe=X["n"].astype("Int64")
    )
    columns = make_column_transformer(
        *(
            (
                FunctionTransformer(f, validate=validate, feature_names_out="one-to-one"),
                ["a", "b", "n", "small"],
            )
            for f in functions
        ),
        (FunctionTransformer(functions[0]), ["maybe"]),
    )
    model = LinearRegression() if validate else DecisionTreeRegressor(max_depth=5)
    exported(make_pipeline(columns, StandardScaler(), model).fit(frame, y), frame).replay()


def test_integers_wrap_in_their_own_width(exported: Export) -> None:
    """-(-128) is -128 in int8 and 100 * 100 is 16: the edge rows of the golden set hold both."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({f"i{b}": rng.integers(-99, 99, 200).astype(f"int{b}") for b in (8, 16, 32, 64)})
    X["u8"] = rng.integers(0, 99, 200).astype("uint8")
    y = X.sum(axis=1)
    X["null"] = pd.array(np.where(rng.random(200) < 0.1, None, rng.integers(-99, 99, 200)), dtype="Int32")
    for function in (np.abs, np.square, np.negative, np.sign, np.floor):
        model = make_pipeline(FunctionTransformer(function), DecisionTreeRegressor()).fit(X, y)
        reader = exported(model, X)
        assert reader.replay() == {"prediction": 0.0}
        assert "large" in {r["why"] for r in reader.requests}


def test_rows_at_thresholds_behind_exact_functions(numbers: Any, exported: Export) -> None:
    X, y = numbers
    for function, expected in ((np.sqrt, True), (np.log, False)):
        model = make_pipeline(FunctionTransformer(function), DecisionTreeRegressor(max_depth=3)).fit(X, y)
        reader = exported(model, X)
        assert reader.replay() == {"prediction": 0.0}
        assert ("boundary" in {r["why"] for r in reader.requests}) is expected


def refusal(pipeline: Any, X: Any, folder: Path) -> str:
    with pytest.raises(tenon.ExportError) as caught:
        tenon.export(pipeline, X, name="m", path=folder / "m.tenon")
    assert list(folder.iterdir()) == [], "nothing is written"
    return str(caught.value)


def half(X: Any) -> Any:
    return X / 2


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (FunctionTransformer(half), ["half", "tenon.bundle", "log1p"]),
        (FunctionTransformer(np.nan_to_num), ["nan_to_num"]),
        (FunctionTransformer(np.round, kw_args={"decimals": 1}), ["round", "decimals"]),
        (FunctionTransformer(np.frompyfunc(half, 1, 1)), ["Python function"]),
    ],
    ids=["mine", "numpy's, which is no ufunc", "with arguments", "mine as a ufunc"],
)
def test_other_functions_are_refused(function: Any, words: list[str], numbers: Any, tmp_path: Path) -> None:
    X, y = numbers
    said = refusal(make_pipeline(function, LinearRegression()).fit(X, y), X, tmp_path)
    for word in words:
        assert word in said


def test_half_precision_is_refused(numbers: Any, tmp_path: Path) -> None:
    X, y = numbers
    frame = X.astype({"n": "int8"})
    said = refusal(
        make_pipeline(FunctionTransformer(np.log), LinearRegression()).fit(frame, y), frame, tmp_path
    )
    assert "float16" in said
    assert "astype('float64')" in said

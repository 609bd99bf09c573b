"""Frames that tests train on: real data with gaps, and one made-up frame with a column of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from threadpoolctl import threadpool_limits

import tenon
from reader import Reader


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine, threads that wait for each other make a boosted tree of a few rows last seconds."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def cancer() -> tuple[pd.DataFrame, np.ndarray]:
    """569 rows of 30 numbers, two classes."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return X, y.to_numpy()


@pytest.fixture(scope="session")
def gaps(cancer: tuple[pd.DataFrame, np.ndarray]) -> pd.DataFrame:
    """The same with a tenth of the values missing."""
    X, _ = cancer
    return X.mask(np.random.default_rng(0).random(X.shape) < 0.1)


@pytest.fixture(scope="session")
def mixed() -> tuple[pd.DataFrame, np.ndarray]:
    """600 rows with a column of every kind that people have."""
    rng, n = np.random.default_rng(0), 600
    text = pd.Series(rng.choice(["x", "y", "z", None], n), dtype=object)
    frame = pd.DataFrame(
        {
            "float": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "single": rng.normal(size=n).astype("float32"),
            "int": rng.integers(0, 5, n),
            "tiny": rng.integers(-3, 3, n).astype("int8"),
            "id": rng.integers(2**60, 2**60 + 4, n),
            "flag": rng.random(n) < 0.5,
            # Not by astype: with pandas 2 that makes the text "nan" of NaN.
            "text": pd.Series(text.where(text.notna(), np.nan).tolist(), dtype="str"),
            "none": text,
            "kind": text.astype("category"),
            "nullable": pd.array(np.where(rng.random(n) < 0.2, None, rng.integers(0, 9, n)), dtype="Int64"),
            "maybe": pd.array(rng.choice([True, False, None], n), dtype="boolean"),
            "größe (m²)": rng.choice(["é", "日本", 'a"b'], n),
        }
    )
    y = (frame["int"] + 2 * (frame["text"] == "x") + rng.normal(size=n) > 3).to_numpy().astype(int)
    return frame, y


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Reader]:
    """Exports into a temporary folder and reads the bundle back."""

    def export(pipeline: Any, X: Any, **options: Any) -> Reader:
        bundle = tenon.export(pipeline, X, name="m", path=tmp_path / "m.tenon", **options)
        reader = Reader(bundle.path)
        assert reader.digest() == bundle.digest
        return reader

    return export


@pytest.fixture
def thinned(exported: Callable[..., Reader]) -> Callable[..., Reader]:
    """The same, held against 60 of the rows and those made at thresholds and edges, which is soon done."""

    def export(pipeline: Any, X: Any) -> Reader:
        return exported(pipeline, X, holdout=X[:: max(1, len(X) // 60)])

    return export

"""A long hold-out set is compared and written in parts, so memory does not grow with it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import tenon


def peak(rows: int, path: Path) -> int:
    """Bytes at most that an export with so many hold-out rows of 32 bytes takes."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(rows, 4)), columns=list("abcd"))
    model = LogisticRegression().fit(X.head(1000), X["a"].head(1000) > 0)
    tracemalloc.start()
    try:
        tenon.export(model, X.head(1000), name="m", holdout=X, path=path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_holdout(tmp_path: Path) -> None:
    few, many = peak(2_000, tmp_path / "few.tenon"), peak(102_000, tmp_path / "many.tenon")
    assert (many - few) / 100_000 < 250, "bytes a row: its values, its answers, its name, and their tensors"

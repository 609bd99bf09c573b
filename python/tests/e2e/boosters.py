"""Boosters on their own, as the end-to-end tests serve them: native categories, missing values, labels of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from examples import Case
from palmerpenguins import load_penguins


def _library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed")


def _penguins(model: Any, codes: bool, native: bool) -> Case:
    frame = load_penguins()
    species = frame["species"].astype("category")
    X = frame.drop(columns=["species", "year"])
    X = X.astype({"island": "category", "sex": "category"}) if native else X.drop(columns=["island", "sex"])
    y = species.cat.codes.to_numpy() if codes else species.to_numpy(str)
    order = np.random.default_rng(0).permutation(len(X))
    train, hold = order[:240], order[240:]
    return Case(model.fit(X.iloc[train], y[train]), X.iloc[train], X.iloc[hold])


CASES: dict[str, Callable[[], Case]] = {
    "xgboost": lambda: _penguins(
        _library("xgboost").XGBClassifier(n_estimators=20, enable_categorical=True), codes=True, native=True
    ),
    "lightgbm": lambda: _penguins(
        _library("lightgbm").LGBMClassifier(n_estimators=20, verbose=-1), codes=False, native=True
    ),
    "catboost": lambda: _penguins(
        _library("catboost").CatBoostClassifier(n_estimators=20, verbose=0, allow_writing_files=False),
        codes=False,
        native=False,
    ),
}

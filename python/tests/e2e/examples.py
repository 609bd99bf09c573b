"""What the end-to-end tests train: the models that ship with the project, and small ones that tell versions apart."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from serving import ROOT
from sklearn.linear_model import LinearRegression

import tenon

SHIPPED = ("penguins", "digits", "diabetes")


@dataclass
class Case:
    """A trained pipeline, the frame it was trained on, and rows it has not seen."""

    pipeline: Any
    train: Any
    hold: Any


def example(name: str) -> Case:
    """One of the models that ship with the project."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "models" / name / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Case(*module.train())


COLUMNS = ["a", "b", "c"]


def line(offset: float) -> Case:
    """y = a + 2 b + 3 c + offset: small, and every row tells which offset answered."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=COLUMNS)
    return Case(LinearRegression().fit(X, X @ [1.0, 2.0, 3.0] + offset), X, X[:30])


def exported(case: Case, name: str, path: Path) -> tenon.Bundle:
    return tenon.export(case.pipeline, case.train, name=name, holdout=case.hold, path=path)

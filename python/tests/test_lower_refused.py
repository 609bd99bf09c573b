"""What no graph holds is refused with its remedy, at any depth, before a converter could let it through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, SplineTransformer, TargetEncoder

import tenon
from tenon.lowering.refused import refusals

RNG = np.random.default_rng(0)
X = pd.DataFrame(
    {"a": RNG.normal(size=120), "b": RNG.normal(size=120), "t": RNG.choice(["one word", "two", "Drei"], 120)}
)
Y = (X["a"] > 0).astype(int)


def refusal(pipeline: Any, frame: pd.DataFrame, y: Any, folder: Path) -> str:
    with pytest.raises(tenon.ExportError) as caught:
        tenon.export(pipeline.fit(frame, y), frame, name="m", path=folder / "m.tenon")
    assert list(folder.iterdir()) == [], "nothing is written"
    return str(caught.value)


@pytest.mark.parametrize(
    "step", [CountVectorizer(), TfidfVectorizer(), HashingVectorizer(n_features=16)], ids=repr
)
@pytest.mark.parametrize(
    "around", [lambda p: p, lambda p: VotingClassifier([("a", p)])], ids=["plain", "voting"]
)
def test_text_vectorizers(step: Any, around: Any, tmp_path: Path) -> None:
    columns = make_column_transformer((step, "t"))
    said = refusal(around(make_pipeline(columns, LogisticRegression())), X, Y, tmp_path)
    assert type(step).__name__ in said
    assert "ASCII" in said
    assert "tenon.bundle" in said


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        (DummyClassifier(strategy="stratified"), "prior"),
        (DummyClassifier(strategy="uniform"), "prior"),
        (make_pipeline(IterativeImputer(sample_posterior=True), LogisticRegression()), "SimpleImputer"),
    ],
    ids=repr,
)
def test_random_answers(model: Any, remedy: str, tmp_path: Path) -> None:
    said = refusal(model, X[["a", "b"]], Y, tmp_path)
    assert "at random" in said
    assert remedy in said


WAITING = [
    (QuantileTransformer(n_quantiles=20, output_distribution="normal"), 'output_distribution="uniform"'),
    (SplineTransformer(), "KBinsDiscretizer"),
    (KNNImputer(), "SimpleImputer"),
    (IterativeImputer(), "SimpleImputer"),
]


@pytest.mark.parametrize(("step", "remedy"), WAITING, ids=lambda v: type(v).__name__)
def test_not_lowered_yet(step: Any, remedy: str, tmp_path: Path) -> None:
    said = refusal(make_pipeline(step, LogisticRegression()), X[["a", "b"]], Y, tmp_path)
    assert type(step).__name__ in said
    assert remedy in said
    assert "tenon.bundle" in said


def test_target_encoding_of_several_classes(tmp_path: Path) -> None:
    columns = make_column_transformer((TargetEncoder(), ["t"]))
    said = refusal(
        make_pipeline(columns, LogisticRegression()), X, np.digitize(X["a"], [-0.5, 0.5]), tmp_path
    )
    assert "several classes" in said
    assert "OneHotEncoder" in said


def test_every_refusal_is_found_at_once() -> None:
    inner = make_column_transformer((TfidfVectorizer(), "t"), (OneHotEncoder(), ["t"]))
    pipeline = BaggingClassifier(make_pipeline(inner, DummyClassifier(strategy="uniform")))
    said = list(refusals(pipeline))
    assert len(said) == 2
    assert {s.split()[0].split("(")[0] for s in said} == {"TfidfVectorizer", "DummyClassifier"}
    assert list(refusals(make_pipeline(OneHotEncoder(), DummyClassifier()))) == []

"""Wrong exports planted by hand: each is caught by the export's own check, which names the rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tenon
from tenon.lowering import RULES
from tenon.lowering.columns import Block, Columns
from tenon.lowering.graph import Graph
from tenon.lowering.rules import Rule

Plant = Callable[[type, Callable[[Rule], Rule]], None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Replaces a rule in the table by a wrong one made from it."""
    return lambda kind, wrong: monkeypatch.setitem(RULES, kind, wrong(RULES[kind]))


@pytest.fixture(scope="module")
def penguins() -> Any:
    from palmerpenguins import load_penguins

    frame = load_penguins()
    return frame.drop(columns="species"), frame["species"]


def classifier(penguins: Any) -> Any:
    X, y = penguins
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = make_column_transformer(
        (numbers, ["bill_length_mm", "bill_depth_mm", "body_mass_g"]), (text, ["island", "sex"])
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(X, y)


def refused(pipeline: Any, X: Any, holdout: Any, tmp_path: Path, cause: str) -> tenon.ExportError:
    """The refusal: it names the cause and rows of the hold-out frame, and nothing is written."""
    with pytest.raises(tenon.ExportError) as caught:
        tenon.export(pipeline, X, name="wrong", holdout=holdout, path=tmp_path / "wrong.tenon")
    table = caught.value.rows
    assert list(table.columns) == ["row", "why", "batch", "output", "expected", "got", "distance"]
    assert repr(table["row"].iloc[0]) in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert [c.code for c in caught.value.causes] == [cause]
    assert caught.value.causes[0].detail in str(caught.value)
    return caught.value


def test_two_columns_swapped(penguins: Any, plant: Plant, tmp_path: Path) -> None:
    def swapped(rule: Rule) -> Rule:
        return lambda fitted, columns, g: rule(fitted, columns.select(g, [1, 0, 2]), g)

    X, _ = penguins
    plant(StandardScaler, swapped)
    error = refused(classifier(penguins), X, X.iloc[200:], tmp_path, "columns-swapped")
    named = set(error.rows.query("why == 'hold-out'")["row"])
    assert named == set(X.index[200:]), "every hold-out row differs and is named by its index"


def test_float32_scaler_before_the_forest(plant: Plant, tmp_path: Path) -> None:
    def single(rule: Rule) -> Rule:
        def wrong(fitted: Any, columns: Columns, g: Graph) -> Any:
            block = columns.numeric(g)
            narrow = Block(g.cast(block.value, "float32"), block.columns)
            out = rule(fitted, Columns((Block(narrow.value, narrow.columns),)), g)
            assert isinstance(out, Columns)
            return out

        return wrong

    X, y = load_diabetes(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler(), RandomForestRegressor(30, random_state=0)).fit(X, y)
    plant(StandardScaler, lambda rule: _in_float32(single(rule)))
    error = refused(pipeline, X, X.iloc[300:], tmp_path, "rounded-to-float32")
    assert "boundary" in set(error.rows["why"]), "rows at thresholds are what finds this one"
    assert error.rows["row"].astype(str).str.contains("threshold").any()


def _in_float32(rule: Rule) -> Rule:
    """Also the arithmetic in float32: numeric() promotes by the columns' dtypes, so those say float32."""
    from dataclasses import replace

    def wrong(fitted: Any, columns: Columns, g: Graph) -> Any:
        narrow = [
            Block(b.value, tuple(replace(c, dtype=np.dtype("float32")) for c in b.columns))
            for b in columns.blocks
        ]
        return rule(fitted, Columns(tuple(narrow), columns.names), g)

    return wrong


def test_category_map_shifted_by_one(penguins: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tenon.lowering import encode

    right = encode.category_table
    monkeypatch.setattr(encode, "category_table", lambda fitted, j: np.roll(right(fitted, j)[:-1], 1, axis=0))
    X, _ = penguins
    error = refused(classifier(penguins), X, X.iloc[200:], tmp_path, "categories-permuted")
    assert len(set(error.rows.query("why == 'hold-out'")["row"])) > 100


def test_class_labels_permuted(penguins: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right = Graph.labels
    monkeypatch.setattr(
        Graph,
        "labels",
        lambda g, index, classes, elem: right(g, index, np.roll(np.asarray(classes), 1), elem),
    )
    X, _ = penguins
    error = refused(classifier(penguins), X, X.iloc[200:], tmp_path, "labels-permuted")
    assert set(error.rows["output"]) == {"label"}
    assert set(error.rows["distance"]) == {1.0}


def test_probabilities_of_the_wrong_classes(penguins: Any, plant: Plant, tmp_path: Path) -> None:
    def permuted(rule: Rule) -> Rule:
        def wrong(fitted: Any, columns: Columns, g: Graph) -> Any:
            answers = rule(fitted, columns, g)
            assert isinstance(answers, dict)
            return {**answers, "probabilities": g.columns(answers["probabilities"], [1, 2, 0])}

        return wrong

    X, _ = penguins
    plant(LogisticRegression, permuted)
    error = refused(classifier(penguins), X, X.iloc[200:], tmp_path, "classes-permuted")
    assert "probabilities.Adelie" in set(error.rows["output"])


def test_imputer_dropped(penguins: Any, plant: Plant, tmp_path: Path) -> None:
    X, _ = penguins
    plant(SimpleImputer, lambda rule: lambda fitted, columns, g: columns)
    error = refused(classifier(penguins), X, X.iloc[:20], tmp_path, "missing-differs")
    assert 3 in set(error.rows["row"]), "row 3 is the one without measurements"


def test_thresholds_rounded_to_float32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tenon.lowering import trees

    right = trees.shape

    def rounded(estimator: Any) -> Any:
        tree = right(estimator)
        tree.threshold = tree.threshold.astype(np.float32).astype(np.float64)
        return tree

    X, y = load_diabetes(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler(), RandomForestRegressor(30, random_state=0)).fit(X, y)
    monkeypatch.setattr(trees, "shape", rounded)
    assert "boundary" in set(refused(pipeline, X, X.iloc[300:], tmp_path, "rounded-to-float32").rows["why"])

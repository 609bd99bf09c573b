"""The skew zoo: real mistakes of exports, each as a wrong graph beside the right pipeline's golden set.

A skew either lowers another pipeline than the one that the golden set is of, or lowers the right one by rules that
are wrong on purpose. What it should be called by the server stands beside it; None where nothing is expected.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mistakes as m
import numpy as np
import pandas as pd
from examples import Case
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from tenon.lowering.linear import softmax

NUMBERS = ["area", "age", "temp", "distance"]
TEXTS = ["town", "heating"]
TOWNS = ["Ahlen", "Bonn", "Celle", "Düren", "Emden"]


def houses(rows: int, seed: int) -> tuple[pd.DataFrame, Any]:
    """Areas in m², ages in years, °C, km and two categories; gaps in `area` and `heating`; the second is a price."""
    random = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "area": random.normal(90, 25, rows).round(1),
            "age": random.integers(1, 90, rows).astype(float),
            "temp": random.normal(12, 6, rows).round(2),
            "distance": random.exponential(8, rows).round(2) + 0.5,
            "town": random.choice(TOWNS, rows),
            "heating": random.choice(["gas", "oil", "wood"], rows, p=[0.6, 0.3, 0.1]),
        }
    )
    worth = {t: 10 * i * (-1) ** i for i, t in enumerate(TOWNS)}
    y = 1.4 * X.area - 0.5 * X.age + 0.02 * (X.temp - 8) ** 2 * X.distance + X.town.map(worth)
    y += np.where(X.heating == "oil", -15.0, 0.0) + random.normal(0, 3, rows) + 60
    X.loc[random.random(rows) < 0.06, "area"] = np.nan
    X.loc[random.random(rows) < 0.06, "heating"] = np.nan
    return X, y.to_numpy()


def halves(y: Any) -> Any:
    return np.where(y > np.median(y), "dear", "cheap")


def mixed(last: Any, seed: int = 0, binary: bool = False, **encoder: Any) -> Case:
    """Imputer and scaler on numbers, imputer and one-hot on categories, and an estimator."""
    X, y = houses(300, seed)
    if binary:
        y = halves(y)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encoder = {"handle_unknown": "ignore", **encoder}
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(**encoder))
    steps = make_column_transformer((numbers, NUMBERS), (texts, TEXTS))
    return Case(make_pipeline(steps, last).fit(X, y), X, houses(120, 1)[0])


def grown(last: Any, *before: Any, seed: int = 0, binary: bool = False) -> Case:
    """Numbers only, some missing, straight into an estimator or behind other steps."""
    X, y = houses(300, seed)
    if binary:
        y = halves(y)
    return Case(make_pipeline(*before, last).fit(X[NUMBERS], y), X[NUMBERS], houses(120, 1)[0][NUMBERS])


def ordinal(last: Any) -> Case:
    """Categories as numbers before trees."""
    X, y = houses(300, 0)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    steps = make_column_transformer((encoder, ["town"]), ("passthrough", ["age", "distance"]))
    columns = ["town", "age", "distance"]
    return Case(make_pipeline(steps, last).fit(X[columns], y), X[columns], houses(120, 1)[0][columns])


def iris_like() -> Case:
    """Three classes by four numbers, in a linear model without anything before it."""
    random = np.random.default_rng(3)
    y = random.integers(0, 3, 300)
    X = pd.DataFrame(random.normal(size=(300, 4)) + y[:, None] * [1.0, -0.6, 0.3, 0.1], columns=list("abcd"))
    model = LogisticRegression(max_iter=1000).fit(X, np.array(["red", "green", "blue"])[y])
    return Case(model, X, X[:120] * 0.9 + 0.1)


def small(**settings: Any) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(max_iter=8, max_leaf_nodes=8, random_state=0, **settings)


MODELS: dict[str, Callable[[], Case]] = {
    "ridge": lambda: mixed(Ridge()),
    "binary": lambda: mixed(LogisticRegression(max_iter=1000), binary=True),
    "dropping": lambda: mixed(Ridge(), drop="first", handle_unknown="error"),
    "three": iris_like,
    "forest": lambda: grown(
        RandomForestRegressor(n_estimators=10, min_samples_leaf=4, random_state=0),
        SimpleImputer(strategy="median"),
        StandardScaler(),
    ),
    "boosted": lambda: grown(small()),
    "gamma": lambda: grown(small(loss="gamma")),
    "chances": lambda: grown(
        HistGradientBoostingClassifier(max_iter=8, max_leaf_nodes=8, random_state=0), binary=True
    ),
    "tree": lambda: grown(
        DecisionTreeClassifier(max_depth=5, random_state=0), SimpleImputer(strategy="mean"), binary=True
    ),
    "towns": lambda: ordinal(small()),
}


@dataclass(frozen=True)
class Skew:
    """A mistake: `pipeline` makes the wrong pipeline, or `rules` makes wrong rules while the right one is lowered."""

    model: str
    cause: str | tuple[str, ...] | None
    pipeline: Callable[[Any], Any] = copy.deepcopy
    rules: Callable[[m.Patch], None] = lambda patch: None
    columns: Sequence[str] | None = None
    """What the cause should name, where that is one thing."""


def other_fold(kind: type) -> Callable[[Any], Any]:
    """The pipeline with the step of that class from one that was fitted on other rows."""

    def changed(pipeline: Any) -> Any:
        X, y = houses(150, 7)
        X, y = X[list(pipeline.feature_names_in_)], halves(y) if hasattr(pipeline, "classes_") else y
        wrong, other = copy.deepcopy(pipeline), clone(pipeline).fit(X, y)
        mine, theirs = (next(s for s in m.steps(p) if isinstance(s, kind)) for p in (wrong, other))
        mine.__dict__.update(theirs.__dict__)
        return wrong

    return changed


def mean_off(step: StandardScaler) -> None:
    step.mean_ = step.mean_ * 1.01


def without_intercept(step: Any) -> None:
    step.intercept_ = step.intercept_ * 0


def filled_with_zero(step: SimpleImputer) -> None:
    step.statistics_ = np.zeros_like(step.statistics_)


Boosted, Chances = HistGradientBoostingRegressor, HistGradientBoostingClassifier

COLUMNS = {
    "two columns swapped": Skew(
        "ridge",
        "columns-swapped",
        rules=m.before(SimpleImputer, m.numbers_only(m.order(0, 2, 1))),
        columns=["age", "temp"],
    ),
    "two columns swapped before a forest": Skew(
        "forest",
        "columns-swapped",
        rules=m.before(SimpleImputer, m.order(0, 3, 2, 1)),
        columns=["age", "distance"],
    ),
    "text columns swapped": Skew("ridge", "columns-swapped", rules=m.before(OneHotEncoder, m.order(1, 0))),
    "columns rotated": Skew(
        "three", "columns-reordered", rules=m.before(LogisticRegression, m.order(1, 2, 3, 0))
    ),
    "columns sorted by name": Skew(
        "boosted", "columns-reordered", rules=m.before(Boosted, m.order(1, 0, 3, 2))
    ),
    "a feature ignored": Skew(
        "ridge", "input-ignored", m.fitted(Ridge, m.coefficient(2, 0.0)), columns=["temp"]
    ),
    "a feature ignored by trees": Skew(
        "boosted", "input-ignored", rules=m.before(Boosted, m.column(1, m.arith("Mul", 0.0))), columns=["age"]
    ),
}

UNITS = {
    "kilometres as metres": Skew(
        "boosted",
        "column-unit",
        rules=m.before(Boosted, m.column(3, m.arith("Mul", 1000.0))),
        columns=["distance"],
    ),
    "square feet for square metres": Skew(
        "binary",
        "column-unit",
        rules=m.before(SimpleImputer, m.numbers_only(m.column(0, m.arith("Mul", 10.7639)))),
        columns=["area"],
    ),
    "fahrenheit for celsius": Skew(
        "chances", "column-unit", rules=m.before(Chances, m.column(2, m.celsius)), columns=["temp"]
    ),
    "a logarithm that training did not take": Skew(
        "boosted",
        "column-unit",
        rules=m.before(Boosted, m.column(3, lambda g, v: g.op("Log", v))),
        columns=["distance"],
    ),
}

SCALERS = {
    "scaler of another fold": Skew("ridge", "scaled-otherwise", other_fold(StandardScaler)),
    "scaler of another fold, two classes": Skew("binary", "scaled-otherwise", other_fold(StandardScaler)),
    "a scaler's mean off": Skew("binary", "output-shifted", m.fitted(StandardScaler, mean_off)),
    "a scaler's mean off before a forest": Skew("forest", None, m.fitted(StandardScaler, mean_off)),
    "one column standardised twice": Skew(
        "ridge", "column-scaled-twice", rules=m.once_more(1), columns=["age"]
    ),
    "one column not standardised": Skew(
        "binary", "column-not-scaled", m.fitted(StandardScaler, m.unscaled(1)), columns=["age"]
    ),
    "everything standardised twice": Skew("forest", "column-scaled-twice", rules=m.doubled(StandardScaler)),
    "no scaler before a forest": Skew("forest", "column-not-scaled", rules=m.instead(StandardScaler)),
    "a scaler in float32 before a forest": Skew(
        "forest", "rounded-to-float32", rules=m.before(StandardScaler, m.in_float32)
    ),
    "weights of another fold": Skew("ridge", "scaled-otherwise", other_fold(Ridge)),
}

MISSING = {
    "imputer dropped": Skew("ridge", "imputer-dropped", rules=m.instead(SimpleImputer)),
    "imputer dropped before a tree": Skew(
        "tree", ("imputer-dropped", "imputed-otherwise"), rules=m.instead(SimpleImputer), columns=["area"]
    ),
    "imputer with zero": Skew("forest", "imputed-otherwise", m.fitted(SimpleImputer, filled_with_zero)),
    "imputer of another fold": Skew("binary", "imputed-otherwise", other_fold(SimpleImputer)),
    "missing goes the other way": Skew("boosted", "missing-differs", rules=m.other_way),
}

CATEGORIES = {
    "category map shifted by one": Skew(
        "ridge", "categories-permuted", rules=m.table(lambda t: np.roll(t, 1, axis=0))
    ),
    "two categories exchanged": Skew(
        "towns", "categories-permuted", rules=m.table(m.rows(0, 3, 2, 1)), columns=["town"]
    ),
    "dropped the last category for the first": Skew(
        "dropping", "categories-permuted", rules=m.table(m.rows(1, 2, 3, 4, 0), only=0), columns=["town"]
    ),
    "stale category list": Skew(
        "ridge", "category-lost", rules=m.table(m.stale(3), only=0), columns=["town"]
    ),
    "stale category list before trees": Skew(
        "towns", "category-lost", rules=m.table(m.stale(4)), columns=["town"]
    ),
    "unknown as the first category": Skew("ridge", "unseen-as-category", rules=m.table(m.unknown_first)),
}

TREES = {
    "< for <=": Skew("boosted", "less-or-equal", rules=m.split_below),
    "thresholds rounded up to float32": Skew(
        "boosted", ("rounded-to-float32", "less-or-equal"), rules=lambda p: m.thresholds(p, m.one_step_up)
    ),
    "thresholds with one digit": Skew(
        "boosted", None, rules=lambda p: m.thresholds(p, lambda t: np.round(t, 1))
    ),
    "a tree lost": Skew("boosted", "tree-lost", rules=m.some_trees(lambda t: t[:-1])),
    "a tree of a forest lost": Skew("forest", "tree-lost", rules=m.some_trees(lambda t: t[1:])),
    "a tree of a classifier lost": Skew("chances", "tree-lost", rules=m.some_trees(lambda t: t[:-1])),
    "trees truncated": Skew("boosted", None, rules=m.some_trees(lambda t: t[:5])),
    "learning rate used twice": Skew(
        "boosted", "output-scaled", rules=m.some_trees(lambda t: [m.heavier(x) for x in t])
    ),
}

ANSWERS = {
    "labels permuted": Skew("three", "labels-permuted", rules=m.labels_rolled),
    "labels of two classes exchanged": Skew("chances", "labels-permuted", rules=m.labels_rolled),
    "class order of probabilities": Skew(
        "three", "classes-permuted", rules=m.after(LogisticRegression, m.answers(probabilities=m.rotated))
    ),
    "probability of the other class": Skew(
        "binary", "classes-permuted", rules=m.after(LogisticRegression, m.answers(probabilities=m.complement))
    ),
    "logits for probabilities": Skew("binary", "link-missing", rules=m.no_link("expit")),
    "logits of three classes": Skew("three", "link-missing", rules=m.no_link("softmax")),
    "softmax twice": Skew(
        "three", "link-twice", rules=m.after(LogisticRegression, m.answers(probabilities=softmax))
    ),
    "log link not inverted": Skew("gamma", "target-not-inverted", rules=m.no_exp),
    "a standardised target": Skew(
        "boosted", "output-scaled", rules=m.after(Boosted, m.answers(prediction=m.standardised))
    ),
    "intercept dropped": Skew("ridge", "output-shifted", m.fitted(Ridge, without_intercept)),
    "intercepts dropped": Skew("three", "output-shifted", m.fitted(LogisticRegression, without_intercept)),
    "answers rounded": Skew(
        "boosted", "output-rounded", rules=m.after(Boosted, m.answers(prediction=m.cents))
    ),
    "answers in float32": Skew(
        "gamma", "output-rounded", rules=m.after(Boosted, m.answers(prediction=m.single))
    ),
    "rows in reverse": Skew("boosted", "rows-mixed", rules=m.after(Boosted, m.upside_down)),
}

SKEWS: dict[str, Skew] = {**COLUMNS, **UNITS, **SCALERS, **MISSING, **CATEGORIES, **TREES, **ANSWERS}

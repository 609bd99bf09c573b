"""The skew zoo: real mistakes of exports, each as a wrong graph beside the right pipeline's golden set.

A skew either lowers another pipeline than the one that the golden set is of, or lowers the right one by rules that
are wrong on purpose. What it should be called by the server stands beside it; None where nothing is expected.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from examples import Case
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

from tenon.lowering import RULES, encode, linear, trees
from tenon.lowering.columns import Block, Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import Rule

Patch = pytest.MonkeyPatch
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


def mixed(last: Any, seed: int = 0, binary: bool = False, **encoder: Any) -> Case:
    """Imputer and scaler on numbers, imputer and one-hot on categories, and an estimator."""
    X, y = houses(300, seed)
    if binary:
        y = np.where(y > np.median(y), "dear", "cheap")
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encoder = {"handle_unknown": "ignore", **encoder}
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(**encoder))
    steps = make_column_transformer((numbers, NUMBERS), (texts, TEXTS))
    return Case(make_pipeline(steps, last).fit(X, y), X, houses(120, 1)[0])


def grown(last: Any, *before: Any, seed: int = 0, binary: bool = False) -> Case:
    """Numbers only, some missing, straight into an estimator or behind other steps."""
    X, y = houses(300, seed)
    if binary:
        y = np.where(y > np.median(y), "dear", "cheap")
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
    rules: Callable[[Patch], None] = lambda patch: None
    columns: Sequence[str] | None = None
    """What the cause should name, where that is one thing."""


# Ways to be wrong.


def plant(patch: Patch, kind: type, wrong: Callable[[Rule], Rule]) -> None:
    patch.setitem(RULES, kind, wrong(RULES[kind]))


def before(kind: type, change: Callable[[Columns, Graph], Columns]) -> Callable[[Patch], None]:
    """What a step gets is something else."""
    return lambda patch: plant(
        patch, kind, lambda rule: lambda fitted, columns, g: rule(fitted, change(columns, g), g)
    )


def after(kind: type, change: Callable[[Any, Graph], Any]) -> Callable[[Patch], None]:
    """What a step gives is something else."""
    return lambda patch: plant(
        patch, kind, lambda rule: lambda fitted, columns, g: change(rule(fitted, columns, g), g)
    )


def instead(kind: type) -> Callable[[Patch], None]:
    """A step that is not there."""
    return lambda patch: plant(patch, kind, lambda rule: lambda fitted, columns, g: columns)


def order(*indices: int) -> Callable[[Columns, Graph], Columns]:
    return lambda columns, g: columns.select(g, [*indices, *range(len(indices), columns.width)])


def column(index: int, change: Callable[[Graph, Value], Value]) -> Callable[[Columns, Graph], Columns]:
    """One column of a step's numbers is changed."""

    def changed(columns: Columns, g: Graph) -> Columns:
        parts = [columns.one(g, i) for i in range(columns.width)]
        parts[index] = replace(parts[index], value=change(g, parts[index].value))
        return Columns(tuple(parts))

    return changed


def arith(kind: str, number: float) -> Callable[[Graph, Value], Value]:
    return lambda g, value: g.arith(kind, value, number)


def answers(**changes: Callable[[Graph, Value], Value]) -> Callable[[Any, Graph], Any]:
    """Outputs are changed."""
    return lambda said, g: {n: changes[n](g, v) if n in changes else v for n, v in said.items()}


def fitted(kind: type, change: Callable[[Any], None]) -> Callable[[Any], Any]:
    """A copy of the pipeline with something changed in its step of that class, however deep it lies."""

    def changed(pipeline: Any) -> Any:
        wrong = copy.deepcopy(pipeline)
        change(next(s for s in steps(wrong) if isinstance(s, kind)))
        return wrong

    return changed


def steps(step: Any) -> list[Any]:
    inner = [s for _, s in getattr(step, "steps", [])]
    inner += [s for _, s, _ in getattr(step, "transformers_", [])]
    return [step, *(found for s in inner for found in steps(s))]


def attribute(name: str, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    return lambda step: setattr(step, name, change(getattr(step, name)))


def in_float32(columns: Columns, g: Graph) -> Columns:
    block = columns.numeric(g)
    single = tuple(replace(c, dtype=np.dtype("float32")) for c in block.columns)
    return Columns((Block(g.cast(block.value, "float32"), single),))


def other_fold(kind: type) -> Callable[[Any], Any]:
    """The step of a pipeline that was fitted on other rows."""

    def changed(pipeline: Any) -> Any:
        wrong, other = copy.deepcopy(pipeline), steps(refitted(pipeline))
        mine = next(s for s in steps(wrong) if isinstance(s, kind))
        mine.__dict__.update(next(s for s in other if isinstance(s, kind)).__dict__)
        return wrong

    return changed


def refitted(pipeline: Any) -> Any:
    from sklearn.base import clone

    X, y = houses(150, 7)
    X = X[list(pipeline.feature_names_in_)]
    y = y if not hasattr(pipeline, "classes_") else np.where(y > np.median(y), "dear", "cheap")
    return clone(pipeline).fit(X, y)


def coefficient(index: int, value: float) -> Callable[[Any], None]:
    def change(step: Any) -> None:
        step.coef_ = step.coef_.copy()
        step.coef_[..., index] = value

    return change


def split_below(patch: Patch) -> None:
    """`<` where scikit-learn has `<=`: the largest double below each threshold."""
    thresholds(patch, lambda t: np.nextafter(t, -np.inf))


def thresholds(patch: Patch, change: Callable[[Any], Any]) -> None:
    right = trees.ensemble
    patch.setattr(
        trees,
        "ensemble",
        lambda g, value, grown, n: right(
            g, value, [replace(t, threshold=change(t.threshold.astype(float))) for t in grown], n
        ),
    )


def some_trees(pick: Callable[[list[Any]], list[Any]]) -> Callable[[Patch], None]:
    def planted(patch: Patch) -> None:
        right = trees.ensemble
        patch.setattr(trees, "ensemble", lambda g, value, grown, n: right(g, value, pick(list(grown)), n))

    return planted


def heavier(tree: Any) -> Any:
    return tree if len(tree.is_leaf) == 1 else replace(tree, weight=2 * tree.weight)


def table(change: Callable[[Any], Any], only: int | None = None) -> Callable[[Patch], None]:
    """The encoder's table of categories is another; `only` for that column."""

    def planted(patch: Patch) -> None:
        right = encode.category_table

        def wrong(encoder: Any, j: int) -> Any:
            rows = right(encoder, j)
            return change(rows.copy()) if only in (None, j) else rows

        patch.setattr(encode, "category_table", wrong)

    return planted


def rows(*indices: int) -> Callable[[Any], Any]:
    """Rows of a table in another order, those behind as they are."""
    return lambda t: t[[*indices, *range(len(indices), len(t))]]


def stale(index: int) -> Callable[[Any], Any]:
    """A category that the list does not have is an unknown one."""

    def change(t: Any) -> Any:
        t[index] = t[-1]
        return t

    return change


def labels_rolled(patch: Patch) -> None:
    right = Graph.labels
    patch.setattr(
        Graph, "labels", lambda g, i, classes, elem: right(g, i, np.roll(np.asarray(classes), 1), elem)
    )


def no_link(name: str) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(linear, name, lambda g, scores: scores)


def upside_down(said: Any, g: Graph) -> Any:
    """The rows of a request in reverse."""
    end = g.constant([-(2**31)], "int64")
    one, first = g.constant([-1], "int64"), g.constant([0], "int64")
    return {n: g.op("Slice", v, one, end, first, one) for n, v in said.items()}


def complement(g: Graph, value: Value) -> Value:
    return g.columns(value, [1, 0])


def no_exp(patch: Patch) -> None:
    """A logarithmic link that is not inverted."""
    right = Graph.op
    patch.setattr(Graph, "op", lambda g, kind, *args, **k: args[0] if kind == "Exp" else right(g, kind, *args, **k))


def unknown_first(t: Any) -> Any:
    t[-1] = t[0]
    return t


def one_step_up(t: Any) -> Any:
    """The float32 that is not below."""
    single = t.astype(np.float32)
    return np.where(single < t, np.nextafter(single, np.float32(np.inf)), single).astype(float)


Boosted, Chances = HistGradientBoostingRegressor, HistGradientBoostingClassifier


def numbers_only(change: Callable[[Columns, Graph], Columns]) -> Callable[[Columns, Graph], Columns]:
    """A change that leaves text alone."""
    return lambda columns, g: columns if columns.blocks[0].value.elem == "string" else change(columns, g)


def celsius(g: Graph, value: Value) -> Value:
    return g.arith("Div", g.arith("Sub", value, 32.0), 1.8)


def once_more(index: int) -> Callable[[Patch], None]:
    """One column goes through the scaler twice."""

    def wrong(rule: Rule) -> Rule:
        def scaled(fitted: Any, columns: Columns, g: Graph) -> Any:
            once = rule(fitted, columns, g)
            again = rule(fitted, once, g)
            return Columns(tuple((again if i == index else once).one(g, i) for i in range(once.width)))

        return scaled

    return lambda patch: plant(patch, StandardScaler, wrong)


def doubled(kind: type) -> Callable[[Patch], None]:
    """A step that is there twice."""
    return lambda patch: plant(
        patch, kind, lambda rule: lambda fitted, columns, g: rule(fitted, rule(fitted, columns, g), g)
    )


def unscaled(index: int) -> Callable[[Any], None]:
    def change(step: Any) -> None:
        step.mean_, step.scale_ = step.mean_.copy(), step.scale_.copy()
        step.mean_[index], step.scale_[index] = 0.0, 1.0

    return change


def other_way(patch: Patch) -> None:
    """What is missing goes right where it should go left."""
    right = trees.ensemble
    patch.setattr(
        trees,
        "ensemble",
        lambda g, value, grown, n: right(g, value, [replace(t, missing_left=~t.missing_left) for t in grown], n),
    )


SKEWS: dict[str, Skew] = {
    # Columns in another order.
    "two columns swapped": Skew(
        "ridge", "columns-swapped", rules=before(SimpleImputer, numbers_only(order(0, 2, 1))), columns=["age", "temp"]
    ),
    "two columns swapped before a forest": Skew(
        "forest", "columns-swapped", rules=before(SimpleImputer, order(0, 3, 2, 1)), columns=["age", "distance"]
    ),
    "columns rotated": Skew("three", "columns-reordered", rules=before(LogisticRegression, order(1, 2, 3, 0))),
    "columns sorted by name": Skew("boosted", "columns-reordered", rules=before(Boosted, order(1, 0, 3, 2))),
    "text columns swapped": Skew("ridge", "columns-swapped", rules=before(OneHotEncoder, order(1, 0))),
    # Units.
    "kilometres as metres": Skew(
        "boosted", "column-unit", rules=before(Boosted, column(3, arith("Mul", 1000.0))), columns=["distance"]
    ),
    "square feet for square metres": Skew(
        "binary", "column-unit", rules=before(SimpleImputer, numbers_only(column(0, arith("Mul", 10.7639)))), columns=["area"]
    ),
    "fahrenheit for celsius": Skew(
        "chances", "column-unit", rules=before(Chances, column(2, celsius)), columns=["temp"]
    ),
    "a logarithm that training did not take": Skew(
        "boosted", "column-unit", rules=before(Boosted, column(3, lambda g, v: g.op("Log", v))), columns=["distance"]
    ),
    # Scalers.
    "scaler of another fold": Skew("ridge", "scaled-otherwise", other_fold(StandardScaler)),
    "scaler of another fold, two classes": Skew("binary", "scaled-otherwise", other_fold(StandardScaler)),
    "a scaler's mean off": Skew("binary", ("output-shifted",), fitted(StandardScaler, attribute("mean_", lambda m: m * 1.01))),
    "a scaler's mean off before a forest": Skew("forest", None, fitted(StandardScaler, attribute("mean_", lambda m: m * 1.01))),
    "one column standardised twice": Skew(
        "ridge", "column-scaled-twice", rules=once_more(1), columns=["age"]
    ),
    "one column not standardised": Skew(
        "binary", "column-not-scaled", fitted(StandardScaler, unscaled(1)), columns=["age"]
    ),
    "everything standardised twice before a forest": Skew("forest", "column-scaled-twice", rules=doubled(StandardScaler)),
    "no scaler before a forest": Skew("forest", "column-not-scaled", rules=instead(StandardScaler)),
    "a scaler in float32 before a forest": Skew("forest", "rounded-to-float32", rules=before(StandardScaler, in_float32)),
    # Missing values.
    "imputer dropped": Skew("ridge", "imputer-dropped", rules=instead(SimpleImputer)),
    "imputer dropped before a tree": Skew("tree", ("imputer-dropped", "imputed-otherwise"), rules=instead(SimpleImputer)),
    "imputer with zero": Skew(
        "forest", "imputed-otherwise", fitted(SimpleImputer, attribute("statistics_", np.zeros_like))
    ),
    "imputer of another fold": Skew("binary", "imputed-otherwise", other_fold(SimpleImputer)),
    "missing goes the other way": Skew("boosted", ("missing-differs", "imputed-otherwise", "imputer-dropped"), rules=other_way),
    # Categories.
    "category map shifted by one": Skew("ridge", "categories-permuted", rules=table(lambda t: np.roll(t, 1, axis=0))),
    "two categories exchanged": Skew("towns", "categories-permuted", rules=table(rows(0, 3, 2, 1)), columns=["town"]),
    "dropped the last category for the first": Skew("dropping", "categories-permuted", rules=table(rows(1, 2, 3, 4, 0), only=0), columns=["town"]),
    "stale category list": Skew("ridge", "category-lost", rules=table(stale(3), only=0), columns=["town"]),
    "stale category list before trees": Skew("towns", "category-lost", rules=table(stale(4)), columns=["town"]),
    "unknown as the first category": Skew("ridge", "unseen-as-category", rules=table(unknown_first)),
    # Trees.
    "< for <=": Skew("boosted", "less-or-equal", rules=split_below),
    "thresholds rounded up to float32": Skew("boosted", ("rounded-to-float32", "less-or-equal"), rules=lambda p: thresholds(p, one_step_up)),
    "thresholds with three digits": Skew("boosted", None, rules=lambda p: thresholds(p, lambda t: np.round(t, 1))),
    "a tree lost": Skew("boosted", "tree-lost", rules=some_trees(lambda t: t[:-1])),
    "a tree of a forest lost": Skew("forest", "tree-lost", rules=some_trees(lambda t: t[1:])),
    "a tree of a classifier lost": Skew("chances", "tree-lost", rules=some_trees(lambda t: t[:-1])),
    "trees truncated": Skew("boosted", None, rules=some_trees(lambda t: t[:5])),
    "learning rate used twice": Skew("boosted", "output-scaled", rules=some_trees(lambda t: [heavier(x) for x in t])),
    # Answers.
    "labels permuted": Skew("three", "labels-permuted", rules=labels_rolled),
    "labels of two classes exchanged": Skew("chances", "labels-permuted", rules=labels_rolled),
    "class order of probabilities": Skew("three", "classes-permuted", rules=after(LogisticRegression, answers(probabilities=lambda g, v: g.columns(v, [1, 2, 0])))),
    "probability of the other class": Skew("binary", "classes-permuted", rules=after(LogisticRegression, answers(probabilities=complement))),
    "logits for probabilities": Skew("binary", "link-missing", rules=no_link("expit")),
    "logits of three classes": Skew("three", "link-missing", rules=no_link("softmax")),
    "softmax twice": Skew("three", "link-twice", rules=after(LogisticRegression, answers(probabilities=linear.softmax))),
    "log link not inverted": Skew("gamma", "target-not-inverted", rules=no_exp),
    "a standardised target": Skew("boosted", "output-scaled", rules=after(Boosted, answers(prediction=lambda g, v: g.arith("Div", g.arith("Sub", v, 120.0), 37.0)))),
    "intercept dropped": Skew("ridge", "output-shifted", fitted(Ridge, attribute("intercept_", lambda b: b * 0))),
    "intercepts dropped": Skew("three", "output-shifted", fitted(LogisticRegression, attribute("intercept_", np.zeros_like))),
    "answers rounded": Skew("boosted", "output-rounded", rules=after(Boosted, answers(prediction=lambda g, v: g.arith("Div", g.op("Round", g.arith("Mul", v, 100)), 100)))),
    "answers in float32": Skew("gamma", "output-rounded", rules=after(Boosted, answers(prediction=lambda g, v: g.cast(g.cast(v, "float32"), "float64")))),
    "rows in reverse": Skew("boosted", "rows-mixed", rules=after(Boosted, upside_down)),
    # Weights.
    "a feature ignored": Skew("ridge", ("input-ignored",), fitted(Ridge, coefficient(2, 0.0)), columns=["temp"]),
    "a feature ignored by trees": Skew("boosted", "input-ignored", rules=before(Boosted, column(1, arith("Mul", 0.0))), columns=["age"]),
    "weights of another fold": Skew("ridge", "scaled-otherwise", other_fold(Ridge)),
}

"""Rules for XGBoost, which compares and adds in float32: its answers come out to the last bit but for exp.

A row goes left where `float32(x) < threshold`. The base score is the first summand, in the margin's own scale.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenon.errors import ExportError
from tenon.inputs import Array
from tenon.lowering.boosters import Boosted, Gone, Members, Reading, class_scores, constant, forest, in_double
from tenon.lowering.columns import Block, Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.linear import two_classes
from tenon.lowering.rules import Answers, classes_of, lowers

LOGIT = ("binary:logistic", "reg:logistic")
"""Objectives whose base score is a probability, and whose margin is its logit."""
LOG = ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft")
"""Objectives whose margin is a logarithm."""
IDENTITY = (
    "binary:logitraw",
    "reg:squarederror",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:quantileerror",
)


@dataclass(frozen=True)
class Model:
    """What the booster's own JSON says, up to the best iteration."""

    objective: str
    trees: list[Boosted]
    """The base score among them; weights are float32."""
    targets: int
    categories: dict[int, tuple[str, ...]]


@lowers("xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRFClassifier")
def classifier(fitted: Any, columns: Columns, g: Graph) -> Answers:
    """Two classes: a probability above one half. More: the largest, of the margin for multi:softmax."""
    classes, elem = classes_of(fitted)
    model = read(fitted)
    margin = _margin(fitted, model, columns, g)
    if model.objective in ("multi:softprob", "multi:softmax"):
        proba = _softmax(margin, g)
        decides = margin if model.objective == "multi:softmax" else proba
        index = g.op("ArgMax", decides, elem="int64", axis=1, keepdims=0)
        return {"label": g.labels(index, classes, elem), "probabilities": proba}
    _one_target(fitted, model)
    positive = _answer(model.objective, margin, g)
    above = g.op("Greater", positive, g.constant(0.5, positive.elem), elem="bool")
    index = g.flat(g.cast(above, "int64"))
    return {"label": g.labels(index, classes, elem), "probabilities": two_classes(g, positive)}


@lowers("xgboost.sklearn.XGBRegressor", "xgboost.sklearn.XGBRFRegressor")
def regressor(fitted: Any, columns: Columns, g: Graph) -> Answers:
    """The margin, as the objective answers it."""
    model = read(fitted)
    _one_target(fitted, model)
    return {"prediction": g.flat(_answer(model.objective, _margin(fitted, model, columns, g), g))}


def _one_target(fitted: Any, model: Model) -> None:
    if model.targets > 1:
        raise ExportError(
            f"{type(fitted).__name__} predicts {model.targets} targets at once: "
            "wrap one for each in scikit-learn's MultiOutputClassifier or MultiOutputRegressor"
        )


def read(fitted: Any) -> Model:
    """A fitted estimator's trees; ExportError for a booster without trees."""
    learner = json.loads(fitted.get_booster().save_raw("json"))["learner"]
    booster = learner["gradient_booster"]
    if booster["name"] not in ("gbtree", "dart"):
        raise ExportError(
            f"{type(fitted).__name__}(booster={booster['name']!r}) is not lowered: train with booster='gbtree', "
            "or take LogisticRegression or ElasticNet for a linear model"
        )
    inner = booster.get("gbtree", booster)["model"]
    best = getattr(fitted, "best_iteration", None)
    count = len(inner["trees"]) if best is None else inner["iteration_indptr"][best + 1]
    objective = learner["objective"]["name"]
    base = _base(objective, learner["learner_model_param"]["base_score"])
    trees = [_tree(t, k, base) for t, k in zip(inner["trees"][:count], inner["tree_info"], strict=False)]
    for tree, dropped in zip(trees, booster.get("weight_drop", []), strict=False):
        # Dart takes the base score off a sum that has it, in float32, before it weighs a tree.
        added = base[tree.target]
        tree.weight = ((added + tree.weight) - added) * np.float32(dropped)
    single = [s for t in trees for s in ([t] if t.weight.ndim == 1 else class_scores([t]))]
    return Model(
        objective, [*constant(base), *single], len(base), _categories(inner, learner["feature_types"])
    )


def _tree(tree: dict[str, Any], target: int, base: Array) -> Boosted:
    left = np.array(tree["left_children"])
    values = np.array(tree["split_conditions"], dtype=np.float32)
    missing_left = np.array(tree["default_left"], dtype=bool)
    weight = values
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        weight = _vectors(tree, left, len(base))
    return Boosted(
        left=left,
        right=np.array(tree["right_children"]),
        feature=np.array(tree["split_indices"]),
        # x < t of XGBoost is x <= the float32 below t.
        threshold=np.nextafter(values, np.float32(-np.inf)).astype(np.float64),
        missing_left=missing_left,
        is_leaf=left < 0,
        weight=weight,
        target=np.full(len(left), target),
        members=_members(tree, missing_left),
    )


def _vectors(tree: dict[str, Any], left: Array, width: int) -> Array:
    """The leaves' weights [nodes, width] of a tree for all classes; a leaf's right child is its row there."""
    rows = np.array(tree["leaf_weights"], dtype=np.float32).reshape(-1, width)
    out = np.zeros((len(left), width), dtype=np.float32)
    leaves = np.flatnonzero(left < 0)
    out[leaves] = rows[np.array(tree["right_children"])[leaves]]
    return out


def _members(tree: dict[str, Any], missing_left: Array) -> dict[int, Members]:
    """Splits by category: those in a node's list go right."""
    found = {}
    spans = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True)
    for node, start, size in spans:
        codes = frozenset(int(c) for c in tree["categories"][start : start + size])
        found[node] = Members(tree["split_indices"][node], codes, False, bool(missing_left[node]))
    return found


def _categories(model: dict[str, Any], types: list[str]) -> dict[int, tuple[str, ...]]:
    """By feature, the texts in the order of their codes, as the booster keeps them."""
    found = {}
    for feature in (f for f, kind in enumerate(types) if kind == "c"):
        kept = model.get("cats", {}).get("enc") or []
        offsets = kept[feature].get("offsets") if feature < len(kept) else None
        if not offsets:
            raise ExportError(
                "the XGBoost model has categories without names: give it category columns of text in a DataFrame"
            )
        text = bytes(v % 256 for v in kept[feature]["values"])
        if not text.isascii():
            # It counts characters where it means bytes, so the names that it keeps are cut and run together.
            raise ExportError(
                "XGBoost loses categories that are not ASCII: rename them, or put an OrdinalEncoder in front of it "
                "and fit again"
            )
        found[feature] = tuple(text[a:b].decode() for a, b in itertools.pairwise(offsets))
    return found


def _base(objective: str, written: str) -> Array:
    """The base score of each target in the margin's scale: float32, its logarithm rounded from double."""
    score = np.array([float(v) for v in written.strip("[]").split(",")], dtype=np.float32)
    if objective in LOGIT:
        odds = np.float32(1) / score - np.float32(1)
        return (-np.log(odds.astype(np.float64))).astype(np.float32)
    if objective in LOG:
        return np.log(score.astype(np.float64)).astype(np.float32)
    return score


def _margin(fitted: Any, model: Model, columns: Columns, g: Graph) -> Value:
    g.notes.single = True
    reading = Reading(
        "float32", "float32", model.categories, refuses_unknown=True, gone=_marked(fitted.missing)
    )
    return forest(model.trees, model.targets, _present(columns, g), reading, g)


def _present(columns: Columns, g: Graph) -> Columns:
    """NaN for what a sparse matrix leaves out; a zero that it stores is a zero to XGBoost."""
    if not columns.sparse:
        return columns
    blocks = []
    for block in columns.blocks:
        value = block.value if block.value.elem == "float32" else g.cast(block.value, "float64")
        absent = g.op("Equal", block.stored, g.constant(0, block.stored.elem), elem="bool")
        blocks.append(Block(g.where(absent, g.constant(np.nan, value.elem), value), block.columns))
    return Columns(tuple(blocks), columns.names)


def _marked(marker: float) -> Gone:
    """NaN where the number stands that the estimator was told to take for missing."""

    def gone(g: Graph, value: Value, features: Any) -> Value:
        return value if marker is None or np.isnan(marker) else _without(marker, value, g)

    return gone


def _without(number: float, value: Value, g: Graph) -> Value:
    found = g.op("Equal", value, g.constant(number, value.elem), elem="bool")
    return g.where(found, g.constant(np.nan, value.elem), value)


def _answer(objective: str, margin: Value, g: Graph) -> Value:
    """What the objective makes of a margin [N, 1]."""
    if objective in LOGIT:
        below = g.arith("Add", in_double("Exp", g.op("Neg", margin), g), 1)
        return g.op("Div", g.constant(1, margin.elem), below)
    if objective == "binary:hinge":
        return g.cast(g.op("Greater", margin, g.constant(0, margin.elem), elem="bool"), margin.elem)
    if objective in LOG:
        return in_double("Exp", margin, g)
    if objective in IDENTITY:
        return margin
    raise ExportError(
        f"XGBoost's objective {objective!r} is not lowered: train with one of reg:squarederror, count:poisson, "
        "binary:logistic, multi:softprob or their kin"
    )


def _softmax(margin: Value, g: Graph) -> Value:
    """exp(x - max) in float32, summed in double, divided in float32."""
    top = g.op("ReduceMax", margin, g.constant([1], "int64"), keepdims=1)
    raised = in_double("Exp", g.op("Sub", margin, top), g)
    total = g.op("ReduceSum", g.cast(raised, "float64"), g.constant([1], "int64"), keepdims=1)
    return g.op("Div", raised, g.cast(total, "float32"))

"""Rules for CatBoost on numbers: float32 features against float32 borders, leaves added in double.

A row goes right where `float32(x) > border`. An oblivious tree asks the same question on a whole level; here it
is written out as a tree of ordinary nodes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tenon.errors import ExportError
from tenon.inputs import Array
from tenon.lowering.boosters import Boosted, Reading, class_scores, forest
from tenon.lowering.columns import Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.linear import expit, softmax, two_classes
from tenon.lowering.rules import Answers, classes_of, lowers

IDENTITY = ("RMSE", "MAE", "Quantile", "LogLinQuantile", "Huber", "Lq", "Expectile", "MAPE", "LogCosh")
LOG = ("Poisson", "Tweedie")
"""Losses whose regressor answers with the exponential."""
TWO = ("Logloss", "CrossEntropy")


@dataclass(frozen=True)
class Model:
    """What the model's own JSON says."""

    loss: str
    trees: list[Boosted]
    """Weights [nodes, targets], not yet scaled."""
    targets: int
    scale: float
    bias: Array


@lowers("catboost.core.CatBoostClassifier")
def classifier(fitted: Any, columns: Columns, g: Graph) -> Answers:
    """Two classes: the raw score above the threshold's. More: the largest raw score."""
    classes, elem = classes_of(fitted)
    model = read(fitted)
    raw = _raw(model, columns, g)
    if model.targets == 1:
        if model.loss not in TWO:
            raise _unknown(model.loss)
        limit = float(fitted.get_probability_threshold() or 0.5)
        above = g.op("Greater", raw, g.constant(-np.log(1 / limit - 1), raw.elem), elem="bool")
        index = g.flat(g.cast(above, "int64"))
        return {"label": g.labels(index, classes, elem), "probabilities": two_classes(g, expit(g, raw))}
    if model.loss not in ("MultiClass", "MultiClassOneVsAll"):
        raise _unknown(model.loss)
    index = g.op("ArgMax", raw, elem="int64", axis=1, keepdims=0)
    proba = softmax(g, raw) if model.loss == "MultiClass" else expit(g, raw)
    return {"label": g.labels(index, classes, elem), "probabilities": proba}


@lowers("catboost.core.CatBoostRegressor")
def regressor(fitted: Any, columns: Columns, g: Graph) -> Answers:
    """The raw score, or its exponential."""
    model = read(fitted)
    if model.loss not in (*IDENTITY, *LOG) or model.targets > 1:
        raise _unknown(model.loss)
    raw = _raw(model, columns, g)
    return {"prediction": g.flat(g.op("Exp", raw) if model.loss in LOG else raw)}


def read(fitted: Any) -> Model:
    """A fitted estimator's trees; ExportError for features that are not numbers."""
    kinds = {
        "categories": fitted.get_cat_feature_indices(),
        "text": fitted._get_text_feature_indices(),
        "embeddings": fitted._get_embedding_feature_indices(),
    }
    for kind, found in kinds.items():
        if len(found):
            raise ExportError(
                f"{type(fitted).__name__} with native {kind} cannot be exported: CatBoost hashes and counts them in a "
                "way that no graph holds. Put an encoder (OneHotEncoder, OrdinalEncoder, TargetEncoder) in front of it "
                "and fit it on numbers"
            )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        fitted.save_model(str(path), format="json")
        written = json.loads(path.read_text())
    scale, bias = written["scale_and_bias"]
    features = _features(written["features_info"]["float_features"])
    if "oblivious_trees" in written:
        trees = [_oblivious(t, features) for t in written["oblivious_trees"]]
    else:
        trees = [_branching(t, features) for t in written["trees"]]
    loss = written["model_info"]["params"]["loss_function"]["type"]
    return Model(loss, trees, trees[0].weight.shape[1], float(scale), np.ravel(bias).astype(float))


def _unknown(loss: str) -> ExportError:
    return ExportError(
        f"CatBoost's loss {loss!r} is not lowered: train with RMSE, MAE, Quantile, Poisson, Logloss or MultiClass"
    )


def _features(written: list[dict[str, Any]]) -> dict[int, tuple[int, bool]]:
    """By CatBoost's number among numeric features: the column, and whether NaN is greater than all borders."""
    return {
        f["feature_index"]: (f["flat_feature_index"], f["nan_value_treatment"] == "AsTrue") for f in written
    }


def _oblivious(tree: dict[str, Any], features: dict[int, tuple[int, bool]]) -> Boosted:
    """Level i asks for the i-th bit of the leaf, counted from the root as the last split."""
    splits = tree["splits"]
    depth, leaves = len(splits), 1 << len(splits)
    weights = np.array(tree["leaf_values"], dtype=float).reshape(leaves, -1)
    nodes = np.arange(2 * leaves - 1)
    level = np.floor(np.log2(nodes + 1)).astype(int)
    asked = [_split(splits[depth - 1 - i], features) for i in range(depth)] + [(0, 0.0, True)]
    inner = level < depth
    return Boosted(
        left=np.where(inner, 2 * nodes + 1, -1),
        right=np.where(inner, 2 * nodes + 2, -1),
        feature=np.array([asked[i][0] for i in level]),
        threshold=np.array([asked[i][1] for i in level], dtype=float),
        missing_left=np.array([asked[i][2] for i in level], dtype=bool),
        is_leaf=~inner,
        weight=np.concatenate([np.zeros((leaves - 1, weights.shape[1])), weights]),
    )


def _branching(tree: dict[str, Any], features: dict[int, tuple[int, bool]]) -> Boosted:
    """A tree that grew leaf by leaf, its nodes numbered parents first."""
    found = list(_walk(tree))
    number = {id(node): i for i, node in enumerate(found)}
    is_leaf = np.array(["split" not in n for n in found])
    asked = [(0, 0.0, True) if "split" not in n else _split(n["split"], features) for n in found]
    width = max(np.size(n["value"]) for n in found if "split" not in n)
    return Boosted(
        left=np.array([number[id(n["left"])] if "split" in n else -1 for n in found]),
        right=np.array([number[id(n["right"])] if "split" in n else -1 for n in found]),
        feature=np.array([a[0] for a in asked]),
        threshold=np.array([a[1] for a in asked], dtype=float),
        missing_left=np.array([a[2] for a in asked], dtype=bool),
        is_leaf=is_leaf,
        weight=np.array(
            [np.zeros(width) if "split" in n else np.ravel(n["value"]) for n in found], dtype=float
        ),
    )


def _walk(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    found = [tree]
    for node in found:
        if "split" in node:
            found += [node["left"], node["right"]]
    yield from found


def _split(split: dict[str, Any], features: dict[int, tuple[int, bool]]) -> tuple[int, float, bool]:
    """Column, border (a float32) and whether NaN goes left."""
    column, nan_is_greater = features[split["float_feature_index"]]
    return column, float(np.float32(split["border"])), not nan_is_greater


def _raw(model: Model, columns: Columns, g: Graph) -> Value:
    """scale · sum over trees + bias, [N, targets]."""
    total = forest(class_scores(model.trees), model.targets, columns, Reading("float32", "float64"), g)
    if model.scale != 1:
        total = g.arith("Mul", total, model.scale)
    return g.arith("Add", total, model.bias) if np.any(model.bias) else total

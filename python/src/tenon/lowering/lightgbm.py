"""Rules for LightGBM, which compares and adds in double, with its own three ways to treat what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tenon.errors import ExportError
from tenon.inputs import Array
from tenon.lowering.boosters import Boosted, Gone, Members, Reading, forest
from tenon.lowering.columns import Block, Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.linear import expit, softmax, two_classes
from tenon.lowering.rules import Answers, classes_of, lowers

CATEGORICAL, DEFAULT_LEFT = 1, 2
"""Bits of a node's decision type; the two above them say what is missing there."""
NOTHING, ZERO, NAN = 0, 1, 2
"""What is missing: nothing, so NaN counts as 0; zeros and NaN; NaN."""
ALMOST_ZERO = float(np.float32(1e-35))
"""Up to this magnitude a number is 0 where it is read from anything but a CSR matrix."""
IDENTITY = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
LOG = ("poisson", "gamma", "tweedie")


@dataclass(frozen=True)
class Model:
    """What the booster's own text says, up to the best iteration."""

    objective: str
    """Its first word."""
    settings: dict[str, str]
    """The words behind it: `sigmoid:1`; `sqrt` without a value."""
    trees: list[Boosted]
    targets: int
    rounds: int
    averages: bool
    """Whether the sum is divided by the rounds, as random forests do."""
    categories: list[tuple[str, ...]]
    """Of each text column, in the order of their codes: pandas' categories of the training frame."""
    zeros: dict[int, float]
    """What a number up to ALMOST_ZERO is, NaN or 0, for features where that decides."""


@lowers("lightgbm.sklearn.LGBMClassifier")
def classifier(fitted: Any, columns: Columns, g: Graph) -> Answers:
    """The first largest probability, as scikit-learn's trees have it."""
    classes, elem = classes_of(fitted)
    model = read(fitted)
    proba = _answer(model, _raw(model, columns, g), g)
    if model.targets == 1:
        proba = two_classes(g, proba)
    index = g.op("ArgMax", proba, elem="int64", axis=1, keepdims=0)
    return {"label": g.labels(index, classes, elem), "probabilities": proba}


@lowers("lightgbm.sklearn.LGBMRegressor")
def regressor(fitted: Any, columns: Columns, g: Graph) -> Answers:
    """The raw score, as the objective answers it."""
    model = read(fitted)
    return {"prediction": g.flat(_answer(model, _raw(model, columns, g), g))}


def read(fitted: Any) -> Model:
    """A fitted estimator's trees; ExportError for linear ones and for a setting that changes predictions."""
    early = [k for k in ("pred_early_stop", "predict_raw_score") if fitted.get_params().get(k)]
    if early:
        raise ExportError(
            f"{type(fitted).__name__}({early[0]}=True) is not lowered: leave it out and fit again"
        )
    head, *parts = fitted.booster_.model_to_string().split("\nTree=")
    fields = _fields(head)
    if "objective" not in fields:
        raise ExportError(
            f"{type(fitted).__name__} has an objective of its own, whose scores have no scale: "
            "train with one of LightGBM's objectives"
        )
    objective, *words = fields["objective"].split()
    targets = int(fields["num_tree_per_iteration"])
    # The last tree is followed by an empty line and more that reads `name=value`.
    raw = [_fields(p.split("\n\n")[0]) for p in parts]
    trees = [_tree(t, i % targets) for i, t in enumerate(raw)]
    return Model(
        objective=objective,
        settings={name: value for name, _, value in (w.partition(":") for w in words)},
        trees=trees,
        targets=targets,
        rounds=len(trees) // targets,
        averages="average_output" in head.splitlines(),
        categories=[tuple(c) for c in fitted.booster_.pandas_categorical or []],
        zeros=_zeros(raw),
    )


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _numbers(fields: dict[str, str], name: str, dtype: type) -> Array:
    return np.array(fields.get(name, "").split(), dtype=dtype)


def _tree(fields: dict[str, str], target: int) -> Boosted:
    """Inner nodes first, then leaves, which the text numbers from -1 downwards."""
    if fields.get("is_linear", "0") != "0":
        raise ExportError("LightGBM's linear trees are not lowered: train with linear_tree=False")
    weights = _numbers(fields, "leaf_value", float)
    feature = _numbers(fields, "split_feature", int)
    inner, leaves = len(feature), len(weights)
    pad = np.zeros(leaves, dtype=int)
    threshold = np.concatenate([_numbers(fields, "threshold", float), pad])
    kind = np.concatenate([_numbers(fields, "decision_type", int), pad])
    children = [_numbers(fields, side, int) for side in ("left_child", "right_child")]
    left, right = (np.concatenate([np.where(c < 0, inner - 1 - c, c), pad - 1]) for c in children)
    nothing = (kind >> 2) == NOTHING
    tree = Boosted(
        left=left,
        right=right,
        feature=np.concatenate([feature, pad]),
        threshold=threshold,
        missing_left=np.where(nothing, threshold >= 0, (kind & DEFAULT_LEFT) > 0),
        is_leaf=np.arange(inner + leaves) >= inner,
        weight=np.concatenate([np.zeros(inner), weights]),
        target=np.full(inner + leaves, target),
    )
    return replace(tree, members=_members(fields, tree, np.flatnonzero(kind & CATEGORICAL)))


def _members(fields: dict[str, str], tree: Boosted, nodes: Array) -> dict[int, Members]:
    """Splits by category: those in a node's bits go left, missing and unknown ones right."""
    bounds, words = _numbers(fields, "cat_boundaries", int), _numbers(fields, "cat_threshold", int)
    found = {}
    for node in nodes:
        place = int(tree.threshold[node])
        bits = enumerate(words[bounds[place] : bounds[place + 1]])
        codes = frozenset(32 * i + b for i, word in bits for b in range(32) if int(word) >> b & 1)
        found[int(node)] = Members(int(tree.feature[node]), codes, True, False)
    return found


def _zeros(trees: Sequence[dict[str, str]]) -> dict[int, float]:
    """NaN for features of which zeros are missing, 0 for those with thresholds about 0; ExportError for a mixture."""
    found: dict[int, set[float]] = {}
    for fields in trees:
        kinds, features = _numbers(fields, "decision_type", int), _numbers(fields, "split_feature", int)
        for kind, feature, turn in zip(kinds, features, _numbers(fields, "threshold", float), strict=True):
            if kind & CATEGORICAL:
                continue
            missing = int(kind) >> 2 == ZERO
            found.setdefault(int(feature), set()).add(ZERO if missing else NAN)
            if not missing and abs(turn) <= ALMOST_ZERO:
                found[int(feature)].add(NOTHING)
    if any(ZERO in kinds and len(kinds) > 1 for kinds in found.values()):
        raise ExportError(
            "the LightGBM model takes zeros for missing in some trees only: train all with one zero_as_missing"
        )
    return {f: np.nan if ZERO in kinds else 0.0 for f, kinds in found.items() if kinds & {ZERO, NOTHING}}


def _raw(model: Model, columns: Columns, g: Graph) -> Value:
    """The sum over trees [N, targets], or their mean."""
    text = [j for j in range(columns.width) if columns.one(g, j).value.elem == "string"]
    if len(text) != len(model.categories):
        raise ExportError(
            f"the LightGBM model knows {len(model.categories)} category columns, the frame has {len(text)} of text: "
            "fit it again on the frame as it is now"
        )
    categories = dict(zip(text, model.categories, strict=True))
    reading = Reading("float64", "float64", categories, gone=_zeros_as(_zeros_read(model, columns)))
    total = forest(model.trees, model.targets, _as_read(columns, g), reading, g)
    return g.arith("Div", total, model.rounds) if model.averages else total


def _as_read(columns: Columns, g: Graph) -> Columns:
    """LightGBM reads an array of integers as float32, but a frame of them as doubles."""
    blocks = []
    for block in columns.blocks:
        origin = block.columns[0].origin
        whole = all(c.dtype.kind in "iu" for c in block.columns)
        array = origin is not None and origin.element is not None
        blocks.append(Block(g.cast(block.value, "float32"), block.columns) if whole and array else block)
    return Columns(tuple(blocks), columns.names)


def _zeros_read(model: Model, columns: Columns) -> dict[int, float]:
    """What small numbers are to LightGBM, which reads the cells of a CSR matrix, unlike others, as they are.

    (RowFunctionFromCSR beside RowPairFunctionFromDenseMatrix and CSC, in its c_api.cpp.)
    """
    if columns.sparse != "csr":
        return model.zeros
    return {f: zero for f, zero in model.zeros.items() if np.isnan(zero)}


def _zeros_as(zeros: dict[int, float]) -> Gone:
    """Puts NaN or 0 in the place of what LightGBM takes for zero."""

    def gone(g: Graph, value: Value, features: Sequence[int]) -> Value:
        if not zeros.keys() & set(features):
            return value
        limits = [ALMOST_ZERO if f in zeros else -1.0 for f in features]
        small = g.op("LessOrEqual", g.op("Abs", value), g.constant(limits, value.elem), elem="bool")
        return g.where(small, g.constant([zeros.get(f, 0.0) for f in features], value.elem), value)

    return gone


def _answer(model: Model, raw: Value, g: Graph) -> Value:
    """What the objective makes of raw scores [N, targets]."""
    kind = model.objective
    if kind in IDENTITY:
        return g.op("Mul", raw, g.op("Abs", raw)) if "sqrt" in model.settings else raw
    if kind in LOG:
        return g.op("Exp", raw)
    if kind == "multiclass":
        return softmax(g, raw)
    if kind in ("binary", "multiclassova", "cross_entropy"):
        return expit(g, g.arith("Mul", raw, float(model.settings.get("sigmoid", 1))))
    if kind == "cross_entropy_lambda":
        return g.op("Log", g.arith("Add", g.op("Exp", raw), 1))
    raise ExportError(
        f"LightGBM's objective {kind!r} is not lowered: train with regression, poisson, binary, multiclass "
        "or one of their kin"
    )

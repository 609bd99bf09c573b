"""What XGBoost, LightGBM and CatBoost have in common: the matrix that their trees read, and splits by category.

The libraries need not be installed: rules name their classes by text, and read a fitted model only through its
own export. A split by category becomes a column of its own in the matrix, 0 where a row goes left and 1 where
it goes right, looked up by category as encoders do; so trees of every library are numeric ones in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from tenon.errors import ExportError
from tenon.inputs import SENTINEL, Array
from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.ensemble import Tree, ensemble
from tenon.lowering.graph import ML, Graph, Value, tensor_proto
from tenon.lowering.trees import float32_turn

Gone: TypeAlias = Callable[[Graph, Value, Sequence[int]], Value]
"""Puts NaN where a library takes a number [N, k] of those features for missing."""

NO_CODE = -(2**63)
"""The code of a missing value among categories that are numbers."""


_NATIVE = {
    "xgboost.core.Booster": "load its file with XGBClassifier().load_model or XGBRegressor().load_model",
    "lightgbm.basic.Booster": "train with LGBMClassifier or LGBMRegressor",
    "catboost.core.CatBoost": "load its file with CatBoostClassifier().load_model or CatBoostRegressor().load_model",
}


def refuse_native(model: Any) -> None:
    """ExportError for a library's own kind of model, which says neither classes nor the columns of its frame."""
    kind = type(model)
    remedy = _NATIVE.get(f"{kind.__module__}.{kind.__qualname__}")
    if remedy is not None:
        library = kind.__module__.split(".")[0]
        raise ExportError(
            f"{library}.{kind.__name__} does not say what it predicts: {remedy}, and export that"
        )


@dataclass(frozen=True)
class Members:
    """A split by category: rows whose code is among `codes` go left, or all others do."""

    feature: int
    codes: frozenset[int]
    left: bool
    missing_left: bool

    def side(self, code: int) -> int:
        """0 for left, 1 for right; an unknown code is like one that is not among them."""
        return int((code in self.codes) != self.left)


@dataclass
class Boosted(Tree):
    """A tree in which some nodes split by category."""

    members: dict[int, Members] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """How a library reads its rows: which precision compares, which adds, what counts as missing."""

    compares: str
    adds: str
    categories: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """By feature: the texts in the order of their codes. Other category features hold their codes as numbers."""
    refuses_unknown: bool = False
    gone: Gone = lambda g, value, features: value


def forest(trees: Sequence[Boosted], targets: int, columns: Columns, reading: Reading, g: Graph) -> Value:
    """The sum [N, targets] over all trees, in their order."""
    asked = np.concatenate([t.feature[_numeric_nodes(t)] for t in trees])
    turns = np.concatenate([t.threshold[_numeric_nodes(t)] for t in trees])
    splits = dict.fromkeys(m for t in trees for m in t.members.values())
    sets = sorted(splits, key=lambda m: m.feature)
    # Where no tree splits, the ensemble still wants rows.
    plain = np.unique(asked).tolist() or ([] if sets else [0])
    for feature, names in reading.categories.items():
        _note_domain(names, columns.one(g, feature), reading, g)
    for feature in plain:
        if feature not in reading.categories:
            column = columns.one(g, feature).columns[0]
            _note(np.unique(turns[asked == feature]).tolist(), column, reading.compares == "float32", g)
    parts = [_numbers(plain, columns, reading, g)] if plain else []
    for feature in dict.fromkeys(m.feature for m in sets):
        parts.append(_sides(feature, [m for m in sets if m.feature == feature], columns, reading, g))
    place = {feature: i for i, feature in enumerate(plain)}
    side = {m: len(plain) + i for i, m in enumerate(sets)}
    return ensemble(g, g.concat(parts), [_placed(t, place, side) for t in trees], targets)


def class_scores(trees: Sequence[Boosted]) -> list[Boosted]:
    """Trees with a vector of weights [nodes, k] at the leaves, as k trees in a row of one weight each."""
    return [
        replace(tree, weight=tree.weight[:, k], target=np.full(len(tree.left), k))
        for tree in trees
        for k in range(tree.weight.shape[1])
    ]


def constant(weights: Array) -> list[Boosted]:
    """Trees that add one number to each target."""
    none, zero = np.array([-1]), np.zeros(1)
    return [
        Boosted(none, none, none, zero, zero == 1, zero == 0, np.array([w]), np.array([k]))
        for k, w in enumerate(np.ravel(weights))
    ]


def in_double(kind: str, value: Value, g: Graph) -> Value:
    """A function of float32 numbers taken in double and rounded, as C's own for floats comes out."""
    return g.cast(g.op(kind, g.cast(value, "float64")), value.elem)


def _numeric_nodes(tree: Boosted) -> Array:
    inner = ~tree.is_leaf
    inner[list(tree.members)] = False
    return inner


def _numbers(features: Sequence[int], columns: Columns, reading: Reading, g: Graph) -> Value:
    """What numeric splits compare, [N, len(features)]; of an ordered category that is its code."""
    blocks = columns.select(g, features).blocks
    if any(b.value.elem == "string" for b in blocks):
        blocks = tuple(_number(f, columns.one(g, f), reading, g) for f in features)
    value = g.concat([g.cast(b.value, reading.compares) for b in blocks])
    return g.cast(reading.gone(g, value, features), reading.adds)


def _number(feature: int, block: Block, reading: Reading, g: Graph) -> Block:
    if block.value.elem != "string":
        return block
    names = reading.categories.get(feature)
    if names is None:
        raise ExportError(
            "the model compares a text column with numbers: fit it again on the frame as it is now"
        )
    codes = g.constant([*map(float, range(len(names))), np.nan, np.nan], "float64")
    return Block(g.op("Gather", codes, _index(block.value, [*names, SENTINEL], g), axis=0), block.columns)


def _sides(feature: int, sets: Sequence[Members], columns: Columns, reading: Reading, g: Graph) -> Value:
    """The side that a row takes at each split of one feature by category, [N, len(sets)]."""
    block, names = columns.one(g, feature), reading.categories.get(feature)
    keys: list[Any]
    if names is None:
        known = sorted({c for m in sets for c in m.codes})
        value, keys = _codes(feature, block, reading, g), [*known, NO_CODE]
        _note([float(c + up) for c in known for up in (0, 1)], block.columns[0], False, g)
    else:
        known = list(range(len(names)))
        value, keys = block.value, [*names, SENTINEL]
    unknown = -1 if -1 not in known else min(known) - 1
    table = [[m.side(code) for m in sets] for code in known]
    table += [[int(not m.missing_left) for m in sets], [m.side(unknown) for m in sets]]
    return g.op("Gather", g.constant(table, reading.adds), g.flat(_index(value, keys, g)), axis=0)


def _index(value: Value, keys: Sequence[Any], g: Graph) -> Value:
    """The place [N, 1] among the keys of each value, text or integer; behind the last if it is none of them."""
    found = np.array(keys, dtype=object if value.elem == "string" else np.int64)
    return g.op(
        "LabelEncoder",
        value,
        elem="int64",
        domain=ML,
        keys_tensor=tensor_proto("keys", found, value.elem),
        values_tensor=tensor_proto("values", np.arange(len(found)), "int64"),
        default_tensor=tensor_proto("unknown", np.array([len(found)]), "int64"),
    )


def _codes(feature: int, block: Block, reading: Reading, g: Graph) -> Value:
    """The whole part of numbers that are categories; a cast of NaN would be the processor's to define."""
    if block.value.elem == "string":
        raise ExportError(
            "the model has codes for a column that is text now: fit it again on the frame as it is"
        )
    value = reading.gone(g, g.cast(block.value, "float64"), [feature])
    gone = g.op("IsNaN", value, elem="bool")
    return g.cast(g.where(gone, g.constant(float(NO_CODE), "float64"), value), "int64")


def _note_domain(names: tuple[str, ...], block: Block, reading: Reading, g: Graph) -> None:
    if block.value.elem != "string":
        raise ExportError(
            "the model has categories for a column of numbers: fit it again on the frame as it is"
        )
    origin = block.columns[0].origin
    if origin is not None:
        g.notes.domains.setdefault(origin.input, []).append((names, reading.refuses_unknown))


def _note(turns: Sequence[float], column: Column, single: bool, g: Graph) -> None:
    """Raw values at which some tree turns, for boundary rows; after a cast to float32 between two of them."""
    if column.origin is None:
        return
    # CatBoost keeps what is missing behind the last or before the first float32.
    for turn in (t for t in turns if abs(t) < np.finfo(np.float32 if single else np.float64).max):
        for value in (turn, float32_turn(turn)) if single else (turn,):
            g.notes.thresholds.append((column.origin.input, column.origin.element, column.origin.raw(value)))


def _placed(tree: Boosted, place: Mapping[int, int], side: Mapping[Members, int]) -> Tree:
    """The tree over the matrix's own columns."""
    feature, threshold, missing_left = tree.feature.copy(), tree.threshold.copy(), tree.missing_left.copy()
    for node in np.flatnonzero(_numeric_nodes(tree)):
        feature[node] = place[int(feature[node])]
    for split, members in tree.members.items():
        feature[split], threshold[split], missing_left[split] = side[members], 0.5, False
    return replace(tree, feature=feature, threshold=threshold, missing_left=missing_left)

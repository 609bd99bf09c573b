"""Rules for encoders: a category becomes an index, the index a row of a table whose last row is "unknown".

The rows are what the fitted encoder itself answers for each of its categories, so dropping, merging of
infrequent ones and the place of missing values need no rule of their own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from tenon.errors import ExportError, NotLowered
from tenon.inputs import SENTINEL, Array
from tenon.lowering.columns import Block, Column, Columns
from tenon.lowering.graph import ML, Graph, Value, tensor_proto
from tenon.lowering.rules import lowers


@lowers(OneHotEncoder)
def one_hot(fitted: OneHotEncoder, columns: Columns, g: Graph) -> Columns:
    """A row of zeros and ones for each column's category."""
    encoded = _encode(fitted, columns, g, [int(n) for n in fitted._n_features_outs])
    return replace(encoded, sparse="csr" if fitted.sparse_output else "")


@lowers(OrdinalEncoder)
def ordinal(fitted: OrdinalEncoder, columns: Columns, g: Graph) -> Columns:
    """One number for each column's category."""
    return _encode(fitted, columns, g, [1] * len(fitted.categories_))


@lowers(TargetEncoder)
def target(fitted: TargetEncoder, columns: Columns, g: Graph) -> Columns:
    """The mean of the target for each column's category, and of the whole target for an unknown one."""
    if fitted.target_type_ == "multiclass":
        raise NotLowered(
            "TargetEncoder of a target with several classes is not lowered yet (encode with OneHotEncoder or "
            "OrdinalEncoder, or fit one pipeline a class)"
        )
    blocks = []
    for j, categories in enumerate(fitted.categories_):
        block = columns.one(g, j)
        note_domain(fitted, block.columns[0], categories, g)
        table = np.append(fitted.encodings_[j], fitted.target_mean_).reshape(-1, 1)
        blocks.append(_lookup(block, categories, table, np.float64, g))
    return Columns(tuple(blocks))


def _encode(fitted: Any, columns: Columns, g: Graph, widths: list[int]) -> Columns:
    if columns.width != len(fitted.categories_):
        raise NotLowered(
            f"{type(fitted).__name__} gets {columns.width} columns, not the {len(fitted.categories_)} of its fit"
        )
    blocks, start = [], 0
    for j, width in enumerate(widths):
        block = columns.one(g, j)
        note_domain(fitted, block.columns[0], fitted.categories_[j], g)
        table = category_table(fitted, j)[:, start : start + width]
        start += width
        if width:
            blocks.append(_lookup(block, fitted.categories_[j], table, fitted.dtype, g))
    return Columns(tuple(blocks))


def category_table(fitted: Any, j: int) -> Array:
    """What the encoder answers for every category of column j, the others held still; last row: unknown.

    An encoder that refuses unknown categories has zeros there, which no request reaches: the signature refuses first.
    """
    categories = fitted.categories_[j]
    refuses = fitted.handle_unknown == "error"
    probes = categories if refuses else np.append(categories, _novel(categories))
    data = []
    for k, others in enumerate(fitted.categories_):
        data.append(probes if k == j else np.repeat(others[:1], len(probes)))
    names = getattr(fitted, "feature_names_in_", None)
    if names is not None:
        # With its dtype said, because pandas makes text of an object array and NaN of the None in it.
        frame: Any = pd.DataFrame({n: pd.Series(d, dtype=d.dtype) for n, d in zip(names, data, strict=True)})
    else:
        frame = np.column_stack(data) if categories.dtype.kind != "O" else np.array(data, dtype=object).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = fitted.transform(frame)
    rows = np.asarray(out.toarray() if hasattr(out, "toarray") else out, dtype=np.float64)
    return np.vstack([rows, np.zeros((1, rows.shape[1]))]) if refuses else rows


def note_domain(fitted: Any, column: Column, categories: Array, g: Graph) -> None:
    """Tells the signature which categories an input has, if it reaches the encoder as it came."""
    refuses = getattr(fitted, "handle_unknown", "ignore") == "error"
    if column.origin is None or column.origin.undo:
        if refuses:
            raise ExportError(
                f'{type(fitted).__name__}(handle_unknown="error") behind a step that changes the values cannot be '
                'declared to a server, which would answer where the pipeline refuses: use handle_unknown="ignore"'
            )
        return
    if column.origin.element is not None:
        if refuses:
            raise ExportError(
                f'{type(fitted).__name__}(handle_unknown="error") on an array cannot be declared to a server: fit on a '
                'DataFrame, whose columns have domains, or use handle_unknown="ignore"'
            )
        return
    known = tuple(c for c in categories.tolist() if not pd.isna(c))
    g.notes.domains.setdefault(column.origin.input, []).append((known, refuses))


def _lookup(block: Block, categories: Array, table: Array, dtype: Any, g: Graph) -> Block:
    """LabelEncoder from category to position, then Gather of the table's rows."""
    value = block.value
    if value.elem == "uint64":
        raise NotLowered("an encoder gets unsigned integers beyond 2^53: use text for identifiers")
    if value.elem in ("float32", "bool"):
        value = g.cast(value, "float64")
    keys, places = _keys(categories, value, block.columns[0])
    index = g.op(
        "LabelEncoder",
        value,
        elem="int64",
        domain=ML,
        keys_tensor=tensor_proto("keys", keys, value.elem),
        values_tensor=tensor_proto("values", places, "int64"),
        default_tensor=tensor_proto("unknown", np.array([len(categories)]), "int64"),
    )
    elem = "float32" if np.dtype(dtype) == np.float32 else "float64"
    rows = g.op("Gather", g.constant(table, elem), g.flat(index), axis=0)
    return Block(rows, tuple(Column(np.dtype(dtype)) for _ in range(table.shape[1])))


def _keys(categories: Array, value: Value, column: Column) -> tuple[Array, Array]:
    """How the categories arrive, and the place of each among all; a gap that the column never has is left out."""
    if value.elem != "string":
        if any(c is None or isinstance(c, str) for c in categories):
            raise NotLowered("an encoder fitted on text gets numbers")
        # Numbers and flags beside text are objects to scikit-learn, and numbers here.
        return np.asarray(categories.tolist(), dtype=value.elem), np.arange(len(categories))
    keys = [_text_key(c, column) for c in categories]
    places = [i for i, key in enumerate(keys) if key is not None]
    return np.array([keys[i] for i in places], dtype=object), np.array(places)


def _text_key(category: Any, column: Column) -> str | None:
    if isinstance(category, str):
        return category
    gap = "none" if category is None else "na" if category is pd.NA else "nan"
    return SENTINEL if gap == column.absent else None


def _novel(categories: Array) -> Any:
    """A value that is none of the categories; of a type whose every value is one, no request holds another."""
    kind = categories.dtype.kind
    if kind in "OU":
        text, known = "\ue001", set(categories.tolist())
        while text in known:
            text += "\ue001"
        return np.array([text], dtype=object)
    if kind == "b":
        return np.array([2.0])
    numbers = {v for v in categories.tolist() if v == v}
    if kind == "f":
        top = max(numbers, default=0.0)
        candidates: Iterable[Any] = (
            0.0,
            top + 1,
            2 * top + 1,
            float(np.nextafter(categories.dtype.type(top), np.inf)),
        )
    else:
        limits = np.iinfo(categories.dtype)
        candidates = (v for v in range(int(limits.min), int(limits.max) + 1))
    found = next((v for v in candidates if categories.dtype.type(v) not in numbers), categories[0])
    return np.array([found], dtype=categories.dtype)

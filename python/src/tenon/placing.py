"""How rows of X fill the inputs of a graph from elsewhere: by name, or column by column in the graph's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from tenon.errors import ExportError
from tenon.inputs import SENTINEL, Array, Input, Rows, as_frame, describe, tensor

ELEMS = {
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(string)": "string",
    **{f"tensor({u}int{b})": f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)},
}
"""The element types that a request can carry, by ONNX Runtime's names."""


def _as_it_is(rows: Rows) -> Any:
    return {k: v.copy() for k, v in rows.items()} if isinstance(rows, dict) else rows.copy()


@dataclass(frozen=True)
class Placed:
    """X as rows of logical inputs, and where they go; called with rows, it gives one tensor per graph input."""

    inputs: tuple[Input, ...]
    rows: Rows
    ranks: Mapping[str, int]
    """By graph input: its number of dimensions."""
    columns: dict[str, int] = field(default_factory=dict)
    """By logical input: the column that it is of a matrix."""
    given: Callable[[Rows], Any] = _as_it_is
    """A copy of some rows in the form in which X was given."""

    def __call__(self, rows: Rows) -> dict[str, Array]:
        parts: dict[str, list[tuple[int, Array]]] = {}
        for i in self.inputs:
            values = rows if isinstance(rows, np.ndarray) else rows[i.key]
            parts.setdefault(i.feed, []).append((self.columns.get(i.name, 0), _tensor(i, values)))
        return {feed: self._joined(feed, some) for feed, some in parts.items()}

    def _joined(self, feed: str, parts: list[tuple[int, Array]]) -> Array:
        if len(parts) > 1:
            return np.column_stack([values for _, values in sorted(parts, key=lambda p: p[0])])
        values = parts[0][1]
        return values.reshape(-1, 1) if values.ndim == 1 and self.ranks[feed] == 2 else values


def place(runner: Any, X: Any, own_types: bool) -> Placed:
    """Places X in the inputs of a session's graph; ExportError if it does not fit.

    An array [N, …] is the graph's one input, a dict has a member for each, a DataFrame a column for each, or else
    the columns of its matrices in the graph's order. With `own_types` the logical types are X's own, otherwise
    those of the graph's tensors.
    """
    graph = {i.name: i for i in runner.get_inputs()}
    for i in graph.values():
        if i.type not in ELEMS:
            raise ExportError(f"the graph's input {i.name!r} is a {i.type}, which no request can carry")
    if isinstance(X, pd.DataFrame):
        return _table(graph, X, own_types)
    if isinstance(X, Mapping):
        return _members(graph, X, own_types)
    if len(graph) != 1:
        raise ExportError(
            f"the graph has the inputs {', '.join(graph)}: pass X as a dict or a DataFrame of them"
        )
    return _array(next(iter(graph.values())), np.asarray(X), own_types)


def _tensor(column: Input, values: Any) -> Array:
    filled = tensor(column, values)
    with np.errstate(over="ignore"):
        return filled if column.is_text else filled.astype(column.elem)


def _ranks(graph: Mapping[str, Any]) -> dict[str, int]:
    return {n: len(i.shape) for n, i in graph.items()}


def _array(only: Any, values: Array, own_types: bool) -> Placed:
    ranks = {only.name: len(only.shape)}
    if own_types and values.ndim == 2:
        rows = as_frame(values, "X")
        (described,) = describe(rows, rows)
        return Placed((_fed(described, only),), rows, ranks)
    kept = _own(values) if own_types else _cast(values, only)
    return Placed((_input("x", only, kept),), {"x": kept}, ranks, given=lambda some: _member(some, "x"))


def _members(graph: Mapping[str, Any], X: Mapping[Any, Any], own_types: bool) -> Placed:
    if set(X) != set(graph):
        raise ExportError(
            f"the graph's inputs are {', '.join(graph)}, X has {', '.join(map(str, X))}: name them alike"
        )
    values = {n: np.asarray(X[n]) for n in graph}
    if len({len(v) if v.ndim else 0 for v in values.values()}) != 1:
        raise ExportError("the inputs in X have different numbers of rows: give each the same")
    if own_types and all(v.ndim == 1 or v.shape[1:] == (1,) for v in values.values()):
        placed = _table(graph, pd.DataFrame({n: _series(v) for n, v in values.items()}), True)
        return replace(placed, given=lambda some: {n: _as_given(some, n, v) for n, v in values.items()})
    rows: dict[str, Array] = {n: _own(v) if own_types else _cast(v, graph[n]) for n, v in values.items()}
    return Placed(tuple(_input(n, graph[n], v) for n, v in rows.items()), rows, _ranks(graph))


def _series(values: Array) -> pd.Series:
    """With its dtype said, because pandas makes its own text of an object array."""
    flat = values.reshape(len(values))
    column: pd.Series = pd.Series(flat, dtype=object if flat.dtype.kind in "OU" else flat.dtype)
    return column


def _as_given(rows: Rows, name: str, before: Array) -> Array:
    """A column back as the array it came from, text as wide as it is now."""
    assert isinstance(rows, pd.DataFrame)
    values: Array = rows[name].to_numpy()
    values = np.array(values.tolist()) if before.dtype.kind == "U" else values.astype(before.dtype)
    return values.reshape(len(values), *before.shape[1:])


def _member(rows: Rows, name: str) -> Array:
    assert isinstance(rows, dict)
    return rows[name].copy()


def _table(graph: Mapping[str, Any], X: pd.DataFrame, own_types: bool) -> Placed:
    as_frame(X, "X")
    names = [str(c) for c in X.columns]
    tensors, columns = _places(graph, names)
    if not own_types:
        rows = {n: _cast(X[c].to_numpy(), t) for n, c, t in zip(names, X.columns, tensors, strict=True)}
        inputs = tuple(_input(n, t, rows[n]) for n, t in zip(names, tensors, strict=True))
        return Placed(inputs, rows, _ranks(graph), columns)
    inputs = tuple(_fed(i, t) for i, t in zip(describe(X, X), tensors, strict=True))
    return Placed(inputs, X, _ranks(graph), columns)


def _places(graph: Mapping[str, Any], names: Sequence[str]) -> tuple[list[Any], dict[str, int]]:
    """For each column the tensor that it fills, and for those of a matrix their places in it."""
    if set(names) == set(graph):
        return [graph[n] for n in names], {}
    widths = {n: _width(i) for n, i in graph.items()}
    known = sum(w for w in widths.values() if w is not None)
    free = [n for n, w in widths.items() if w is None]
    if len(free) == 1 and len(names) > known:
        widths[free[0]] = len(names) - known
    if sum(w or 0 for w in widths.values()) != len(names) or any(not w for w in widths.values()):
        said = ", ".join(f"{i.name!r} of the shape {i.shape}" for i in graph.values())
        raise ExportError(
            f"the graph has the input{'s' if len(graph) > 1 else ''} {said}, X has {len(names)} columns: "
            "give it one for each column there, in the graph's order, or name them as the graph does"
        )
    tensors = [i for n, i in graph.items() for _ in range(widths[n] or 0)]
    places = [j for n in graph for j in range(widths[n] or 0)]
    matrix = {name for name, w in widths.items() if (w or 0) > 1 or len(graph) == 1}
    return tensors, {c: j for c, t, j in zip(names, tensors, places, strict=True) if t.name in matrix}


def _width(graph_input: Any) -> int | None:
    """Columns that an input takes; None if its shape leaves it open, 0 for what is neither column nor matrix."""
    shape = graph_input.shape
    if len(shape) == 1:
        return 1
    if len(shape) != 2:
        return 0
    return shape[1] if isinstance(shape[1], int) else None


def _fed(column: Input, graph_input: Any) -> Input:
    """A described column as it fills the graph's tensor; ExportError where values would be lost."""
    elem = ELEMS[graph_input.type]
    if not _fits(column.type, elem):
        raise ExportError(
            f"the column {column.name!r} is {column.type}, the graph's input {graph_input.name!r} {elem}: "
            "give X the type that the graph takes"
        )
    holds_missing = elem == "string" or elem.startswith("float")
    return replace(column, feed=graph_input.name, elem=elem, absent=column.absent if holds_missing else None)


def _fits(own: str, elem: str) -> bool:
    """Whether every value of a type has one in the graph's, as the server sees it."""
    if own == elem or "string" in (own, elem):
        return own == elem
    if elem == "bool":
        return False
    return elem.startswith("float") or np.can_cast(np.dtype(own), np.dtype(elem), "safe")


def _own(values: Array) -> Array:
    if values.ndim == 0 or len(values) == 0:
        raise ExportError("X has no rows: pass rows with answers to compare")
    return values.astype(object) if values.dtype.kind == "U" else values


def _input(name: str, graph_input: Any, values: Array) -> Input:
    elem = ELEMS[graph_input.type]
    own = "string" if values.dtype.kind == "O" else values.dtype.name
    shape = None if values.ndim == 1 else tuple(values.shape[1:])
    absent = "nan" if elem.startswith("float") else None
    return _fed(Input(name, own, graph_input.name, elem, absent, shape, key=name), graph_input)


def _cast(values: Array, graph_input: Any) -> Array:
    """Values in the graph's element type, [N, 1] as [N]; the type is the graph's, since there is no training frame."""
    values = _own(values)
    elem = ELEMS[graph_input.type]
    if elem == "string":
        text = values.astype(object)
        if any(not isinstance(v, str) or v == SENTINEL or "\x00" in v for v in text.ravel()):
            raise ExportError(
                f"the input {graph_input.name!r} takes text, X holds something else there (or U+E000, U+0000)"
            )
        cast: Array = text
    else:
        try:
            cast = values.astype(elem)
        except (TypeError, ValueError) as e:
            raise ExportError(f"X does not fit the input {graph_input.name!r} of type {elem}: {e}") from e
    return cast.reshape(len(cast)) if cast.ndim == 2 and cast.shape[1] == 1 else cast

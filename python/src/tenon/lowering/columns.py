"""The columns between two steps of a pipeline, as scikit-learn sees them, over typed tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tenon.errors import NotLowered
from tenon.lowering.graph import Graph, Value


@dataclass(frozen=True)
class Origin:
    """The input that a column comes from, and the way back from its values to raw ones."""

    input: int
    element: int | None
    undo: tuple[Callable[[float], float], ...] = ()

    def raw(self, value: float) -> float:
        """The raw value that became `value`, up to rounding."""
        for step in reversed(self.undo):
            value = step(value)
        return value


@dataclass(frozen=True)
class Column:
    """One column: the dtype that scikit-learn computes with, what a missing string was, where it comes from."""

    dtype: np.dtype[Any]
    absent: str | None = None
    origin: Origin | None = None

    def undone_by(self, step: Callable[[float], float]) -> Column:
        """The column after a one-to-one step, of which `step` is the inverse."""
        if self.origin is None:
            return self
        return replace(self, origin=replace(self.origin, undo=(*self.origin.undo, step)))


@dataclass(frozen=True)
class Block:
    """Some columns in one tensor [N, len(columns)]."""

    value: Value
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Columns:
    """All columns in order, in blocks of one element type each, with names where scikit-learn has them."""

    blocks: tuple[Block, ...]
    names: tuple[str, ...] | None = None
    sparse: bool = False
    """Whether scikit-learn holds them in a sparse matrix, whose zeros some libraries take for missing."""

    @property
    def width(self) -> int:
        """How many columns there are."""
        return sum(len(b.columns) for b in self.blocks)

    def one(self, g: Graph, index: int) -> Block:
        """One column as a block of its own."""
        for block in self.blocks:
            if index < len(block.columns):
                if len(block.columns) == 1:
                    return block
                return Block(g.columns(block.value, [index]), (block.columns[index],))
            index -= len(block.columns)
        raise NotLowered(f"a step asks for column {index} behind the last")

    def select(self, g: Graph, indices: Sequence[int]) -> Columns:
        """Some columns in that order; runs within one block stay together."""
        owner = [b for b, block in enumerate(self.blocks) for _ in block.columns]
        start = [sum(len(b.columns) for b in self.blocks[:i]) for i in range(len(self.blocks))]
        picked: list[Block] = []
        run: list[int] = []
        for i, index in enumerate(indices):
            run.append(index - start[owner[index]])
            last = i + 1 == len(indices) or owner[indices[i + 1]] != owner[index]
            if last:
                picked.append(_part(g, self.blocks[owner[index]], run))
                run = []
        names = tuple(self.names[i] for i in indices) if self.names else None
        return Columns(tuple(picked), names)

    def numeric(self, g: Graph) -> Block:
        """All columns in one floating tensor of the type that scikit-learn computes in.

        `check_array` promotes the dtypes of a frame by numpy's rules, except that a boolean column makes it
        an object array and so double; integers become double.
        """
        columns = tuple(c for b in self.blocks for c in b.columns)
        if any(b.value.elem == "string" for b in self.blocks):
            raise NotLowered("a step that computes gets a text column")
        dtypes = [np.dtype(np.float64) if c.dtype.kind in "bO" else c.dtype for c in columns]
        elem = "float32" if np.result_type(*dtypes) == np.float32 else "float64"
        value = g.concat([g.cast(b.value, elem) for b in self.blocks])
        return Block(value, tuple(replace(c, dtype=np.dtype(elem)) for c in columns))

    def rounded(self, g: Graph) -> Block:
        """All columns cast to float32 and back to double: what trees compare with their thresholds."""
        block = Columns(tuple(Block(g.cast(b.value, "float32"), b.columns) for b in self._numbers()))
        value = g.concat([b.value for b in block.blocks])
        return Block(g.cast(value, "float64"), tuple(c for b in block.blocks for c in b.columns))

    def _numbers(self) -> tuple[Block, ...]:
        if any(b.value.elem == "string" for b in self.blocks):
            raise NotLowered("a tree gets a text column")
        return self.blocks


def joined(parts: Sequence[Columns]) -> Columns:
    """Columns side by side, as numpy.hstack."""
    return Columns(
        tuple(block for part in parts for block in part.blocks), sparse=any(p.sparse for p in parts)
    )


def _part(g: Graph, block: Block, indices: list[int]) -> Block:
    columns = tuple(block.columns[i] for i in indices)
    if indices == list(range(len(block.columns))):
        return block
    return Block(g.columns(block.value, indices), columns)

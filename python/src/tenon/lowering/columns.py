"""The columns between two steps of a pipeline, as scikit-learn sees them, over typed tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from tenon.errors import ExportError, NotLowered
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
    nullable: np.dtype[Any] | None = None
    """What pandas itself computes with in a nullable column, as long as the column is in its DataFrame."""

    def opaque(self, dtype: Any = None) -> Column:
        """The column after a step without a way back to the very raw value, in the dtype that the step gives."""
        return Column(self.dtype if dtype is None else np.dtype(dtype))

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
    entries: Value | None = None
    """The tensor whose zeros a sparse matrix leaves out, where that is not `value`.

    A step that writes over what is stored may leave zeros that are stored, and XGBoost does not take for missing.
    """

    @property
    def stored(self) -> Value:
        """The tensor whose zeros a sparse matrix leaves out."""
        return self.value if self.entries is None else self.entries


Layout: TypeAlias = Literal["", "csr", "csc"]
"""How scikit-learn holds columns: as an array or frame, or as a sparse matrix by row or by column."""


@dataclass(frozen=True)
class Columns:
    """All columns in order, in blocks of one element type each, with names where scikit-learn has them."""

    blocks: tuple[Block, ...]
    names: tuple[str, ...] | None = None
    sparse: Layout = ""
    """How scikit-learn holds them; on a sparse matrix some steps take other operations."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array that `check_array` makes of them: numpy's promotion, pandas' nullable columns being double."""
        return np.result_type(*{c.dtype for b in self.blocks for c in b.columns})

    @property
    def stacked(self) -> np.dtype[Any]:
        """Of the array that pandas makes of them: objects where a boolean or nullable column is beside another."""
        kinds = {(c.nullable is not None, c.nullable or c.dtype) for b in self.blocks for c in b.columns}
        if len(kinds) > 1 and any(nullable or d.kind in "bO" for nullable, d in kinds):
            return np.dtype(object)
        return np.result_type(*{d for _, d in kinds})

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
                return _part(g, block, [index])
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
        return Columns(tuple(picked), names, self.sparse)

    def array(self, g: Graph) -> Columns:
        """The columns as `check_array` leaves them where a step takes any dtype: all of the common one."""
        return self.of(self.dtype, g)

    def of(self, dtype: np.dtype[Any], g: Graph) -> Columns:
        """The columns in that dtype; integers, booleans and objects keep the tensors that hold them exactly."""

        def cast(block: Block) -> Block:
            value = g.cast(block.value, dtype.name) if dtype.kind == "f" else block.value
            columns = tuple(replace(c, dtype=dtype, nullable=None) for c in block.columns)
            return Block(value, columns, block.entries)

        return replace(self, blocks=tuple(b if b.value.elem == "string" else cast(b) for b in self.blocks))

    def numeric(self, g: Graph) -> Block:
        """All columns in one floating tensor of the type that scikit-learn computes in.

        `check_array` promotes the dtypes of a frame by numpy's rules; what is not float32 then becomes double.
        """
        columns = tuple(c for b in self.blocks for c in b.columns)
        self._refuse_text("a step that computes")
        elem = "float32" if self.dtype == np.float32 else "float64"
        value = g.concat([g.cast(b.value, elem) for b in self.blocks])
        entries = None
        if any(b.entries is not None for b in self.blocks):
            entries = g.concat([g.cast(b.stored, elem) for b in self.blocks])
        return Block(value, tuple(replace(c, dtype=np.dtype(elem), nullable=None) for c in columns), entries)

    def rounded(self, g: Graph) -> Block:
        """All columns cast to float32 and back to double: what trees compare with their thresholds."""
        block = Columns(tuple(Block(g.cast(b.value, "float32"), b.columns) for b in self._numbers()))
        value = g.concat([b.value for b in block.blocks])
        return Block(g.cast(value, "float64"), tuple(c for b in block.blocks for c in b.columns))

    def _numbers(self) -> tuple[Block, ...]:
        self._refuse_text("a tree")
        return self.blocks

    def _refuse_text(self, what: str) -> None:
        """ExportError for text where numbers are needed, which scikit-learn parses and no graph does alike."""
        is_text = [b.value.elem == "string" for b in self.blocks for _ in b.columns]
        if any(is_text):
            named = [f"{n!r}" for n, text in zip(self.names or (), is_text, strict=False) if text]
            called = f"the text column {' and '.join(named[:3])}" if named else "a text column"
            raise ExportError(
                f"{what} gets {called}: make it numbers before the pipeline, with .astype(float), or encode it in "
                "front of that step, and fit again"
            )


def joined(parts: Sequence[Columns]) -> Columns:
    """Columns side by side, each with its own dtype, as in a DataFrame."""
    blocks = tuple(block for part in parts for block in part.blocks)
    return Columns(blocks, sparse=next((p.sparse for p in parts if p.sparse), ""))


def hstack(parts: Sequence[Columns], g: Graph, sparse: Layout = "") -> Columns:
    """Columns side by side in one dtype, as numpy.hstack and scipy.sparse.hstack make them."""
    dtypes = [p.dtype if sparse else p.stacked for p in parts if p.width]
    if sparse:
        dtypes = [np.dtype(np.float64) if d.kind == "O" else d for d in dtypes]
    else:
        parts = [replace(p, blocks=tuple(replace(b, entries=None) for b in p.blocks)) for p in parts]
    whole = replace(joined(parts), sparse=sparse)
    return whole.of(np.result_type(*dtypes), g) if dtypes else whole


def note_threshold(g: Graph, column: Column, value: float) -> None:
    """Tells the export that answers may jump where the column passes `value`, so that rows are made there."""
    if column.origin is not None and np.isfinite(value):
        g.notes.thresholds.append((column.origin.input, column.origin.element, column.origin.raw(value)))


def _part(g: Graph, block: Block, indices: list[int]) -> Block:
    columns = tuple(block.columns[i] for i in indices)
    if indices == list(range(len(block.columns))):
        return block
    entries = None if block.entries is None else g.columns(block.entries, indices)
    return Block(g.columns(block.value, indices), columns, entries)

"""Ways to export wrongly: rules that lower another thing than they should, and pipelines with something changed.

Each is a function that a skew of the zoo takes. Those that change rules are given to a MonkeyPatch, and the right
pipeline is lowered while they hold.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from tenon.lowering import RULES, boosting, encode, linear, trees
from tenon.lowering.columns import Block, Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.rules import Rule

Patch = pytest.MonkeyPatch


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
    _ensembles(
        patch,
        lambda g, value, grown, n: right(
            g, value, [replace(t, threshold=change(t.threshold.astype(float))) for t in grown], n
        ),
    )


def _ensembles(patch: Patch, wrong: Callable[..., Any]) -> None:
    """Every rule that grows trees has its own name for what makes their node."""
    for rules in (trees, boosting):
        patch.setattr(rules, "ensemble", wrong)


def some_trees(pick: Callable[[list[Any]], list[Any]]) -> Callable[[Patch], None]:
    def planted(patch: Patch) -> None:
        right = trees.ensemble
        _ensembles(patch, lambda g, value, grown, n: right(g, value, pick(list(grown)), n))

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
    patch.setattr(
        Graph, "op", lambda g, kind, *args, **k: args[0] if kind == "Exp" else right(g, kind, *args, **k)
    )


def unknown_first(t: Any) -> Any:
    t[-1] = t[0]
    return t


def one_step_up(t: Any) -> Any:
    """The float32 that is not below."""
    single = t.astype(np.float32)
    return np.where(single < t, np.nextafter(single, np.float32(np.inf)), single).astype(float)


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
    _ensembles(
        patch,
        lambda g, value, grown, n: right(
            g, value, [replace(t, missing_left=~t.missing_left) for t in grown], n
        ),
    )


def standardised(g: Graph, value: Value) -> Value:
    """A target as it was trained on."""
    return g.arith("Div", g.arith("Sub", value, 120.0), 37.0)


def cents(g: Graph, value: Value) -> Value:
    return g.arith("Div", g.op("Round", g.arith("Mul", value, 100)), 100)


def single(g: Graph, value: Value) -> Value:
    return g.cast(g.cast(value, "float32"), "float64")


def rotated(g: Graph, value: Value) -> Value:
    """Three classes, each in another's place."""
    return g.columns(value, [1, 2, 0])

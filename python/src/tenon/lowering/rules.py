"""The table of lowering rules: one small function for each transformer or estimator.

A transformer's rule takes `(fitted, columns, graph)` and returns `Columns`; a predictor's returns `Answers`,
its outputs by name. To cover another one, write the function and put `@lowers(Class)` above it; a class of
a library that need not be installed is named by its text, `@lowers("library.module.Class")`.
A rule raises NotLowered for settings that it does not cover and ExportError for what no graph can hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from tenon.errors import NotLowered
from tenon.inputs import Array
from tenon.lowering.columns import Columns
from tenon.lowering.graph import Graph, Value
from tenon.lowering.refused import waiting

Answers: TypeAlias = dict[str, Value]
Rule: TypeAlias = Callable[[Any, Columns, Graph], "Columns | Answers"]
TransformRule: TypeAlias = Callable[[Any, Columns, Graph], Columns]

RULES: dict[type | str, Rule] = {}
TRANSFORMS: dict[type, TransformRule] = {}
"""For predictors that stand among the transformers of a pipeline, as KMeans does."""


def lowers(*kinds: type | str) -> Callable[[Rule], Rule]:
    """Registers a rule for exactly these classes, or their full names; a subclass may compute something else."""

    def register(rule: Rule) -> Rule:
        for kind in kinds:
            RULES[kind] = rule
        return rule

    return register


def rule_of(kind: type) -> Rule | None:
    """The rule for a class, found by itself or by its full name; None if the table has none."""
    return RULES.get(kind) or RULES.get(f"{kind.__module__}.{kind.__qualname__}")


def transforms(*kinds: type) -> Callable[[TransformRule], TransformRule]:
    """Registers what exactly these predictors do as transformers."""

    def register(rule: TransformRule) -> TransformRule:
        for kind in kinds:
            TRANSFORMS[kind] = rule
        return rule

    return register


def apply(step: Any, columns: Columns, g: Graph) -> Columns | Answers:
    """Lowers one fitted step; NotLowered if the table has no rule for it."""
    return _apply(step, columns, g) if g.watch is None else g.watch(_apply, step, columns, g)


def _apply(step: Any, columns: Columns, g: Graph) -> Columns | Answers:
    rule = rule_of(type(step))
    if rule is None:
        raise NotLowered(
            waiting(step) or f"{type(step).__name__} is not among the steps that the kit lowers itself"
        )
    result = rule(step, columns, g)
    return _named(step, columns, result) if isinstance(result, Columns) else result


def predict(step: Any, columns: Columns, g: Graph) -> Answers:
    """Lowers one fitted predictor, for a rule that builds on its answers."""
    result = apply(step, columns, g)
    if isinstance(result, Columns):
        raise NotLowered(f"{type(step).__name__} stands where a predictor is expected")
    return result


def transform(step: Any, columns: Columns, g: Graph) -> Columns:
    """Lowers one fitted transformer, or a predictor's other face that transforms."""
    if type(step) in TRANSFORMS:
        return _named(step, columns, TRANSFORMS[type(step)](step, columns, g))
    result = apply(step, columns, g)
    if not isinstance(result, Columns):
        raise NotLowered(f"{type(step).__name__} stands where a transformer is expected")
    return result


def classes_of(estimator: Any) -> tuple[Any, str]:
    """The classes of a classifier of one target, and the element type that keeps them."""
    classes = np.asarray(estimator.classes_) if not isinstance(estimator.classes_, list) else None
    if classes is None or classes.ndim != 1:
        raise NotLowered(f"{type(estimator).__name__} predicts several labels at once")
    return classes, elem_of(classes)


def elem_of(classes: Array) -> str:
    """The element type that keeps class labels."""
    return {"b": "bool", "i": "int64", "u": "int64", "f": "float64"}.get(classes.dtype.kind, "string")


def _named(step: Any, before: Columns, after: Columns) -> Columns:
    """scikit-learn's names of the new columns, which a later step may select by."""
    try:
        names = tuple(
            map(str, step.get_feature_names_out(before.names and np.asarray(before.names, dtype=object)))
        )
    except (AttributeError, ValueError, TypeError):
        return replace(after, names=None)
    return replace(after, names=names if len(names) == after.width else None)

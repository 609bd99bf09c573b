"""The profile: how the training data is distributed, per input and output, for drift to be measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tenon.inputs import Array, Input, Rows, count, tensor
from tenon.signature import Output, class_key, class_keys

BINS = 20
CATEGORIES = 100
ELEMENTS = 1024
"""An array with more elements gets one profile over all of them."""


def profile(
    inputs: Sequence[Input], outputs: Sequence[Output], frame: Rows, answers: Mapping[str, Array]
) -> dict[str, Any]:
    """The content of profile.json, over all rows of the training frame."""
    return {
        "rows": count(frame),
        "inputs": {i.name: _input(i, frame) for i in inputs},
        "outputs": {o.name: _output(o, answers[o.name]) for o in outputs},
    }


def numeric(values: Array) -> dict[str, Any]:
    """Counts between quantile edges: `counts[i]` is of edges[i-1] < v <= edges[i], the first and last open.

    `edges` are the distinct inner 20-quantiles, so a column of few values has fewer bins. `missing` counts NaN,
    `non_finite` infinities; `counts` sum to the rest. `std` is of the whole (divided by n), as scalers have it.
    """
    wide = np.asarray(values, dtype=np.float64)
    finite = wide[np.isfinite(wide)]
    out: dict[str, Any] = {
        "kind": "numeric",
        "missing": int(np.isnan(wide).sum()),
        "non_finite": int(np.isinf(wide).sum()),
    }
    if len(finite) == 0:
        return {**out, "min": None, "max": None, "mean": None, "std": None, "edges": [], "counts": [0]}
    # An edge is a value that occurs, so that equal values fall into one bin.
    edges = np.unique(np.quantile(finite, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    counts = np.bincount(np.searchsorted(edges, finite, side="left"), minlength=len(edges) + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        said = {"min": finite.min(), "max": finite.max(), "mean": finite.mean(), "std": finite.std()}
    # Beyond the largest double there is no mean to tell, and no deviation.
    told = {name: float(v) if np.isfinite(v) else None for name, v in said.items()}
    return {**out, **told, "edges": edges.tolist(), "counts": counts.tolist()}


def categorical(values: Array) -> dict[str, Any]:
    """The 100 most frequent categories with their counts, ties by name; `other` counts the rest."""
    series = pd.Series(values, dtype=object)
    counts = {class_key(k): int(n) for k, n in series.value_counts().items()}
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    top = [{"value": k, "count": n} for k, n in ranked[:CATEGORIES]]
    other = sum(n for _, n in ranked[CATEGORIES:])
    return {
        "kind": "categorical",
        "missing": int(series.isna().sum()),
        "categories": top,
        "other": other,
        "distinct": len(ranked),
    }


def _input(column: Input, frame: Rows) -> dict[str, Any]:
    values: Any = frame if isinstance(frame, np.ndarray) else frame[column.key]
    if column.type == "bool":
        return categorical(np.asarray(values, dtype=object).ravel())
    read = np.asarray(values, dtype=object) if column.is_text else tensor(column, values)
    one = categorical if column.is_text else numeric
    if column.width is not None and column.width <= ELEMENTS:
        wide = read.reshape(len(read), -1)
        return {"kind": "array", "elements": [one(wide[:, j]) for j in range(column.width)]}
    return one(read.ravel())


def _output(output: Output, answers: Array) -> dict[str, Any]:
    if output.classes is not None:
        return {
            "kind": "probabilities",
            "classes": {k: numeric(answers[:, j]) for j, k in enumerate(class_keys(output.classes))},
        }
    if output.kind == "label" or answers.dtype.kind in "Ob":
        return categorical(answers)
    return numeric(answers) if answers.ndim == 1 else numeric(answers.reshape(-1))

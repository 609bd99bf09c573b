"""The profile: how the training data is distributed, per input and output, for drift to be measured against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tenon.errors import ExportError
from tenon.inputs import Array, Input, Rows, count, tensor
from tenon.signature import Output, Policy, Signature, class_key, class_keys

BINS = 20
CATEGORIES = 100
ELEMENTS = 1024
"""An array with more elements gets one profile over all of them."""


def profile(signature: Signature, frame: Rows, answers: Mapping[str, Array]) -> dict[str, Any]:
    """The content of profile.json, over all rows of the training frame; it is checked before it is returned."""
    pairs = zip(signature.inputs, signature.policies, strict=True)
    inputs = {i.name: _input(i, p, frame) for i, p in pairs}
    outputs = {o.name: _output(o, answers[o.name]) for o in signature.outputs}
    rows = count(frame)
    for column in signature.inputs:
        _verify(column.name, inputs[column.name], rows * (column.width or 1))
    for output in signature.outputs:
        _verify(output.name, outputs[output.name], rows * math.prod(output.shape or ()))
    return {"rows": rows, "inputs": inputs, "outputs": outputs}


def _verify(name: str, said: Mapping[str, Any], values: int) -> None:
    """ExportError unless the counts make the number of values and the edges rise: drift is measured against them."""
    parts = said.get("elements") or list(said.get("classes", {}).values())
    if parts:
        share = values // len(parts) if "elements" in said else values
        for part in parts:
            _verify(name, part, share)
        return
    if said["kind"] == "numeric":
        total = said["missing"] + said["non_finite"] + sum(said["counts"])
        rising = bool((np.diff(said["edges"]) > 0).all()) and len(said["counts"]) == len(said["edges"]) + 1
    else:
        total = said["missing"] + said["other"] + sum(c["count"] for c in said["categories"])
        rising = True
    if total != values or not rising:
        raise ExportError(
            f"the profile of {name!r} counts {total} of {values} values, which is a fault of the kit: tell us"
        )


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
    edges = inner_edges(finite)
    counts = np.bincount(np.searchsorted(edges, finite, side="left"), minlength=len(edges) + 1)
    ends = {
        "min": float(finite.min()),
        "max": float(finite.max()),
        "mean": _mean(finite),
        "std": _std(finite),
    }
    return {**out, **ends, "edges": edges.tolist(), "counts": counts.tolist()}


def _mean(values: Array) -> float:
    """The mean, also of numbers whose sum is beyond the largest double."""
    with np.errstate(over="ignore"):
        mean = float(values.mean())
    return mean if np.isfinite(mean) else float((values / len(values)).sum())


def _std(values: Array) -> float | None:
    """The standard deviation; None where its square is beyond the largest double."""
    with np.errstate(over="ignore", invalid="ignore"):
        std = float(values.std())
    return std if np.isfinite(std) else None


def inner_edges(values: Array) -> Array:
    """The distinct inner 20-quantiles of the finite values, rising."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return np.empty(0)
    # An edge is a value that occurs, so that equal values fall into one bin.
    edges: Array = np.unique(np.quantile(finite, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    return edges


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


def _input(column: Input, policy: Policy, frame: Rows) -> dict[str, Any]:
    out = _described(column, frame)
    if policy.domain is not None and column.width is None:
        values: Any = pd.Series(frame[column.key], dtype=object)
        out["unseen"] = int((values.notna() & ~values.isin(list(policy.domain))).sum())
    return out


def _described(column: Input, frame: Rows) -> dict[str, Any]:
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
        return categorical(answers.ravel())
    if output.shape is not None and math.prod(output.shape) <= ELEMENTS:
        wide = answers.reshape(len(answers), -1)
        return {"kind": "array", "elements": [numeric(wide[:, j]) for j in range(wide.shape[1])]}
    return numeric(answers.reshape(-1))

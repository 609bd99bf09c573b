"""A golden set read back: bodies as the graph's tensors, and what the original pipeline said to them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tenon import wire
from tenon.errors import ExportError
from tenon.inputs import Array
from tenon.placing import ELEMS
from tenon.signature import class_keys

_WORDS = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf, None: np.nan}


class Golden:
    """Of a bundle's folder, one a body: feeds by graph input, answers by logical output, and why it was chosen."""

    def __init__(self, folder: Path, signature: Mapping[str, Any], runner: Any) -> None:
        self._folder = folder / "golden"
        self._inputs, self._outputs = signature["inputs"], signature["outputs"]
        self._graph = {i.name: i for i in runner.get_inputs()}

    def __iter__(self) -> Iterator[tuple[dict[str, Array], dict[str, Array], str]]:
        answers = {a["id"]: a for a in self._lines("answers.jsonl.gz")}
        for request in self._lines("requests.jsonl.gz"):
            body, answer = request["body"], answers[request["id"]]
            rows = body.get("instances")
            columns = body["inputs"] if rows is None else _columns(rows)
            said = answer["outputs"] if "outputs" in answer else _columns(answer["predictions"])
            truth = {o["name"]: _truth(o, said[o["name"]]) for o in self._outputs}
            yield self._feeds(columns), truth, request.get("why", "")

    def rows(self, X: Any, answers: Any) -> tuple[dict[str, Array], dict[str, Array], str]:
        """More rows with the pipeline's answers (a dict by output, or columns as `Client.predict` has them), alike."""
        if isinstance(X, pd.DataFrame):
            known = {i["name"] for i in self._inputs}
            columns = {str(c): wire.column(X[c]) for c in X.columns if str(c) in known}
        else:
            columns = {self._inputs[0]["name"]: wire.column(np.asarray(X))}
        lacking = [i["name"] for i in self._inputs if i["name"] not in columns]
        if lacking:
            raise ExportError(f"the rows in holdout lack the input {lacking[0]!r}: pass them as in a request")
        said = {o["name"]: _given(o, answers) for o in self._outputs}
        count = len(next(iter(columns.values())))
        if any(len(v) != count for v in said.values()):
            raise ExportError(f"holdout has {count} rows and not as many answers: give one answer a row")
        return self._feeds(columns), said, "hold-out"

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        with gzip.open(self._folder / name, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield json.loads(line)

    def _feeds(self, columns: Mapping[str, list[Any]]) -> dict[str, Array]:
        parts: dict[str, list[tuple[int, Array]]] = {}
        for spec in self._inputs:
            feed = spec.get("feed", spec["name"])
            if feed in self._graph:
                parts.setdefault(feed, []).append(
                    (spec.get("column", 0), _values(spec, columns[spec["name"]]))
                )
        return {feed: self._tensor(feed, some) for feed, some in parts.items()}

    def _tensor(self, feed: str, parts: list[tuple[int, Array]]) -> Array:
        elem, rank = ELEMS[self._graph[feed].type], len(self._graph[feed].shape)
        values = [v for _, v in sorted(parts, key=lambda p: p[0])]
        tensor = np.column_stack(values) if len(values) > 1 else values[0]
        tensor = tensor.reshape(-1, 1) if tensor.ndim == 1 and rank == 2 else tensor
        return tensor if elem == "string" else tensor.astype(elem)


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows as columns; what is an object in each row becomes columns, too."""
    columns: dict[str, Any] = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        columns[name] = _columns(values) if isinstance(first, dict) else values
    return columns


def _values(spec: Mapping[str, Any], values: list[Any]) -> Array:
    """One input's values in its own type."""
    if spec["type"] == "string":
        text = np.array(values, dtype=object)
        gone = np.array([v is None for v in text.ravel()], dtype=bool).reshape(text.shape)
        return np.where(gone, spec.get("sentinel", ""), text).astype(object)
    return _numbers(values, str(spec["type"]))


def _numbers(values: list[Any], kind: str) -> Array:
    flat = np.array(values, dtype=object)
    if kind.startswith("float") or any(v is None for v in flat.ravel()):
        read = [_WORDS.get(v, v) if v is None or isinstance(v, str) else v for v in flat.ravel().tolist()]
        return np.array(read, dtype=np.float64).reshape(flat.shape)
    return flat.astype(kind)


def _given(output: Mapping[str, Any], answers: Any) -> Array:
    """One output's answers out of a dict by output, or of columns such as `probabilities.Adelie`."""
    name = output["name"]
    parts = (
        [f"{name}.{k}" for k in class_keys(output["classes"])] if output["kind"] == "probabilities" else []
    )
    try:
        if parts and isinstance(answers, pd.DataFrame):
            return answers[parts].to_numpy(dtype=np.float64)
        values = np.asarray(answers[name])
    except KeyError as e:
        raise ExportError(
            f"the answers in holdout have no {e.args[0]!r}: name them as the bundle's outputs"
        ) from e
    return values.astype(object if output["type"] == "string" else output["type"])


def _truth(output: Mapping[str, Any], said: Any) -> Array:
    """One output's answers: [N], [N, …shape], or [N, classes]."""
    if output["kind"] == "probabilities":
        return np.column_stack([_numbers(said[k], "float64") for k in class_keys(output["classes"])])
    if output["type"] == "string":
        return np.array(said, dtype=object)
    return _numbers(said, str(output["type"]))

"""`tenon.bundle`: any `.onnx` beside the answers that it must give becomes a bundle that can be proven."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd

from tenon.bundlefile import Bundle
from tenon.compare import Sample, differences, refuse, session
from tenon.errors import ExportError
from tenon.inputs import SENTINEL, Array, Input, Rows
from tenon.names import bad_name, is_model_name
from tenon.package import package
from tenon.signature import CONVERTED, CONVERTED_PROBABILITIES, Output, Policy, Signature, class_keys
from tenon.zipmap import without_zipmap

_ELEMS = {
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(string)": "string",
    **{f"tensor({u}int{b})": f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)},
}


def bundle(
    model: str | os.PathLike[str],
    X: Any,
    *,
    expected: Any,
    name: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Bundle:
    """Bundles an ONNX file with the truth: the model must give `expected` for `X`, or ExportError names the rows.

    `X` is an array [N, …] for the graph's one input, a DataFrame (a column per input, or the columns of one matrix)
    or a dict by input. `expected` is an array for the first output, a dict by output, or a DataFrame in the form
    that `Client.predict` returns. Only outputs with a truth are served. Floating outputs are held to rel 1e-4,
    abs 1e-5, probabilities to abs 1e-5, everything else must be equal. `name` is the file's stem unless given.
    """
    file = Path(model)
    name = file.stem if name is None else name
    if not is_model_name(name):
        raise ExportError(f"{bad_name(name)}; pass it as name=")
    content, classes = _read(file)
    runner = session(content)
    inputs, columns, frame = _inputs(runner, X)
    truth = _truth([o.name for o in runner.get_outputs()], expected, classes)
    outputs = tuple(
        _output(o, truth[o.name], classes.get(o.name)) for o in runner.get_outputs() if o.name in truth
    )
    answers = {o.name: _typed(o, truth[o.name], len(next(iter(frame.values())))) for o in outputs}
    why = "hold-out"
    sample = Sample(why, frame, list(range(len(next(iter(frame.values()))))), answers)
    feed = _Feed(runner, inputs, columns)
    refuse(differences(content, feed, outputs, [sample]), len(sample), f"{file.name}")
    return package(
        Path(path) if path is not None else Path(f"{name}.tenon"),
        name=name,
        task="classification" if any(o.kind == "label" for o in outputs) else "regression",
        description=f"{file.name}, compared with answers that came with it",
        model=content,
        signature=Signature(inputs, outputs, tuple(_policy(frame[i.name]) for i in inputs), columns),
        samples=[sample],
        training=(frame, answers),
        notes=["The truth was given beside the graph."],
        feed=feed,
    )


def _read(file: Path) -> tuple[bytes, dict[str, list[Any]]]:
    """The file's bytes, without ZipMap if it ends in one, and the classes of such outputs."""
    try:
        loaded = onnx.load(str(file), load_external_data=False)
        onnx.checker.check_model(loaded)
    except Exception as e:
        said = next(iter(str(e).strip().splitlines()), type(e).__name__)
        raise ExportError(
            f"{file} is not an ONNX model that can be read ({said[:200]}): save it again"
        ) from e
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in loaded.graph.initializer):
        raise ExportError(f"{file} keeps weights in other files: save it as one, with onnx.save(model, path)")
    stripped, classes = without_zipmap(loaded)
    return (stripped.SerializeToString() if classes else file.read_bytes()), classes


class _Feed:
    """Turns rows into the graph's tensors: columns stacked where the graph has one matrix, shapes as it wants them."""

    def __init__(self, runner: Any, inputs: tuple[Input, ...], columns: Mapping[str, int]) -> None:
        self._ranks = {i.name: len(i.shape) for i in runner.get_inputs()}
        self._inputs, self._columns = inputs, columns

    def __call__(self, frame: Rows) -> dict[str, Array]:
        assert isinstance(frame, dict)
        if self._columns:
            return {self._inputs[0].feed: np.column_stack([frame[i.name] for i in self._inputs])}
        return {i.feed: self._ranked(i, frame[i.name]) for i in self._inputs}

    def _ranked(self, column: Input, values: Array) -> Array:
        return values.reshape(-1, 1) if values.ndim == 1 and self._ranks[column.feed] == 2 else values


def _inputs(runner: Any, X: Any) -> tuple[tuple[Input, ...], dict[str, int], dict[str, Array]]:
    """Logical inputs, their places in the matrix if there is one, and X as values by logical name."""
    graph = {i.name: i for i in runner.get_inputs()}
    for i in graph.values():
        if i.type not in _ELEMS:
            raise ExportError(f"the graph's input {i.name!r} is a {i.type}, which no request can carry")
    if isinstance(X, pd.DataFrame):
        names = [str(c) for c in X.columns]
        if len(set(names)) < len(names):
            raise ExportError("X has two columns of one name: rename one, since requests name columns")
        if len(graph) == 1 and set(names) != set(graph):
            return _stacked(next(iter(graph.values())), X, names)
        X = {str(c): X[c].to_numpy() for c in X.columns}
    elif not isinstance(X, Mapping):
        if len(graph) != 1:
            raise ExportError(
                f"the graph has the inputs {', '.join(graph)}: pass X as a dict or a DataFrame of them"
            )
        only = next(iter(graph.values()))
        values = _cast(np.asarray(X), only)
        return (_input("x", only, values),), {}, {"x": values}
    if set(X) != set(graph):
        raise ExportError(
            f"the graph's inputs are {', '.join(graph)}, X has {', '.join(map(str, X))}: name them alike"
        )
    frame = {n: _cast(np.asarray(X[n]), i) for n, i in graph.items()}
    if len({len(v) for v in frame.values()}) != 1:
        raise ExportError("the inputs in X have different numbers of rows: give each the same")
    return tuple(_input(n, graph[n], v) for n, v in frame.items()), {}, frame


def _stacked(
    matrix: Any, X: pd.DataFrame, names: list[str]
) -> tuple[tuple[Input, ...], dict[str, int], dict[str, Array]]:
    wants = matrix.shape[1] if len(matrix.shape) == 2 else None
    if len(matrix.shape) != 2 or (isinstance(wants, int) and wants != len(names)):
        raise ExportError(
            f"the graph's input {matrix.name!r} has the shape {matrix.shape}, X has {len(names)} columns"
        )
    frame = {n: _cast(X[c].to_numpy(), matrix) for n, c in zip(names, X.columns, strict=True)}
    inputs = tuple(_input(n, matrix, v) for n, v in frame.items())
    return inputs, {n: j for j, n in enumerate(names)}, frame


def _input(name: str, tensor: Any, values: Array) -> Input:
    elem = _ELEMS[tensor.type]
    shape = None if values.ndim == 1 else tuple(values.shape[1:])
    return Input(name, elem, tensor.name, elem, "nan" if elem.startswith("float") else None, shape, key=name)


def _cast(values: Array, tensor: Any) -> Array:
    """Values in the graph's element type, [N, 1] as [N]; the type is the graph's, since there is no training frame."""
    if values.ndim == 0 or len(values) == 0:
        raise ExportError("X has no rows: pass rows with answers to compare")
    elem = _ELEMS[tensor.type]
    if elem == "string":
        text = values.astype(object)
        if any(not isinstance(v, str) or v == SENTINEL or "\x00" in v for v in text.ravel()):
            raise ExportError(
                f"the input {tensor.name!r} takes text, X holds something else there (or U+E000, U+0000)"
            )
        cast: Array = text
    else:
        try:
            cast = values.astype(elem)
        except (TypeError, ValueError) as e:
            raise ExportError(f"X does not fit the input {tensor.name!r} of type {elem}: {e}") from e
    return cast.reshape(len(cast)) if cast.ndim == 2 and cast.shape[1] == 1 else cast


def _policy(values: Array) -> Policy:
    return Policy(missing=values.dtype.kind == "f" and bool(np.isnan(values).any()))


def _truth(names: list[str], expected: Any, classes: Mapping[str, list[Any]]) -> dict[str, Array]:
    """The truth by graph output."""
    if isinstance(expected, pd.DataFrame):
        given = _columns_by_output(names, expected, classes)
    elif isinstance(expected, Mapping):
        given = {str(k): np.asarray(v) for k, v in expected.items()}
    else:
        given = {names[0]: np.asarray(expected)}
    unknown = [k for k in given if k not in names]
    if unknown or not given:
        raise ExportError(
            f"expected names {unknown or 'nothing'}, the graph's outputs are {', '.join(names)}: name them alike"
        )
    return given


def _columns_by_output(
    names: list[str], table: pd.DataFrame, classes: Mapping[str, list[Any]]
) -> dict[str, Array]:
    """`label` is an output, `probabilities.Adelie` a column of one; other names are the columns of the only output."""
    columns = [str(c) for c in table.columns]
    found: dict[str, Array] = {}
    for name in names:
        parts = [c for c in columns if c.startswith(name + ".")]
        if name in columns:
            found[name] = table.iloc[:, columns.index(name)].to_numpy()
        elif parts:
            keys = class_keys(classes[name]) if name in classes else [c[len(name) + 1 :] for c in parts]
            lacking = [k for k in keys if f"{name}.{k}" not in columns]
            if lacking:
                raise ExportError(f"expected has no column {name + '.' + lacking[0]!r}")
            found[name] = table.iloc[:, [columns.index(f"{name}.{k}") for k in keys]].to_numpy()
    return found or {names[0]: table.to_numpy()}


def _output(tensor: Any, truth: Array, classes: list[Any] | None) -> Output:
    if tensor.type not in _ELEMS:
        raise ExportError(
            f"the graph's output {tensor.name!r} is a {tensor.type}, which is not a tensor: leave it out of expected"
        )
    elem = _ELEMS[tensor.type]
    floating = elem.startswith("float")
    if classes is not None:
        return Output(
            tensor.name, "probabilities", elem, tensor.name, tuple(classes), CONVERTED_PROBABILITIES
        )
    shape = tuple(truth.shape[1:]) if truth.ndim > 1 and truth.shape[1:] != (1,) else None
    label = shape is None and not floating and "label" in tensor.name
    return Output(
        tensor.name,
        "label" if label else "value",
        elem,
        tensor.name,
        None,
        CONVERTED if floating else None,
        shape,
    )


def _typed(output: Output, truth: Array, count: int) -> Array:
    """The truth in its own precision where it is a number, otherwise in the output's type."""
    if len(truth) != count:
        raise ExportError(
            f"expected has {len(truth)} rows for {output.name!r}, X has {count}: give one answer a row"
        )
    if output.type == "string":
        typed = truth.astype(object)
    elif output.type.startswith("float"):
        typed = truth.astype(np.float64 if truth.dtype.kind != "f" else truth.dtype)
    else:
        typed = truth.astype(output.type)
    return typed.reshape(count) if output.shape is None and output.classes is None else typed

"""`tenon.bundle`: any `.onnx` beside the answers that it must give becomes a bundle that can be proven."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import helper

from tenon.bundlefile import Bundle
from tenon.callables import Function, look_at_rows_alone, made_rows
from tenon.compare import Sample, differences, refuse, session
from tenon.diagnose import causes
from tenon.errors import ExportError
from tenon.inputs import Array, Frame, Input, Rows, count
from tenon.names import bad_name, is_model_name
from tenon.package import package
from tenon.placing import ELEMS, place
from tenon.signature import CONVERTED, CONVERTED_PROBABILITIES, Output, Policy, Signature, class_keys
from tenon.truth import row_names
from tenon.zipmap import without_zipmap


def bundle(
    model: str | os.PathLike[str],
    X: Any,
    *,
    expected: Any,
    name: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Bundle:
    """Bundles an ONNX file with the truth: the model must give `expected` for `X`, or ExportError names the rows.

    `X` is an array [N, …] for the graph's one input, a dict by input, or a DataFrame: a column per input by name,
    or the columns of the graph's matrices in its order. `expected` is an array for the first output, a dict by
    output, a DataFrame in the form that `Client.predict` returns, or a function of rows of X that returns one of
    these. A function is also asked for rows that the kit makes: missing and unseen values, extremes, other
    Unicode, and at the thresholds of trees. Only outputs with a truth are served. Floating outputs are held to
    rel 1e-4, abs 1e-5, probabilities to abs 1e-5, everything else must be equal. Probabilities are what a ZipMap makes,
    and, beside one label, a matrix whose rows sum to 1 and whose classes are known: from the graph's classifier, or
    from the labels in `expected`. `name` is the file's stem unless
    given.
    """
    if not isinstance(model, str | os.PathLike):
        raise ExportError(f"{type(model).__name__} is no path: pass the path of an .onnx file")
    file = Path(model)
    name = file.stem if name is None else name
    if not is_model_name(name):
        raise ExportError(f"{bad_name(name)}; pass it as name=")
    content, classes = read(file)
    return beside(content, classes, X, expected, name, Path(path or f"{name}.tenon"), file.name)


def beside(
    content: bytes,
    classes: Mapping[str, list[Any]],
    X: Any,
    expected: Any,
    name: str,
    path: Path,
    what: str,
    held: Frame | None = None,
    why: str = "hold-out",
) -> Bundle:
    """A model file's content beside its truth; `classes` by output of probabilities, `what` it is called.

    `held` are other rows than X to compare, in its form; they need a function as the truth.
    """
    runner = session(content)
    graph = {o.name: o for o in runner.get_outputs()}
    given = place(runner, X, own_types=callable(expected))
    placed = given if held is None else replace(given, rows=held)
    function = Function(expected, placed, lambda said: _truth(list(graph), said, classes))
    truth = function.for_all() if callable(expected) else _truth(list(graph), expected, classes)
    classes = {**_likely(content, graph, truth), **classes}
    outputs = tuple(_output(o, truth[n], classes.get(n)) for n, o in graph.items() if n in truth)

    def typed(said: Mapping[str, Array], rows: Rows) -> dict[str, Array]:
        return {o.name: _typed(o, said[o.name], count(rows)) for o in outputs}

    sample = Sample(why, placed.rows, row_names(placed.rows), typed(truth, placed.rows))
    samples, policies = [sample], tuple(_policy(placed.rows, i) for i in placed.inputs)
    if callable(expected):

        def answers(rows: Rows) -> dict[str, Array]:
            return typed(function(rows), rows)

        look_at_rows_alone(answers, outputs, sample, function.name)
        extra, policies = made_rows(answers, placed, outputs, content, sample)
        samples += extra
    signature = Signature(placed.inputs, outputs, policies, placed.columns)
    diagnose = partial(causes, content, placed, signature, samples)
    refuse(differences(content, placed, outputs, samples), sum(map(len, samples)), what, diagnose)
    return package(
        path,
        name=name,
        task="classification" if any(o.kind == "label" for o in outputs) else "regression",
        description=f"{what}, compared with {function.name if callable(expected) else 'answers that came with it'}",
        model=content,
        signature=signature,
        samples=samples,
        training=(given.rows, sample.expected if held is None else typed(function(given.rows), given.rows)),
        notes=["The truth was given beside the graph."],
        feed=placed,
    )


def read(file: Path) -> tuple[bytes, dict[str, list[Any]]]:
    """The file's bytes, without ZipMap if it ends in one, and the classes of such outputs."""
    if not file.is_file():
        raise ExportError(f"{file} does not exist: pass the path of an .onnx file")
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


def _policy(rows: Rows, column: Input) -> Policy:
    values = rows[column.key] if isinstance(rows, dict) else None
    return Policy(missing=values is not None and values.dtype.kind == "f" and bool(np.isnan(values).any()))


def _truth(names: list[str], expected: Any, classes: Mapping[str, list[Any]]) -> dict[str, Array]:
    """The truth by graph output."""
    if isinstance(expected, pd.DataFrame):
        given = _columns_by_output(names, expected, classes)
    elif isinstance(expected, Mapping):
        given = {str(k): np.asarray(v) for k, v in expected.items()}
    else:
        given = {names[0]: _alone(names, np.asarray(expected))}
    unknown = [k for k in given if k not in names]
    if unknown or not given:
        raise ExportError(
            f"expected names {unknown or 'nothing'}, the graph's outputs are {', '.join(names)}: name them alike"
        )
    return given


def _alone(names: list[str], answers: Array) -> Array:
    """An array, which is the truth for the first output; ExportError where it cannot be."""
    if answers.ndim == 0:
        raise ExportError(
            "expected is neither answers nor a function: pass an array, a DataFrame, a dict by output, or a function "
            "of rows of X"
        )
    if len(names) > 1 and answers.ndim > 1 and answers.shape[1] > 1:
        raise ExportError(
            f"the graph has the outputs {', '.join(names)}, and expected is one array of {answers.shape[1]} columns: "
            f"say of which output it is, as in expected={{{names[-1]!r}: answers}}"
        )
    return answers


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


def _likely(content: bytes, graph: Mapping[str, Any], truth: Mapping[str, Array]) -> dict[str, list[Any]]:
    """The classes of the one matrix beside one label that the truth says to be probabilities; {} where there is none.

    They are those that the graph's classifier lists, else the sorted labels of the truth, if there are as many as the
    matrix is wide, and if the label is the likeliest of them in most rows: else their order is another.
    """
    labels = [n for n in truth if "label" in n and truth[n].ndim == 1 and not graph[n].type.count("float")]
    matrices = [
        n for n in truth if graph[n].type in ("tensor(float)", "tensor(double)") and _are_shares(truth[n])
    ]
    if len(labels) != 1 or len(matrices) != 1:
        return {}
    said, shares = truth[labels[0]], truth[matrices[0]]
    for known in (*_classifiers(content), sorted(set(said.tolist()))):
        if len(known) == shares.shape[1] == len(set(known)):
            likeliest = np.array(known, dtype=object)[shares.argmax(axis=1)]
            if 2 * (likeliest == said.astype(object)).sum() > len(said):
                return {matrices[0]: list(known)}
    return {}


def _are_shares(values: Array) -> bool:
    """Whether the rows of a matrix are shares that sum to 1."""
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind != "f":
        return False
    return bool(
        ((values >= 0) & (values <= 1)).all() and np.allclose(values.sum(axis=1), 1, rtol=0, atol=1e-4)
    )


def _classifiers(content: bytes) -> list[list[Any]]:
    """The classes that classifier nodes of a graph list."""
    found = []
    for node in onnx.load_from_string(content).graph.node:
        for attribute in node.attribute:
            if attribute.name.startswith("classlabels_"):
                found.append(
                    [v.decode() if isinstance(v, bytes) else v for v in helper.get_attribute_value(attribute)]
                )
    return found


def _output(tensor: Any, truth: Array, classes: list[Any] | None) -> Output:
    if tensor.type not in ELEMS:
        raise ExportError(
            f"the graph's output {tensor.name!r} is a {tensor.type}, which is not a tensor: leave it out of expected"
        )
    elem = ELEMS[tensor.type]
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

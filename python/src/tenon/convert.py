"""The fall-back: skl2onnx's graph of a whole pipeline, for what no rule covers, behind the same check."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

from tenon.compare import session
from tenon.errors import ExportError
from tenon.inputs import Input
from tenon.signature import CONVERTED, CONVERTED_PROBABILITIES, Output

OPSETS = {"": 20, "ai.onnx.ml": 3}


def convert(
    pipeline: Any,
    inputs: Sequence[Input],
    outputs: Sequence[Output],
    reason: str,
    names: Sequence[str] = (),
) -> tuple[bytes, tuple[Input, ...], tuple[Output, ...]]:
    """The converted model, with inputs and outputs renamed to its tensors; ExportError with `reason` if it fails.

    Double inputs are tried first, then float ones: some converters mix both in one graph, which does not load.
    Integers are left as they are at first, then made numbers of the same type: many converters want all alike.
    `names` are those of all columns of the frame, where some are no inputs because no step reads them. The tolerances
    are the looser ones of converted graphs. Labels stay exact.
    """
    beyond = [o.name for o in outputs if o.source not in ("label", "probabilities", "prediction")]
    if beyond:
        instead = {"outlier": "by IsolationForest", "cluster": "by KMeans"}.get(
            beyond[0], "by one that the kit lowers, fit one pipeline a target"
        )
        raise ExportError(
            f"{reason}, and converters have no common form for {beyond[0]!r}. Replace that step {instead}, or bring "
            "graph and truth yourself with tenon.bundle(model, X, expected=answers)"
        )
    said = ""
    for number, alike in itertools.product((DoubleTensorType, FloatTensorType), (False, True)):
        types = {i.name: _tensor_type(i, number, alike) for i in inputs}
        try:
            model = _converted(pipeline, types, outputs, names or tuple(types))
            session(model.SerializeToString())
        except Exception as e:
            said = said or next(iter(str(e).strip().splitlines()), type(e).__name__)[:200]
            continue
        return model.SerializeToString(), _renamed(model, inputs), _outputs(model, outputs)
    error = ExportError(
        f"{reason}, and the converter does not cover it either ({said}): replace that step by one that the kit "
        "lowers, or bring graph and truth yourself with tenon.bundle(model, X, expected=answers)"
    )
    error.converter = said
    raise error


def _converted(
    pipeline: Any, types: Mapping[str, Any], outputs: Sequence[Output], names: Sequence[str]
) -> onnx.ModelProto:
    """The converter wants every column; those that are no inputs are taken out of its graph, which reads none."""
    zipped = any(o.kind == "probabilities" for o in outputs)
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        options = {id(pipeline): {"zipmap": False}} if zipped else None
        model: onnx.ModelProto = convert_sklearn(
            pipeline,
            initial_types=[(n, types.get(n) or FloatTensorType([None, 1])) for n in names],
            target_opset=OPSETS,
            options=options,
        )
    if len(model.graph.input) == len(names):
        kept = [i for n, i in zip(names, model.graph.input, strict=True) if n in types]
        del model.graph.input[:]
        model.graph.input.extend(kept)
    return model


def _tensor_type(column: Input, number: Any, alike: bool) -> Any:
    shape = [None, column.width or 1]
    if column.is_text:
        return StringTensorType(shape)
    whole = column.is_integer and column.absent is None and not alike
    return Int64TensorType(shape) if whole else number(shape)


def _renamed(model: onnx.ModelProto, inputs: Sequence[Input]) -> tuple[Input, ...]:
    """The converter keeps the order of the inputs but may change their names."""
    found = [(i.name, i.type.tensor_type.elem_type) for i in model.graph.input]
    if len(found) != len(inputs):
        raise ExportError(
            "the converter drops columns that the pipeline does not use: drop them before fitting"
        )
    return tuple(replace(i, feed=n, elem=_ELEMS[t]) for i, (n, t) in zip(inputs, found, strict=True))


_ELEMS = {
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.STRING: "string",
}


def _outputs(model: onnx.ModelProto, outputs: Sequence[Output]) -> tuple[Output, ...]:
    """Outputs keep their order; numbers take the type that the graph gives them."""
    found = [(o.name, o.type.tensor_type.elem_type) for o in model.graph.output]
    if len(found) < len(outputs):
        raise ExportError("the converter gives fewer outputs than the pipeline: replace its last step")
    tolerances = {"label": None, "probabilities": CONVERTED_PROBABILITIES, "value": CONVERTED}
    return tuple(
        replace(
            o,
            source=n,
            tolerance=tolerances[o.kind],
            type=o.type if o.kind == "label" else _ELEMS.get(t, o.type),
        )
        for o, (n, t) in zip(outputs, found, strict=False)
    )

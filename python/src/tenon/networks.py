"""torch and Keras modules on tables: their own exporter's graph, held to their own forward pass.

Nothing here imports torch or Keras unless an object of theirs is given.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import helper

from tenon.bundlefile import Bundle
from tenon.errors import ExportError
from tenon.inputs import Array, Frame
from tenon.lowering.graph import IR, OPSET, tensor_proto

RAW = "raw"
"""What the module itself returns, in the graph."""
_RANDOM = ("Dropout", "BatchNorm")


def is_network(model: Any) -> bool:
    """Whether an object is a torch module or a Keras model, told by the names of its classes."""
    kinds = {(c.__module__.partition(".")[0], c.__name__) for c in type(model).__mro__}
    return bool(kinds & {("torch", "Module"), ("keras", "Layer")})


def export_network(
    module: Any,
    frame: Frame,
    held: Frame | None,
    name: str,
    path: Path,
    task: str | None,
    classes: Sequence[Any] | None,
) -> Bundle:
    """A torch module or Keras model (torch backend) as a bundle; ExportError as `tenon.export`.

    The columns of the frame are one float32 matrix [N, k]. A classifier's outputs are `label` and `probabilities`:
    the module's own numbers where they are probabilities on all rows of the frame, otherwise their softmax, or the
    logistic function of a single one.
    """
    from tenon.bare import beside

    _check(module, frame, task, classes)
    kind = type(module).__name__
    forward = _forward(module)
    try:
        scores = forward(_matrix(frame))
    except ExportError:
        raise
    except Exception as e:
        raise ExportError(
            f"{kind} does not answer for X ({type(e).__name__}: {_short(e)}): pass its inputs"
        ) from e
    named = _classes(kind, scores, classes) if task == "classification" else None
    link = _link(scores) if named is not None else ""

    def truth(rows: Any) -> dict[str, Array]:
        answers = forward(_matrix(rows))
        return {"prediction": answers} if named is None else _classified(answers, link, named)

    truth.__name__ = f"{kind}.forward"
    content = _finished(_exported(module, _matrix(frame)[:8]), scores, link, named)
    return beside(
        content,
        {} if named is None else {"probabilities": named.tolist()},
        frame,
        truth,
        name,
        path,
        f"the graph of {kind}",
        held=held,
        why="training" if held is None else "hold-out",
    )


def _check(module: Any, frame: Frame, task: str | None, classes: Sequence[Any] | None) -> None:
    kind = type(module).__name__
    if task not in (None, "regression", "classification"):
        raise ExportError(f"task is 'regression' or 'classification', not {task!r}")
    if task == "classification" and classes is None:
        raise ExportError(
            "a network does not know its classes: pass them in the order of its outputs as classes="
        )
    if not any(c.__module__.partition(".")[0] == "torch" for c in type(module).__mro__):
        raise ExportError(
            f"{kind} runs on another backend of Keras than torch: set KERAS_BACKEND=torch before Keras is imported, "
            "load the model there and export it again"
        )
    if isinstance(frame, pd.DataFrame):
        text = [str(c) for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c].dtype)]
        if text:
            raise ExportError(
                f"the column {text[0]!r} holds no numbers, and a network takes only those: encode it in X"
            )
    if _is_keras(module) or not module.training:
        return
    random = [type(m).__name__ for m in module.modules() if m.training and _is_random(type(m).__name__)]
    if random:
        raise ExportError(
            f"{kind} is in training mode, in which its {random[0]} answers for a request by the others in it, or by "
            "chance: call module.eval() before tenon.export"
        )


def _is_random(kind: str) -> bool:
    return any(r in kind for r in _RANDOM)


def _is_keras(module: Any) -> bool:
    return any(c.__module__.partition(".")[0] == "keras" for c in type(module).__mro__)


def _matrix(rows: Frame) -> Array:
    if isinstance(rows, pd.DataFrame):
        return rows.to_numpy(dtype=np.float32, na_value=np.nan)
    matrix: Array = np.asarray(rows).astype(np.float32)
    return matrix


def _forward(module: Any) -> Callable[[Array], Array]:
    """The module's own answers to a float32 matrix, as an array."""
    torch: Any = importlib.import_module("torch")
    call = (lambda x: module(x, training=False)) if _is_keras(module) else module

    def forward(matrix: Array) -> Array:
        with torch.no_grad():
            answers = call(torch.from_numpy(np.array(matrix, order="C")))
        if not isinstance(answers, torch.Tensor):
            raise ExportError(
                f"{type(module).__name__} returns a {type(answers).__name__}: wrap it so that it returns one tensor"
            )
        values: Array = answers.detach().cpu().numpy()
        return values

    return forward


def _exported(module: Any, example: Array) -> onnx.ModelProto:
    """torch's own export, with any number of rows."""
    torch: Any = importlib.import_module("torch")
    wrapped = _inference(torch, module) if _is_keras(module) else module
    example = np.resize(example, (max(2, len(example)), example.shape[1]))
    shapes = ({0: torch.export.Dim("N")},)
    try:
        with _quiet():
            program = torch.onnx.export(
                wrapped, (torch.from_numpy(example),), dynamo=True, dynamic_shapes=shapes, opset_version=OPSET,
                input_names=["X"], output_names=[RAW], verbose=False,
            )  # fmt: skip
            with tempfile.TemporaryDirectory() as temporary:
                program.save(str(Path(temporary) / "m.onnx"), external_data=False)
                return onnx.load(Path(temporary) / "m.onnx")
    except ImportError as e:
        raise ExportError(f"torch exports by packages that are not here ({e}): pip install onnxscript") from e
    except Exception as e:
        raise ExportError(
            f"torch cannot export {type(module).__name__} ({type(e).__name__}: {_short(e)}): bring a graph that you "
            "made otherwise with tenon.bundle(model, X, expected=function)"
        ) from e


def _inference(torch: Any, model: Any) -> Any:
    """A Keras model as a torch module that only infers."""

    class Inference(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Any) -> Any:
            return self.model(x, training=False)

    return Inference().eval()


def _classes(kind: str, scores: Array, classes: Sequence[Any] | None) -> Array:
    named = np.asarray(classes)
    width = scores.shape[1] if scores.ndim == 2 else 1
    if scores.ndim > 2 or len(named) != (2 if width == 1 else width) or len(set(named.tolist())) < len(named):
        raise ExportError(
            f"{kind} returns {width} number{'s' if width > 1 else ''} a row, classes has {len(named)} names: "
            "pass one for each number in their order, two for a single number"
        )
    return named


def _link(scores: Array) -> str:
    """What makes probabilities of the module's numbers: nothing, Softmax, or Sigmoid of one."""
    flat = scores.reshape(len(scores), -1)
    in_range = bool(((flat >= 0) & (flat <= 1)).all())
    if flat.shape[1] == 1:
        return "" if in_range else "Sigmoid"
    return "" if in_range and np.allclose(flat.sum(axis=1), 1, atol=1e-4) else "Softmax"


def _classified(scores: Array, link: str, classes: Array) -> dict[str, Array]:
    """Labels and probabilities of the module's numbers."""
    wide = scores.reshape(len(scores), -1).astype(np.float64)
    with np.errstate(over="ignore"):
        if link == "Softmax":
            raised = np.exp(wide - wide.max(axis=1, keepdims=True))
            wide = raised / raised.sum(axis=1, keepdims=True)
        elif link == "Sigmoid":
            wide = 1 / (1 + np.exp(-wide))
    wide = np.column_stack([1 - wide, wide]) if wide.shape[1] == 1 else wide
    return {"label": classes[wide.argmax(axis=1)], "probabilities": wide}


def _finished(model: onnx.ModelProto, scores: Array, link: str, classes: Array | None) -> bytes:
    """The graph with our outputs' names, and without the traces of where it was made."""
    graph, width = model.graph, scores.shape[1] if scores.ndim == 2 else 1
    for thing in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        thing.ClearField("doc_string")
        thing.ClearField("metadata_props")
    if classes is None:
        graph.node.append(helper.make_node("Identity", [RAW], ["prediction"]))
        out = helper.make_tensor_value_info("prediction", onnx.TensorProto.FLOAT, ["N", *scores.shape[1:]])
        outputs = [out]
    else:
        outputs = _classifying(graph, width, link, classes)
    del graph.output[:]
    graph.output.extend(outputs)
    model.ir_version = IR
    model.producer_name = "tenon-kit"
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _classifying(graph: onnx.GraphProto, width: int, link: str, classes: Array) -> list[onnx.ValueInfoProto]:
    """Adds the nodes from the module's numbers to label and probabilities."""
    elem = {"b": "bool", "i": "int64", "u": "int64"}.get(classes.dtype.kind, "string")
    graph.initializer.extend(
        [
            tensor_proto("tenon_classes", classes.astype(object if elem == "string" else elem), elem),
            tensor_proto("tenon_shape", np.array([-1, width]), "int64"),
            tensor_proto("tenon_one", np.array(1), "float32"),
        ]
    )
    nodes = [helper.make_node("Reshape", [RAW, "tenon_shape"], ["tenon_scores"])]
    linked = helper.make_node(link or "Identity", ["tenon_scores"], ["tenon_linked"])
    if link == "Softmax":
        linked.attribute.append(helper.make_attribute("axis", 1))
    nodes.append(linked)
    if width == 1:
        nodes.append(helper.make_node("Sub", ["tenon_one", "tenon_linked"], ["tenon_other"]))
        nodes.append(helper.make_node("Concat", ["tenon_other", "tenon_linked"], ["probabilities"], axis=1))
    else:
        nodes.append(helper.make_node("Identity", ["tenon_linked"], ["probabilities"]))
    nodes.append(helper.make_node("ArgMax", ["probabilities"], ["tenon_likeliest"], axis=1, keepdims=0))
    nodes.append(helper.make_node("Gather", ["tenon_classes", "tenon_likeliest"], ["label"]))
    graph.node.extend(nodes)
    kind = {"bool": onnx.TensorProto.BOOL, "int64": onnx.TensorProto.INT64}.get(elem, onnx.TensorProto.STRING)
    return [
        helper.make_tensor_value_info("label", kind, ["N"]),
        helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["N", len(classes)]),
    ]


def _short(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "")[:200]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporter talks on stdout, by warnings and on its loggers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

"""`tenon.quantize`: a bundle with its weight matrices in 8 bits, if it still agrees with the original pipeline."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import logging
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tenon.bundlefile import Bundle, extract, path_of, write
from tenon.compare import largest, session
from tenon.errors import ExportError
from tenon.goldenfile import Golden
from tenon.inputs import Array
from tenon.signature import LOOSEST

LEAST_WEIGHTS = 256
"""In a matrix that is worth quantising."""


NATURAL = ("hold-out", "training", "")
"""Why a golden row is there that is of the data; the others were made up to sit on edges."""


@dataclass(frozen=True)
class Agreement:
    """How one output of a quantised model agrees with the original pipeline's answers over the golden rows.

    `agreement` is the share of `rows` with the same label, likeliest class or direction; None for numbers. A share of
    labels and likeliest classes is one of rows of the data: of those that were made up to sit on edges, `made_up` is
    how many there are and how many of them agree, beside the share. `distance` is the largest distance of a number,
    `mean_distance` the mean one, both as shares of the largest answer; None for labels. `asked` is the tolerance in
    the signature.
    """

    output: str
    rows: int
    agreement: float | None
    distance: float | None
    mean_distance: float | None
    asked: Mapping[str, float]
    passed: bool
    made_up: tuple[int, int] = (0, 0)
    """Rows, and those that agree."""

    def __str__(self) -> str:
        far = (
            ""
            if self.distance is None
            else f"a number is off by up to {self.distance:.3g} of the largest answer"
        )
        if "abs" in self.asked:
            return f"{self.output}: on {self.rows} rows {far} ({self.asked['abs']:g} is asked for)"
        if "cosine" in self.asked:
            same = f"{100 * (self.agreement or 0):.2f} % of {self.rows} rows have a cosine of {self.asked['cosine']:g}"
            return f"{self.output}: {same} or more (all are asked for); {far}"
        said = f"{100 * (self.agreement or 0):.2f} % of {self.rows} rows agree"
        said += f" ({100 * self.asked['agreement']:g} % are asked for)"
        if self.made_up[0]:
            said += "; of {} rows made up to sit on edges, which do not count, {} agree".format(*self.made_up)
        return f"{self.output}: {said}" + (f"; {far}" if far else "")


@dataclass(frozen=True)
class Quantized(Bundle):
    """A quantised bundle, with its agreement by output and the sizes of both model files in bytes."""

    report: tuple[Agreement, ...] = ()
    sizes: tuple[int, int] = field(default=(0, 0))
    """Before, after."""

    def __str__(self) -> str:
        """The file, its sizes and how it agrees, a line an output."""
        before, after = self.sizes
        head = f"{self.path}: the model has {after} bytes, before {before}; against the original pipeline"
        return "\n  ".join([head, *map(str, self.report)])


def quantize(
    bundle: Bundle | str | os.PathLike[str],
    *,
    path: str | os.PathLike[str] | None = None,
    agreement: float = 0.99,
    holdout: tuple[Any, Any] | None = None,
) -> Quantized:
    """Writes a version of a bundle with 8-bit weights, compared with the ORIGINAL pipeline's golden answers.

    Matrix products (of networks and linear models) take weights of int8 (seven bits of it, since some processors
    overflow with more), and quantise what they are multiplied with
    for each request (ONNX Runtime's dynamic quantisation); those in float64 become float32 on the way, everything
    around them stays as it is. Labels, and the likeliest class of probabilities, must agree with the pipeline in the
    share `agreement` of the golden rows that are of the data (those made up to sit on edges are told beside it); each
    number must be within `1 - agreement` of the largest answer, a tenth at most, and a
    vector's cosine at least `agreement`. ExportError gives the figures otherwise, and nothing is written. The
    tolerance stands in the new signature, so that a server holds the version to it and shows it.

    `holdout` are more rows to count, as (X, answers): a DataFrame or array in the form of requests, and what the
    original pipeline answers, as a dict by output or a DataFrame in the form of `Client.predict`. `path` is
    `<name>-int8.tenon` unless given. Trees gain nothing by it and are refused.
    """
    source = path_of(bundle)
    if not 0.5 <= agreement < 1:
        raise ExportError(f"agreement is a share of rows from 0.5 to below 1, not {agreement}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        head = extract(source, folder)
        name = str(head.get("name", ""))
        if (
            not (folder / "golden" / "requests.jsonl.gz").is_file()
            or not (folder / "signature.json").is_file()
        ):
            raise ExportError(
                f"{source} has no golden set to agree with: quantise a bundle of tenon.export or tenon.bundle"
            )
        before = (folder / "model.onnx").read_bytes()
        after = quantized_model(before, name)
        signature = json.loads((folder / "signature.json").read_text(encoding="utf-8"))
        signature["outputs"] = [{**o, "tolerance": _asked(o, agreement)} for o in signature["outputs"]]
        report, silent = _report(after, signature, folder, holdout)
        for output in signature["outputs"]:
            if output["name"] in silent:
                del output["finite"]
        if not all(a.passed for a in report):
            raise ExportError(
                f"the quantised {name!r} does not agree with the pipeline as asked, so nothing was written: "
                + "; ".join(map(str, report))
                + ". Ask for less with agreement=, if that is enough for you, or serve the bundle as it is"
            )
        (folder / "model.onnx").write_bytes(after)
        _write_json(folder / "signature.json", signature)
        _note(folder / "README.md", report, (len(before), len(after)))
        target = Path(path) if path is not None else Path(f"{name}-int8.tenon")
        written = write(target, _head(head, source, report), folder)
    return Quantized(written.path, written.name, written.digest, tuple(report), (len(before), len(after)))


def quantized_model(model: bytes, name: str) -> bytes:
    """The model with weights of int8; ExportError if no matrix is large enough to gain by it."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    loaded = onnx.load_from_string(model)
    weights = _in_float32(loaded)
    if not weights:
        trees = any(n.op_type.startswith("TreeEnsemble") for n in loaded.graph.node)
        why = (
            "trees compare, they do not multiply, so they gain nothing"
            if trees
            else "there is nothing to gain"
        )
        raise ExportError(
            f"the graph of {name!r} has no matrix of {LEAST_WEIGHTS} weights or more to quantise: {why}"
        )
    with tempfile.TemporaryDirectory() as temporary, _quiet():
        single, small = Path(temporary) / "single.onnx", Path(temporary) / "small.onnx"
        onnx.save(loaded, single)
        quantize_dynamic(
            single,
            small,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Seven bits of the eight: processors without VNNI add pairs of products in 16 bits, which overflow.
            reduce_range=True,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_quantize=[*weights, *(f"{n}_MatMul" for n in weights)],  # what it makes of a Gemm
        )
        content = small.read_bytes()
    if not any(n.op_type == "MatMulInteger" for n in onnx.load_from_string(content).graph.node):
        raise ExportError(f"ONNX Runtime's quantiser left {name!r} as it was: serve the bundle as it is")
    session(content)
    return content


def _in_float32(model: onnx.ModelProto) -> list[str]:
    """Puts each product with a constant matrix in float32, a cast before and after it; the names of these products."""
    graph, found, nodes = model.graph, [], []
    held = {t.name: t for t in graph.initializer}
    for number, node in enumerate(graph.node):
        node.name = node.name or f"node_{number}"
        weight = held.get(node.input[1]) if node.op_type in ("MatMul", "Gemm") else None
        if weight is None or len(weight.dims) != 2 or np.prod(weight.dims) < LEAST_WEIGHTS:
            nodes.append(node)
            continue
        found.append(node.name)
        nodes += _narrowed(node, held, graph) if weight.data_type == onnx.TensorProto.DOUBLE else [node]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {n for node in nodes for n in node.input}
    kept = [t for t in graph.initializer if t.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return found


def _narrowed(
    node: onnx.NodeProto, held: Mapping[str, onnx.TensorProto], graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    """A float64 product as cast, float32 product and cast back."""
    inputs, before = [], []
    for place, name in enumerate(node.input):
        inputs.append(f"{node.name}_single_{place}")
        if name in held:
            values = numpy_helper.to_array(held[name]).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(values, inputs[-1]))
        else:
            before.append(helper.make_node("Cast", [name], [inputs[-1]], to=onnx.TensorProto.FLOAT))
    product, (out,) = onnx.NodeProto(), node.output
    product.CopyFrom(node)
    product.input[:], product.output[:] = inputs, [f"{node.name}_single"]
    back = helper.make_node("Cast", [product.output[0]], [out], to=onnx.TensorProto.DOUBLE)
    return [*before, product, back]


def _asked(output: Mapping[str, Any], agreement: float) -> dict[str, float]:
    """The tolerance of an output: agreement for classes, a cosine for vectors, a distance for numbers."""
    floating = str(output.get("type", "")).startswith("float")
    if output["kind"] in ("label", "probabilities") or not floating:
        return {"agreement": agreement}
    if output.get("shape"):
        return {"cosine": agreement}
    return {"rel": 0.0, "abs": min(round(1 - agreement, 12), LOOSEST)}


def _report(
    model: bytes, signature: Mapping[str, Any], folder: Path, holdout: tuple[Any, Any] | None
) -> tuple[list[Agreement], set[str]]:
    """By output, how the answers to all golden bodies, and to more rows, agree with the pipeline's.

    The second result names the outputs declared finite that are not: numbers at the ends of a float64 range overflow
    in the quantised model's float32. A server would refuse such rows; they are answers now, and do not agree.
    """
    runner, outputs = session(model), signature["outputs"]
    got: dict[str, list[Array]] = {o["name"]: [] for o in outputs}
    want: dict[str, list[Array]] = {o["name"]: [] for o in outputs}
    of_data: list[Array] = []
    golden = Golden(folder, signature, runner)
    for feeds, said, why in itertools.chain(golden, [] if holdout is None else [golden.rows(*holdout)]):
        answers = runner.run([o.get("from", o["name"]) for o in outputs], feeds)
        for o, values in zip(outputs, answers, strict=True):
            truth = said[o["name"]]
            want[o["name"]].append(truth)
            got[o["name"]].append(np.asarray(values).reshape(truth.shape))
        of_data.append(np.full(len(truth), why in NATURAL))
    counts = np.concatenate(of_data)
    counts = counts if counts.any() else ~counts  # where all are made up, they are what there is
    both = {o["name"]: (np.concatenate(got[o["name"]]), np.concatenate(want[o["name"]])) for o in outputs}
    silent = {o["name"] for o in outputs if o.get("finite") and not np.isfinite(both[o["name"]][0]).all()}
    return [_agreed(o, *both[o["name"]], counts) for o in outputs], silent


def _agreed(output: Mapping[str, Any], got: Array, want: Array, counts: Array) -> Agreement:
    """`counts` says of each row whether it counts for a share of rows, and for the distances beside that."""
    asked, rows = output["tolerance"], len(want)
    if want.dtype.kind != "f":
        same = (got == want).reshape(rows, -1).all(axis=1)
        return _shared(output["name"], same, counts, None, None, asked)
    a, b = got.reshape(rows, -1).astype(np.float64), want.reshape(rows, -1).astype(np.float64)
    sizes = largest(b)
    scale = np.maximum(float(sizes[counts].max(initial=0.0)) or 1.0, sizes)[:, None]
    with np.errstate(invalid="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b)) / scale
    held = apart if "abs" in asked else apart[counts]
    far, mean = float(np.nan_to_num(held, nan=np.inf).max(initial=0.0)), float(np.mean(held))
    if "abs" in asked:
        return Agreement(output["name"], rows, None, far, mean, asked, far <= asked["abs"])
    if "cosine" in asked:
        with np.errstate(invalid="ignore"):
            same = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        same = np.where(a.any(axis=1) | b.any(axis=1), same, 1.0) >= asked["cosine"]
        return Agreement(output["name"], rows, float(same.mean()), far, mean, asked, bool(same.all()))
    same = np.nan_to_num(a).argmax(axis=1) == np.nan_to_num(b).argmax(axis=1)
    return _shared(output["name"], same, counts, far, mean, asked)


def _shared(
    name: str, same: Array, counts: Array, far: float | None, mean: float | None, asked: Mapping[str, float]
) -> Agreement:
    share, beside = float(same[counts].mean()), same[~counts]
    passed = share >= asked["agreement"]
    return Agreement(
        name, int(counts.sum()), share, far, mean, asked, passed, (len(beside), int(beside.sum()))
    )


def _head(head: dict[str, Any], source: Path, report: Sequence[Agreement]) -> dict[str, Any]:
    """The manifest of the quantised bundle: what it was made from, and its figures."""
    metrics = {f"agreement_{a.output}": a.agreement for a in report if a.agreement is not None}
    distances = {f"distance_{a.output}": a.distance for a in report if a.distance is not None}
    metrics |= {k: v for k, v in distances.items() if math.isfinite(v)}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        **{k: v for k, v in head.items() if k not in ("files", "digest")},
        "description": f"{head.get('description', '')}, weights in 8 bits".removeprefix(", "),
        "tags": {**head.get("tags", {}), "quantized-from": head["digest"]},
        "metrics": {**head.get("metrics", {}), **metrics},
        "created": now,
    }


def _note(card: Path, report: Sequence[Agreement], sizes: tuple[int, int]) -> None:
    before = card.read_text(encoding="utf-8") if card.exists() else ""
    lines = ["", "## Quantised", "", f"Weights in 8 bits: {sizes[0]} bytes became {sizes[1]}."]
    lines += ["These tolerances replace those above; agreement is with the original pipeline.", ""]
    card.write_text(before + "\n".join([*lines, *(f"- {a}" for a in report)]) + "\n", encoding="utf-8")


def _write_json(path: Path, content: Any) -> None:
    path.write_text(
        json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8"
    )


@contextlib.contextmanager
def _quiet() -> Any:
    """The quantiser advises at length on the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)

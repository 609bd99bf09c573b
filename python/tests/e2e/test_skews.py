"""The skew zoo: every wrong export is refused, its report says what it probably is, and nothing clean is refused."""

from __future__ import annotations

import copy
import gzip
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pytest
from examples import Case, exported
from onnx import helper, version_converter
from serving import Served
from serving import tenon as command
from sklearn.linear_model import LinearRegression
from wrong import lowered, with_files
from zoo import MODELS, SKEWS, Skew

import tenon

LEAST_NAMED = 45
"""Skews whose cause is named; the others change an answer without a pattern that a hypothesis knows."""


class Zoo:
    """The trained pipelines and their right bundles, each made once, when a skew of it comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[str, tuple[Case, tenon.Bundle]] = {}

    def of(self, model: str) -> tuple[Case, tenon.Bundle]:
        if model not in self._made:
            case = MODELS[model]()
            self._made[model] = case, exported(case, model, self.folder / f"{model}.tenon")
        return self._made[model]

    def wrong(self, name: str, folder: Path) -> tenon.Bundle:
        """The right bundle with the graph of a wrong export."""
        skew = SKEWS[name]
        case, right = self.of(skew.model)
        with pytest.MonkeyPatch.context() as patch:
            skew.rules(patch)
            graph = lowered(skew.pipeline(case.pipeline), case.train, case.hold)
        return with_files(right, folder / "wrong.tenon", model_onnx=graph)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return Zoo(tmp_path_factory.mktemp("zoo"))


def refused(bundle: tenon.Bundle, server: Served) -> tenon.ParityError:
    with pytest.raises(tenon.ParityError) as caught:
        tenon.push(bundle, server=server.url)
    error = caught.value
    assert (error.status, error.code) == (422, "parity-failed")
    assert error.report["passed"] is False
    assert error.report["failed_rows"] > 0
    return error


@pytest.mark.parametrize("name", SKEWS)
def test_a_skew_is_refused_and_its_cause_named(name: str, zoo: Zoo, server: Served, tmp_path: Path) -> None:
    skew, bundle = SKEWS[name], zoo.wrong(name, tmp_path)
    error = refused(bundle, server)
    versions = server.http.get(f"/v1/models/{bundle.name}/versions").json().get("versions", [])
    assert bundle.digest not in [v["digest"] for v in versions], "nothing is registered"

    causes = error.report.get("causes", [])
    assert names_cause(skew, causes), f"{error.report['summary']} {[c['detail'] for c in causes]}"
    assert len(causes) <= 5
    for cause in causes:
        assert 0.9 * cause["of"] <= cause["explains"] <= cause["of"]
        assert cause["detail"] in str(error)
        assert cause["code"] in documented()
    assert (
        str(error).index(causes[0]["detail"]) < str(error).index(error.rows["request"][0]) if causes else True
    )


def names_cause(skew: Skew, causes: list[dict[str, Any]]) -> bool:
    """Whether the best cause is the skew's own, or none is named where none can be."""
    wanted = (skew.cause,) if isinstance(skew.cause, str) else skew.cause
    if wanted is None or not causes:
        return wanted is None and not causes
    return causes[0]["code"] in wanted and (
        skew.columns is None or sorted(causes[0]["columns"]) == sorted(skew.columns)
    )


def documented() -> str:
    return (Path(__file__).parents[3] / "docs" / "parity.md").read_text()


def test_most_skews_have_a_name() -> None:
    assert len(SKEWS) >= 50
    assert sum(skew.cause is not None for skew in SKEWS.values()) >= LEAST_NAMED


def test_the_command_line_tells_the_cause(zoo: Zoo, server: Served, tmp_path: Path) -> None:
    wrong = zoo.wrong("two columns swapped", tmp_path)
    done = command("push", wrong.path, server=server)
    assert done.returncode == 3
    said = 'Columns "age" and "temp" look swapped: with them exchanged,'
    assert said in done.stderr
    assert done.stderr.index(said) < done.stderr.index("expected")


def test_a_huge_made_up_row_hides_no_skew(server: Served, tmp_path: Path) -> None:
    """A wrong intercept beside a row that the pipeline answers 1e300 for: abs is no share of that."""
    random = np.random.default_rng(0)
    X = pd.DataFrame({"x": random.normal(0, 1, 400), "z": random.normal(0, 1, 400)})
    pipeline = LinearRegression().fit(X, 2 * X["x"] - X["z"] + 1)
    right = tenon.export(pipeline, X[:300], name="line", holdout=X[300:], path=tmp_path / "line.tenon")
    skewed = copy.deepcopy(pipeline)
    skewed.intercept_ += 0.25
    huge = pd.DataFrame({"x": [4.9e299], "z": [0.0]})
    golden = with_row(right, "extreme", huge, float(pipeline.predict(huge)[0]))
    clean = with_files(right, tmp_path / "clean.tenon", **golden)
    assert tenon.push(clean, server=server.url).parity == "proven"
    graph = lowered(skewed, X[:300], X[300:])
    error = refused(with_files(right, tmp_path / "wrong.tenon", model_onnx=graph, **golden), server)
    assert error.report["outputs"][0]["scale"] < 100
    assert error.report["causes"][0]["code"] == "output-shifted"


def with_row(bundle: tenon.Bundle, why: str, row: pd.DataFrame, answer: float) -> dict[str, bytes]:
    """The golden files with one more request of a row, and the pipeline's answer."""
    more = {
        "requests": {"id": "more", "why": why, "body": {"instances": row.to_dict("records")}},
        "answers": {"id": "more", "predictions": [{"prediction": answer}]},
    }
    files = {}
    with tarfile.open(bundle.path) as tar:
        for kind, line in more.items():
            name = f"golden/{kind}.jsonl.gz"
            lines = gzip.decompress(tar.extractfile(name).read())  # type: ignore[union-attr]
            files[name] = gzip.compress(lines + json.dumps(line).encode() + b"\n")
    return files


UNSEEN_BY_TEN_ROWS = [
    "< for <=",
    "thresholds rounded up to float32",
    "unknown as the first category",
    "imputer of another fold",
    "missing goes the other way",
]


def test_ten_golden_rows_would_let_skews_through(zoo: Zoo, server: Served, tmp_path: Path) -> None:
    """The control: what finds these is the golden set's size and its rows on edges, not the mere comparison."""
    through = []
    for name in UNSEEN_BY_TEN_ROWS:
        wrong = zoo.wrong(name, tmp_path)
        few = with_files(wrong, tmp_path / "few.tenon", **first_bodies(wrong, 3))
        try:
            version = tenon.push(few, server=server.url)
        except tenon.ParityError:
            continue
        assert version.report["rows"] == 10
        through.append(name)
    assert len(through) >= 3, through


def first_bodies(bundle: tenon.Bundle, count: int) -> dict[str, bytes]:
    """The golden files with the first bodies only, which have 1, 2 and 7 hold-out rows."""
    files = {"golden/coverage.json": b'{"rows":10}'}
    with tarfile.open(bundle.path) as tar:
        for name in ("golden/requests.jsonl.gz", "golden/answers.jsonl.gz"):
            lines = gzip.decompress(tar.extractfile(name).read()).splitlines(keepends=True)  # type: ignore[union-attr]
            files[name] = gzip.compress(b"".join(lines[:count]))
    return files


# Harmless rewrites: the same function in another graph.


def optimised(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimised.onnx")


def renamed(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    graph, fixed = model.graph, {v.name for v in (*model.graph.input, *model.graph.output)}

    def new(name: str) -> str:
        return name if name in fixed or not name else f"other/{name}"

    for number, node in enumerate(graph.node):
        node.name = f"node {number}"
        node.input[:], node.output[:] = map(new, node.input), map(new, node.output)
    for tensor in graph.initializer:
        tensor.name = new(tensor.name)
    return model


def upgraded(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    return version_converter.convert_version(model, 21)


def constants_as_nodes(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in model.graph.initializer]
    nodes += list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


REWRITES = [optimised, renamed, upgraded, constants_as_nodes]


@pytest.mark.parametrize("model", MODELS)
def test_the_right_graph_is_proven_however_it_is_written(
    model: str, zoo: Zoo, server: Served, tmp_path: Path
) -> None:
    right = zoo.of(model)[1]
    assert tenon.push(right, server=server.url).parity == "proven"
    with tarfile.open(right.path) as tar:
        graph = tar.extractfile("model.onnx").read()  # type: ignore[union-attr]
    for rewrite in REWRITES:
        changed = rewritten(rewrite, graph, tmp_path)
        assert changed != graph
        bundle = with_files(right, tmp_path / "rewritten.tenon", model_onnx=changed)
        version = tenon.push(bundle, server=server.url)
        assert version.parity == "proven", rewrite.__name__
        assert "causes" not in version.report


def rewritten(
    rewrite: Callable[[onnx.ModelProto, Path], onnx.ModelProto], graph: bytes, folder: Path
) -> bytes:
    changed = rewrite(onnx.load_model_from_string(graph), folder)
    onnx.checker.check_model(changed)
    return bytes(changed.SerializeToString())

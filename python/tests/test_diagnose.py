"""What a refused graph is told that it probably is; and nothing where no hypothesis holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

import tenon

RNG = np.random.default_rng(0)
X = pd.DataFrame({"mm": RNG.normal(40, 5, 200), "kg": RNG.normal(4, 1, 200), "cm": RNG.normal(20, 3, 200)})
WEIGHTS = np.array([[0.3, -0.2, 0.1], [-1.0, 0.5, 0.2], [0.1, 0.2, -0.4]], dtype=np.float32)
Graph = Callable[..., Path]


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """X W in float32, [N, 3]."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["Y"])],
        "g",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(WEIGHTS, "W")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10),
        tmp_path / "s.onnx",
    )
    return tmp_path / "s.onnx"


def truth(rows: pd.DataFrame) -> np.ndarray:
    return rows.to_numpy() @ WEIGHTS


def refusal(path: Path, function: Any, frame: pd.DataFrame = X) -> tenon.ExportError:
    with pytest.raises(tenon.ExportError) as caught:
        tenon.bundle(path, frame, expected=function, path=path.parent / "m.tenon")
    return caught.value


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("wrong", "code", "columns"),
    [
        (lambda r: truth(r[["kg", "mm", "cm"]]), "columns-swapped", ("mm", "kg")),
        (lambda r: truth(r.assign(mm=r["mm"] / 1000)), "column-unit", ("mm",)),
        (lambda r: truth(r.assign(cm=(r["cm"] - X["cm"].mean()) / X["cm"].std(ddof=0))), "column-not-scaled", ("cm",)),
        (lambda r: truth(r[["kg", "cm", "mm"]]), "columns-reordered", ("mm", "kg", "cm")),
        (lambda r: truth(r[["cm", "kg", "mm"]]), "columns-swapped", ("mm", "cm")),
        (lambda r: truth(r.assign(kg=r["kg"] + 0.7)), "column-shifted", ("kg",)),
        (lambda r: truth(r.assign(kg=1.05 * r["kg"] + 0.7)), "column-scaled", ("kg",)),
        (lambda r: truth(r.assign(mm=1.03 * r["mm"], cm=0.97 * r["cm"] + 0.1)), "scaled-otherwise", ("mm", "cm")),
        (lambda r: truth(r)[:, [2, 0, 1]], "classes-permuted", ()),
        (lambda r: softmax(truth(r)), "link-missing", ()),
        (lambda r: truth(r) + 2.5, "output-shifted", ()),
        (lambda r: truth(r) * 3 + 1, "output-scaled", ()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_matrix(scores: Path, wrong: Any, code: str, columns: tuple[str, ...]) -> None:
    error = refusal(scores, wrong)
    assert (error.causes[0].code, error.causes[0].columns) == (code, columns)
    assert code != "columns-swapped" or len(error.causes) == 1, "three columns in reverse are a swap of two"
    assert error.causes[0].explains >= 0.9 * error.causes[0].of
    said = str(error)
    assert said.index(error.causes[0].detail) < said.index("row "), "causes stand above the rows"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda r: np.sin(1e3 * truth(r)),
        lambda r: truth(r) ** 2 + r[["mm"]].to_numpy() * r[["cm"]].to_numpy(),
        lambda r: np.where(r[["mm"]].to_numpy() > 41.3, truth(r), 7 * truth(r) ** 2),
    ],
)
def test_nothing_is_guessed(scores: Path, wrong: Any) -> None:
    error = refusal(scores, wrong)
    assert error.causes == []
    assert len(error.rows)
    assert "so nothing was written: row" in str(error)


def graph_of(path: Path, nodes: list[Any], inputs: dict[str, int], constants: dict[str, Any]) -> Path:
    """A graph from columns [N, 1] to Y [N, 1] in float32."""
    described = [helper.make_tensor_value_info(n, t, ["N", 1]) for n, t in inputs.items()]
    out = [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["N", 1])]
    held = [numpy_helper.from_array(np.asarray(v, dtype=np.float32), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "g", described, out, held)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """a, with 0 where it is missing."""
    nodes = [
        helper.make_node("IsNaN", ["a"], ["gone"]),
        helper.make_node("Where", ["gone", "zero", "a"], ["filled"]),
        helper.make_node("Add", ["filled", "b"], ["Y"]),
    ]
    return graph_of(tmp_path / "f.onnx", nodes, {"a": TensorProto.FLOAT, "b": TensorProto.FLOAT}, {"zero": 0})


def test_only_where_a_column_is_missing(filled: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": X["kg"].mask(RNG.random(200) < 0.3), "b": X["cm"]})
    (cause,) = refusal(filled, lambda r: r["a"].fillna(9) + r["b"], frame).causes
    assert (cause.code, cause.columns) == ("imputed-otherwise", ("a",))
    assert 'with 9 in "a" in their place' in cause.detail
    (cause,) = refusal(
        filled, lambda r: r["a"].fillna(0) ** 2 * r["a"].isna() + r["a"].fillna(r["b"] ** 2) + r["b"], frame
    ).causes
    assert (cause.code, cause.columns) == ("missing-differs", ("a",))
    assert '"a" is missing' in cause.detail

    plain = graph_of(
        tmp_path / "p.onnx",
        [helper.make_node("Add", ["a", "b"], ["Y"])],
        {"a": TensorProto.FLOAT, "b": TensorProto.FLOAT},
        {},
    )
    (cause,) = refusal(plain, lambda r: r["a"].fillna(9) + r["b"], frame).causes
    assert (cause.code, cause.columns) == ("imputer-dropped", ("a",))


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    """x 1, y 2, z 4, all others 0."""
    node = helper.make_node(
        "LabelEncoder", ["t"], ["Y"], domain="ai.onnx.ml",
        keys_strings=["x", "y", "z"], values_floats=[1.0, 2.0, 4.0], default_float=0.0,
    )  # fmt: skip
    return graph_of(tmp_path / "t.onnx", [node], {"t": TensorProto.STRING}, {})


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ({"x": 1, "y": 3.5, "z": 4}, "category-differs"),
        ({"x": 2, "y": 4, "z": 1}, "categories-permuted"),
        ({"x": 1, "y": 2, "z": 4, "lost": 9}, "category-lost"),
    ],
)
def test_categories(coded: Path, codes: dict[str, float], code: str) -> None:
    frame = pd.DataFrame({"t": RNG.choice(list(codes), 120)})
    (cause,) = refusal(coded, lambda r: r["t"].map(codes).fillna(0), frame).causes
    assert (cause.code, cause.columns) == (code, ("t",))
    if code == "category-differs":
        assert 'rows with "y"' in cause.detail


def test_an_unseen_value_is_answered_as_a_known_one(coded: Path) -> None:
    """X holds no z, which the graph knows: only made-up rows could tell, and they are not refused by chance."""
    frame = pd.DataFrame({"t": RNG.choice(["x", "y", "x ", "y "], 120)})
    error = refusal(coded, lambda r: r["t"].map({"x": 1, "y": 2, "x ": 1, "y ": 2}).fillna(0), frame)
    (cause,) = error.causes
    assert cause.code == "category-lost"
    assert '"x " and "y " looks answered like a category' in cause.detail


def test_a_graph_that_looks_at_other_rows(tmp_path: Path) -> None:
    """The mean of a request is taken off: right only for rows alone, where the function says so."""
    nodes = [
        helper.make_node("ReduceMax", ["a", "axis"], ["top"], keepdims=1),
        helper.make_node("Sub", ["a", "top"], ["off"]),
        helper.make_node("Add", ["off", "b"], ["Y"]),
    ]
    inputs = {"a": TensorProto.FLOAT, "b": TensorProto.FLOAT}
    path = graph_of(tmp_path / "r.onnx", nodes, inputs, {})
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "axis"))
    onnx.save(model, path)
    frame = pd.DataFrame({"a": X["kg"], "b": X["cm"]})
    (cause,) = refusal(path, lambda r: r["b"], frame).causes
    assert cause.code == "rows-mixed"


def after(scores: Path, *ops: str) -> Path:
    """The scores behind more steps of one input."""
    model = onnx.load(scores)
    (node,) = model.graph.node
    names = ["Y", *(f"h{i}" for i in range(len(ops)))][::-1]
    node.output[0] = names[0]
    for op, a, b in zip(ops, names, names[1:], strict=False):
        model.graph.node.append(helper.make_node(op, [a], [b]))
    onnx.save(model, scores)
    return scores


def test_a_last_step_too_many(scores: Path) -> None:
    cause = refusal(after(scores, "Softmax", "Softmax"), lambda r: softmax(truth(r))).causes[0]
    assert cause.code == "link-twice"
    assert "as if softmax were applied twice" in cause.detail


def test_rounded_answers(scores: Path) -> None:
    (cause,) = refusal(after(scores, "Round"), truth).causes
    assert cause.code == "output-rounded"
    assert "rounded to 0 decimals" in cause.detail


@pytest.fixture
def added(tmp_path: Path) -> Path:
    """a + b, and nothing of c."""
    nodes = [
        helper.make_node("Sub", ["c", "c"], ["none"]),
        helper.make_node("Sum", ["a", "b", "none"], ["Y"]),
    ]
    return graph_of(tmp_path / "a.onnx", nodes, dict.fromkeys("abc", TensorProto.FLOAT), {})


ABC = X.set_axis(["a", "b", "c"], axis=1)


def test_a_column_that_is_ignored(added: Path) -> None:
    (cause,) = refusal(added, lambda r: r["a"] + r["b"] + np.tanh(r["c"]) * r["b"], ABC).causes
    assert (cause.code, cause.columns) == ("input-ignored", ("c",))


def test_a_tree_that_is_lost(added: Path) -> None:
    def leaves(rows: pd.DataFrame) -> np.ndarray:
        at = np.abs(rows["a"] * 7.3 + rows["b"] * 13).to_numpy().clip(0, 1e6).astype(int) % 4
        return np.array([3, -1, 0.7, 9], dtype=np.float64)[at]

    (cause,) = refusal(added, lambda r: r["a"] + r["b"] + leaves(r), ABC).causes
    assert cause.code == "tree-lost"


def test_labels_by_another_threshold(tmp_path: Path) -> None:
    """The graph says the second label from a probability of 0.2 on, the truth from a half."""
    nodes = [
        helper.make_node("Sigmoid", ["a"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Concat", ["q", "p"], ["probabilities"], axis=1),
        helper.make_node("Greater", ["p", "fifth"], ["above"]),
        helper.make_node("Cast", ["above"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["whole"], ["label"]),
    ]
    path = graph_of(tmp_path / "c.onnx", nodes, {"a": TensorProto.FLOAT}, {"one": 1, "fifth": 0.2})
    model = onnx.load(path)
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2]),
    ]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    onnx.save(model, path)
    p = 1 / (1 + np.exp(-X["kg"] + 4))
    truth = {"label": (p > 0.5).astype(int), "probabilities": np.column_stack([1 - p, p])}
    with pytest.raises(tenon.ExportError) as caught:
        tenon.bundle(path, pd.DataFrame({"a": X["kg"] - 4}), expected=truth, path=tmp_path / "c.tenon")
    assert [c.code for c in caught.value.causes] == ["label-not-likeliest"]

"""Writes the small models of this folder: python internal/onnx/testdata/generate.py

Needs onnx 1.23, skl2onnx 1.20 and scikit-learn 1.9. The files are committed;
converters do not write the same bytes twice, so run it only to add a model.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier

FOLDER = Path(__file__).parent
X, y = load_iris(return_X_y=True)
X = X.astype(np.float32)
NAMES = np.array(["setosa", "versicolor", "virginica"])[y]


def save(name: str, model: onnx.ModelProto) -> None:
    path = FOLDER / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    print(f"{path.name}: {path.stat().st_size} bytes")


def sklearn_models() -> None:
    """What a stock conversion writes: ZipMap behind classifiers."""
    save("iris_int", to_onnx(LogisticRegression(max_iter=500).fit(X, y), X[:1]))
    save("iris_str", to_onnx(RandomForestClassifier(2, max_depth=2, random_state=0).fit(X, NAMES), X[:1]))
    several = np.stack([y == 0, y == 1], axis=1).astype(np.int64)
    save("multi", to_onnx(MultiOutputClassifier(LogisticRegression()).fit(X, several), X[:1]))
    save("linear", to_onnx(LinearRegression().fit(X, y), X[:1]))


def graph_model(nodes, inputs, outputs, initializers=(), functions=(), extra=()) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", 20), *extra]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=list(functions))


def tensor(name: str, kind: int, shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def subgraph() -> onnx.ModelProto:
    """An If whose branches are graphs, inside a Loop-free main graph."""
    one = numpy_helper.from_array(np.array([1.0], np.float32), "one")
    then = helper.make_graph([helper.make_node("Add", ["x", "one"], ["a"])], "then", [], [tensor("a", 1, None)], [one])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["b"])], "else", [], [tensor("b", 1, None)])
    node = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    return graph_model([node], [tensor("c", TensorProto.BOOL, []), tensor("x", 1, ["n", 3])], [tensor("y", 1, None)])


def function() -> onnx.ModelProto:
    """A function of our own domain, called twice."""
    opsets = [helper.make_opsetid("", 20)]
    body = [helper.make_node("Mul", ["a", "a"], ["s"]), helper.make_node("Add", ["s", "a"], ["b"])]
    square = helper.make_function("mine", "Square", ["a"], ["b"], body, opsets)
    nodes = [helper.make_node("Square", ["x"], ["h"], domain="mine"), helper.make_node("Square", ["h"], ["y"], domain="mine")]
    return graph_model(nodes, [tensor("x", 11, ["n", 3])], [tensor("y", 11, ["n", 3])], [], [square],
                       [helper.make_opsetid("mine", 1)])


def external() -> onnx.ModelProto:
    """Weights in a file beside the model (which is not here)."""
    weight = TensorProto(name="w", data_type=1, dims=[3, 2], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "24")):
        weight.external_data.add(key=key, value=value)
    return graph_model([helper.make_node("MatMul", ["x", "w"], ["y"])],
                       [tensor("x", 1, ["n", 3])], [tensor("y", 1, ["n", 2])], [weight])


def types() -> onnx.ModelProto:
    """One input of every element type, and what is no tensor."""
    kinds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    inputs = [tensor(f"x{k}", k, ["batch", 2, None]) for k in kinds]
    inputs.append(tensor("scalar", 1, []))
    inputs.append(tensor("unranked", 1, None))
    inputs.append(helper.make_tensor_sequence_value_info("sequence", 1, None))
    outputs = [tensor(f"y{k}", k, ["batch", 2, None]) for k in kinds]
    return graph_model([helper.make_node("Identity", [f"x{k}"], [f"y{k}"]) for k in kinds], inputs, outputs)


if __name__ == "__main__":
    sklearn_models()
    for build in (subgraph, function, external, types):
        save(build.__name__, build())

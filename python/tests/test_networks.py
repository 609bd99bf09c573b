"""torch and Keras modules. What needs them runs in an environment of its own: `make test-torch`."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

import tenon
from reader import Reader
from tenon.networks import is_network

X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"])


def named(module: str, name: str, **members: Any) -> Any:
    """An object of a class that says that it comes from a module."""
    return type(name, (type(name, (), {"__module__": module}),), members)()


def test_networks_are_told_by_name_and_nothing_is_imported() -> None:
    assert is_network(named("torch.nn.modules.module", "Module"))
    assert is_network(named("keras.src.layers.layer", "Layer"))
    assert not is_network(named("sklearn.base", "Module"))
    said = "import sys, tenon; print([m for m in ('torch', 'keras', 'tensorflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_refused_before_torch_is_asked() -> None:
    def refused(match: str, module: Any, frame: pd.DataFrame = X, **options: Any) -> None:
        with pytest.raises(tenon.ExportError, match=match):
            tenon.export(module, frame, name="m", **options)

    kind = "torch.nn.modules.module"
    refused("pass them in the order of its outputs", named(kind, "Module"), task="classification")
    refused("not 'ranking'", named(kind, "Module"), task="ranking")
    refused("'sex' holds no numbers", named(kind, "Module"), X.assign(sex="f"))
    refused("set KERAS_BACKEND=torch", named("keras.src.layers.layer", "Layer"))
    dropout = named("torch.nn.modules.dropout", "Dropout", training=True)
    training = named(kind, "Module", training=True, modules=lambda self: [dropout])
    refused(r"its Dropout answers .* call module.eval\(\)", training)


def test_task_is_for_networks() -> None:
    from sklearn.linear_model import LinearRegression

    with pytest.raises(tenon.ExportError, match="are for networks"):
        tenon.export(LinearRegression().fit(X, X["a"]), X, name="m", task="regression")


class TestWithTorch:
    """The long form."""

    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        pytest.importorskip("torch", reason="torch is not installed: make test-torch")

    def test_the_committed_bundles_can_be_made_again(self, tmp_path: Path) -> None:
        pytest.importorskip("keras")
        script = Path(__file__).parents[2] / "testdata" / "bundles" / "networks.py"
        first, second = map(Reader, (b.path for b in runpy.run_path(str(script))["make"](tmp_path)))
        assert first.replay()["probabilities"] < 1e-5
        assert second.replay()["prediction"] < 1e-2
        assert first.signature["outputs"][1]["classes"] == ["setosa", "versicolor", "virginica"]
        assert [i["column"] for i in first.signature["inputs"]] == [0, 1, 2, 3]
        assert {i["missing"] for i in first.signature["inputs"]} == {"refused"}
        committed = {b.stem: Reader(b) for b in script.parent.glob("*.tenon")}
        for made, name in ((first, "torch-iris"), (second, "keras-cells")):
            assert made.signature == committed[name].signature, "stale: run the script again"

    def test_a_bundle_holds_no_trace_of_where_it_was_made(self, tmp_path: Path) -> None:
        import torch

        bundle = tenon.export(torch.nn.Linear(3, 1), X, name="m", path=tmp_path / "m.tenon")
        model = onnx.load_from_string(Reader(bundle.path).files["model.onnx"])
        assert b"pkg.torch" not in model.SerializeToString()
        assert b".py" not in model.SerializeToString()

    @pytest.mark.parametrize(("last", "width"), [(None, 1), ("Sigmoid", 1), (None, 3), ("Softmax", 3)])
    def test_scores_and_probabilities(self, last: str | None, width: int, tmp_path: Path) -> None:
        import torch

        torch.manual_seed(1)
        layers: list[Any] = [torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, width)]
        layers += {None: [], "Sigmoid": [torch.nn.Sigmoid()], "Softmax": [torch.nn.Softmax(1)]}[last]
        module, classes = torch.nn.Sequential(*layers).eval(), [0, 1] if width == 1 else [3, 7, 9]
        bundle = tenon.export(
            module, X.to_numpy(), name="m", path=tmp_path / "m.tenon", task="classification", classes=classes
        )
        read = Reader(bundle.path)
        assert read.signature["inputs"][0]["shape"] == [3]
        assert read.signature["outputs"][1]["classes"] == classes
        assert read.replay()["probabilities"] < 1e-5
        body = read.requests[0]["body"]["instances"][0]["x"]
        with torch.no_grad():
            scores = module(torch.tensor([body], dtype=torch.float32)).double().numpy()[0]
        likeliest = int(scores[0] > (0.5 if last else 0)) if width == 1 else int(scores.argmax())
        assert read.answers["g00000"]["predictions"][0]["label"] == classes[likeliest]

    def test_a_module_in_training_mode(self) -> None:
        import torch

        module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
        with pytest.raises(tenon.ExportError, match="BatchNorm1d answers"):
            tenon.export(module, X, name="m")

    def test_what_is_refused(self) -> None:
        import torch

        class Noisy(torch.nn.Module):
            def forward(self, x: Any) -> Any:
                return x[:, :1] + torch.rand(len(x), 1)

        class Two(torch.nn.Module):
            def forward(self, x: Any) -> Any:
                return x, x

        for module, match in (
            (Noisy().eval(), "asked again|cannot export"),
            (Two().eval(), "returns a tuple"),
            (torch.nn.Linear(4, 1), "does not answer for X"),
        ):
            with pytest.raises(tenon.ExportError, match=match):
                tenon.export(module, X, name="m")
        with pytest.raises(tenon.ExportError, match="classes has 3 names"):
            tenon.export(torch.nn.Linear(3, 1), X, name="m", task="classification", classes=[1, 2, 3])

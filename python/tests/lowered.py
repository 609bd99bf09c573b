"""What tests of lowering rules share: a rule's answers themselves, also those that no signature names."""

from __future__ import annotations

from typing import Any

import numpy as np

from reader import Reader
from tenon.compare import session
from tenon.inputs import Array, describe, feeds
from tenon.lowering import Graph
from tenon.lowering import _block as block
from tenon.lowering.columns import Columns
from tenon.lowering.rules import apply


def values(fitted: Any, X: Any) -> dict[str, Array]:
    """All that the rule of a fitted predictor answers for X."""
    inputs = describe(X, X)
    names = tuple(i.name for i in inputs) if inputs[0].width is None else None
    g = Graph()
    found = apply(fitted, Columns(tuple(block(g, i, n) for n, i in enumerate(inputs)), names), g)
    assert isinstance(found, dict)
    for name, value in found.items():
        g.output(name, value)
    # The declared shapes are [N]; ONNX Runtime only warns where they are wider.
    answers = session(g.model()).run(list(found), feeds(inputs, X))
    return {name: np.asarray(a) for name, a in zip(found, answers, strict=True)}


def decisions(fitted: Any, X: Any) -> float:
    """The largest distance of `decision` from decision_function, as a share of its largest magnitude."""
    got, said = values(fitted, X)["decision"], np.asarray(fitted.decision_function(X))
    assert got.shape == said.shape
    assert got.dtype == said.dtype
    return float(np.max(np.abs(got - said)) / np.max(np.abs(said)))


def is_lowered(reader: Reader) -> bool:
    """Whether no converter had a part in the bundle."""
    return b"skl2onnx" not in reader.files["README.md"]

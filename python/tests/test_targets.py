"""Names of several targets: what they are called then, and which names do not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

import tenon
from reader import Reader

X = np.random.default_rng(0).normal(size=(80, 2))
TWO = LinearRegression().fit(X, X * 2)
FLAGS = DecisionTreeClassifier(max_depth=3).fit(X, (X > 0).astype(int))
LABELS = DecisionTreeClassifier(max_depth=3).fit(X, np.where(X > 0, "ja", "nein"))


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (TWO, ["price", "rent"]),
        (FLAGS, ["label_price", "probability_price", "label_rent", "probability_rent"]),
        (LABELS, ["label_price", "probabilities_price", "label_rent", "probabilities_rent"]),
    ],
    ids=["numbers", "flags", "labels"],
)
def test_outputs_are_called_as_the_targets(model: Any, names: list[str], exported: Any) -> None:
    reader: Reader = exported(model, X, targets=["price", "rent"])
    assert [o["name"] for o in reader.signature["outputs"]] == names
    assert max(reader.replay().values()) < 1e-12
    assert set(reader.profile["outputs"]) == set(names)
    check = tenon.check(model, X, targets=["price", "rent"])
    assert check.ok
    assert list(check.distances) == names


@pytest.mark.parametrize(
    ("model", "targets", "says"),
    [
        (TWO, ["price"], "1 names, the pipeline 2 targets"),
        (TWO, ["price", "price"], "'price' twice"),
        (TWO, "price", "pass a list of names"),
        (TWO, [0, 1], "pass a list of names"),
        (TWO, ["price", ""], "empty"),
        (TWO, ["price", "a\x00"], "control characters"),
        (TWO, ["price", "é" * 600], "too long"),
        (TWO, ["price", "label"], "begins as the outputs"),
        (TWO, ["outlier_share", "price"], "begins as the outputs"),
        (LinearRegression().fit(X, X[:, 0]), ["price"], "answers 'prediction' for one: leave it out"),
    ],
    ids=str,
)
def test_names_that_do_not_do(model: Any, targets: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(tenon.ExportError, match=says):
        tenon.export(model, X, name="m", path=tmp_path / "m.tenon", targets=targets)
    (found,) = tenon.check(model, X, targets=targets).refused
    assert found.code == "outputs"
    assert not (tmp_path / "m.tenon").exists()


def test_labels_may_be_called_anything(exported: Any) -> None:
    reader: Reader = exported(FLAGS, X, targets=["label", "outlier"])
    assert [o["name"] for o in reader.signature["outputs"]][::2] == ["label_label", "label_outlier"]

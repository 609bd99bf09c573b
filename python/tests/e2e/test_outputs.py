"""Several targets, several labels, clusters and outliers: pushed, proven, and read through the client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from serving import Served
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import tenon

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X, y = X.iloc[:, :6], y.to_numpy()
HOLD = X[400:]
Truth = dict[str, tuple[np.ndarray, str]]
"""By column of the client's frame: the pipeline's answers, and the kind of dtype that they have there."""


def targets() -> tuple[object, Truth]:
    model = RandomForestRegressor(8, random_state=0).fit(
        X, np.column_stack([X["mean area"], X["mean radius"] ** 2])
    )
    said = model.predict(HOLD)
    return model, {"prediction_0": (said[:, 0], "f"), "prediction_1": (said[:, 1], "f")}


def flags() -> tuple[object, Truth]:
    labels = np.column_stack([y, X["mean area"] > 500]).astype(int)
    model = make_pipeline(StandardScaler(), OneVsRestClassifier(DecisionTreeClassifier(max_depth=4)))
    model.fit(X, labels)
    said, proba = model.predict(HOLD).astype(bool), model.predict_proba(HOLD)
    return model, {
        "label_0": (said[:, 0], "b"),
        "probability_0": (proba[:, 0], "f"),
        "label_1": (said[:, 1], "b"),
        "probability_1": (proba[:, 1], "f"),
    }


def labels() -> tuple[object, Truth]:
    kinds = np.column_stack([np.where(y, "gut", "böse"), np.where(X["mean area"] > 500, "groß", "klein")])
    model = RandomForestClassifier(8, random_state=0).fit(X, kinds)
    said, (first, second) = model.predict(HOLD), model.predict_proba(HOLD)
    return model, {
        "label_0": (said[:, 0], "O"),
        "probabilities_0.böse": (first[:, 0], "f"),
        "probabilities_0.gut": (first[:, 1], "f"),
        "label_1": (said[:, 1], "O"),
        "probabilities_1.groß": (second[:, 0], "f"),
        "probabilities_1.klein": (second[:, 1], "f"),
    }


def named(truth: Truth, names: list[str]) -> Truth:
    """The same, with names in place of the targets' numbers."""
    out = {}
    for column, said in truth.items():
        stem, _, rest = column.partition("_")
        number, dot, key = rest.partition(".")
        name = names[int(number)]
        out[(name if stem == "prediction" else f"{stem}_{name}") + dot + key] = said
    return out


def clusters() -> tuple[object, Truth]:
    model = make_pipeline(StandardScaler(), KMeans(4, n_init=1, random_state=0)).fit(X)
    return model, {"cluster": (model.predict(HOLD), "i")}


def outliers() -> tuple[object, Truth]:
    model = IsolationForest(n_estimators=10, contamination=0.1, random_state=0).fit(X)
    return model, {"outlier": (model.predict(HOLD) == -1, "b"), "score": (model.decision_function(HOLD), "f")}


@pytest.mark.parametrize("make", [targets, flags, labels, clusters, outliers])
def test_every_form_of_answer(
    make: Callable[[], tuple[object, Truth]], server: Served, tmp_path: Path
) -> None:
    model, truth = make()
    name = make.__name__
    bundle = tenon.export(model, X[:400], name=name, holdout=HOLD, path=tmp_path / f"{name}.tenon")
    assert tenon.push(bundle, server=server.url, deploy=True).parity == "proven"
    with tenon.Client(server.url) as client:
        answer = client.predict(name, HOLD)
    assert list(answer.columns) == list(truth)
    assert answer.index.equals(HOLD.index)
    for column, (expected, kind) in truth.items():
        assert answer[column].to_numpy().dtype.kind == kind, column
        assert answer[column].tolist() == expected.tolist(), column


@pytest.mark.parametrize("make", [targets, flags, labels])
def test_several_targets_by_name(
    make: Callable[[], tuple[object, Truth]], server: Served, tmp_path: Path
) -> None:
    model, numbered = make()
    names = ["mean area", "größe_2"]
    name = f"named-{make.__name__}"
    path = tmp_path / "named.tenon"
    bundle = tenon.export(model, X[:400], name=name, holdout=HOLD, path=path, targets=names)
    assert tenon.push(bundle, server=server.url, deploy=True).parity == "proven"
    with tenon.Client(server.url) as client:
        answer = client.predict(name, HOLD)
    truth = named(numbered, names)
    assert list(answer.columns) == list(truth)
    for column, (expected, kind) in truth.items():
        assert answer[column].to_numpy().dtype.kind == kind, column
        assert answer[column].tolist() == expected.tolist(), column


def test_native_categories_are_served(server: Served, tmp_path: Path) -> None:
    frame = X.assign(size=pd.cut(X["mean area"], 5, labels=list("abcde")).astype(str).astype("category"))
    frame.loc[::7, "size"] = np.nan
    model = HistGradientBoostingRegressor(max_iter=5).fit(frame, X["mean radius"])
    bundle = tenon.export(model, frame, name="native", path=tmp_path / "native.tenon")
    assert tenon.push(bundle, server=server.url, deploy=True).parity == "proven"
    unseen = frame.head(20).astype({"size": object}).assign(size=["a", None, "new", "e"] * 5)
    with tenon.Client(server.url) as client:
        answer = client.predict("native", unseen)
    known = unseen.assign(size=unseen["size"].where(unseen["size"] != "new").astype(frame["size"].dtype))
    assert answer["prediction"].tolist() == model.predict(known).tolist(), (
        "an unseen category is a missing one"
    )

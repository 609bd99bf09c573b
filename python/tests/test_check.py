"""`tenon.check` says all that an export would say, in the same sentences, writes nothing and never raises."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import tenon
from tenon import inputs

X, Y = load_iris(return_X_y=True, as_frame=True)
FITTED = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
FIRST = "sepal length (cm)"


class Noise(TransformerMixin, BaseEstimator):
    """A transformer that adds other noise each time."""

    def fit(self, X: Any, y: Any = None) -> Noise:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        return np.asarray(X) + np.random.default_rng().normal(size=X.shape)


class Moody(ClassifierMixin, BaseEstimator):
    """Fits, and then fails whenever it is asked."""

    def fit(self, X: Any, y: Any) -> Moody:
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        raise RuntimeError("not today: come back tomorrow")


def with_column(values: Any, fitted_on: Any) -> tuple[Any, Any]:
    """A model of one column, and a frame that holds something else in it."""
    good = pd.DataFrame({"c": fitted_on})
    step = OneHotEncoder(handle_unknown="ignore") if good["c"].dtype.kind not in "fi" else StandardScaler()
    model = make_pipeline(step, LogisticRegression()).fit(good, np.arange(len(good)) % 2)
    return model, pd.DataFrame({"c": values})


def functions() -> Any:
    steps = FunctionTransformer(lambda x: x + 1), FunctionTransformer(lambda x: x * 2)
    return make_pipeline(*steps, LogisticRegression(max_iter=300)).fit(X, Y)


def of_text() -> tuple[Any, Any]:
    frame = pd.DataFrame({"t": ["aa bb", "bb cc", "cc dd", "dd aa"] * 5})
    columns = make_column_transformer((TfidfVectorizer(), "t"))
    return make_pipeline(columns, LogisticRegression()).fit(frame, [0, 1] * 10), frame


class Unlike(TransformerMixin, BaseEstimator):
    """A transformer that neither the kit nor the converter knows."""

    def fit(self, X: Any, y: Any = None) -> Unlike:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        return X


def unlike() -> Any:
    return make_pipeline(Unlike(), LogisticRegression(max_iter=300)).fit(X, Y)


BAD: dict[str, tuple[Callable[[], tuple[Any, ...]], str, str, str]] = {
    # what is passed: (pipeline, X[, holdout]); the code, and words of the sentence and of the remedy
    "a function inside": (lambda: (functions(), X), "step", "<lambda>", "before the pipeline"),
    "text vectorizer": (of_text, "step", "ASCII only", "before the pipeline"),
    "unfitted": (lambda: (make_pipeline(LogisticRegression()), X), "unfitted", "not fitted", "pipeline.fit"),
    "a class": (lambda: (LogisticRegression, X), "pipeline", "does not predict", "fitted scikit-learn"),
    "a function": (lambda: (len, X), "pipeline", "does not predict", "tenon.bundle"),
    "None": (lambda: (None, X), "pipeline", "does not predict", "fitted scikit-learn"),
    "a transformer": (
        lambda: (make_pipeline(StandardScaler()).fit(X), X),
        "pipeline",
        "transforms",
        "classifier or a reg",
    ),
    "one class": (
        lambda: (DecisionTreeClassifier().fit(X, ["a"] * len(X)), X),
        "one-class",
        "one class 'a'",
        "every class",
    ),
    "a step that nobody knows": (lambda: (unlike(), X), "step", "Unlike", "tenon.bundle"),
    "random": (
        lambda: (make_pipeline(Noise(), StandardScaler(), LogisticRegression()).fit(X, Y), X),
        "random",
        "asked again",
        "random_state",
    ),
    "no answer": (lambda: (Moody().fit(X, Y), X), "no-answer", "RuntimeError: not today", "predict work"),
    "a column less": (
        lambda: (FITTED, X.iloc[:, 1:]),
        "columns-of-fit",
        f"lacks '{FIRST}'",
        "training frame",
    ),
    "a column more": (lambda: (FITTED, X.assign(e=1.0)), "columns-of-fit", "'e' besides", "training frame"),
    "another order": (lambda: (FITTED, X[X.columns[::-1]]), "columns-of-fit", "order", "training frame"),
    "an array": (lambda: (FITTED, X.to_numpy()), "columns-of-fit", "X is an array", "training frame"),
    "infinities": (lambda: (FITTED, X.replace(1.4, np.inf)), "column", "infinities", "replace them"),
    "mixed types": (lambda: with_column(["a", 1, "b", 2], list("abab")), "column", "int", "one dtype"),
    "None and NaN": (
        lambda: with_column(pd.Series(["a", None, np.nan, "b"], dtype=object), list("abab")),
        "column",
        "mixes NaN and None",
        "numpy.nan",
    ),
    "two of one name": (
        lambda: (FITTED, pd.concat([X, X.iloc[:, :1]], axis=1)),
        "column-name",
        "two columns",
        "rename one",
    ),
    "levels": (
        lambda: (FITTED, X.set_axis(pd.MultiIndex.from_product([["a"], X.columns]), axis=1)),
        "column-name",
        "several levels",
        "flatten",
    ),
    "no rows": (lambda: (FITTED, X.head(0)), "frame", "X has no rows", "pass the frame"),
    "no columns": (lambda: (FITTED, X[[]]), "frame", "X has no columns", "pass the frame"),
    "a Series": (lambda: (FITTED, X[FIRST]), "frame", "Series", "DataFrame"),
    "X is None": (lambda: (FITTED, None), "frame", "X is None", "DataFrame"),
    "X is a dict": (lambda: (FITTED, {"a": [1]}), "frame", "a dict", "DataFrame"),
    "a flat list": (lambda: (FITTED, [1.0, 2.0]), "frame", "1 dimension", "rows by columns"),
    "a ragged list": (lambda: (FITTED, [[1.0], [1.0, 2.0]]), "frame", "differ in length", "DataFrame"),
    "holdout of others": (
        lambda: (FITTED, X, X.iloc[:, 1:]),
        "holdout",
        f"differ in the column '{FIRST}'",
        "split off",
    ),
    "holdout of dtypes": (
        lambda: (FITTED, X, X.astype({FIRST: "float32"})),
        "holdout",
        "float32 in holdout",
        "one dtype",
    ),
    "holdout, no rows": (lambda: (FITTED, X, X.head(0)), "frame", "holdout has no rows", "pass the frame"),
    "holdout is None-like": (lambda: (FITTED, X, "text"), "frame", "holdout is a str", "DataFrame"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_sentence_and_export_says_the_same(case: str, tmp_path: Path) -> None:
    made, code, words, remedy = BAD[case]
    pipeline, frame, *held = made()
    check = tenon.check(pipeline, frame, *held)
    assert not check.ok
    found = [f for f in check.refused if f.code == code and words in f.detail and remedy in f.remedy]
    assert found, check.findings
    assert "refused" in str(check)
    with pytest.raises(tenon.ExportError) as caught:
        tenon.export(pipeline, frame, name="m", path=tmp_path / "m.tenon", holdout=held[0] if held else None)
    assert str(caught.value).splitlines() == [str(f) for f in check.refused]
    assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_all_findings_come_at_once() -> None:
    frame = X.assign(when=pd.Timestamp("2020-01-01"), **{FIRST: np.inf})
    check = tenon.check(functions(), frame, frame.head(0))
    assert [f.code for f in check.refused] == [
        "frame", "columns-of-fit", "column", "column", "step", "step",
    ]  # fmt: skip
    assert {f.where for f in check.refused} >= {
        FIRST,
        "when",
        "functiontransformer-1",
        "functiontransformer-2",
    }
    assert [c.status for c in check.columns] == ["refused", "kept", "kept", "kept", "refused"]
    assert [s.status for s in check.steps] == ["refused", "refused", "lowered"]


def test_random_answers_name_their_rows() -> None:
    pipeline = make_pipeline(Noise(), LogisticRegression(max_iter=300)).fit(X, Y)
    check = tenon.check(pipeline, X)
    assert set(check.rows["row"]) <= set(X.index)
    assert len(check.rows) > 100


def test_a_good_pipeline_says_what_was_compared() -> None:
    check = tenon.check(FITTED, X, X.iloc[::2])
    assert check.ok
    assert check.findings == []
    assert check.compared > 75
    assert check.distances["label"] == 0
    assert 0 < check.distances["probabilities"] < 1e-12
    assert [s.status for s in check.steps] == ["lowered", "lowered"]
    assert "An export would be written" in str(check)


def test_a_converted_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from tenon.lowering import RULES

    monkeypatch.delitem(RULES, StandardScaler)
    check = tenon.check(FITTED, X)
    assert check.ok
    assert [s.status for s in check.steps] == ["converted", "converted"]
    assert "StandardScaler is not among" in check.steps[0].detail


def test_rows_that_differ_are_in_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    from tenon.lowering import RULES

    monkeypatch.setitem(RULES, StandardScaler, lambda fitted, columns, g: columns)
    check = tenon.check(FITTED, X)
    assert [f.code for f in check.refused] == ["differs"]
    assert set(X.index) <= set(check.rows["row"])
    assert check.distances["probabilities"] > 0.1
    assert len(check.to_json()["rows"]) == len(check.rows)


def test_what_is_warned_of(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "good": rng.normal(size=200),
            "same": 1.0,
            "gap": np.where(rng.random(200) < 0.2, np.nan, rng.normal(size=200)),
            "kind": rng.choice(["a", "b"], 200),
            "code": np.arange(200) % 4,
        }
    )
    target = frame["code"].to_numpy()
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["kind"]), remainder="passthrough"
    )
    model = make_pipeline(columns, DecisionTreeClassifier(random_state=0)).fit(frame, target)
    held = frame.iloc[:50].assign(gap=0.0, kind=["c"] * 50)
    check = tenon.check(model, frame, held)
    assert check.ok
    assert {(f.code, f.where) for f in check.warnings} == {
        ("constant", "same"), ("missing", "gap"), ("unseen", "kind"), ("leak", "code"),
    }  # fmt: skip
    with pytest.warns(tenon.TenonWarning, match="leak into X"):
        tenon.export(model, frame, name="m", holdout=held, path=tmp_path / "m.tenon")


@pytest.mark.parametrize(
    ("column", "leaks"),
    [
        (lambda y, rng: y * 10.0, True),
        (lambda y, rng: np.where(y == 1, "yes", "no"), True),
        (lambda y, rng: y + rng.random(len(y)) * 0.9, True),
        (lambda y, rng: y + rng.normal(size=len(y)), False),
        (lambda y, rng: rng.permutation(len(y)), False),
    ],
    ids=["coded", "text", "in order", "noisy", "an id"],
)
def test_a_target_that_leaks(column: Any, leaks: bool) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(300) % 2
    frame = pd.DataFrame({"c": column(y, rng), "n": rng.normal(size=300)})
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["c"]), remainder="passthrough")
    model = make_pipeline(encode, DecisionTreeClassifier(max_depth=2, random_state=0)).fit(frame, y)
    check = tenon.check(model, frame, y=y)
    assert [f.where for f in check.warnings if f.code == "leak"] == (["c"] if leaks else [])


def test_a_number_that_is_the_target() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=100), "b": rng.normal(size=100)})
    model = LinearRegression().fit(frame, frame["a"] * 3 + 1)
    assert [f.where for f in tenon.check(model, frame, y=frame["a"] * 3 + 1).warnings] == ["a"]
    assert [f.code for f in tenon.check(model, frame, y=[1, 2]).warnings] == ["y"]


def test_the_check_is_readable_everywhere() -> None:
    frame = X.rename(columns={FIRST: "<b>first</b>"})
    check = tenon.check(LogisticRegression(max_iter=500).fit(frame, Y), frame.assign(more=np.inf))
    said = json.loads(json.dumps(check.to_json()))
    assert said["ok"] is False
    assert {f["code"] for f in said["findings"]} == {"column", "columns-of-fit"}
    page = check._repr_html_()
    assert "&lt;b&gt;first" in page
    assert "<b>first" not in page
    assert "\x1b[" not in str(check), "no colours where there is no terminal"


def test_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(inputs, "_column", broken)
    check = tenon.check(FITTED, X)
    assert [f.code for f in check.findings] == ["failed"]
    assert "ZeroDivisionError: oh" in str(check.findings[0])


def test_text_where_numbers_are_needed_is_named() -> None:
    text = X.assign(**{FIRST: X[FIRST].astype(str)})
    (found,) = tenon.check(FITTED, text).refused
    assert (found.where, found.detail) == (
        "standardscaler",
        f"a step that computes gets the text column {FIRST!r}",
    )
    assert ".astype(float)" in found.remedy


def test_the_version_is_that_of_the_distribution() -> None:
    assert tenon.__version__ == metadata.version("tenon-kit")


def test_tables_have_headings_and_a_wrong_path_a_remedy(tmp_path: Path) -> None:
    shown = repr(tenon.check(FITTED, X))
    assert shown.count("outcome") == 2
    with pytest.raises(tenon.TenonError, match=r"bad does not exist in /.*NAME\.tenon"):
        tenon.push("bad")

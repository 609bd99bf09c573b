"""What cannot be exported faithfully is refused with a sentence that says what to do, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import BisectingKMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, RadiusNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import tenon

IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
FITTED = make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS, SPECIES)


class Doubler(TransformerMixin, BaseEstimator):
    """A transformer that no table knows."""

    def fit(self, X: Any, y: Any = None) -> Doubler:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        return X * 2


def refusal(pipeline: Any, X: Any, tmp_path: Path, **options: Any) -> str:
    options = {"name": "m", "path": tmp_path / "m.tenon", **options}
    with pytest.raises(tenon.ExportError) as caught:
        tenon.export(pipeline, X, **options)
    assert list(tmp_path.iterdir()) == [], "nothing is written"
    return str(caught.value)


def text_model(frame: pd.DataFrame, encoder: Any = None) -> Any:
    columns = make_column_transformer((encoder or OneHotEncoder(handle_unknown="ignore"), ["c"]))
    return make_pipeline(columns, LogisticRegression()).fit(frame, np.arange(len(frame)) % 2)


def test_unfitted(tmp_path: Path) -> None:
    said = refusal(make_pipeline(StandardScaler(), LogisticRegression()), IRIS, tmp_path)
    assert "not fitted" in said
    assert "pipeline.fit" in said


def test_lambda(tmp_path: Path) -> None:
    pipeline = make_pipeline(FunctionTransformer(lambda X: X + 1), LogisticRegression()).fit(IRIS, SPECIES)
    said = refusal(pipeline, IRIS, tmp_path)
    assert "<lambda>" in said
    assert "tenon.bundle" in said


def test_unknown_step(tmp_path: Path) -> None:
    said = refusal(
        make_pipeline(Doubler(), LogisticRegression(max_iter=500)).fit(IRIS, SPECIES), IRIS, tmp_path
    )
    assert "Doubler" in said
    assert "tenon.bundle" in said


def test_fall_back_that_is_not_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A converter that answers, but wrongly, is caught by the same check."""
    from sklearn.neighbors import KNeighborsClassifier

    from tenon import convert

    def manhattan() -> KNeighborsClassifier:
        return KNeighborsClassifier(metric="manhattan")

    pipeline = make_pipeline(StandardScaler(), manhattan()).fit(IRIS, SPECIES)
    other = make_pipeline(StandardScaler(), manhattan()).fit(IRIS, (SPECIES + 1) % 3)
    right = convert.convert_sklearn
    monkeypatch.setattr(
        convert,
        "convert_sklearn",
        lambda p, **options: right(other, **{**options, "options": {id(other): {"zipmap": False}}}),
    )
    assert "differs from the pipeline on" in refusal(pipeline, IRIS, tmp_path)


def test_answers_that_depend_on_the_other_rows(tmp_path: Path) -> None:
    inner = LogisticRegression(max_iter=500)
    pipeline = CalibratedClassifierCV(inner, method="temperature", cv=2).fit(IRIS, SPECIES)
    said = refusal(pipeline, IRIS, tmp_path)
    assert "all rows of a batch" in said
    assert 'method="sigmoid"' in said


def text_in(where: str, bad: str) -> tuple[Any, pd.DataFrame]:
    """A pipeline that has that text in some place, and its frame."""
    text = pd.Series(["p", "q"] * 75, dtype=object)
    labels = np.array([bad, "u"] * 75, dtype=object)
    if where == "label":
        return LogisticRegression(max_iter=500).fit(IRIS, labels), IRIS
    if where == "one label of two":
        both = np.column_stack([labels, np.array(["v", "w", "w"] * 50, dtype=object)])
        return RandomForestClassifier(3).fit(IRIS, both), IRIS
    if where == "column":
        X = IRIS.rename(columns={IRIS.columns[0]: bad})
        return LogisticRegression(max_iter=500).fit(X.to_numpy(), SPECIES), X
    X = pd.DataFrame({"c": text.where(np.arange(150) > 9)})
    if where == "category":
        step: Any = OneHotEncoder(
            categories=[np.array(["p", "q", bad], dtype=object)], handle_unknown="ignore"
        )
    else:
        step = make_pipeline(SimpleImputer(strategy="constant", fill_value=bad), OneHotEncoder())
    return make_pipeline(step, LogisticRegression()).fit(X, text == "p"), X


@pytest.mark.parametrize("bad", ["\ud800x", "x\x00x"], ids=ascii)
@pytest.mark.parametrize("where", ["label", "one label of two", "category", "filling", "column"])
def test_text_that_no_graph_holds(where: str, bad: str, tmp_path: Path) -> None:
    pipeline, X = text_in(where, bad)
    for said in (refusal(pipeline, X, tmp_path), str(tenon.check(pipeline, X).refused[0])):
        assert repr(bad) in said
        assert "lone surrogate" in said


def test_answers_that_are_drawn_at_random(tmp_path: Path) -> None:
    said = refusal(DummyClassifier(strategy="stratified").fit(IRIS, SPECIES), IRIS, tmp_path)
    assert "at random" in said
    assert "most_frequent" in said


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", None, np.nan, "b"], ["mixes NaN and None", "numpy.nan"]),
        (["a", 1, "b", "c"], ["int", "one dtype"]),
        (["a", "\ue000", "b", "c"], ["U+E000"]),
        (["a", "b\x00", "b", "c"], ["U+0000"]),
        (["a", "b\ud800", "b", "c"], ["surrogate"]),
    ],
)
def test_object_columns_that_a_request_cannot_carry(
    values: list[Any], words: list[str], tmp_path: Path
) -> None:
    good = pd.DataFrame({"c": pd.Series(["a", "b", "c", "d"], dtype=object)})
    X = pd.DataFrame({"c": pd.Series(values, dtype=object)})
    said = refusal(text_model(good), X, tmp_path)
    assert "'c'" in said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pd.Series([1.0, np.inf, 2.0]), "infinities"),
        (pd.Series([1, 2, 3], dtype="float16"), "float32"),
        (pd.to_datetime(pd.Series(["2020-01-01", "2021-01-01", "2022-01-01"])), "derive numbers"),
        (pd.to_timedelta(pd.Series([1, 2, 3]), unit="s"), "derive numbers"),
        (pd.Series([1, 2, 3], dtype="category"), "astype(str)"),
        (pd.Series([1 + 2j, 1, 2]), "complex"),
        (pd.Series([2**60, 1, None], dtype="Int64"), "2^53"),
        (pd.Series([1, 2, None], dtype="Float32"), "a place in a request"[2:]),
    ],
    ids=lambda v: str(getattr(v, "dtype", v)),
)
def test_columns_without_a_place_in_json(column: pd.Series, words: str, tmp_path: Path) -> None:
    fitted = LinearRegression().fit(pd.DataFrame({"c": [1.0, 2, 3]}), [1, 2, 3])
    said = refusal(fitted, pd.DataFrame({"c": column}), tmp_path)
    assert words in said
    assert "'c'" in said


def test_columns_that_differ_from_those_at_fit(tmp_path: Path) -> None:
    assert "lacks 'sepal length (cm)'" in refusal(FITTED, IRIS.iloc[:, 1:], tmp_path)
    assert "has 'extra' besides" in refusal(FITTED, IRIS.assign(extra=1.0), tmp_path)
    assert "another order" in refusal(FITTED, IRIS[IRIS.columns[::-1]], tmp_path)
    assert "fitted on a DataFrame" in refusal(FITTED, IRIS.to_numpy(), tmp_path)
    on_array = LogisticRegression(max_iter=500).fit(IRIS.to_numpy(), SPECIES)
    assert "fitted on 4" in refusal(on_array, IRIS.to_numpy()[:, :3], tmp_path)


def test_frames_that_are_none(tmp_path: Path) -> None:
    assert "no rows" in refusal(FITTED, IRIS.head(0), tmp_path)
    assert "no columns" in refusal(FITTED, IRIS[[]], tmp_path)
    assert "Series" in refusal(FITTED, IRIS.iloc[:, 0], tmp_path)
    assert "1 dimension" in refusal(FITTED, [1.0, 2.0], tmp_path)
    twice = pd.concat([IRIS, IRIS.iloc[:, :1]], axis=1)
    assert "two columns called 'sepal length (cm)'" in refusal(FITTED, twice, tmp_path)
    for name, words in (("a\x07", "control"), ("a" * 1025, "1024 bytes"), ("", "empty")):
        renamed = IRIS.rename(columns={"sepal length (cm)": name})
        assert words in refusal(LogisticRegression(max_iter=500).fit(renamed, SPECIES), renamed, tmp_path)


def test_holdout_of_another_kind(tmp_path: Path) -> None:
    assert "holdout and X differ" in refusal(FITTED, IRIS, tmp_path, holdout=IRIS.iloc[:, 1:])
    changed = IRIS.astype({"sepal width (cm)": "float32"})
    assert "'sepal width (cm)' is float64 in X and float32" in refusal(
        FITTED, IRIS, tmp_path, holdout=changed
    )
    assert "holdout has no rows" in refusal(FITTED, IRIS, tmp_path, holdout=IRIS.head(0))
    assert "kind, width and dtype" in refusal(FITTED, IRIS, tmp_path, holdout=IRIS.to_numpy())


@pytest.mark.parametrize("name", ["", "Iris", "-iris", "a/b", "../x", "a" * 64, "ü", "iris\n", 3])
def test_names_outside_the_grammar(name: Any, tmp_path: Path) -> None:
    assert "cannot name a model" in refusal(FITTED, IRIS, tmp_path, name=name)


def test_pipelines_without_an_answer_that_we_serve(tmp_path: Path) -> None:
    assert "ends in StandardScaler" not in refusal(StandardScaler().fit(IRIS), IRIS, tmp_path)
    assert "does not predict" in refusal(LogisticRegression, IRIS, tmp_path)
    assert "ends in GaussianMixture" in refusal(GaussianMixture(2).fit(IRIS), IRIS, tmp_path)


def test_answers_that_no_converter_has_a_form_for(tmp_path: Path) -> None:
    assert "by IsolationForest" in refusal(LocalOutlierFactor(novelty=True).fit(IRIS), IRIS, tmp_path)
    assert "by KMeans" in refusal(BisectingKMeans(2, random_state=0).fit(IRIS), IRIS, tmp_path)
    two = np.column_stack([IRIS.iloc[:, 0], IRIS.iloc[:, 1]])
    said = refusal(RadiusNeighborsRegressor(9.0).fit(IRIS, two), IRIS, tmp_path)
    assert "'prediction_0'" in said
    assert "one pipeline a target" in said


def test_pipeline_that_refuses_its_own_rows(tmp_path: Path) -> None:
    said = refusal(FITTED, IRIS, tmp_path, holdout=IRIS.mask(IRIS > 6))
    assert "does not answer for its own hold-out rows" in said


def test_unknown_refused_in_an_array(tmp_path: Path) -> None:
    X = np.array([["a"], ["b"]] * 10, dtype=object)
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(X, [0, 1] * 10)
    assert "DataFrame" in refusal(pipeline, X, tmp_path)


def test_imputer_over_text_and_numbers(tmp_path: Path) -> None:
    X = pd.DataFrame({"c": pd.Series(["a", "b"] * 10, dtype=object), "n": np.arange(20)})
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["c", "n"])
    )
    assert "give each its own" in refusal(
        make_pipeline(columns, LogisticRegression()).fit(X, X["n"] > 5), X, tmp_path
    )


def test_an_existing_bundle_survives_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "m.tenon"
    before = tenon.export(FITTED, IRIS, name="m", path=path)
    content = path.read_bytes()
    with pytest.raises(tenon.ExportError):
        tenon.export(FITTED, IRIS.head(0), name="m", path=path)
    assert path.read_bytes() == content
    assert before.path == path


def test_labels_beyond_int64(tmp_path: Path) -> None:
    X = pd.DataFrame({"a": [0.0, 1.0] * 20})
    y = (np.arange(40) % 2).astype("uint64") + np.uint64(2**63)
    with pytest.raises(tenon.ExportError, match="greater than 2"):
        tenon.export(DecisionTreeClassifier().fit(X, y), X, name="wide", path=tmp_path / "wide.tenon")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_path_is_a_sentence(tmp_path: Path) -> None:
    pipeline, graph = LogisticRegression(), tmp_path / "absent.onnx"
    for attempt, words in (
        (lambda: tenon.push(pipeline), "LogisticRegression is no bundle"),  # type: ignore[arg-type]
        (lambda: tenon.quantize(None), "NoneType is no bundle"),  # type: ignore[arg-type]
        (lambda: tenon.bundle(pipeline, IRIS, expected=[1]), "LogisticRegression is no path"),  # type: ignore[arg-type]
        (lambda: tenon.bundle(graph, IRIS, expected=[1]), "does not exist"),
        (lambda: tenon.Client("127.0.0.1:1"), "write http://127.0.0.1:1"),
    ):
        with pytest.raises(tenon.TenonError, match=words):
            attempt()

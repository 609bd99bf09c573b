"""What must hold for any value and any tree: numbers survive the wire, and TreeEnsemble walks as scikit-learn does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from tenon import wire
from tenon.compare import Sample, differences, distances, scale_of, session
from tenon.errors import ROW_COLUMNS
from tenon.inputs import describe, feeds
from tenon.lowering import lower
from tenon.lowering.trees import float32_turn
from tenon.signature import LOWERED, Output
from tenon.truth import answers, describe_outputs


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_doubles_survive_json(values: list[float]) -> None:
    back = json.loads(wire.dumps(wire.column(pd.Series(values, dtype=np.float64))))
    assert np.array(back, dtype=np.float64).tobytes() == np.array(values).tobytes()


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_survive_json(values: list[float]) -> None:
    single = np.array(values, dtype=np.float32)
    back = json.loads(wire.dumps(wire.column(pd.Series(single))))
    assert np.array(back, dtype=np.float64).astype(np.float32).tobytes() == single.tobytes()


@given(st.lists(st.one_of(st.none(), st.text(alphabet=st.characters(exclude_categories=["Cs"])))))
def test_text_survives_json(values: list[str | None]) -> None:
    assert json.loads(wire.dumps(wire.column(pd.Series(values, dtype=object)))) == values


@given(st.floats(min_value=-1e30, max_value=1e30))
def test_the_turn_of_a_rounded_threshold(threshold: float) -> None:
    turn = float32_turn(threshold)
    below, above = np.nextafter(turn, -np.inf), np.nextafter(turn, np.inf)
    assert np.float64(np.float32(below)) <= threshold
    assert np.float64(np.float32(above)) > threshold


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    classes=st.integers(1, 5),
    depth=st.one_of(st.none(), st.integers(1, 6)),
    leaf=st.integers(1, 6),
    gaps=st.booleans(),
)
def test_any_forest_is_bit_equal(seed: int, classes: int, depth: int | None, leaf: int, gaps: bool) -> None:
    random = np.random.default_rng(seed)
    # Few distinct values, so that ties between classes happen.
    X = random.integers(0, 4, (120, 3)) / 3
    if gaps:
        X[random.random(X.shape) < 0.2] = np.nan
    y = random.integers(0, classes, 120)
    options = {"n_estimators": 6, "max_depth": depth, "min_samples_leaf": leaf, "random_state": seed % 1000}
    for model in (
        RandomForestClassifier(**options).fit(X, y),
        RandomForestRegressor(**options).fit(X, y / 3),
    ):
        inputs, outputs = describe(X, X), describe_outputs(model, X)
        got = session(lower(model, inputs, outputs).model()).run(
            [o.source for o in outputs], feeds(inputs, X)
        )
        for mine, truth in zip(got, answers(model, outputs, X).values(), strict=True):
            assert np.array_equal(np.asarray(mine).reshape(truth.shape), truth)


def test_distances_judge_as_the_format_says() -> None:
    output = Output("prediction", "value", "float64", "p", tolerance=LOWERED)
    expected = np.array([1000.0, 0.0, np.nan, np.inf, 1.0, np.nan])
    got = np.array([1000.0 + 1.0e-6, 0.9e-9, np.nan, np.inf, np.nan, 1.0])
    distance, wrong = distances(output, expected, got, 1000.0)
    assert wrong.tolist() == [False, False, False, False, True, True]
    assert distance[4] == np.inf
    got = np.array([1000.0 + 1.1e-6, 1.1e-9, 1.0, -np.inf, 1.0, np.nan])
    assert distances(output, expected, got, 1000.0)[1].tolist() == [True, True, True, True, False, False]
    assert scale_of([output], []) == {"prediction": 1.0}


def test_a_huge_made_up_row_does_not_blunt_the_comparison_of_others() -> None:
    output = Output("prediction", "value", "float64", "p", tolerance={"rel": 0.0, "abs": 0.01})

    def sample(why: str, *answers: float) -> Sample:
        rows = list(range(len(answers)))
        return Sample(why, np.zeros((len(rows), 1)), rows, {"prediction": np.array(answers)})

    data, made = sample("hold-out", 1.0, -2.0, np.inf), sample("extreme", 1e300)
    assert scale_of([output], [data, made]) == {"prediction": 2.0}
    assert scale_of([output], [made, sample("training", 3.0), data]) == {"prediction": 3.0}
    assert scale_of([output], [made]) == {"prediction": 1e300}
    expected, got = np.array([1.0, 1.0, 100.0, 100.0]), np.array([1.019, 1.021, 100.9, 101.1])
    assert distances(output, expected, got, 2.0)[1].tolist() == [False, True, False, True]
    wide, off = np.array([[100.0, 0.0], [1.0, 0.0]]), np.array([[100.0, 0.9], [1.0, 0.9]])
    assert distances(output, wide, off, 2.0)[1].tolist() == [[False, False], [False, True]]


def test_no_rows_no_differences(tmp_path: Path) -> None:
    X = np.zeros((3, 2))
    model = RandomForestRegressor(2).fit(X, [1.0, 2.0, 3.0])
    inputs, outputs = describe(X, X), describe_outputs(model, X)
    table = differences(lower(model, inputs, outputs).model(), lambda f: feeds(inputs, f), outputs, [])
    assert table.empty
    assert list(table.columns) == ROW_COLUMNS


def test_the_lock_pins_and_hashes_everything() -> None:
    lock = (Path(__file__).parents[1] / "requirements.lock").read_text()
    entries = [e for e in lock.replace("\\\n", " ").splitlines() if e.strip() and not e.startswith("#")]
    assert len(entries) > 30
    for entry in entries:
        assert "==" in entry.split(";")[0].split("--hash")[0], entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in lock, "a lock names no host"
    for pin in (
        "onnxruntime==1.32.0",
        "onnx==1.23.2",
        "skl2onnx==1.20.0",
        "scikit-learn==1.9.1",
        "protobuf==6.33.6",
    ):
        assert pin in lock


@pytest.mark.parametrize("name", ["penguins", "digits", "diabetes"])
def test_the_examples_export(name: str, tmp_path: Path) -> None:
    import subprocess
    import sys

    script = Path(__file__).parents[2] / "models" / name / "train.py"
    out = tmp_path / "out" / f"{name}.tenon"
    done = subprocess.run([sys.executable, script, "--out", out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert out.is_file()
    assert "exported" in done.stdout

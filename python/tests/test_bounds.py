"""The range of numbers that an export declares is the one that its pipeline answers for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, PowerTransformer, StandardScaler

import tenon
from tenon.draft import Draft
from tenon.lint import examine

RANDOM = np.random.default_rng(0)
FLOATS = pd.DataFrame({"a": RANDOM.uniform(1, 9, 60), "b": RANDOM.uniform(1, 2, 60)})
WHOLE = pd.DataFrame({"a": RANDOM.integers(1, 99, 60), "b": RANDOM.integers(1, 9, 60)})
SINGLE = 3.4028235677973362e38
"""The largest double that float32 holds."""


def drafted(model: Any, X: Any) -> Draft:
    frame = X.to_numpy() if isinstance(X, pd.DataFrame) else X
    check, draft = examine(model.fit(X, (frame[:, 0] > np.median(frame[:, 0])).astype(int)), X)
    assert draft is not None, check.findings
    return draft


@pytest.mark.parametrize(
    ("model", "X", "minimum", "maximum"),
    [
        (make_pipeline(StandardScaler(), LogisticRegression()), FLOATS, -1e300, 1e300),
        (RandomForestClassifier(5, random_state=0), FLOATS, -SINGLE, SINGLE),
        (RandomForestClassifier(5, random_state=0), FLOATS.to_numpy(), -SINGLE, SINGLE),
        (make_pipeline(FunctionTransformer(np.log1p), Ridge()), FLOATS, np.nextafter(-1, 0), 1e300),
        (make_pipeline(FunctionTransformer(np.sqrt), Ridge()), FLOATS, 0.0, 1e300),
        (make_pipeline(PowerTransformer("box-cox"), LogisticRegression()), FLOATS, 5e-324, None),
        (make_pipeline(PolynomialFeatures(2), LogisticRegression()), FLOATS, -1e100, 1e100),
        (HistGradientBoostingClassifier(max_iter=3), FLOATS, None, None),
        (make_pipeline(StandardScaler(), LogisticRegression()), FLOATS.astype("float32"), -1e30, 1e30),
        (make_pipeline(StandardScaler(), LogisticRegression()), WHOLE, None, None),
        (make_pipeline(FunctionTransformer(np.log), LogisticRegression()), WHOLE, 1, None),
    ],
)
def test_ranges(model: Any, X: Any, minimum: Any, maximum: Any) -> None:
    for policy in drafted(model, X).signature.policies:
        assert policy.minimum == minimum
        if minimum != 5e-324:  # where a power overflows is the power's own
            assert policy.maximum == maximum


def test_a_border_between_is_found_to_the_last_bit() -> None:
    model = make_pipeline(FunctionTransformer(np.exp), Ridge(alpha=1e-9))
    policy = drafted(model, FLOATS[["a"]]).signature.policies[0]
    inside = pd.DataFrame({"a": [policy.maximum]})
    assert policy.minimum is None
    assert np.isfinite(model.predict(inside)).all()
    beyond = inside.map(lambda v: np.nextafter(v, np.inf))
    try:
        answered = bool(np.isfinite(model.predict(beyond)).all())
    except ValueError:
        answered = False
    assert not answered


@pytest.mark.parametrize("function", [np.abs, np.square, np.negative, np.sign])
def test_functions_of_integers_are_computed_with_all_their_bits(function: Any) -> None:
    draft = drafted(
        make_pipeline(FunctionTransformer(function), RandomForestClassifier(3, random_state=0)), WHOLE
    )
    assert [i.elem for i in draft.signature.inputs] == ["int64", "int64"]
    assert [(p.minimum, p.maximum) for p in draft.signature.policies] == [(None, None)] * 2
    large = np.concatenate([s.frame["a"] for s in draft.samples if s.why == "large"])
    assert {2**63 - 1, -(2**63), 2**53 + 1, 3037000500} <= set(large.tolist())


def test_what_no_double_holds_is_refused_where_the_graph_takes_doubles() -> None:
    model = make_pipeline(FunctionTransformer(np.square), RandomForestClassifier(9, random_state=0))
    draft = drafted(model, WHOLE.astype("Int64"))
    for policy in draft.signature.policies:
        assert policy.maximum is None or policy.maximum >= 2**53


def test_columns_that_overflow_together_are_held_apart() -> None:
    model = make_pipeline(PolynomialFeatures(2, interaction_only=True), LogisticRegression())
    draft = drafted(model, FLOATS)
    assert [(p.minimum, p.maximum) for p in draft.signature.policies] == [(-1e150, 1e150)] * 2


def test_both_ends_are_golden_rows_and_outputs_are_finite() -> None:
    draft = drafted(RandomForestClassifier(5, random_state=0), FLOATS)
    ends = next(s for s in draft.samples if s.why == "range")
    assert sorted(ends.frame["a"])[::3] == [-SINGLE, SINGLE]
    assert [o.to_json().get("finite") for o in draft.signature.outputs] == [None, True]
    assert draft.signature.to_json()["inputs"][0]["maximum"] == SINGLE


def test_a_check_shows_ranges_where_there_are_any() -> None:
    X = pd.DataFrame({"a": FLOATS["a"], "b": WHOLE["b"], "unread": FLOATS["b"]})
    roots = ColumnTransformer(
        [("root", FunctionTransformer(np.sqrt), ["a"]), ("same", "passthrough", ["b"])], remainder="drop"
    )
    check = tenon.check(make_pipeline(roots, Ridge()).fit(X, X["a"]), X)
    assert {c.name: c.range for c in check.columns} == {"a": "0.0 to 1e+300", "b": "", "unread": ""}
    assert "float64, 0.0 to 1e+300 " in str(check)
    assert check.to_json()["columns"][0]["range"] == "0.0 to 1e+300"

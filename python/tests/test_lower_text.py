"""Text that the kit uses itself: as categories, and beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from reader import Reader

Export = Callable[..., Reader]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("texts", [["\ue001", "\ue001\ue001"], ["\ue002none", "\ue001 unseen"]], ids=ascii)
def test_categories_of_private_use(texts: list[str], native: bool, exported: Export) -> None:
    """What the kit itself takes for unknown or unseen text may be a category."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"c": rng.choice([*texts, "a", "b"], 200), "n": rng.normal(size=200)})
    y = X["c"].isin(texts) ^ (X["n"] > 1)
    if native:
        model: Any = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype")
        X = X.astype({"c": "category"})
    else:
        encode = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["c"]), remainder="passthrough"
        )
        model = make_pipeline(encode, LogisticRegression())
    reader = exported(model.fit(X, y), X)
    assert reader.replay()["label"] == 0.0
    asked = [text for r in reader.requests if r["why"] == "unseen" for text in texts_of(r["body"])]
    assert asked
    assert not {*texts, "a", "b"} & set(asked)


def texts_of(body: dict[str, Any]) -> list[str]:
    return [row["c"] for row in body["instances"]] if "instances" in body else body["inputs"]["c"]


def test_a_category_of_another_gap_is_no_text(exported: Export) -> None:
    """Text like the kit's own mark for a gap that never arrives is unknown, as it is to the encoder."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"c": rng.choice(["a", "b", "\ue002none"], 200)}, dtype=object)
    encode = OrdinalEncoder(
        categories=[np.array(["a", "b", None], dtype=object)],
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        encoded_missing_value=7,
    )
    model = make_pipeline(encode, LogisticRegression()).fit(X, X["c"] == "a")
    assert exported(model, X).replay()["label"] == 0.0

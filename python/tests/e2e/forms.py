"""Rows and answers in the forms of requests, written here and not by the kit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def columns_of(hold: Any) -> dict[str, list[Any]]:
    """Rows of a frame or array as JSON values by column."""
    if isinstance(hold, np.ndarray):
        return {"x": hold.tolist()}
    return {str(c): [None if pd.isna(v) else v for v in hold[c].astype(object)] for c in hold.columns}


def flat(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer, or a row of one, with a name for each probability: `probabilities.Adelie`."""
    out: dict[str, Any] = {}
    for name, value in answer.items():
        out |= {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
    return out

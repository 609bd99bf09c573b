"""Values as JSON carries them, both ways: shortest round-trip numbers, null for missing, words for infinities."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tenon.errors import TenonError
from tenon.inputs import Array, Input, Rows
from tenon.signature import Output, class_keys


def column(values: pd.Series | Array) -> list[Any]:
    """One column as JSON values.

    A float32 travels as the double of the same value, so that no rounding happens twice; NaN, None and NA
    are null, infinities "Infinity" and "-Infinity".
    """
    dtype: Any = values.dtype
    if isinstance(values, np.ndarray) and values.ndim > 1:
        return [column(row) for row in values]
    if isinstance(dtype, np.dtype) and dtype.kind in "bui":
        return list(values.tolist())
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return [_number(v) for v in values.astype(np.float64).tolist()]
    return [_scalar(v) for v in (values.tolist() if isinstance(values, pd.Series) else values)]


def columns_of(inputs: Sequence[Input], frame: Rows) -> dict[str, list[Any]]:
    """A frame's columns as JSON values, by logical name."""
    if isinstance(frame, np.ndarray):
        return {inputs[0].name: column(frame)}
    return {i.name: column(frame[i.key]) for i in inputs}


def answer_columns(outputs: Sequence[Output], values: Mapping[str, Array]) -> dict[str, Any]:
    """Answers in the columns form: `{"label": […], "probabilities": {class: […]}}`."""
    out: dict[str, Any] = {}
    for output in outputs:
        answers = values[output.name]
        if output.classes is not None:
            keys = class_keys(output.classes)
            out[output.name] = {k: column(answers[:, j]) for j, k in enumerate(keys)}
        else:
            out[output.name] = column(answers)
    return out


def rows_of(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The columns form turned into one object a row."""
    flat = {k: rows_of(v) if isinstance(v, dict) else v for k, v in columns.items()}
    count = len(next(iter(flat.values()), []))
    return [{k: v[i] for k, v in flat.items()} for i in range(count)]


def dumps(value: Any) -> str:
    """Compact JSON; a float is its shortest decimal that reads back the same."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def answer_frame(outputs: Mapping[str, Any], index: pd.Index) -> pd.DataFrame:
    """The answer's outputs as a DataFrame: columns `label`, `probabilities.Adelie`, `prediction`.

    Labels, clusters and outliers keep their type (text, bool, int64). Other numbers are float64, so that one answer's
    whole numbers do not change a column's type, unless an integer would not survive that.
    """
    data: dict[str, Any] = {}
    for name, values in outputs.items():
        if isinstance(values, dict):
            data.update({f"{name}.{key}": _floats(v) for key, v in values.items()})
        elif _is_label(name):
            data[name] = _labels(values)
        else:
            data[name] = _floats(values)
    return pd.DataFrame(data, index=index)


def _is_label(name: str) -> bool:
    return name.split("_")[0] in ("label", "cluster", "outlier")


def _labels(values: list[Any]) -> Any:
    kinds = {type(v) for v in values}
    if kinds <= {bool} and values:
        return np.array(values, dtype=bool)
    if kinds <= {int} and values:
        return np.array(values, dtype=np.int64)
    return _floats(values) if kinds <= {int, float} else pd.Series(values, dtype=object).to_numpy()


def _floats(values: list[Any]) -> Any:
    words = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf, None: np.nan}
    if any(isinstance(v, (list, dict)) for v in values):
        return pd.Series(values, dtype=object).to_numpy()
    read = [words.get(v, v) if v is None or isinstance(v, str) else v for v in values]
    if any(isinstance(v, str) for v in read):
        return pd.Series(read, dtype=object).to_numpy()
    if any(type(v) is int and abs(v) > 2**53 for v in read) and all(type(v) is int for v in read):
        return np.array(read)
    if values and all(isinstance(v, bool) for v in values):
        return np.array(values, dtype=bool)
    return np.array(read, dtype=np.float64)


def _number(value: float) -> Any:
    if value != value:
        return None
    if value in (np.inf, -np.inf):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _scalar(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (str, bool, int)):
        return value
    raise TenonError(
        f"a value of type {type(value).__name__} ({value!r}) has no place in a request: send numbers, text or booleans"
    )

"""docs/dtypes.md, row by row: what it says is kept or converted exports and replays, what it says is refused is."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import tenon
from reader import Reader

ROWS = 60
TEXT = ["a", "b", "c", "b", "é"] * (ROWS // 5)
NUMBERS = [1, 2, 3, 4, 5] * (ROWS // 5)
FLAGS = [True, False, True, True, False] * (ROWS // 5)


def gaps(values: list[Any], *missing: Any) -> list[Any]:
    """The values with some missing in turn."""
    return [missing[i // 7 % len(missing)] if i % 7 == 3 else v for i, v in enumerate(values)]


def objects(values: list[Any]) -> pd.Series:
    return pd.Series(values, dtype=object)


def arrow(values: list[Any], kind: str) -> pd.Series:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    return pd.Series(values, dtype=pd.ArrowDtype(getattr(pa, kind)()))


def arrow_text(values: list[Any]) -> pd.Series:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    return pd.Series(values, dtype="string[pyarrow]")


def nullable(dtype: str) -> Callable[[], pd.Series]:
    values = FLAGS if dtype == "boolean" else NUMBERS
    return lambda: pd.Series(gaps(values, pd.NA), dtype=dtype)


def plain(dtype: str) -> Callable[[], pd.Series]:
    values = FLAGS if dtype in ("bool", "boolean") else NUMBERS
    return lambda: pd.Series(values, dtype=dtype)


BEYOND = [2**60 + n for n in NUMBERS]
DATES = pd.Series(pd.date_range("2020-01-01", periods=ROWS)).astype("datetime64[ns]")

COLUMNS: dict[str, Callable[[], pd.Series]] = {
    **{f"`{d}`": plain(d) for d in ("bool", "float16", "float32", "float64", "longdouble", "complex128")},
    **{f"`{s}int{b}`": plain(f"{s}int{b}") for s in ("", "u") for b in (8, 16, 32, 64)},
    **{f"`{d}`": plain(d) for d in ("Int8", "Int64", "boolean")},
    **{f"`{s}{b}` with NA": nullable(f"{s}{b}") for s in ("Int", "UInt") for b in (8, 16, 32, 64)},
    **{f"`{d}` with NA": nullable(d) for d in ("boolean", "Float32", "Float64")},
    "`int64` beyond 2^53": lambda: pd.Series(BEYOND),
    "`Int64` beyond 2^53": lambda: pd.Series(BEYOND, dtype="Int64"),
    "`float32` with NaN": lambda: pd.Series(gaps(NUMBERS, np.nan), dtype="float32"),
    "`float64` with NaN": lambda: pd.Series(gaps(NUMBERS, np.nan), dtype="float64"),
    "`float64` with infinities": lambda: pd.Series(gaps(NUMBERS, np.inf), dtype="float64"),
    "`str`": lambda: pd.Series(TEXT, dtype="str"),
    "`str` with NaN": lambda: objects(gaps(TEXT, np.nan)).astype(pd.Series(TEXT).dtype),
    "`string[python]`": lambda: pd.Series(TEXT, dtype="string[python]"),
    "`string[python]` with NA": lambda: pd.Series(gaps(TEXT, pd.NA), dtype="string[python]"),
    "`string[pyarrow]`": lambda: arrow_text(TEXT),
    "`string[pyarrow]` with NA": lambda: arrow_text(gaps(TEXT, pd.NA)),
    "object of text": lambda: objects(TEXT),
    "object of text and None": lambda: objects(gaps(TEXT, None)),
    "object of text and NaN": lambda: objects(gaps(TEXT, np.nan)),
    "object of text and NA": lambda: objects(gaps(TEXT, pd.NA)),
    "object of text, None and NaN": lambda: objects(gaps(TEXT, None, np.nan)),
    "object of text and numbers": lambda: objects([*TEXT[:-1], 1]),
    "object of bools": lambda: objects(FLAGS),
    "object of ints": lambda: objects(NUMBERS),
    "object of Decimal": lambda: objects([decimal.Decimal(n) for n in NUMBERS]),
    "object of lists": lambda: objects([[n] for n in NUMBERS]),
    "category of text": lambda: pd.Series(TEXT, dtype="category"),
    "category of text with NaN": lambda: pd.Series(gaps(TEXT, np.nan), dtype="category"),
    "category of text, ordered": lambda: pd.Series(pd.Categorical(TEXT, ordered=True)),
    "category of ints": lambda: pd.Series(NUMBERS, dtype="category"),
    "category of bools": lambda: pd.Series(FLAGS, dtype="category"),
    "`datetime64[ns]`": lambda: DATES,
    "`datetime64[ns, UTC]`": lambda: DATES.dt.tz_localize("UTC"),
    "`timedelta64[ns]`": lambda: DATES - DATES[0],
    "`period[D]`": lambda: DATES.dt.to_period("D"),
    "interval": lambda: pd.Series(pd.interval_range(0, ROWS)),
    "`Sparse[float64]`": lambda: pd.Series(pd.arrays.SparseArray(np.array(NUMBERS, dtype=float))),
    "`int64[pyarrow]`": lambda: arrow(NUMBERS, "int64"),
    "`string[pyarrow]` of ArrowDtype": lambda: arrow(TEXT, "string"),
}


def table() -> dict[str, list[str]]:
    """The rows of the document: outcome, type and remedy by column."""
    text = (Path(__file__).parents[2] / "docs" / "dtypes.md").read_text(encoding="utf-8")
    rows = [
        [c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return {row[0]: row[1:] for row in rows[2:]}


TABLE = table()


def pipeline(column: pd.Series, y: np.ndarray) -> Any:
    """A model of that one column, which fills gaps of its own kind."""
    X = pd.DataFrame({"c": column})
    numbers = pd.api.types.is_numeric_dtype(column.dtype)
    gap: Any = np.nan
    if not numbers and column.isna().any():
        gap = next(v for v in column.astype(object) if pd.isna(v))
    steps: list[Any] = [SimpleImputer()] if numbers else [OneHotEncoder(handle_unknown="ignore")]
    if gap is pd.NA:
        steps.insert(0, SimpleImputer(strategy="most_frequent", missing_values=pd.NA))
    # Not pandas' own "mean" of int64: what lies beyond 2^53 would be rounded before the pipeline sees it.
    model = make_pipeline(make_column_transformer((make_pipeline(*steps), ["c"])), LogisticRegression())
    return model.fit(X, y)


def test_the_table_and_the_columns_are_the_same_list() -> None:
    assert set(TABLE) == set(COLUMNS)


@pytest.mark.parametrize("name", TABLE)
def test_what_the_table_says(name: str, tmp_path: Path) -> None:
    outcome, kind, remedy = TABLE[name]
    column = COLUMNS[name]()
    X, y = pd.DataFrame({"c": column}), np.arange(ROWS) % 3 == 0
    if outcome == "refused":
        check = tenon.check(LogisticRegression().fit(pd.DataFrame({"c": NUMBERS}), y), X)
        assert [c.status for c in check.columns] == ["refused"]
        found = next(f for f in check.refused if f.code == "column")
        assert found.where == "c"
        assert remedy, "a refusal has a remedy"
        assert remedy in found.remedy
        return
    fitted = pipeline(column, y)
    check = tenon.check(fitted, X)
    assert check.ok, check.findings
    assert [(c.status, c.type) for c in check.columns] == [(outcome, kind)]
    read = Reader(tenon.export(fitted, X, name="m", path=tmp_path / "m.tenon").path)
    assert read.input("c")["type"] == kind
    assert (read.input("c")["missing"] == "allowed") or not column.isna().any()
    read.replay()

"""The logical inputs of a pipeline: what its training frame holds, and how rows become feeds.

A DataFrame has one input per column, an array is one input `x` of k elements. The type is the training
dtype; the graph's tensor is double, except where a value would not survive that.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from tenon.errors import ExportError, Finding

Array: TypeAlias = npt.NDArray[Any]
Frame: TypeAlias = "pd.DataFrame | Array"
"""Rows of a pipeline's input."""
Rows: TypeAlias = "Frame | dict[str, Array]"
"""Rows of a pipeline's input, or for a bare graph values [N, …] by logical name."""

SENTINEL = "\ue000"
"""How a missing string travels: a private-use character, because a missing string is not the empty one."""

EXACT = 2**53
"""The largest magnitude up to which every integer is a double."""

LONGEST_NAME = 1024
"""Bytes of a column's name that a server takes."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NULLABLE = {"boolean": "bool", "Float64": "float64"}
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


@dataclass(frozen=True)
class Input:
    """One logical input. `absent` is what a missing value is in the training frame: nan, none or na."""

    name: str
    type: str
    """The training dtype: bool, int8 … uint64, float32, float64, string."""
    feed: str
    elem: str
    """The element type of the graph's tensor: float64, float32, int64, uint64, string."""
    absent: str | None
    shape: tuple[int, ...] | None = None
    """None: one value a row, fed as [N, 1]. Otherwise the shape of a row's value: (k,) for an array X."""
    key: Any = None
    """The column's label in the DataFrame, which may be an integer."""

    @property
    def width(self) -> int | None:
        """How many elements an array input has; None for a column."""
        return None if self.shape is None else math.prod(self.shape)

    @property
    def is_text(self) -> bool:
        """Whether the values are strings."""
        return self.type == "string"

    @property
    def is_integer(self) -> bool:
        """Whether the values are integers (not booleans)."""
        return "int" in self.type

    @property
    def dtype(self) -> np.dtype[Any]:
        """What scikit-learn sees: a nullable column with gaps becomes float64 there."""
        if self.is_text:
            return np.dtype(object)
        return np.dtype(np.float64) if self.absent == "na" else np.dtype(self.type)


def as_frame(X: Any, what: str) -> Frame:
    """`X` as a DataFrame or a 2-D array; ExportError says what to pass instead of anything else."""
    if isinstance(X, pd.DataFrame):
        said = _column_name_faults(X, what)
        if said:
            faults = [Finding("column-name", what, *sentence.rsplit(": ", 1)) for sentence in said]
            raise ExportError("\n".join(said), findings=faults)
        frame: Frame = X
    elif isinstance(X, pd.Series):
        raise ExportError(f"{what} is a Series: pass a DataFrame, for a single column X[['column']]")
    else:
        frame = _as_array(X, what)
    if len(frame) == 0:
        raise ExportError(f"{what} has no rows: pass the frame that the pipeline was fitted on")
    if frame.shape[1] == 0:
        raise ExportError(f"{what} has no columns: pass the frame that the pipeline was fitted on")
    return frame


def _as_array(X: Any, what: str) -> Array:
    if X is None or isinstance(X, (str, bytes, Mapping)) or callable(X) or hasattr(X, "toarray"):
        kind = "None" if X is None else f"a {type(X).__name__}"
        raise ExportError(f"{what} is {kind}: pass the DataFrame or array that the pipeline was fitted on")
    try:
        frame = np.asarray(X)
    except ValueError as e:
        raise ExportError(
            f"{what} is a {type(X).__name__} whose rows differ in length: pass a DataFrame or an array"
        ) from e
    if frame.ndim != 2:
        raise ExportError(
            f"{what} has {frame.ndim} dimension(s): pass a DataFrame or an array of rows by columns"
        )
    return frame


def describe(X: Frame, holdout: Frame) -> tuple[Input, ...]:
    """The logical inputs of a training frame; ExportError for a column that cannot be served faithfully."""
    found = examine_columns(X, holdout)
    for one in found:
        if isinstance(one, ExportError):
            raise one
    return tuple(one for one in found if isinstance(one, Input))


def examine_columns(X: Frame, holdout: Frame) -> list[Input | ExportError]:
    """For each column (an array is one) its logical input, or why it cannot be served faithfully."""
    if isinstance(X, np.ndarray):
        assert isinstance(holdout, np.ndarray)
        array, other = X, holdout
        return [_or_error(partial(_matrix, array, other))]
    assert isinstance(holdout, pd.DataFrame)
    frame, held = X, holdout

    def one(number: int, key: Any) -> Input:
        return _column(f"in_{number}", key, frame[key], held[key])

    return [_or_error(partial(one, number, key)) for number, key in enumerate(frame.columns)]


def _or_error(made: Callable[[], Input]) -> Input | ExportError:
    try:
        return made()
    except ExportError as e:
        return e


def column_names(frame: Frame) -> tuple[str, ...]:
    """The names of a DataFrame's columns; of an array none."""
    return () if isinstance(frame, np.ndarray) else tuple(map(str, frame.columns))


def feeds(inputs: Sequence[Input], frame: Rows) -> dict[str, Array]:
    """One tensor per graph input, of shape [N, 1] or [N, k], from rows of the frame."""
    if isinstance(frame, np.ndarray):
        return {i.feed: tensor(i, frame) for i in inputs}
    return {i.feed: tensor(i, frame[i.key]).reshape(-1, 1) for i in inputs}


def tensor(column: Input, values: pd.Series | Array) -> Array:
    """The values of one input as its tensor's element type, missing ones as NaN or the sentinel."""
    if column.is_text:
        flat = np.asarray(values, dtype=object)
        gone = np.asarray(pd.isna(flat))
        return np.where(gone, SENTINEL, flat).astype(object)
    if isinstance(values, pd.Series) and column.absent == "na":
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(values).astype(column.elem)


def missing_value(column: Input) -> Any:
    """What the training frame holds where a value is missing."""
    return {"nan": np.nan, "none": None, "na": pd.NA}[column.absent or "nan"]


@overload
def take(frame: Frame, rows: Any) -> Frame: ...
@overload
def take(frame: Rows, rows: Any) -> Rows: ...
def take(frame: Rows, rows: Any) -> Rows:
    """The rows at those positions, with the frame's dtypes and, for a DataFrame, its index."""
    if isinstance(frame, dict):
        return {name: values[rows] for name, values in frame.items()}
    if isinstance(frame, pd.DataFrame):
        some: pd.DataFrame = frame.iloc[rows]
        return some
    part: Array = frame[rows]
    return part


def count(frame: Rows) -> int:
    """How many rows a frame has."""
    return len(next(iter(frame.values()))) if isinstance(frame, dict) else len(frame)


def _column_name_faults(X: pd.DataFrame, what: str) -> list[str]:
    """A sentence for each name that a request cannot carry."""
    if isinstance(X.columns, pd.MultiIndex):
        return [f"{what} has column names of several levels: flatten them and fit again"]
    names = [str(c) for c in X.columns]
    twice = [name for name, times in Counter(names).items() if times > 1]
    unseen = [n for n in names if not _is_unicode(n) or _CONTROL.search(n) or len(n.encode()) > LONGEST_NAME]
    said = [f"{what} has two columns called {n!r}: rename one, since requests name columns" for n in twice]
    said += [
        f"{what} has the column name {n[:64]!r}, with control characters, lone surrogates or over "
        f"{LONGEST_NAME} bytes: rename it"
        for n in unseen
    ]
    if "" in names:
        said.append(f"{what} has a column whose name is empty: name it, since requests name columns")
    return said


def is_plain_name(name: str) -> bool:
    """Whether a signature may hold the name: some text that is Unicode, without control characters."""
    return bool(name) and _is_unicode(name) and not _CONTROL.search(name)


def _is_unicode(text: str) -> bool:
    """Whether the text can be UTF-8: Python's strings may hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _matrix(X: Array, holdout: Array) -> Input:
    """An array is one logical column `x`, whatever the graph does with its elements."""
    where = "the array X"
    width = int(X.shape[1])
    if X.dtype.kind in "OU":
        kind, absent = _object_kind(where, np.concatenate([X.ravel(), holdout.ravel()]))
        if kind != "string":
            raise ExportError(f"{where} mixes numbers and text: pass a DataFrame, whose columns have types")
        return Input("x", "string", "in_0", "string", absent, (width,))
    name = _numeric_type(where, X.dtype)
    _refuse_infinities(where, X, holdout)
    absent = "nan" if name.startswith("float") else None
    return Input("x", name, "in_0", _element(name, X, holdout), absent, (width,))


def _column(feed: str, key: Any, values: pd.Series, held: pd.Series) -> Input:
    where = f"column {str(key)!r}"
    dtype: Any = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        other = next((type(c).__name__ for c in dtype.categories if not isinstance(c, str)), None)
        if other is not None:
            raise ExportError(
                f"{where} is a category of {other}: use the numbers themselves, or .astype(str), and fit again"
            )
        _object_kind(where, np.asarray(dtype.categories, dtype=object))
        return Input(str(key), "string", feed, "string", "nan", key=key)
    if isinstance(dtype, pd.StringDtype):
        absent = "na" if dtype.na_value is pd.NA else "nan"
        _object_kind(where, np.concatenate([values.to_numpy(object), held.to_numpy(object)]))
        return Input(str(key), "string", feed, "string", absent, key=key)
    if dtype == np.dtype(object):
        _, held_absent = _object_kind(where, np.concatenate([values.to_numpy(object), held.to_numpy(object)]))
        return Input(str(key), "string", feed, "string", held_absent, key=key)
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        return _nullable(feed, key, values, held)
    name = _numeric_type(where, dtype)
    _refuse_infinities(where, values.to_numpy(), held.to_numpy())
    elem = _element(name, values.to_numpy(), held.to_numpy())
    return Input(str(key), name, feed, elem, "nan" if name.startswith("float") else None, key=key)


def _nullable(feed: str, key: Any, values: pd.Series, held: pd.Series) -> Input:
    """pandas' own Int64, boolean and Float64, which scikit-learn turns into float64."""
    where, written = f"column {str(key)!r}", str(values.dtype)
    name = _NULLABLE.get(written, written.lower())
    if name not in (*_INTEGERS, "bool", "float64") or written.endswith("]"):
        raise ExportError(
            f"{where} has dtype {written}, which has no place in a request: {_instead(written)}"
        )
    for part in (values, held):
        numbers = part.to_numpy(dtype=np.float64, na_value=np.nan)
        _refuse_infinities(where, numbers)
        if np.nanmax(np.abs(numbers), initial=0) >= EXACT:
            raise ExportError(
                f"{where} holds {written} beyond 2^53, which scikit-learn rounds: use text or int64"
            )
    return Input(str(key), name, feed, "float64", "na", key=key)


def _numeric_type(where: str, dtype: np.dtype[Any]) -> str:
    name = dtype.name
    if name in _INTEGERS or name in ("bool", "float32", "float64"):
        return name
    if name == "float16":
        raise ExportError(f"{where} is float16: use .astype('float32') and fit again")
    raise ExportError(f"{where} has dtype {name}, which has no place in a request: {_instead(name)}")


def _instead(dtype: str) -> str:
    """What to do about a column of a dtype that no request carries."""
    if dtype.startswith(("datetime", "timedelta", "period")):
        return "derive numbers from its dates or durations (year, day, seconds) before the pipeline"
    if dtype.startswith("Sparse"):
        return "use .sparse.to_dense() and fit again"
    if dtype.endswith("[pyarrow]"):
        return "use .astype() with numpy's dtype, or 'str' for text, and fit again"
    if dtype == "Float32":
        return "use .astype('float32') and fit again"
    return "derive numbers or text from it"


def _object_kind(where: str, values: Array) -> tuple[str, str | None]:
    """The type and the kind of missing value of an object column; ExportError for a mixture."""
    gone = np.asarray(pd.isna(values))
    kinds = {_absent(v) for v in values[gone]}
    if len(kinds) > 1:
        raise ExportError(
            f"{where} mixes {' and '.join(sorted(_SAID[k] for k in kinds))} for missing values, which scikit-learn "
            "treats differently and a request cannot tell apart: use .where(X.notna(), numpy.nan) and fit again"
        )
    others = sorted({type(v).__name__ for v in values[~gone] if not isinstance(v, str)})
    if others:
        raise ExportError(
            f"{where} is an object column with values of type {', '.join(others)}: give it one dtype and fit again"
        )
    for text in values[~gone]:
        if SENTINEL in text or "\x00" in text or not _is_unicode(text):
            raise ExportError(
                f"{where} holds the text {text!r}, with a character that cannot be served: "
                "take out U+E000, U+0000 and lone surrogates"
            )
    return "string", next(iter(kinds), "nan")


_SAID = {"nan": "NaN", "none": "None", "na": "pandas.NA"}


def _absent(value: Any) -> str:
    if value is None:
        return "none"
    return "na" if value is pd.NA else "nan"


def _refuse_infinities(where: str, *parts: Array) -> None:
    for part in parts:
        if part.dtype.kind == "f" and np.isinf(part).any():
            raise ExportError(
                f"{where} holds infinities, for which scikit-learn has no answer: replace them, with NaN perhaps"
            )


def _element(name: str, *parts: Array) -> str:
    """double, unless the dtype is float32 or an integer has left the range in which a double is exact."""
    if name == "float32":
        return "float32"
    if name in ("int64", "uint64") and any(int(p.max()) >= EXACT or int(p.min()) <= -EXACT for p in parts):
        return name
    return "float64"

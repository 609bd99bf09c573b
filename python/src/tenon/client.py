"""`tenon.Client`: predictions from a server, a DataFrame in and a DataFrame out."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd

from tenon import wire
from tenon.errors import ServerError, TenonError
from tenon.http import ask, client
from tenon.inputs import Array
from tenon.names import predict_path


class Client:
    """Asks one server: `server`, else TENON_URL, else http://127.0.0.1:8080.

    Its connections are closed by `close`, at the end of a `with`, or when nobody holds the client any more.
    """

    def __init__(self, server: str | None = None) -> None:
        self._http = client(server)
        self._closing = weakref.finalize(self, self._http.close)

    def predict(self, ref: str, df: Any) -> pd.DataFrame:
        """The answers of `iris`, `iris/3` or `iris@champion` for rows.

        Rows are a DataFrame, a list of records, a dict of lists by column, or for a model of one array `x` an array
        [N, k]. Returns a frame with the rows' index and columns such as `label`, `probabilities.Adelie` and
        `prediction`; of several targets those of each, by name or as `prediction_0`, `label_0`,
        `probabilities_0.Adelie`, `probability_0`; `cluster`; `outlier` and `score`. Labels have their own type, other
        numbers are float64. A missing value travels as null; a column that the model does not use need not be there,
        and may hold anything. Raises TenonError for what no request can hold, and ServerError, which names the fields
        that the server refused.
        """
        path = predict_path(ref)
        rows = _rows(df)
        if isinstance(rows, pd.DataFrame):
            columns, index = self._columns(path, rows), rows.index
        else:
            columns, index = {"x": wire.column(rows)}, pd.RangeIndex(len(rows))
        try:
            answer = self._ask(path, {"inputs": columns})
        except ServerError as e:
            if isinstance(rows, np.ndarray) and any(f.get("code") == "unknown-column" for f in e.errors):
                said = _names_are_lost(ref, rows, self._signature(path))
                raise ServerError(said, e.status, e.problem) from None
            raise
        outputs = answer.get("outputs")
        if not isinstance(outputs, dict):
            raise ServerError(f"{path} answered without outputs: is it a tenon server?")
        return wire.answer_frame(outputs, index)

    def close(self) -> None:
        """Closes the connections."""
        self._closing()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _columns(self, path: str, frame: pd.DataFrame) -> dict[str, list[Any]]:
        """The frame's columns as JSON values; one that has none is left out if the model does not use it."""
        names = [str(c) for c in frame.columns]
        if len(set(names)) < len(names):
            raise TenonError(
                "the DataFrame has two columns of one name: rename one, since requests name columns"
            )
        columns, refused = {}, {}
        for j, name in enumerate(names):
            try:
                columns[name] = wire.column(frame.iloc[:, j])
            except TenonError as e:
                refused[name] = e
        unused = self._signature(path).get("unused", []) if refused else []
        for name, error in refused.items():
            if name not in unused:
                raise TenonError(f"column {name!r}: {error}") from None
        return columns

    def _signature(self, path: str) -> dict[str, Any]:
        """What the server says of the model's columns."""
        said = ask(self._http, "GET", path.removesuffix("/predict")).get("signature")
        return said if isinstance(said, dict) else {}

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        content = wire.dumps(body).encode()
        return ask(self._http, "POST", path, content=content, headers={"Content-Type": "application/json"})


def _rows(df: Any) -> pd.DataFrame | Array:
    """A DataFrame, also of records or of columns, or an array of rows; TenonError for anything else."""
    if isinstance(df, pd.DataFrame):
        return df
    records = isinstance(df, list | tuple) and bool(df) and all(isinstance(r, Mapping) for r in df)
    if records or isinstance(df, Mapping):
        try:
            # As objects, so that a missing value turns no integer into a float.
            return pd.DataFrame(df, dtype=object)
        except ValueError as e:
            raise TenonError(
                f"predict takes rows, and this {type(df).__name__} holds none ({e}): "
                "pass a list of records, or a dict with one list per column"
            ) from e
    array = np.asarray(df)
    if array.ndim < 2:
        raise TenonError(
            f"predict takes rows: a DataFrame, a list of records or an array of two dimensions, not of {array.ndim}"
        )
    return array


def _names_are_lost(ref: str, rows: Array, signature: Mapping[str, Any]) -> str:
    """The sentence for an array that was sent to a model of named columns."""
    names = [str(i.get("name")) for i in signature.get("inputs", [])]
    said = f"{ref} takes {len(names)} columns by name, and an array of the shape {rows.shape} has no names: "
    if len(names) != rows.shape[1]:
        return said + f"pass a DataFrame of the columns {', '.join(map(repr, names))}"
    return said + f"pass pd.DataFrame(rows, columns={names!r}), if that is their order"

"""`tenon.Client`: predictions from a server, a DataFrame in and a DataFrame out."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd

from tenon import wire
from tenon.errors import ServerError, TenonError
from tenon.http import ask, client
from tenon.names import predict_path


class Client:
    """Asks one server: `server`, else TENON_URL, else http://127.0.0.1:8080. Close it, or use `with`."""

    def __init__(self, server: str | None = None) -> None:
        self._http = client(server)

    def predict(self, ref: str, df: Any) -> pd.DataFrame:
        """The answers of `iris`, `iris/3` or `iris@champion` for the rows of a DataFrame, or of an array [N, k].

        Returns a frame with the rows' index and columns such as `label`, `probabilities.Adelie` and `prediction`; of
        several targets `prediction_0`, `label_0`, `probabilities_0.Adelie`, `probability_0`; `cluster`; `outlier` and
        `score`. Labels have their own type, other numbers are float64. A missing value travels as null. Raises
        ServerError, which names the fields that the server refused.
        """
        path = predict_path(ref)
        columns, index = _columns(df)
        answer = ask(
            self._http,
            "POST",
            path,
            content=wire.dumps({"inputs": columns}).encode(),
            headers={"Content-Type": "application/json"},
        )
        outputs = answer.get("outputs")
        if not isinstance(outputs, dict):
            raise ServerError(f"{path} answered without outputs: is it a tenon server?")
        return wire.answer_frame(outputs, index)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _columns(df: Any) -> tuple[dict[str, list[Any]], pd.Index]:
    if isinstance(df, pd.DataFrame):
        names = [str(c) for c in df.columns]
        if len(set(names)) < len(names):
            raise TenonError(
                "the DataFrame has two columns of one name: rename one, since requests name columns"
            )
        return {n: wire.column(df.iloc[:, j]) for j, n in enumerate(names)}, df.index
    array = np.asarray(df)
    if array.ndim < 2:
        raise TenonError(
            f"predict takes rows: a DataFrame or an array of two dimensions, not of {array.ndim}"
        )
    return {"x": wire.column(array)}, pd.RangeIndex(len(array))

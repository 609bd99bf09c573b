"""The kit's errors: each is a sentence that says what happened and what to do about it."""

from __future__ import annotations

from typing import Any

import pandas as pd


class TenonError(Exception):
    """Whatever the kit refuses or a server answers; the message is meant to be read."""


class ExportError(TenonError):
    """A pipeline that cannot be exported faithfully; nothing has been written.

    `rows` has one line for each value that differs: `row` (its name in the frame), `why` (the kind of
    row), `batch` (rows in the run), `output`, `expected`, `got` and `distance`. It is empty when the
    pipeline was refused before anything was compared.
    """

    def __init__(self, message: str, rows: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.rows: pd.DataFrame = pd.DataFrame(columns=ROW_COLUMNS) if rows is None else rows


class NotLowered(TenonError):
    """Raised by a lowering rule for what it does not cover; export then asks the converter."""


class ServerError(TenonError):
    """A server's refusal (RFC 9457), or none at all.

    `status` is 0 when no server answered; `code` and `detail` are the problem's, `errors` its list of
    `{"path", "code", "detail"}`, `problem` all of it.
    """

    def __init__(self, message: str, status: int = 0, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem: dict[str, Any] = problem or {}
        self.code: str = str(self.problem.get("code", ""))
        self.detail: str = str(self.problem.get("detail", ""))
        self.errors: list[dict[str, Any]] = list(self.problem.get("errors") or [])


class ParityError(ServerError):
    """The server's own answers to the golden set differ from the pipeline's; `report` says where."""

    @property
    def report(self) -> dict[str, Any]:
        """The examination's report, as the server wrote it."""
        report = self.problem.get("report")
        return report if isinstance(report, dict) else {}


ROW_COLUMNS = ["row", "why", "batch", "output", "expected", "got", "distance"]

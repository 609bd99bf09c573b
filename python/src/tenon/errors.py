"""The kit's errors: each is a sentence that says what happened and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from tenon import report as reports

if TYPE_CHECKING:
    from tenon.diagnose import Cause
    from tenon.upload import Version


class TenonError(Exception):
    """Whatever the kit refuses or a server answers; the message is meant to be read."""


@dataclass(frozen=True)
class Finding:
    """One thing that `tenon.check` found: what it is (a code for programs), where, what is wrong, what to do."""

    code: str
    where: str
    """The step, the column or the argument; "" for the pipeline as a whole."""
    detail: str
    remedy: str
    level: str = "refused"
    """refused (nothing would be written) or warning."""

    def __str__(self) -> str:
        return f"{self.detail}: {self.remedy}" if self.remedy else self.detail

    @classmethod
    def of(cls, error: TenonError, code: str, where: str = "") -> Finding:
        """The finding behind an error, whose sentence is "what is wrong: what to do"."""
        detail, _, remedy = str(error).rpartition(": ")
        return cls(code, where, detail, remedy) if detail else cls(code, where, remedy, "")


class TenonWarning(UserWarning):
    """What an export says and does not refuse, such as a column that looks like the target."""


class ExportError(TenonError):
    """A pipeline that cannot be exported faithfully; nothing has been written.

    `findings` are all that was found, the message being theirs. `rows` has one line for each value that differs:
    `row` (its name in the frame), `why` (the kind of row), `batch` (rows in the run), `output`, `expected`, `got`
    and `distance`. It is empty when the pipeline was refused before anything was compared. `causes` is what the
    differences probably are, best first, each with `code`, `detail` (a sentence), `columns`, `explains` and `of`;
    empty where nothing that was tried explains them.
    """

    def __init__(
        self,
        message: str,
        rows: pd.DataFrame | None = None,
        *,
        findings: Sequence[Finding] = (),
        causes: Sequence[Cause] = (),
    ) -> None:
        super().__init__(message)
        self.findings: list[Finding] = list(findings)
        self.converter = ""
        """What the converter said, where that was asked and failed."""
        self.rows: pd.DataFrame = pd.DataFrame(columns=ROW_COLUMNS) if rows is None else rows
        self.causes: list[Cause] = list(causes)


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
    """The server's own answers to the golden set differ from the pipeline's, so nothing was registered.

    `report` is the examination's, `rows` its worst rows as a DataFrame. Printed, and in a notebook, the error
    shows both: what was compared, and where the answers are furthest from the pipeline's.
    """

    @property
    def report(self) -> reports.Report:
        """The examination's report, as the server wrote it; a notebook shows it with its plots."""
        report = self.problem.get("report")
        return reports.Report(report if isinstance(report, dict) else {})

    @property
    def rows(self) -> pd.DataFrame:
        """The rows furthest beyond their tolerance, worst first.

        Columns: `request` (its id in the golden set), `row` (within the request, from 0), `why`, `output`,
        `expected`, `got`, `distance`, `allowed`, `detail` and `input` (the row as a record).
        """
        return pd.DataFrame(reports.worst(self.report), columns=reports.COLUMNS)

    def __str__(self) -> str:
        shown = reports.as_text(self.report)
        return f"{self._sentence()}\n\n{shown}" if shown else self._sentence()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return reports.as_html(self._sentence(), self.report)

    def _sentence(self) -> str:
        """The refusal, with the report's summary where it does not say it itself."""
        said, summary = str(self.args[0]), reports.summary(self.report)
        return said if summary in said else f"{said} {summary}"


class DeployError(ServerError):
    """A bundle that was pushed, and could not be put into traffic: what had the traffic goes on.

    `version` is the registered one. Of the code `signature-incompatible`, `errors` are the changes that would break
    the callers of the version in traffic.
    """

    def __init__(self, version: Version, cause: ServerError) -> None:
        said = f"{version} is registered, and was not put into traffic: {cause}"
        if cause.code == "signature-incompatible":
            said += ". push(…, deploy=True, force=True) does so all the same"
        super().__init__(said, cause.status, cause.problem)
        self.version = version


ROW_COLUMNS = ["row", "why", "batch", "output", "expected", "got", "distance"]

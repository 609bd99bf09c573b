"""What `tenon.check` answers: steps, columns, the comparison and the findings, as tables for people and as JSON."""

from __future__ import annotations

import html
import io
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tenon.diagnose import Cause
from tenon.errors import ROW_COLUMNS, ExportError, Finding
from tenon.golden import Size

SHOWN = 8
"""Differing rows that are shown; `.rows` has all."""
WIDTH = 120
"""Characters of a line where there is no terminal."""
_COLOURS = {"refused": "red", "warning": "yellow", "converted": "yellow", "lowered": "green", "kept": "green"}


@dataclass(frozen=True)
class Step:
    """One step of the pipeline: lowered, converted, refused, or unknown where something before it stopped us."""

    where: str
    kind: str
    status: str
    detail: str = ""


@dataclass(frozen=True)
class Column:
    """One column of the training frame: its dtype, the type in a request, and whether it is kept as it is.

    `converted`: values arrive as numbers or text of another type, with the same answers. `unused`: the pipeline never
    reads it, so that requests may leave it out, or hold anything there.
    """

    name: str
    dtype: str
    status: str
    type: str = ""
    detail: str = ""
    range: str = ""
    """The numbers that a request may hold, such as `at least 0.0`; "" for all."""


@dataclass(repr=False)
class Check:
    """Everything that `tenon.export` would say, found without writing a bundle.

    `findings` are what is refused and what is warned of, in order; `ok` is whether an export would be written.
    `compared` counts rows, each compared alone and with others, and `golden` what a server would compare of them.
    `distances` has the largest distance by output, and `rows` a line for each value that differs, as
    `ExportError.rows`.
    """

    steps: list[Step] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    compared: int = 0
    golden: Size = field(default_factory=Size)
    distances: dict[str, float] = field(default_factory=dict)
    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=ROW_COLUMNS))
    causes: Sequence[Cause] = ()
    """What the differences probably are, as `ExportError.causes`."""

    @property
    def ok(self) -> bool:
        """Whether an export would be written; warnings do not prevent it."""
        return not self.refused

    @property
    def refused(self) -> list[Finding]:
        """The findings that prevent an export."""
        return [f for f in self.findings if f.level == "refused"]

    @property
    def warnings(self) -> list[Finding]:
        """The findings that do not."""
        return [f for f in self.findings if f.level == "warning"]

    def raise_refused(self) -> None:
        """ExportError with every sentence, if anything is refused."""
        if self.refused:
            said = "\n".join(map(str, self.refused))
            raise ExportError(said, rows=self.rows, findings=self.refused, causes=self.causes)

    def summary(self) -> str:
        """The outcome in a sentence."""
        if not self.ok:
            return f"An export would be refused, for {_count(len(self.refused), 'reason')}."
        found = _count(len(self.warnings), "warning")
        compared = f"{_count(self.compared, 'row')} compared, alone and in batches"
        return f"An export would be written: {compared}, none differs, {found}. A server will compare {self.golden}."

    def to_json(self) -> dict[str, Any]:
        """The same for programs, of JSON's own types; a distance that does not exist is null."""
        distances = {k: v if math.isfinite(v) else None for k, v in self.distances.items()}
        rows = [{k: _plain(v) for k, v in r.items()} for r in self.rows.to_dict("records")]
        return {
            "ok": self.ok,
            "summary": self.summary(),
            "steps": [asdict(s) for s in self.steps],
            "columns": [asdict(c) for c in self.columns],
            "compared": self.compared,
            "golden": asdict(self.golden),
            "distances": distances,
            "rows": rows,
            "causes": [asdict(c) for c in self.causes],
            "findings": [asdict(f) for f in self.findings],
        }

    def __repr__(self) -> str:
        """Tables: with colours where a terminal reads them, plain otherwise."""
        terminal = sys.stdout.isatty()
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=None if terminal else WIDTH)
        for title, head, rows in self._tables():
            table = Table(*head, title=title, title_justify="left", box=None, pad_edge=False)
            for row in rows:
                table.add_row(*(Text(cell, _COLOURS.get(cell, "")) for cell in row))
            console.print(table)
            console.print()
        console.print(Text(self.summary()))
        return out.getvalue()

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """What a notebook shows; all text is escaped, because it comes from data."""
        parts = [f"<p><strong>{html.escape(self.summary())}</strong></p>"]
        for title, head, rows in self._tables():
            top = "".join(f"<th>{html.escape(h)}</th>" for h in head)
            body = "".join(
                "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows
            )
            parts.append(
                f"<h4>{html.escape(title)}</h4><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
            )
        return f"<div>{''.join(parts)}</div>"

    def _tables(self) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
        """Title, head and cells of each table that has rows."""
        tables: list[tuple[str, Sequence[str], list[list[str]]]] = [
            (
                "Steps",
                ("step", "kind", "outcome", "why"),
                [[s.where, s.kind, s.status, s.detail] for s in self.steps],
            ),
            (
                "Columns",
                ("column", "dtype", "outcome", "in requests", "why"),
                [
                    [c.name, c.dtype, c.status, f"{c.type}, {c.range}" if c.range else c.type, c.detail]
                    for c in self.columns
                ],
            ),
            (
                "Compared",
                ("output", "largest distance"),
                [[k, f"{v:.3g}"] for k, v in self.distances.items()],
            ),
            (
                "Rows that differ",
                ROW_COLUMNS,
                [[str(v) for v in r] for r in self.rows.head(SHOWN).values.tolist()],
            ),
            (
                "Findings",
                ("level", "where", "what is wrong", "what to do"),
                [[f.level, f.where, f.detail, f.remedy] for f in self.findings],
            ),
        ]
        for table in tables:
            if table[2]:
                yield table


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number or 'no'} {noun}s"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)

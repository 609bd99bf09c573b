"""An examination's report for people: as text under an error's sentence, and as HTML in a notebook.

The report comes from a server that may be newer or older than the kit: whatever is absent is left out.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from tenon import plots

COLUMNS = ["request", "row", "why", "output", "expected", "got", "distance", "allowed", "detail", "input"]
"""Of a row in a report's `worst`."""

SHOWN = 8
"""Rows in the text: enough to see a pattern, and still a screenful. `.rows` has all."""
_CELL = 32
_INPUT = 160
_NONE = 1e308
"""From here on a distance stands for one that does not exist, such as between two labels."""
_OUTPUTS = ("output", "tolerance", "rows beyond it", "largest distance", "allowed there")
_WORST = ("request", "row", "why", "output", "expected", "got", "distance")


def worst(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that a report lists, worst first."""
    return _objects(report, "worst")


def as_text(report: dict[str, Any]) -> str:
    """What it probably is, outputs and the worst rows, each with its input below; "" for a report without them."""
    rows, lines = worst(report), _causes(report)
    if outputs := _objects(report, "outputs"):
        lines += [*([""] if lines else []), *_table(_OUTPUTS, [_output(o, report) for o in outputs])]
    if rows:
        cells = [[_clip(c, _CELL) for c in _worst(r)] for r in rows[:SHOWN]]
        head, *shown = _table(_WORST, cells)
        lines += ["", head] if lines else [head]
        for line, row in zip(shown, rows, strict=False):
            lines.append(line)
            lines += [f"    {_clip(said, _INPUT)}" for said in _below(row)]
    if len(rows) > SHOWN:
        lines.append(f"and {len(rows) - SHOWN} more in .rows")
    return "\n".join(lines)


def summary(report: dict[str, Any]) -> str:
    """The report in a sentence."""
    return str(report.get("summary") or "")


class Report(dict[str, Any]):
    """An examination's report: the server's JSON as a dict, which a notebook shows with its plots.

    `print` shows the summary, the outputs and the worst rows. Its members are those of docs/api.md.
    """

    def __str__(self) -> str:
        return "\n\n".join(filter(None, [summary(self), as_text(self)]))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        verdict = "✓ the server answers as the pipeline did" if self.get("passed") else "✗ the answers differ"
        if self.get("passed") and self.get("loosened"):
            verdict = f"✓ within a loosened tolerance: {html.escape(str(self['loosened']))}"
        return f"<div><p><strong>{verdict}</strong> {html.escape(summary(self))}</p>{_html(self)}</div>"


def as_html(sentence: str, report: dict[str, Any]) -> str:
    """The same as tables and plots; all text is escaped, because inputs come from data."""
    return f"<div><p><strong>ParityError</strong> {html.escape(sentence)}</p>{_html(report)}</div>"


def _html(report: dict[str, Any]) -> str:
    parts = [_html_list("What it probably is", [_cause(c) for c in _objects(report, "causes")])]
    parts.append(_html_list("Not as it was at export", _sentences(report)))
    if outputs := _objects(report, "outputs"):
        parts.append(_html_table(_OUTPUTS, [_output(o, report) for o in outputs]))
    for title, drawn in (
        ("Expected against got", plots.outputs(report)),
        ("Distance by input column", plots.columns(report)),
    ):
        parts.append(f"<p><strong>{title}</strong></p>{drawn}" if drawn else "")
    if rows := worst(report):
        cells = [[*_worst(r), "\n".join(_below(r))] for r in rows]
        parts.append(_html_table((*_WORST, "input"), cells))
    return "".join(parts)


def _cause(cause: dict[str, Any]) -> str:
    said = str(cause.get("detail", ""))
    return f"{said} ({cause.get('explains', '?')} of {cause['of']} rows)" if cause.get("of") else said


def _sentences(report: dict[str, Any]) -> list[str]:
    notes = report.get("notes")
    return [n for n in notes if isinstance(n, str)] if isinstance(notes, list) else []


def _html_list(title: str, sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{html.escape(s)}</li>" for s in sentences)
    return f"<p><strong>{title}</strong></p><ul>{items}</ul>"


def _causes(report: dict[str, Any]) -> list[str]:
    """The sentences on what it probably is, best first."""
    return [str(c["detail"]) for c in _objects(report, "causes") if c.get("detail")]


def _output(output: dict[str, Any], report: dict[str, Any]) -> list[str]:
    rule = output.get("tolerance")
    rule = rule if isinstance(rule, dict) else {}
    compared = not rule.get("exact") and rule.get("agreement") is None
    share = output.get("agreement")
    agrees = f"{100 * share:.4g} % agree" if share is not None and _is_number(share) else ""
    failed = f"{output.get('failed', '?')} of {report.get('rows', '?')}"
    return [
        str(output.get("name", "")),
        _rule(rule),
        "" if agrees and not output.get("failed") else failed,
        _distance(output.get("worst")) if compared else agrees,
        _distance(output.get("allowed")) if compared else "",
    ]


def _rule(rule: dict[str, Any]) -> str:
    if rule.get("exact"):
        return "equal"
    for name in ("agreement", "cosine"):
        if rule.get(name) is not None:
            return (
                f"agreement ≥ {100 * rule[name]:g} %" if name == "agreement" else f"cosine ≥ {rule[name]:g}"
            )
    return f"rel {rule.get('rel', 0):g}, abs {rule.get('abs', 0):g}"


def _worst(row: dict[str, Any]) -> list[str]:
    """One row's cells. Of probabilities and of lists, the number that the distance is of stands for all."""
    output, expected, got = str(row.get("output", "")), row.get("expected"), row.get("got")
    if (key := _meant(row)) is not None:
        output += f".{key}" if isinstance(key, str) else f"[{key}]"
        expected, got = row["expected"][key], row["got"][key]
    said = [str(row.get(name, "")) for name in ("request", "row", "why")]
    return [*said, output, _json(expected), _json(got), _distance(row.get("distance"))]


def _meant(row: dict[str, Any]) -> Any:
    """The key or position in two objects or flat lists where the row's distance is; None for anything else."""
    expected, got, distance = row.get("expected"), row.get("got"), row.get("distance")
    if isinstance(expected, dict) and isinstance(got, dict):
        pairs = {k: (v, got.get(k)) for k, v in expected.items()}
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        pairs = dict(enumerate(zip(expected, got, strict=True)))
    else:
        return None
    apart = {k: abs(a - b) for k, (a, b) in pairs.items() if _is_number(a) and _is_number(b)}
    if not apart or len(apart) < len(pairs) or not _is_number(distance):
        return None
    return min(apart, key=lambda k: abs(apart[k] - distance))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _below(row: dict[str, Any]) -> list[str]:
    """What is too long for a column: the words where there is no answer, and the input."""
    said = [str(row["detail"])] if row.get("detail") and not row.get("output") else []
    return said + ([f"input {_json(row['input'])}"] if row.get("input") is not None else [])


def _distance(value: Any) -> str:
    if not _is_number(value) or not math.isfinite(value) or abs(value) >= _NONE:
        return "-"
    return f"{value:.3g}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _clip(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _objects(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = report.get(name)
    return [o for o in found if isinstance(o, dict)] if isinstance(found, list) else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of columns, each as wide as its widest cell."""
    lines = [head, *rows]
    widths = [max(len(line[j]) for line in lines) for j in range(len(head))]
    return ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]


def _html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"

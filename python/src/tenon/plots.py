"""A report's plots for a notebook: small SVGs that need no library, no script and nothing from elsewhere.

Text takes the notebook's own colour, so that both light and dark ones can be read. The data come from a server that
may be newer or older than the kit: what is absent or odd is left out.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from typing import Any

ON, OFF = "#3b82c4", "#d6453d"
"""Within tolerance, and beyond it."""

SHOWN_COLUMNS = 6
SHOWN_OUTPUTS = 6
_SIDE, _LEFT, _EDGE, _HEAD, _FOOT = 240, 44, 10, 18, 30
_WIDTH, _STRIP = 260, 44
_FONT = 'font-family="system-ui, sans-serif" font-size="10"'


def outputs(report: dict[str, Any]) -> str:
    """Expected against got, for each output that has a plot: points, or a table of labels."""
    drawn = []
    for output in _objects(report.get("outputs"))[:SHOWN_OUTPUTS]:
        plot = output.get("plot")
        if isinstance(plot, dict):
            drawn.append(_labels(output, plot) or _scatter(output, plot))
    return _side_by_side([d for d in drawn if d])


def columns(report: dict[str, Any]) -> str:
    """By the values of the input columns that tell most: the share of rows beyond tolerance, and the distance."""
    listed = [(c, bins) for c in _objects(report.get("columns")) if (bins := _objects(c.get("bins")))]
    most = max((_number(b.get("mean")) for _, bins in listed for b in bins), default=0.0)
    failing = _number(report.get("failed_rows")) > 0
    if not failing and most <= 0:
        return ""  # nothing is apart
    return _side_by_side([_bars(c, bins, failing, most) for c, bins in listed[:SHOWN_COLUMNS]])


def _side_by_side(drawn: Sequence[str]) -> str:
    style = "display:flex;flex-wrap:wrap;gap:8px 20px;align-items:flex-start"
    return f'<div style="{style}">{"".join(drawn)}</div>' if drawn else ""


def _scatter(output: dict[str, Any], plot: dict[str, Any]) -> str:
    """What came against what was expected; right answers lie on the diagonal."""
    points = [
        p for p in _objects(plot.get("points")) if _is_number(p.get("expected")) and _is_number(p.get("got"))
    ]
    if not points:
        return ""
    low, high = _range([float(p[k]) for p in points for k in ("expected", "got")])
    inner = _SIDE - _LEFT - _EDGE

    def across(value: float) -> float:
        return round(_LEFT + inner * (min(max(value, low), high) - low) / (high - low), 1)

    def up(value: float) -> float:
        return round(_SIDE - _FOOT - (across(value) - _LEFT) * (_SIDE - _FOOT - _HEAD) / inner, 1)

    marks = []
    for p in sorted(points, key=lambda p: bool(p.get("failed"))):
        colour, size = (OFF, 3) if p.get("failed") else (ON, 2.5)
        marks.append(
            f'<circle cx="{across(p["expected"])}" cy="{up(p["got"])}" r="{size}" fill="{colour}" fill-opacity="0.6">'
            f"<title>{_escaped(_tip(p))}</title></circle>"
        )
    name = str(output.get("name", ""))
    failed = sum(bool(p.get("failed")) for p in points)
    rule = output.get("tolerance")
    apart = (
        "of rows that do not agree" if isinstance(rule, dict) and "agreement" in rule else "beyond tolerance"
    )
    described = f"{len(points)} points, {failed} {apart}; right answers lie on the diagonal."
    frame = (
        f'<path d="M{_LEFT} {_HEAD}V{_SIDE - _FOOT}H{_SIDE - _EDGE}" '
        'fill="none" stroke="currentColor" stroke-opacity="0.5"/>'
        f'<line x1="{across(low)}" y1="{up(low)}" x2="{across(high)}" y2="{up(high)}" '
        'stroke="currentColor" stroke-opacity="0.4" stroke-dasharray="4 3"/>'
    )
    words = [
        (_LEFT, _SIDE - _FOOT + 12, "start", _shown(low)),
        (_SIDE - _EDGE, _SIDE - _FOOT + 12, "end", _shown(high)),
        (_LEFT - 4, _SIDE - _FOOT, "end", _shown(low)),
        (_LEFT - 4, _HEAD + 4, "end", _shown(high)),
        ((_LEFT + _SIDE - _EDGE) / 2, _SIDE - 5, "middle", "expected →"),
        (_LEFT - 4, _HEAD - 8, "start", "↑ got"),
    ]
    body = frame + "".join(_text(*w) for w in words) + "".join(marks)
    return _figure(name, _svg(f"Expected against got: {name}", described, _SIDE, _SIDE, body))


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The values to show. Where most lie together and a few far off, those few stand at the edge."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    inner, outer = ordered[len(ordered) // 20], ordered[-1 - len(ordered) // 20]
    width = outer - inner
    if 0 < width < (high - low) / 20:
        low, high = max(low, inner - width / 2), min(high, outer + width / 2)
    pad = 0.04 * (high - low) or max(abs(low) * 0.1, 1e-3)
    return low - pad, high + pad


def _tip(point: dict[str, Any]) -> str:
    of = str(point.get("of", "")).removeprefix(".")
    said = f"expected {point['expected']:.6g}, got {point['got']:.6g}, {_number(point.get('distance')):.3g} apart"
    return f"{of}: {said}" if of else said


def _labels(output: dict[str, Any], plot: dict[str, Any]) -> str:
    """A table of counts by expected label (down) and the one that came (across)."""
    table = plot.get("labels")
    names = table.get("labels") if isinstance(table, dict) else None
    counts = table.get("counts") if isinstance(table, dict) else None
    if not isinstance(names, list) or not isinstance(counts, list) or not names:
        return ""
    most = max((_number(n) for row in counts if isinstance(row, list) for n in row), default=0.0) or 1.0
    head = "".join(f'<th scope="col">{_escaped(_plain(n))}</th>' for n in names)
    rows = []
    for i, (name, row) in enumerate(zip(names, counts, strict=False)):
        cells = [_cell(_number(n), i == j, most) for j, n in enumerate(row if isinstance(row, list) else [])]
        rows.append(f'<tr><th scope="row">{_escaped(_plain(name))}</th>{"".join(cells)}</tr>')
    body = (
        f'<thead><tr><th scope="col">expected ↓ got →</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
    )
    return _figure(str(output.get("name", "")), f'<table class="labels">{body}</table>')


def _cell(count: float, right: bool, most: float) -> str:
    rgb = "59,130,196" if right else "214,69,61"
    shade = f' style="background:rgba({rgb},{0.1 + 0.4 * math.sqrt(count / most):.2f})"' if count > 0 else ""
    return f"<td{shade}>{count:g}</td>"


def _bars(column: dict[str, Any], bins: Sequence[dict[str, Any]], failing: bool, most: float) -> str:
    """One column: a bar for each range of values or category, all equally wide."""
    step = _WIDTH / max(len(bins), 8)
    strips = [("beyond tolerance", OFF, 1.0)] if failing else []
    strips += [("mean distance", ON, most)] if most > 0 else []
    drawn, y = [], 0.0
    for name, colour, whole in strips:
        base = y + 14 + _STRIP
        top = "100 %" if colour == OFF else _shown(whole)
        drawn += [_text(0, y + 10, "start", name), _text(_WIDTH, y + 10, "end", top)]
        drawn.append(
            f'<line x1="0" x2="{_WIDTH}" y1="{base}" y2="{base}" stroke="currentColor" stroke-opacity="0.5"/>'
        )
        for i, b in enumerate(bins):
            value = (
                _number(b.get("failed")) / max(_number(b.get("rows")), 1)
                if colour == OFF
                else _number(b.get("mean"))
            )
            height = round(max(_STRIP * min(value / whole, 1), 1.5), 1) if value > 0 else 0
            place = f'x="{i * step + 1:.1f}" y="{base - height:.1f}" width="{step - 2:.1f}" height="{height}"'
            drawn.append(f'<rect {place} fill="{colour}"><title>{_escaped(_bin_tip(b))}</title></rect>')
        y = base + 4
    drawn += _ends(bins, step, y + 10)
    name = str(column.get("name", ""))
    return _figure(
        name, _svg(f"By the values of {name}", _summed(bins), _WIDTH, round(y + 16), "".join(drawn))
    )


def _ends(bins: Sequence[dict[str, Any]], step: float, y: float) -> list[str]:
    """Names below the bars: of the first, of the last that has a value, and of missing ones."""
    missing = [i for i, b in enumerate(bins) if _is_missing(b)]
    valued = [i for i in range(len(bins)) if i not in missing]
    words = [_text((i + 0.5) * step, y, "middle", "∅") for i in missing]
    if valued:
        first, last = _ends_of(bins[valued[0]])[0], _ends_of(bins[valued[-1]])[1]
        words.append(_text(valued[0] * step, y, "start", _clip(first)))
        if len(valued) > 1:
            words.append(_text((valued[-1] + 1) * step, y, "end", _clip(last)))
    return words


def _ends_of(b: dict[str, Any]) -> tuple[str, str]:
    if _is_number(b.get("from")) and _is_number(b.get("to")):
        return _shown(b["from"]), _shown(b["to"])
    return _value(b), _value(b)


def _is_missing(b: dict[str, Any]) -> bool:
    return "from" not in b and b.get("value") is None


def _value(b: dict[str, Any]) -> str:
    if _is_number(b.get("from")) and _is_number(b.get("to")):
        low, high = _shown(b["from"]), _shown(b["to"])
        return low if low == high else f"{low} to {high}"
    if _is_missing(b):
        return "missing"
    if b.get("others"):
        return f"{b['others']} others"
    return b["value"] if isinstance(b["value"], str) else json.dumps(b["value"])


def _bin_tip(b: dict[str, Any]) -> str:
    rows = f"{_number(b.get('failed')):g} of {_number(b.get('rows')):g} rows beyond tolerance"
    return f"{_value(b)}: {rows}, mean distance {_shown(_number(b.get('mean')))}"


def _summed(bins: Sequence[dict[str, Any]]) -> str:
    """What the bars show, for those who do not see them."""
    worst = max(
        bins,
        key=lambda b: (_number(b.get("failed")) / max(_number(b.get("rows")), 1), _number(b.get("mean"))),
    )
    return f"Furthest off at {_bin_tip(worst)}."


def _figure(name: str, inner: str) -> str:
    caption = f'<figcaption style="font-family:monospace">{_escaped(name)}</figcaption>'
    return f'<figure style="margin:0">{caption}{inner}</figure>'


def _svg(title: str, described: str, width: float, height: float, body: str) -> str:
    return (
        f'<svg role="img" aria-label="{_escaped(f"{title}. {described}")}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><title>{_escaped(title)}</title><desc>{_escaped(described)}</desc>{body}</svg>'
    )


def _text(x: float, y: float, anchor: str, words: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor" {_FONT}>{_escaped(words)}</text>'


def _plain(label: Any) -> str:
    """A label of a table, which is JSON text, as people write it."""
    try:
        value = json.loads(label)
    except (TypeError, ValueError):
        return str(label)
    return value if isinstance(value, str) else str(label)


def _shown(value: float) -> str:
    return f"{value:.4g}" if value else "0"


def _clip(text: str, most: int = 20) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _escaped(text: str) -> str:
    return html.escape(text)


def _objects(found: Any) -> list[dict[str, Any]]:
    return [o for o in found if isinstance(o, dict)] if isinstance(found, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else 0.0

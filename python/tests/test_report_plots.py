"""A report in a notebook: its plots, from what a server says and from what it might say one day."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from tenon import plots
from tenon.report import Report

HOSTILE = '</title><script>alert("1")</script>'


def report(**changed: Any) -> Report:
    points = [{"expected": i / 10, "got": i / 10, "distance": 0} for i in range(10)]
    points.append({"expected": 0.5, "got": 0.9, "distance": 0.4, "failed": True, "of": f".{HOSTILE}"})
    bins = [
        {"from": 1, "to": 2.5, "rows": 8, "failed": 0, "mean": 0, "worst": 0},
        {"from": 3, "to": 3, "rows": 2, "failed": 1, "mean": 0.2, "worst": 0.4},
        {"value": None, "rows": 1, "failed": 1, "mean": 0.1, "worst": 0.1},
    ]
    said = {
        "passed": False,
        "summary": "2 of 11 rows are not it.",
        "rows": 11,
        "failed_rows": 2,
        "outputs": [
            {
                "name": "label",
                "tolerance": {"exact": True},
                "failed": 1,
                "plot": {"labels": {"labels": ['"a"', f'"{HOSTILE}"'], "counts": [[7, 1], [0, 3]]}},
            },
            {
                "name": f"p{HOSTILE}",
                "tolerance": {"rel": 1e-9, "abs": 1e-12},
                "failed": 1,
                "plot": {"points": points, "agree": 10, "agree_of": 10, "differ_of": 1},
            },
        ],
        "columns": [
            {"name": f"x{HOSTILE}", "type": "float64", "bins": bins},
            {
                "name": "c",
                "type": "string",
                "bins": [{"value": HOSTILE, "rows": 11, "failed": 2, "mean": 0.1}],
            },
        ],
        "causes": [{"code": "swapped", "detail": f"They look swapped. {HOSTILE}", "explains": 2, "of": 2}],
        "notes": [f"Another runtime. {HOSTILE}"],
        "worst": [],
    }
    return Report(said | changed)


def drawings(markup: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", markup, re.DOTALL)]


def test_a_notebook_shows_all_of_it() -> None:
    markup = report()._repr_html_()
    for words in (
        "✗ the answers differ",
        "2 of 11 rows are not it.",
        "They look swapped.",
        "(2 of 2 rows)",
        "Another runtime.",
        "Expected against got",
        "Distance by input column",
        "3: 1 of 2 rows beyond tolerance, mean distance 0.2",
        "missing: 1 of 1 rows",
        "∅",
    ):
        assert words in markup
    assert "<script" not in markup
    assert len(drawings(markup)) == 3
    assert "✓ the server answers as the pipeline did" in report(passed=True)._repr_html_()
    loosened = report(passed=True, loosened="agreement ≥ <99> %")._repr_html_()
    assert "✓ within a loosened tolerance: agreement ≥ &lt;99&gt; %" in loosened
    assert "as the pipeline did" not in loosened


def test_what_agrees_as_a_whole_is_beyond_no_tolerance() -> None:
    points = [{"expected": 0.6, "got": 0.4, "distance": 0.2, "failed": True}]
    output = {"name": "p", "tolerance": {"agreement": 0.99}, "agreement": 0.995, "failed": 0, "worst": 0}
    said = report(passed=True, failed_rows=0, outputs=[output | {"plot": {"points": points}}], columns=[])
    assert "1 of rows that do not agree" in said._repr_html_()
    assert "99.5 % agree" in said._repr_html_()
    assert "beyond tolerance" not in said._repr_html_()


def test_every_drawing_says_what_it_shows_and_stays_inside() -> None:
    for drawing in drawings(report()._repr_html_()):
        assert drawing.attrib["role"] == "img"
        assert drawing.findtext("title")
        assert drawing.findtext("desc")
        width, height = float(drawing.attrib["width"]), float(drawing.attrib["height"])
        for element in drawing.iter():
            for name, most in (("cx", width), ("x", width), ("cy", height), ("y", height)):
                assert 0 <= float(element.attrib.get(name, 0)) <= most, (element.tag, element.attrib)


def test_points_lie_where_their_values_are() -> None:
    scatter = drawings(report()._repr_html_())[0]
    circles = scatter.findall("circle")
    assert len(circles) == 11
    on, off = circles[:10], circles[10]
    assert off.attrib["fill"] == plots.OFF
    assert {c.attrib["fill"] for c in on} == {plots.ON}
    across = [float(c.attrib["cx"]) for c in on]
    up = [float(c.attrib["cy"]) for c in on]
    assert across == sorted(across)
    assert up == sorted(up, reverse=True)
    assert float(off.attrib["cx"]) == across[5]
    assert float(off.attrib["cy"]) == up[9]


def test_nothing_is_drawn_where_nothing_is_apart() -> None:
    bins = [{"from": 1, "to": 2, "rows": 11, "failed": 0, "mean": 0}]
    equal = report(passed=True, failed_rows=0, columns=[{"name": "x", "bins": bins}])
    assert plots.columns(equal) == ""
    assert "Distance by input column" not in equal._repr_html_()


def test_a_table_of_labels() -> None:
    markup = plots.outputs(report())
    assert ">7<" in markup
    assert ">1<" in markup
    assert '<th scope="row">a</th>' in markup


def test_a_few_extreme_values_stand_at_the_edge() -> None:
    points = [{"expected": i, "got": i} for i in range(100)] + [{"expected": 1e300, "got": 1e300}]
    scatter = drawings(plots.outputs({"outputs": [{"name": "y", "plot": {"points": points}}]}))[0]
    across = [float(c.attrib["cx"]) for c in scatter.findall("circle")]
    assert across[99] - across[0] > 100
    assert max(across) <= float(scatter.attrib["width"])


def test_it_is_a_dict_and_prints() -> None:
    said = report()
    assert said["rows"] == 11
    assert isinstance(said, dict)
    assert str(said).startswith("2 of 11 rows are not it.\n\nThey look swapped.")
    assert str(Report()) == ""


ODD: list[Any] = [None, 3, "x", [], {}, [None], [3], [{}], [{"plot": 3}], [{"bins": 3}], math.nan]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_what_is_odd_is_left_out(odd: Any) -> None:
    for name in ("outputs", "columns", "causes", "notes", "worst", "summary", "failed_rows"):
        assert report(**{name: odd})._repr_html_()
    for plot in ({"points": odd}, {"labels": odd}, {"labels": {"labels": odd, "counts": odd}}, odd):
        assert report(outputs=[{"name": "y", "plot": plot}])._repr_html_()
    assert report(
        columns=[{"name": "x", "bins": [{"from": odd, "to": odd, "value": odd, "rows": odd}]}]
    )._repr_html_()


def test_no_report_is_no_page() -> None:
    assert Report()._repr_html_().count("<p>") == 1

"""ParityError for people: what was compared, and the worst rows, as text and in a notebook."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import tenon
from tenon.http import refused

NONE = 1.7976931348623157e308


def row(**changed: Any) -> dict[str, Any]:
    return {
        "request": "g00003",
        "row": 21,
        "why": "hold-out",
        "output": "probabilities",
        "expected": {"Adelie": 0.25, "Gentoo": 0.75},
        "got": {"Adelie": 0.5, "Gentoo": 0.5},
        "distance": 0.25,
        "allowed": 1e-12,
        "detail": ".Adelie: expected 0.25, got 0.5",
        "input": {"sex": "male", "bill_length_mm": None},
        **changed,
    }


def error(*rows: dict[str, Any], summary: str = "2 of 263 rows are not it.") -> tenon.ParityError:
    outputs = [
        {"name": "label", "tolerance": {"exact": True}, "failed": 2, "worst": 0, "allowed": 0},
        {
            "name": "probabilities",
            "tolerance": {"rel": 1e-9, "abs": 1e-12},
            "failed": 1,
            "worst": 0.25,
            "allowed": 3e-9,
        },
        {"name": "top", "tolerance": {"agreement": 0.99}, "failed": 0, "worst": 0, "allowed": 0},
    ]
    report = {"summary": summary, "rows": 263, "outputs": outputs, "worst": list(rows)}
    problem = {
        "code": "parity-failed",
        "detail": "The answers differ.",
        "report": report,
        "errors": [{"path": "request g00003", "detail": "differs"}],
    }
    refusal = refused(422, problem)
    assert isinstance(refusal, tenon.ParityError)
    return refusal


def test_what_it_probably_is_comes_first() -> None:
    refusal = error(row())
    detail = (
        'Columns "a" and "b" look swapped: with them exchanged, 58 of 60 rows answer as the pipeline did.'
    )
    refusal.problem["report"]["causes"] = [
        {"code": "columns-swapped", "detail": detail},
        {"code": "of-a-newer-server"},
        7,
    ]
    lines = str(refusal).splitlines()
    assert lines[lines.index(detail) - 1] == ""
    assert lines[lines.index(detail) + 1] == ""
    assert lines[lines.index(detail) + 2].startswith("output ")
    refusal.problem["report"]["causes"] = "none"
    assert detail not in str(refusal)


def test_the_text() -> None:
    said = str(
        error(
            row(output="label", expected="Gentoo", got="Adelie", distance=NONE),
            row(
                expected={"Adelie": 0.25, "Gentoo": 0.75}, got={"Adelie": 0.26, "Gentoo": 0.5}, distance=0.01
            ),
            row(output="", expected=None, got=None, distance=NONE, detail="the server refused the request"),
        )
    )
    assert said.splitlines() == [
        "parity-failed (422): The answers differ. 2 of 263 rows are not it.",
        "",
        "output         tolerance             rows beyond it  largest distance  allowed there",
        "label          equal                 2 of 263",
        "probabilities  rel 1e-09, abs 1e-12  1 of 263        0.25              3e-09",
        "top            agreement ≥ 99 %      0 of 263",
        "",
        "request  row  why       output                expected  got       distance",
        'g00003   21   hold-out  label                 "Gentoo"  "Adelie"  -',
        '    input {"sex": "male", "bill_length_mm": null}',
        "g00003   21   hold-out  probabilities.Adelie  0.25      0.26      0.01",
        '    input {"sex": "male", "bill_length_mm": null}',
        "g00003   21   hold-out                        null      null      -",
        "    the server refused the request",
        '    input {"sex": "male", "bill_length_mm": null}',
    ]


def test_the_summary_is_not_said_twice() -> None:
    assert "differ. The" not in str(error(summary="The answers differ."))


def test_long_values_are_cut_and_many_rows_counted() -> None:
    failed = error(*[row(input={"x": [0.5] * 10_000}) for _ in range(20)])
    assert max(map(len, str(failed).splitlines())) < 200
    assert str(failed).endswith("and 12 more in .rows")
    assert len(failed.rows) == 20


def test_lists() -> None:
    said = str(error(row(output="vector", expected=[1.0, 2.0], got=[1.0, 2.5], distance=0.5)))
    assert "vector[1]  2.0       2.5  0.5" in said
    said = str(error(row(output="vector", expected=[1.0, 2.0], got=[1.0], distance=NONE)))
    assert "vector  [1.0, 2.0]  [1.0]  -" in said


def test_the_rows_as_a_frame() -> None:
    rows = error(row(), row(row=22)).rows
    assert list(rows.columns)[:7] == ["request", "row", "why", "output", "expected", "got", "distance"]
    assert rows["row"].tolist() == [21, 22]
    assert rows["input"][0] == {"sex": "male", "bill_length_mm": None}


def test_a_notebook_shows_tables_and_no_markup_of_the_data() -> None:
    html = error(row(input={"name": "<script>alert(1)</script>"}), *[row()] * 12)._repr_html_()
    assert html.count("<table>") == 2
    assert html.count("<tr>") == 1 + 3 + 1 + 13
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "probabilities.Adelie" in html


@pytest.mark.parametrize(
    "report", [None, "no report", {}, {"worst": None, "outputs": 3}, {"worst": [1], "summary": 5}]
)
def test_reports_of_another_kind(report: Any) -> None:
    failed = refused(422, {"code": "parity-failed", "detail": "4 rows differ", "report": report})
    assert str(failed).startswith("parity-failed (422): 4 rows differ")
    assert isinstance(failed, tenon.ParityError)
    assert failed._repr_html_()
    assert failed.rows.empty


def test_it_survives_pickling() -> None:
    """As a process pool does with exceptions."""
    failed = error(row())
    again = pickle.loads(pickle.dumps(failed))
    assert str(again) == str(failed)
    assert again.report == failed.report

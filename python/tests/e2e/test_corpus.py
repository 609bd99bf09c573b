"""The corpus over HTTP: every kind of pipeline is exported, proven by the server, and asked for rows it has not seen.

The truth is asked of the pipeline itself, by scikit-learn's own methods, and compared as the bundle's signature says.
In CI up to 300 rows of each, alone and together; with TENON_LONG=1 more than 100,000 rows in all.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import CORPUS
from examples import Case
from forms import columns_of, flat
from serving import LONG, Served

import tenon
from reader import Reader

ROWS = 1500 if LONG else 150
"""Held out, and sent twice: as golden rows in the examination, and by this test."""
SIZES = (1, 2, 7, 50, 200)


@pytest.mark.parametrize("name", CORPUS)
def test_served_answers_are_the_pipelines(name: str, server: Served, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a small model has not converged is no matter here
        case = CORPUS[name](ROWS)
    bundle = tenon.export(case.pipeline, case.train, name=name, holdout=case.hold, path=tmp_path / "m.tenon")
    version = tenon.push(bundle, server=server.url, deploy=True)
    assert version.parity == "proven"
    report, read = version.report, Reader(bundle.path)
    assert report["failed_rows"] == 0
    assert report["why"]["hold-out"] >= len(case.hold)
    lowered = not any("Converted" in line for line in read.files["README.md"].decode().splitlines())
    assert lowered, f"{name} went through the converter"
    truth = said_by(case, read.signature["outputs"])
    asked = list(cut(len(case.hold)))
    rows = 0
    for number, (start, stop) in enumerate(asked):
        columns = columns_of(case.hold[start:stop])
        if number % 2:
            got = server.predict(name, {"inputs": columns})["outputs"]
        else:
            body = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            got = together(server.predict(name, {"instances": body})["predictions"])
        rows += compare(read.signature["outputs"], flat(got), truth, slice(start, stop))
    assert rows == len(case.hold)
    print(f"{name}: {report['rows']} golden rows and {rows} more")


def cut(rows: int) -> Iterator[tuple[int, int]]:
    """Bodies of 1, 2, 7 … rows in turn, until all rows are sent."""
    sizes, start = itertools.cycle(SIZES), 0
    while start < rows:
        stop = min(start + next(sizes), rows)
        yield start, stop
        start = stop


def said_by(case: Case, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """The pipeline's own answers, by the flat names of the served ones."""
    model, hold = case.pipeline, case.hold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = np.asarray(model.predict(hold))
        columns = predicted.reshape(len(hold), -1)
        if hasattr(model, "score_samples") and hasattr(model, "offset_"):
            return {"outlier": columns[:, 0] == -1, "score": model.decision_function(hold)}
        flags = [o["name"] for o in outputs if o["name"].startswith("probability_")]
        plain = [o for o in outputs if o["kind"] != "probabilities" and o["name"] not in flags]
        assert len(plain) == columns.shape[1]
        truth = {o["name"]: columns[:, j] for j, o in enumerate(plain)}
        if flags:
            proba = model.predict_proba(hold)
            set_ = np.column_stack([p[:, 1] for p in proba]) if isinstance(proba, list) else proba
            return truth | {name: set_[:, j] for j, name in enumerate(flags)}
        shown = [o for o in outputs if o["kind"] == "probabilities"]
        if not shown:
            return truth
        proba = model.predict_proba(hold)
        for output, values in zip(shown, proba if isinstance(proba, list) else [proba], strict=True):
            keys = [c if isinstance(c, str) else json.dumps(c) for c in output["classes"]]
            truth |= {f"{output['name']}.{k}": values[:, j] for j, k in enumerate(keys)}
    return truth


def together(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows form as columns."""
    first = rows[0]
    return {
        k: together([r[k] for r in rows]) if isinstance(v, dict) else [r[k] for r in rows]
        for k, v in first.items()
    }


def compare(
    outputs: list[dict[str, Any]], got: dict[str, list[Any]], truth: dict[str, Any], rows: slice
) -> int:
    """Labels equal in value and type, numbers within the signature's tolerance of all the truth's scale."""
    assert set(got) == set(truth)
    for output in outputs:
        names = [n for n in truth if n == output["name"] or n.startswith(output["name"] + ".")]
        assert names
        scale = max(np.abs(truth[n]).max() for n in names) if "tolerance" in output else 0
        for name in names:
            expected = truth[name][rows]
            if "tolerance" not in output:
                kind = {"string": str, "bool": bool, "int64": int, "float64": float}[output["type"]]
                assert got[name] == [kind(v) for v in expected]
                assert {type(v) for v in got[name]} == {kind}
                continue
            rule = output["tolerance"]
            limit = rule["abs"] * (scale or 1) + rule["rel"] * np.abs(expected.astype(np.float64))
            distance = np.abs(np.array(got[name], dtype=np.float64) - expected)
            assert (distance <= limit).all(), (name, distance.max())
    return rows.stop - rows.start

"""What it costs: the time of an examination, and memory that comes back. Held to a limit with TENON_LONG=1."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import pytest
from examples import Case, exported
from serving import LONG, Served
from sklearn.datasets import make_regression
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tenon

EXAMINATION_SECONDS = 2.0
"""For 1,000 rows of a forest on two cores, from the upload to the verdict, start of the child included."""
CYCLES = 100 if LONG else 30
BACK_WITHIN = 20e6
"""Bytes of resident memory."""


def forest() -> Case:
    X, y = make_regression(3000, 10, noise=5, random_state=0)
    model = make_pipeline(
        StandardScaler(), RandomForestRegressor(100, min_samples_leaf=3, n_jobs=2, random_state=0)
    )
    return Case(model.fit(X[:2000], y[:2000]), X[:2000], X[2000:])


def test_an_examination_of_a_thousand_rows_of_a_forest(server: Served, tmp_path: Path) -> None:
    bundle = exported(forest(), "forest", tmp_path / "forest.tenon")
    # Each push is to a model of its own, since the same bundle again would not be examined.
    seconds, inside = [], []
    for attempt in range(3):
        bundle = exported(forest(), f"forest-{attempt}", tmp_path / f"{attempt}.tenon")
        begun = time.monotonic()
        version = tenon.push(bundle, server=server.url)
        seconds.append(time.monotonic() - begun)
        assert version.parity == "proven"
        assert version.report["rows"] >= 1000
        assert version.report["why"]["hold-out"] >= 1000
        inside.append(version.report["seconds"])
    rows, size = version.report["rows"], bundle.path.stat().st_size / 1e6
    print(
        f"push of a forest of {size:.1f} MB, {rows} rows compared: {', '.join(f'{s:.2f} s' for s in seconds)}, "
        f"of which the replay {statistics.median(inside):.2f} s"
    )
    if LONG:
        assert statistics.median(seconds) <= EXAMINATION_SECONDS


def resident(server: Served) -> float:
    """The server's resident memory in bytes."""
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("resident memory is read from /proc, which this system has not")
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status.read_text(), flags=re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024.0


def test_memory_comes_back(server: Served, tmp_path: Path) -> None:
    """Three versions in turn: the one before stays loaded, so each deployment loads one and unloads another."""
    if not Path("/proc/self/status").exists():
        pytest.skip("resident memory is read from /proc, which this system has not")
    case = forest()
    for n in range(3):
        tenon.push(exported(case, "cycled", tmp_path / f"{n}.tenon"), server=server.url)
    for n in range(6):
        server.deploy("cycled", n % 3 + 1)
    before, begun = resident(server), time.monotonic()
    for n in range(CYCLES):
        server.deploy("cycled", n % 3 + 1)
    after, seconds = resident(server), time.monotonic() - begun
    loaded = [v["version"] for v in server.get("/v1/models/cycled/versions")["versions"] if v["loaded"]]
    assert len(loaded) == 2, "the one in traffic and the one before"
    print(
        f"{CYCLES} loads and unloads in {seconds:.1f} s: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after"
    )
    assert after - before <= BACK_WITHIN

"""What it costs: the time of an examination, and memory that comes back. Held to a limit with TENON_LONG=1."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import pytest
from examples import Case, exported
from processes import children, descriptors, gone, needs_proc, resident
from serving import LONG, Served
from sklearn.datasets import make_regression
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tenon

EXAMINATION_SECONDS = 2.0
"""For 1,000 rows of a forest on two cores, from the upload to the verdict, start of the child included."""
CYCLES = 1_000 if LONG else 100
BACK_WITHIN = 20e6
"""Bytes of resident memory, of the server and its processes together."""
WARM = 200
RISE = 1e6
"""Bytes for every 100 cycles, by the line through what is measured after so many: the long form."""


def forest(trees: int = 100) -> Case:
    X, y = make_regression(3000, 10, noise=5, random_state=0)
    model = make_pipeline(
        StandardScaler(), RandomForestRegressor(trees, min_samples_leaf=3, n_jobs=2, random_state=0)
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


@pytest.fixture(scope="module")
def cycled(server: Served, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with three versions."""
    folder, case = tmp_path_factory.mktemp("cycled"), forest(20)
    case.hold = case.hold[:100]  # rows make no difference to what is loaded
    for n in range(3):
        tenon.push(exported(case, "cycled", folder / f"{n}.tenon"), server=server.url)
    return "cycled"


@pytest.mark.parametrize(("isolation", "processes"), [("shared", 0), ("process", 2)])
def test_memory_comes_back(server: Served, cycled: str, isolation: str, processes: int) -> None:
    """Three versions in turn: the one before stays loaded, so each deployment loads one and unloads another."""
    needs_proc()
    pid = server.process.pid

    def cycle(n: int) -> float:
        server.deploy(cycled, n % 3 + 1, isolation)
        return resident(pid) + sum(resident(child) for child in children(pid))

    for n in range(6):
        before = cycle(n)
    started, open_before = children(pid), descriptors(pid)
    assert len(started) == processes, "one for each version that is loaded"
    begun = time.monotonic()
    used = [cycle(n) for n in range(CYCLES)]
    seconds = time.monotonic() - begun
    gone(started)  # others have taken their places
    assert len(children(pid)) == processes
    loaded = [v["version"] for v in server.get(f"/v1/models/{cycled}/versions")["versions"] if v["loaded"]]
    assert len(loaded) == 2, "the one in traffic and the one before"
    rise = np.polyfit(np.arange(WARM, CYCLES), used[WARM:], 1)[0] * 100 if CYCLES > WARM else None
    print(
        f"{isolation}: {CYCLES} loads and unloads in {seconds:.1f} s: {before / 1e6:.1f} MB before, "
        f"{used[-1] / 1e6:.1f} MB after"
        + (f", {rise / 1e6:+.2f} MB for every 100 after {WARM}" if rise is not None else "")
        + f"; {open_before} descriptors before, {descriptors(pid)} after"
    )
    assert descriptors(pid) <= open_before + 2, "the connections of clients come and go, nothing else"
    if rise is None:
        assert used[-1] - before <= BACK_WITHIN
    else:
        assert rise <= RISE

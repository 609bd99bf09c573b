"""Bundles of torch and Keras modules, made by testdata/bundles/networks.py, proven by a server without either."""

from __future__ import annotations

import pytest
from serving import ROOT, Served

import tenon

BUNDLES = sorted((ROOT / "testdata" / "bundles").glob("*-*.tenon"))


def test_they_are_there() -> None:
    assert {b.stem for b in BUNDLES} >= {"torch-iris", "keras-cells"}
    assert all(b.stat().st_size < 60_000 for b in BUNDLES)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda b: b.stem)
def test_a_network_is_proven(bundle, server: Served) -> None:  # type: ignore[no-untyped-def]
    version = tenon.push(bundle, server=server.url, deploy=True)
    assert version.parity == "proven"
    assert version.report["failed_rows"] == 0
    assert {"hold-out", "zero", "extreme"} <= set(version.report["why"])
    for output in version.report["outputs"]:
        rule = output["tolerance"]
        assert rule.get("exact") or rule["abs"] == 1e-5

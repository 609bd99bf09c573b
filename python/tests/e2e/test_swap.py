"""Deployments and rollbacks under load: no request fails, and each answer is that of the version it names."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter

import httpx
import numpy as np
import pytest
from examples import COLUMNS, exported, line
from serving import Served

import tenon

CLIENTS = 16
CHANGES = 50
AT_LEAST = 5
"""Answers of the new version that clients must have seen before the next change."""
SECONDS = 40


class Load:
    """Clients that predict until they are told to stop, and hold every answer to the truth."""

    def __init__(self, server: Served, truth: dict[int, np.ndarray], rows: np.ndarray) -> None:
        self.answered: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._server, self._truth, self._rows = server, truth, rows
        self._stop, self._seen = threading.Event(), threading.Condition()
        self._threads = [threading.Thread(target=self._client, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, version: int, more: int) -> None:
        """Until the version has answered so often again, or something is wrong."""
        with self._seen:
            goal = self.answered[version] + more
            assert self._seen.wait_for(lambda: self.wrong or self.answered[version] >= goal, SECONDS)

    def _client(self, number: int) -> None:
        with httpx.Client(base_url=self._server.url, timeout=30) as http:
            for turn in itertools.count(number):
                if self._stop.is_set():
                    return
                # One row, then three: those of the many must be of one version, too.
                rows = (turn + np.arange(1 if turn % 2 else 3)) % len(self._rows)
                fault, version = self._asked(http, rows)
                with self._seen:
                    self.answered[version] += 1
                    if fault:
                        self.wrong.append(fault)
                    self._seen.notify_all()

    def _asked(self, http: httpx.Client, rows: np.ndarray) -> tuple[str, int]:
        body = {"instances": [dict(zip(COLUMNS, self._rows[i], strict=True)) for i in rows]}
        try:
            answer = http.post("/v1/models/line/predict", json=body)
        except httpx.HTTPError as e:
            return f"no answer: {e!r}", 0
        if answer.status_code != 200:
            return f"{answer.status_code}: {answer.text[:300]}", 0
        said = answer.json()
        version = said["version"]
        got = [p["prediction"] for p in said["predictions"]]
        if answer.headers["Tenon-Version"] != str(version) or not np.allclose(
            got, self._truth[version][rows], rtol=1e-9, atol=1e-9
        ):
            return f"{version} ({answer.headers['Tenon-Version']}) said {got} of {rows}", version
        return "", version


@pytest.fixture(scope="module")
def truth(server: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[int, np.ndarray]:
    """Two versions that differ by 1,000 on every row, and what each says."""
    folder, truth = tmp_path_factory.mktemp("swap"), {}
    for offset in (0.0, 1000.0):
        case = line(offset)
        version = tenon.push(exported(case, "line", folder / f"{offset}.tenon"), server=server.url)
        assert version.parity == "proven"
        truth[version.number] = case.pipeline.predict(case.hold)
    assert set(truth) == {1, 2}
    assert np.abs(truth[1] - truth[2]).min() > 999
    return truth


def test_fifty_deployments_and_rollbacks_under_load(server: Served, truth: dict[int, np.ndarray]) -> None:
    live = 2
    server.deploy("line", 1)
    server.deploy("line", live)
    begun = time.monotonic()
    with Load(server, truth, line(0).hold.to_numpy()) as load:
        load.wait_for(live, CLIENTS)
        for change in range(CHANGES):
            live = 3 - live
            if change % 2:
                answer = server.http.post("/v1/models/line/rollback", json={"reason": "tried under load"})
                assert answer.status_code == 201, answer.text
                assert answer.json()["stable"] == live
            else:
                server.deploy("line", live)
            load.wait_for(live, AT_LEAST)
            assert not load.wrong, load.wrong[:3]
    seconds = time.monotonic() - begun
    assert load.wrong == []
    assert seconds < SECONDS
    assert server.get("/v1/models/line")["stable"] == live
    print(
        f"{CHANGES} changes, {sum(load.answered.values())} requests of {CLIENTS} clients in {seconds:.1f} s"
    )


def test_the_versions_say_what_they_said_before(server: Served, truth: dict[int, np.ndarray]) -> None:
    for version, expected in truth.items():
        answer = server.http.post(
            f"/v1/models/line/versions/{version}/predict", json={"inputs": line(0).hold.to_dict("list")}
        )
        assert np.allclose(answer.json()["outputs"]["prediction"], expected, rtol=1e-9, atol=1e-9)

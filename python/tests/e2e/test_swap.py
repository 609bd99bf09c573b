"""Changes of what is live, under load: no request fails, and each answer is that of the version that it names."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from examples import exported, line
from load import Connection, Load, questions, told
from serving import LONG, Served
from serving import tenon as tenon_command

import tenon

CHANGES = 10_000 if LONG else 100
AT_LEAST = 5
"""Answers of the new version that clients must have seen before the next change."""
ENDLESS = {"min_time": "24h", "max_disagreement": 1.0, "max_latency_ratio": 1000.0}
"""The limits of a canary that differs on every row, and stays for as long as it is let."""
ENGINES = {
    "shared": (["shared"], CHANGES),
    "process": (["process"], CHANGES),
    "both in turn": (["shared", "process"], CHANGES // 4),
}
"""The isolations of the deployments, and how many changes."""


@pytest.fixture(scope="module")
def truth(server: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[int, np.ndarray]:
    """Three versions that differ by 1,000 on every row, and what each says."""
    folder, truth = tmp_path_factory.mktemp("swap"), {}
    for offset in (0.0, 1000.0, 2000.0):
        case = line(offset)
        version = tenon.push(exported(case, "line", folder / f"{offset}.tenon"), server=server.url)
        assert version.parity == "proven"
        truth[version.number] = case.pipeline.predict(case.hold)
    assert set(truth) == {1, 2, 3}
    assert min(np.abs(truth[1] - truth[2]).min(), np.abs(truth[2] - truth[3]).min()) > 999
    return truth


class Operator:
    """Somebody who changes what is live, one thing after the other, and says so to the load."""

    def __init__(self, server: Served, load: Load, isolations: list[str]) -> None:
        self.live, self.before, self.champion = 1, 3, 1
        self.changes: Counter[str] = Counter()
        self._may_answer = {self.live}
        self._http, self._load, self._isolations = Connection(server.url), load, isolations

    @property
    def _isolation(self) -> str:
        return self._isolations[self.changes.total() % len(self._isolations)]

    @property
    def _third(self) -> int:
        return 6 - self.live - self.before

    def _post(self, action: str, body: dict[str, object]) -> dict[str, object]:
        return told(self._http.ask("POST", f"/v1/models/line/{action}", json.dumps(body).encode()), 201)

    def _swap(self, version: int, action: str, body: dict[str, object]) -> None:
        self._load.expect("line", *self._may_answer, version)
        assert self._post(action, body)["stable"] == version
        self._load.expect("line", version)
        self._may_answer = {version}
        if version != self.live:
            self.live, self.before = version, self.live
        self._load.wait_for("line", version, AT_LEAST)

    def deploy(self) -> None:
        """The version that is neither live nor the one before, so that it is loaded for this, unless it is on trial."""
        third = self._third
        self._swap(third, "deployments", {"stable": third, "isolation": self._isolation})

    def rollback(self) -> None:
        self._swap(self.before, "rollback", {"reason": "tried under load"})

    def canary(self) -> None:
        """The third version is on trial: half of the answers, and neither limits nor time end it."""
        body = {"stable": self.live, "canary": {"version": self._third, "steps": [50]}, "limits": ENDLESS}
        self._may_answer |= {self._third}
        self._load.expect("line", *self._may_answer)
        assert self._post("deployments", {**body, "isolation": self._isolation})["stable"] == self.live
        self._load.wait_for("line", self._third, AT_LEAST)
        self._load.wait_for("line", self.live, AT_LEAST)

    def end_canary(self) -> None:
        self._swap(self.live, "rollback", {"reason": "not convincing"})

    def shadow(self) -> None:
        """The third version is sent copies, which no caller may notice."""
        body = {"stable": self.live, "shadow": self._third, "isolation": self._isolation}
        self._swap(self.live, "deployments", body)

    def move(self) -> None:
        """The version that is live gets a session of its own, or the other engine."""
        self._swap(self.live, "deployments", {"stable": self.live, "isolation": self._isolation})

    def alias(self) -> None:
        version = self.champion % 3 + 1
        self._load.expect("line@champion", self.champion, version)
        body = json.dumps({"version": version, "expected": self.champion}).encode()
        told(self._http.ask("PUT", "/v1/models/line/aliases/champion", body), 200)
        self._load.expect("line@champion", version)
        self.champion = version
        self._load.wait_for("line@champion", version, AT_LEAST)

    def do(self, change: Callable[[Operator], None]) -> None:
        change(self)
        self.changes[change.__name__] += 1


KINDS: list[Callable[[Operator], None]] = [
    Operator.deploy,
    Operator.rollback,
    Operator.alias,
    Operator.deploy,
    Operator.move,
    Operator.rollback,
    Operator.canary,
    Operator.end_canary,
    Operator.shadow,
    Operator.canary,
    Operator.deploy,
]
"""What is done in turn; another kind of change is another entry."""


@pytest.mark.parametrize("engine", ENGINES)
def test_changes_under_load(server: Served, truth: dict[int, np.ndarray], engine: str) -> None:
    isolations, changes = ENGINES[engine]
    for version in (3, 1):
        body = {"stable": version, "isolation": isolations[0]}
        assert server.http.post("/v1/models/line/deployments", json=body).status_code == 201
    assert server.http.put("/v1/models/line/aliases/champion", json={"version": 1}).status_code == 200
    begun = time.monotonic()
    asked = questions(line(0).hold.to_numpy(), truth)
    with Load([server.url], asked, {"line": 1, "line@champion": 1}) as load:
        load.wait_for("line", 1, AT_LEAST)
        operator = Operator(server, load, isolations)
        for number in range(changes):
            operator.do(KINDS[number % len(KINDS)])
            if number % 1000 == 999:
                print(f"{engine}: {number + 1} changes in {time.monotonic() - begun:.0f} s", flush=True)
    seconds = time.monotonic() - begun
    assert load.wrong == []
    assert server.get("/v1/models/line")["stable"] == operator.live
    print(
        f"{engine}: {dict(operator.changes)}, {load.requests} requests in {seconds:.1f} s, 0 failed, 0 mixed"
    )


def test_the_versions_say_what_they_said_before(server: Served, truth: dict[int, np.ndarray]) -> None:
    loaded = [v["version"] for v in server.get("/v1/models/line/versions")["versions"] if v["loaded"]]
    assert len(loaded) >= 2
    for version in loaded:
        answer = server.http.post(
            f"/v1/models/line/versions/{version}/predict", json={"inputs": line(0).hold.to_dict("list")}
        )
        assert np.allclose(answer.json()["outputs"]["prediction"], truth[version], rtol=1e-9, atol=1e-9)


def test_where_a_version_runs_is_shown(server: Served, truth: dict[int, np.ndarray]) -> None:
    assert set(truth) == {1, 2, 3}
    for isolation in ("process", "shared"):
        server.deploy("line", 1, isolation)
        shown = tenon_command("show", "line/1", server=server)
        assert f"\nisolation: {isolation} (the deployment says so)\n" in shown.stdout, shown
    server.deploy("line", 1)
    shown = tenon_command("show", "line/1", server=server)
    assert "\nisolation: shared (" in shown.stdout, shown

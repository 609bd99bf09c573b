"""Several servers on one registry folder: each follows what is done through the others, and none needs another."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples import exported, line
from load import Connection, Load, Question, questions, told
from serving import LONG, Served, running

import tenon

TIMES = 100 if LONG else 5
COMPETITIONS = 100 if LONG else 20
WITHIN = 2.0
"""Seconds until a change that was made through one server is live on all, and until one that was away has caught up."""
CUT_OFF, KILLED = "cut off", "killed"


@dataclass
class Cluster:
    """Two servers through which things are changed, and one that never changes anything itself."""

    first: Served
    second: Served
    watching: Served
    registry: Path
    folder: Path
    truth: dict[int, np.ndarray]

    @property
    def asked(self) -> list[Question]:
        return questions(line(0).hold.to_numpy(), self.truth)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder, truth = tmp_path_factory.mktemp("servers"), {}
    registry = folder / "registry"
    with contextlib.ExitStack() as stack:
        servers = []
        for name in ("first", "second", "watching"):
            (folder / name).mkdir()
            servers.append(stack.enter_context(running(folder / name, registry)))
        for number in (1, 2, 3):
            case = line(1000.0 * number)
            through = servers[number % 2]
            version = tenon.push(exported(case, "line", folder / f"{number}.tenon"), server=through.url)
            assert version.number == number, "numbers go on, whichever server is asked"
            truth[number] = case.pipeline.predict(case.hold)
        servers[0].deploy("line", 1)
        yield Cluster(servers[0], servers[1], servers[2], registry, folder, truth)


def answers(server: Served, ref: str = "line") -> int:
    """The version that answers there now; 0 where there is none yet."""
    body = {"instances": [dict.fromkeys("abc", 1.0)]}
    answer = server.http.post(f"/v1/models/{ref}/predict", json=body, timeout=10)
    return answer.json()["version"] if answer.status_code == 200 else 0


def placed(server: Served, version: int) -> str:
    return server.get(f"/v1/models/line/versions/{version}")["isolation"]


def current(server: Served) -> dict[str, Any]:
    """The deployment that is in force, as the log has it."""
    return server.get("/v1/models/line/deployments")["deployments"][0]


def seconds_until(value: object, read: Callable[[], object]) -> float:
    """How long it takes until this is read, which must not be longer than is promised."""
    begun = time.monotonic()
    while (read_now := read()) != value:
        assert time.monotonic() - begun <= WITHIN, f"{read_now} and not {value} within {WITHIN} s"
        time.sleep(0.02)  # what is waited for happens in another process
    return time.monotonic() - begun


def test_a_change_through_one_is_live_on_all(cluster: Cluster) -> None:
    slowest: dict[str, float] = dict.fromkeys(("deployment", "move", "alias"), 0.0)

    def follow(change: str, other: Served, read: Callable[[Served], object], value: object) -> None:
        for server in (other, cluster.watching):
            slowest[change] = max(slowest[change], seconds_until(value, partial(read, server)))

    for number in range(TIMES):
        through, other = (cluster.first, cluster.second)[:: 1 - 2 * (number % 2)]
        version, second = number % 3 + 1, (number + 1) % 3 + 1
        here, there = ("process", "shared")[:: 1 - 2 * (number % 2)]
        through.deploy("line", version, here)
        assert answers(through) == version
        follow("deployment", other, answers, version)
        through.deploy("line", version, there)
        follow("move", other, partial(placed, version=version), there)
        put = through.http.put("/v1/models/line/aliases/next", json={"version": second})
        assert put.status_code == 200, put.text
        follow("alias", other, partial(answers, ref="line@next"), second)
    print(
        f"{TIMES} times; live on all within, at worst: "
        + ", ".join(f"{k} {v:.2f} s" for k, v in slowest.items())
    )


class Changing(threading.Thread):
    """Deploys one version after the other through a server, until it is told to stop or the server is gone."""

    def __init__(self, server: Served) -> None:
        super().__init__(daemon=True)
        self.made, self.asking = 0, False
        self._server, self._stop_now = server, threading.Event()

    def run(self) -> None:
        connection = Connection(self._server.url)
        with contextlib.suppress(OSError, http.client.HTTPException):  # killed
            for number in itertools.count():
                if self._stop_now.is_set():
                    return
                self.asking = True
                body = json.dumps({"stable": number % 3 + 1}).encode()
                told(connection.ask("POST", "/v1/models/line/deployments", body), 201)
                self.made, self.asking = self.made + 1, False

    def stop(self) -> None:
        self._stop_now.set()
        self.join(30)
        assert not self.is_alive()


@pytest.mark.parametrize("how", [CUT_OFF, KILLED])
def test_one_is_away_and_the_other_goes_on(cluster: Cluster, how: str) -> None:
    chance, slowest, requests, inside = random.Random(0), 0.0, 0, 0
    with contextlib.ExitStack() as stack:
        folder = cluster.folder / how
        folder.mkdir()
        away = stack.enter_context(running(folder, cluster.registry))
        for _ in range(TIMES):
            changing = Changing(away)
            changing.start()
            time.sleep(chance.uniform(0.05, 0.3))  # any moment will do
            away.process.send_signal(signal.SIGSTOP if how == CUT_OFF else signal.SIGKILL)
            inside += changing.asking
            if how == KILLED:
                away.process.wait(30)
                changing.stop()
            requests += goes_on(cluster.second, cluster)
            if how == KILLED:
                away = stack.enter_context(running(folder, cluster.registry))
                slowest = max(slowest, away.ready_seconds)
                assert answers(away) == current(away)["stable"]
            else:
                away.process.send_signal(signal.SIGCONT)
                back = time.monotonic()
                changing.stop()
                seconds_until(True, partial(is_level, away, cluster.second))
                slowest = max(slowest, time.monotonic() - back)
            seconds_until(True, partial(is_level, cluster.second, cluster.watching))
            assert slowest <= WITHIN
    print(
        f"{how} {TIMES} times, {inside} inside a deployment: {requests} requests to the other, 0 failed; "
        f"caught up within {slowest:.2f} s at worst"
    )
    assert inside >= TIMES // 3


def goes_on(server: Served, cluster: Cluster) -> int:
    """Asks under constant load while versions change through the server; the number of requests."""
    server.deploy("line", 1)
    with Load([server.url], cluster.asked, {"line": 1}, clients=4) as load:
        before = 1
        for version in (2, 3):
            load.expect("line", before, version)
            server.deploy("line", version)
            load.expect("line", version)
            load.wait_for("line", version, 20)
            before = version
    assert load.wrong == []
    return load.requests


def is_level(one: Served, other: Served) -> bool:
    """Whether both say and do what the log's last deployment says."""
    newest = max(current(server)["deployment"] for server in (one, other))
    return all(
        current(server)["deployment"] == newest and answers(server) == current(server)["stable"]
        for server in (one, other)
    )


def test_competing_deployments_have_one_winner(cluster: Cluster) -> None:
    connections = [Connection(server.url) for server in (cluster.first, cluster.second)]
    won = [0, 0]
    for number in range(COMPETITIONS):
        expected = current(cluster.first)["deployment"]
        start, said = threading.Barrier(2), [(0, b""), (0, b"")]

        def compete(who: int, start: threading.Barrier, said: list[tuple[int, bytes]], body: bytes) -> None:
            start.wait(10)
            status, _, answer = connections[who].ask("POST", "/v1/models/line/deployments", body)
            said[who] = status, answer

        threads = []
        for who in range(2):
            version = (number + who) % 3 + 1
            body = json.dumps({"stable": version, "expected": expected, "reason": f"by {who}"}).encode()
            threads.append(threading.Thread(target=compete, args=(who, start, said, body)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(status for status, _ in said) == [201, 409], said
        winner = 0 if said[0][0] == 201 else 1
        made, refused = json.loads(said[winner][1]), json.loads(said[1 - winner][1])
        won[winner] += 1
        assert refused["code"] == "stale-expected"
        assert f"is number {made['deployment']} (stable: version {made['stable']}" in refused["detail"]
        assert (
            current(cluster.first)["deployment"]
            == current(cluster.second)["deployment"]
            == made["deployment"]
        )
    print(f"{COMPETITIONS} competitions: {won[0]} won through one server, {won[1]} through the other")

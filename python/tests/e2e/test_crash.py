"""What was acknowledged is there after `kill -9`, and after a power cut."""

from __future__ import annotations

import http.client
import json
import random
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from disk import Disk
from load import Connection
from processes import children, gone, needs_proc
from serving import BINARY, LONG, ROOT
from serving import tenon as tenon_command
from sklearn.linear_model import LinearRegression

import tenon

KILLS = 500 if LONG else 50
CUTS = 60 if LONG else 10
PHASES = ("push", "canary", "deploy", "rollback")
RESTART_SECONDS = 2.0
"""From the start of the process until it is ready and the model answers."""
AIMED = 4
"""Every fourth end inside a push waits for the moment between blob and record, every fourth inside a change for that
between record and answer; the others come at any moment."""


def model(folder: Path, number: int) -> tenon.Bundle:
    """A version whose every answer says which one it is: 1000 * number + x."""
    X = pd.DataFrame({"x": np.arange(40.0)})
    pipeline = LinearRegression().fit(X, X["x"] + 1000.0 * number)
    return tenon.export(pipeline, X, name="line", path=folder / f"line-{number}.tenon")


class Machine:
    """A server that is started, and ends without warning, again and again on one registry."""

    def __init__(self, folder: Path, registry: Path) -> None:
        self.registry = registry
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self._log = (folder / "log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Starts, and returns the seconds until it was ready."""
        began = time.monotonic()
        line = [BINARY, "serve", "--registry", self.registry, "--listen", self.address]
        self._process = subprocess.Popen(line, stdout=self._log, stderr=self._log, cwd=ROOT)
        while time.monotonic() - began < 30:
            try:
                if Connection(self.url).ask("GET", "/readyz")[0] == 200:
                    return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.005)  # not listening yet, or loading; there is nothing else to wait on
        raise AssertionError("not ready in 30 s")

    def end(self) -> None:
        """At this very moment. The processes that it started must follow."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # looking for them takes longer than a rollback
        started = children(self._process.pid)
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        gone(started)

    def recover(self) -> None:
        """Whatever has to happen before the next start."""

    def close(self) -> None:
        """Leaves nothing behind, also where a test ended early."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._log.close()


class Unplugged(Machine):
    """The same on a disk whose power goes first, so that nothing is written that had not been."""

    def __init__(self, folder: Path) -> None:
        self._disk = Disk(folder)
        super().__init__(folder, self._disk.at / "registry")

    def end(self) -> None:
        self._disk.cut()
        super().end()

    def recover(self) -> None:
        self._disk.unmount()
        self._disk.mount()

    def close(self) -> None:
        super().close()
        self._disk.unmount()


class Ledger:
    """What a server has acknowledged."""

    def __init__(self) -> None:
        self.versions: dict[int, str] = {}
        self.deployments: dict[int, dict[str, Any]] = {}
        self.seconds: dict[str, list[float]] = {phase: [] for phase in PHASES}

    @property
    def live(self) -> int:
        """The stable version of the last deployment; 0 where there is none."""
        return self.deployments[max(self.deployments)]["stable"] if self.deployments else 0

    def check(self, http: httpx.Client) -> None:
        """All of it is there, and the newest deployment answers."""
        listed = {v["version"]: v["digest"] for v in http.get("/v1/models/line/versions").json()["versions"]}
        for number, digest in self.versions.items():
            assert listed.get(number) == digest, f"version {number} was acknowledged and is lost"
        assert sorted(listed) == list(range(1, len(listed) + 1)), "a number is missing or stands twice"
        deployments = http.get("/v1/models/line/deployments").json()["deployments"]
        recorded = {d["deployment"]: d for d in deployments}
        for number, said in self.deployments.items():
            assert recorded.get(number) == said, f"deployment {number} was acknowledged and is lost"
        ready = http.get("/readyz").json()["models"]
        assert [m["state"] for m in ready if m["model"] == "line"] == ["live"], ready
        answer = http.post("/v1/models/line/predict", json={"instances": [{"x": 1.0}]})
        assert answer.status_code == 200, answer.text
        now = deployments[0]
        assert answer.json()["version"] in {now["stable"], now.get("canary", now).get("version")}
        assert now["deployment"] == max(recorded)


class Actor(threading.Thread):
    """A push, its canary, its deployment, a rollback. The server's death ends it; the ledger has what was answered."""

    def __init__(self, machine: Machine, bundle: tenon.Bundle, ledger: Ledger, isolation: str) -> None:
        super().__init__()
        self.doing = ""
        """What was asked and not answered."""
        self._machine, self._bundle, self._ledger, self._isolation = machine, bundle, ledger, isolation

    def run(self) -> None:
        connection = Connection(self._machine.url)
        try:
            self._push(connection)
            version = max(self._ledger.versions)
            if live := self._ledger.live:
                trial = {"version": version, "steps": [10, 50]}
                body = {"stable": live, "canary": trial, "isolation": self._isolation}
                self._change("canary", connection, body)
            self._change("deploy", connection, {"stable": version, "isolation": self._isolation})
            self._change("rollback", connection, {})
        except (tenon.ServerError, OSError, http.client.HTTPException):
            pass  # ended in the middle; what was not acknowledged may be there or not
        finally:
            connection.close()

    def _push(self, connection: Connection) -> None:
        began = self._begin("push")
        status, _, body = connection.ask(
            "POST", "/v1/models/line/versions?wait=30s", self._bundle.path.read_bytes(), "application/x-tar"
        )
        self._stop_unless(status == 201)
        said = json.loads(body)
        self._ledger.versions[said["version"]] = said["digest"]
        self._finish(began)

    def _change(self, phase: str, connection: Connection, body: dict[str, Any]) -> None:
        began = self._begin(phase)
        path = "/v1/models/line/" + ("rollback" if phase == "rollback" else "deployments")
        status, _, answer = connection.ask("POST", path, json.dumps(body).encode())
        self._stop_unless(status == 201)
        said = json.loads(answer)
        self._ledger.deployments[said["deployment"]] = said
        self._finish(began)

    def _stop_unless(self, done: bool) -> None:
        if not done:
            raise ConnectionError("not acknowledged")

    def _begin(self, phase: str) -> float:
        self.doing = phase
        return time.perf_counter()

    def _finish(self, began: float) -> None:
        self._ledger.seconds[self.doing].append(time.perf_counter() - began)
        self.doing = ""

    def wait_inside(self, phase: str, chance: random.Random) -> None:
        """Until some moment of the phase, or the end of all."""
        while self.is_alive() and self.doing != phase:
            pass  # a rollback takes a millisecond or two, so that sleeping would miss it
        until = time.perf_counter() + chance.uniform(0, statistics.median(self._ledger.seconds[phase]))
        while self.is_alive() and self.doing == phase and time.perf_counter() < until:
            pass

    def wait_for(self, file: Path) -> None:
        """Until the file is there, or the thread ends."""
        while self.is_alive() and not file.exists():
            pass  # what is waited for follows within a millisecond or two

    def is_recorded(self) -> bool:
        """Whether the log on the disk names the bundle."""
        log = self._machine.registry / "models" / "line" / "log"
        return any(self._bundle.digest in record.read_text() for record in log.glob("*.json"))

    @property
    def blob(self) -> Path:
        """The bundle's manifest, which is the last thing before the record."""
        digest = self._bundle.digest.removeprefix("sha256:")
        return self._machine.registry / "blobs" / "sha256" / digest[:2] / digest


class Trial:
    """A machine that ends at random moments, and what came of it."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.inside: Counter[str] = Counter()
        """Ends while something was asked and not acknowledged, by what it was."""
        self.kept: Counter[str] = Counter()
        """Those of them whose record was there afterwards."""
        self.between = 0
        """Ends between the blob and the record of a push."""
        self.slowest = 0.0
        self._machine, self._folder, self._ledger = machine, folder, Ledger()
        self._chance = random.Random(0)
        self._restart()
        for number in (-2, -1, 0):  # so that there is one to roll back to, and a measure of each phase
            Actor(machine, model(folder, number), self._ledger, "shared").run()
        assert len(self._ledger.deployments) == 7, "all but the first canary and the first rollback"

    def _restart(self) -> None:
        seconds = self._machine.start()
        self.slowest = max(self.slowest, seconds)

    def once(self, number: int) -> None:
        phase = PHASES[number % len(PHASES)]
        isolation = "process" if number % 2 else "shared"
        actor = Actor(self._machine, model(self._folder, number + 1), self._ledger, isolation)
        before = self._records()
        actor.start()
        if number // len(PHASES) % AIMED:
            actor.wait_inside(phase, self._chance)
        elif phase == "push":
            actor.wait_for(actor.blob)
        else:
            actor.wait_for(self._record(before + 1 + PHASES.index(phase)))
        self._machine.end()
        actor.join()
        self._machine.recover()
        if actor.doing:
            self.inside[actor.doing] += 1
            self.kept[actor.doing] += self._records() > before + PHASES.index(actor.doing)
        self.between += actor.blob.exists() and not actor.is_recorded()
        self._verify()
        self._restart()
        with httpx.Client(base_url=self._machine.url, timeout=30) as http:
            self._ledger.check(http)

    def _record(self, number: int) -> Path:
        return self._machine.registry / "models" / "line" / "log" / f"{number:020}.json"

    def _records(self) -> int:
        return len(list(self._record(0).parent.glob("0*.json")))

    def _verify(self) -> None:
        verified = tenon_command("verify", "--registry", self._machine.registry)
        assert verified.returncode == 0, verified.stdout + verified.stderr

    def report(self, what: str, many: int) -> None:
        self._machine.end()
        self._machine.recover()
        self._verify()
        print(
            f"{many} {what}: inside {dict(self.inside)}, of which the record was there {dict(self.kept)}; "
            f"{self.between} between blob and record; {len(self._ledger.versions)} versions and "
            f"{len(self._ledger.deployments)} deployments acknowledged, 0 lost, 0 torn; "
            f"ready in {self.slowest:.2f} s at worst"
        )
        for phase in PHASES:
            assert self.inside[phase] >= many // len(PHASES) // 2, f"too few inside a {phase}"
        assert self.slowest <= RESTART_SECONDS


def test_killed_at_any_moment_loses_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    needs_proc()
    machine = Machine(tmp_path, tmp_path / "registry")
    request.addfinalizer(machine.close)
    trial = Trial(machine, tmp_path)
    for number in range(KILLS):
        trial.once(number)
    trial.report("kills", KILLS)
    aimed = KILLS // len(PHASES) // AIMED
    assert trial.between >= aimed // 2, "too few between blob and record"
    assert trial.kept.total() >= aimed, "too few between record and answer"


def test_without_power_at_any_moment_loses_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The control, which leaves out the folder's fsync and loses, is beside the registry."""
    machine = Unplugged(tmp_path)
    request.addfinalizer(machine.close)
    trial = Trial(machine, tmp_path)
    for number in range(CUTS):
        trial.once(number)
    trial.report("power cuts", CUTS)

"""What was acknowledged is there after `kill -9`."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from serving import BINARY, ROOT
from sklearn.linear_model import LinearRegression

import tenon

KILLS = int(os.environ.get("TENON_KILLS", "50"))
AIMED = 4
"""Every fourth kill waits for the moment between blob and record; the others come at any moment."""


def model(folder: Path, number: int, name: str = "line") -> tenon.Bundle:
    """A version whose every answer says which one it is: 1000 * number + x."""
    X = pd.DataFrame({"x": np.arange(40.0)})
    pipeline = LinearRegression().fit(X, X["x"] + 1000.0 * number)
    return tenon.export(pipeline, X, name=name, path=folder / f"{name}-{number}.tenon")


class Killed:
    """A server that is started and killed again and again on one registry."""

    def __init__(self, folder: Path) -> None:
        self.registry = folder / "registry"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self.log = (folder / "log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Starts, and returns the seconds until it was ready."""
        began = time.monotonic()
        command = [BINARY, "serve", "--registry", self.registry, "--listen", self.address]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=ROOT)
        while time.monotonic() - began < 30:
            try:
                if httpx.get(self.url + "/readyz", timeout=5).status_code == 200:
                    return time.monotonic() - began
            except httpx.TransportError:
                time.sleep(0.01)  # not listening yet; there is nothing else to wait on
        raise AssertionError("not ready in 30 s")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def children(self) -> list[str]:
        """Command lines of examinations of this registry."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if " examine " in line and str(self.registry) in line:
                found.append(line)
        return found


class Pusher(threading.Thread):
    """A push, then a deployment; what the server said of each is kept, and its death ends it."""

    def __init__(self, server: Killed, bundle: tenon.Bundle, acknowledged: dict[str, Any]) -> None:
        super().__init__()
        self.pushing = True
        self._server, self._bundle, self._acknowledged = server, bundle, acknowledged

    def run(self) -> None:
        try:
            version = tenon.push(self._bundle, self._server.url)
            self._acknowledged["versions"][version.number] = version.digest
            self.pushing = False
            with httpx.Client(base_url=self._server.url, timeout=30) as http:
                done = http.post("/v1/models/line/deployments", json={"stable": version.number})
                if done.status_code == 201:
                    self._acknowledged["stable"] = version.number
        except (tenon.ServerError, httpx.HTTPError):
            pass  # killed in the middle; what was not acknowledged may be there or not

    def wait_for_its_blob(self) -> None:
        """Until the bundle's manifest is a blob, which is the last thing before the record; or the thread ends."""
        digest = self._bundle.digest.removeprefix("sha256:")
        blob = self._server.registry / "blobs" / "sha256" / digest[:2] / digest
        while self.is_alive() and not blob.exists():
            pass  # the window is a few milliseconds, so that sleeping would miss it

    def is_recorded(self) -> bool:
        """Whether the log on the disk names the bundle."""
        log = self._server.registry / "models" / "line" / "log"
        return any(self._bundle.digest in record.read_text() for record in log.glob("*.json"))

    def is_stored(self) -> bool:
        digest = self._bundle.digest.removeprefix("sha256:")
        return (self._server.registry / "blobs" / "sha256" / digest[:2] / digest).exists()


def test_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("children are found by /proc, which this system does not have")
    chance = random.Random(0)
    server = Killed(tmp_path)
    acknowledged: dict[str, Any] = {"versions": {}, "stable": 0}
    slowest = server.start()
    first = Pusher(server, model(tmp_path, 1), acknowledged)
    first.run()
    assert acknowledged["stable"] == 1
    inside = between = 0
    for kill in range(KILLS):
        pusher = Pusher(server, model(tmp_path, kill + 2), acknowledged)
        pusher.start()
        if kill % AIMED == 0:
            pusher.wait_for_its_blob()
        else:
            pusher.join(chance.uniform(0.0, 0.15))  # a push takes about 0.2 s, so most kills fall inside one
        inside += pusher.is_alive() and pusher.pushing
        server.kill()
        pusher.join()
        between += pusher.is_stored() and not pusher.is_recorded()
        slowest = max(slowest, server.start())
        _check(server, acknowledged)
    server.kill()
    print(
        f"{KILLS} kills, {inside} inside a push, {between} between blob and record; "
        f"{len(acknowledged['versions'])} acknowledged versions, ready in {slowest:.2f} s at worst"
    )
    assert inside >= KILLS * 3 // 5
    assert between >= KILLS // 10
    assert slowest <= 2
    verify = subprocess.run(
        [str(BINARY), "verify", "--registry", str(server.registry)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert verify.returncode == 0, verify.stdout + verify.stderr


def _check(server: Killed, acknowledged: dict[str, Any]) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as http:
        listed = {v["version"]: v["digest"] for v in http.get("/v1/models/line/versions").json()["versions"]}
        for number, digest in acknowledged["versions"].items():
            assert listed.get(number) == digest, f"version {number} was acknowledged and is lost"
        assert sorted(listed) == list(range(1, len(listed) + 1)), "a number is missing or stands twice"
        deployed = http.get("/v1/models/line/deployments").json()["deployments"][0]["stable"]
        assert deployed >= acknowledged["stable"], "the deployment went back"
        answer = http.post("/v1/models/line/predict", json={"instances": [{"x": 1.0}]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["version"] == deployed
    began = time.monotonic()
    while server.children() and time.monotonic() - began < 5:
        time.sleep(0.05)  # the pipe's end has reached the child, which takes a moment to go
    assert not server.children(), "an examination outlived its server"

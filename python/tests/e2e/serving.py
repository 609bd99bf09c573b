"""A real server for the end-to-end tests.

TENON_BIN names the binary, else bin/tenon of this repository is taken.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[3]
BINARY = Path(os.environ.get("TENON_BIN") or ROOT / "bin" / "tenon")
START_SECONDS = 60
LONG = bool(os.environ.get("TENON_LONG"))
"""The long form: more rounds, and figures are held to their limits, which wants a machine of one's own."""


@dataclass
class Served:
    """A server that runs, its address and its process."""

    url: str
    http: httpx.Client
    process: subprocess.Popen[bytes]
    registry: Path
    ready_seconds: float

    def predict(self, model: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post(f"/v1/models/{model}/predict", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str) -> dict[str, Any]:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def deploy(self, model: str, version: int, isolation: str = "") -> dict[str, Any]:
        """Puts a version into traffic; without an isolation, that of the server's settings."""
        body = {"stable": version, **({"isolation": isolation} if isolation else {})}
        answer = self.http.post(f"/v1/models/{model}/deployments", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def kill(self) -> None:
        """As a power cut for the process: no handler runs."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


def serve(folder: Path) -> Iterator[Served]:
    """Serves a new registry in the folder until the test is done with it, and drains."""
    with running(folder) as served:
        yield served


@contextlib.contextmanager
def running(folder: Path, registry: Path | None = None) -> Iterator[Served]:
    """Serves the registry in the folder, or another one. A server that the test killed is not asked to drain."""
    if "TENON_BIN" not in os.environ and not BINARY.exists():
        pytest.skip("there is no bin/tenon and TENON_BIN names none: run 'make build'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    registry, log = registry or folder / "registry", folder / "log"
    arguments = [BINARY, "serve", "--registry", registry, "--listen", address]
    http = httpx.Client(base_url=f"http://{address}", timeout=60)  # before the clock runs: it takes its time
    begun = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        with http:
            _wait_until_ready(process, http, log)
            yield Served(f"http://{address}", http, process, registry, time.monotonic() - begun)
    finally:
        if process.returncode is None:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()[-4000:]


def _wait_until_ready(process: subprocess.Popen[bytes], http: httpx.Client, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-4000:]
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        # Not listening or still loading: let the process have the processor, there is nothing else to wait on.
        time.sleep(0.02)
    raise AssertionError(f"not ready after {START_SECONDS} s: {log.read_text()[-4000:]}")


def tenon(*arguments: str | Path, server: Served | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command line."""
    env = {**os.environ, **({"TENON_URL": server.url} if server else {})}
    return subprocess.run(
        [str(BINARY), *map(str, arguments)], env=env, cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def examiners(registry: Path) -> list[int]:
    """The process ids of examinations of this registry, from the process table."""
    table = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=1) for line in table.stdout.splitlines()]
    return [int(pid) for pid, command in lines if " examine " in command and str(registry) in command]


def finally_gone(registry: Path, seconds: float = 5) -> None:
    """Asserts that no examination of this registry is left, soon."""
    end = time.monotonic() + seconds
    while left := examiners(registry):
        assert time.monotonic() < end, f"examinations outlive the server: {left}"
        time.sleep(0.02)

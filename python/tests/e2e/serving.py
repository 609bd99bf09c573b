"""A real server for the end-to-end tests.

TENON_BIN names the binary, else bin/tenon of this repository is taken.
"""

from __future__ import annotations

import os
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


@dataclass
class Served:
    """A server that runs, and its address."""

    url: str
    http: httpx.Client

    def predict(self, model: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post(f"/v1/models/{model}/predict", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


def serve(folder: Path) -> Iterator[Served]:
    """Serves a new registry in the folder until the test is done with it, and drains."""
    if "TENON_BIN" not in os.environ and not BINARY.exists():
        pytest.skip("there is no bin/tenon and TENON_BIN names none: run 'make build'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    arguments = [BINARY, "serve", "--registry", folder / "registry", "--listen", address]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        with httpx.Client(base_url=f"http://{address}", timeout=60) as http:
            _wait_until_ready(process, http, log)
            yield Served(f"http://{address}", http)
    finally:
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
            # Not listening yet: let the process have the processor, there is nothing else to wait on.
            time.sleep(0.05)
    raise AssertionError(f"not ready after {START_SECONDS} s: {log.read_text()[-4000:]}")

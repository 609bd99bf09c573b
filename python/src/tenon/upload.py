"""`tenon.push`: a bundle becomes a version on a server, and on request takes the model's traffic."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from tenon.bundlefile import Bundle, as_tar, open_bundle
from tenon.errors import ParityError, ServerError, TenonError
from tenon.http import ask, client
from tenon.names import bad_name, is_model_name

_CHUNK = 1 << 18
_ASK_AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class Version:
    """A registered version: `iris/3` has the number 3; `parity` is proven, not-proven, overridden or failed."""

    model: str
    number: int
    digest: str
    parity: str

    def __str__(self) -> str:
        return f"{self.model}/{self.number}"


def push(bundle: Bundle | str | os.PathLike[str], server: str | None = None, deploy: bool = False) -> Version:
    """Uploads a bundle (what `export` returned, a tar or a folder); with `deploy` its version goes live.

    The same bundle again is the same version. Raises ParityError when the server's answers to the golden set
    differ, ServerError when it refuses for another reason. A terminal shows the progress.
    """
    source = bundle if isinstance(bundle, Bundle) else open_bundle(Path(bundle))
    if not is_model_name(source.name):
        raise TenonError(f"the bundle {source.path}: {bad_name(source.name)}")
    with client(server) as http:
        answer = _upload(http, source)
        version = Version(
            str(answer["model"]),
            int(answer["version"]),
            str(answer["digest"]),
            str(answer.get("parity", "not-proven")),
        )
        if deploy:
            ask(
                http,
                "POST",
                f"/v1/models/{version.model}/deployments",
                json={"stable": version.number, "reason": "tenon.push(deploy=True)"},
            )
    return version


def _upload(http: httpx.Client, source: Bundle) -> dict[str, Any]:
    with as_tar(source.path) as tar:
        size = tar.stat().st_size
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(size)}
        body = _chunks(tar, size, source.name)
        answer = ask(http, "POST", f"/v1/models/{source.name}/versions", content=body, headers=headers)
    return answer if "version" in answer else _finished(http, answer)


def _chunks(tar: Path, size: int, name: str) -> Iterator[bytes]:
    """The file piece by piece, so that its size never lies in memory; a bar where a person watches."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress,
        tar.open("rb") as file,
    ):
        task = progress.add_task(f"pushing {name}", total=size)
        while chunk := file.read(_CHUNK):
            yield chunk
            progress.advance(task, len(chunk))


def _finished(http: httpx.Client, operation: dict[str, Any]) -> dict[str, Any]:
    """Waits for an operation that outlived the request; its result, or its error as an exception."""
    while operation.get("state") in ("queued", "running"):
        time.sleep(_ASK_AGAIN_SECONDS)
        operation = ask(http, "GET", f"/v1/operations/{operation['id']}")
    result = operation.get("result")
    if operation.get("state") == "succeeded" and isinstance(result, dict):
        return result
    problem = operation.get("error")
    problem = problem if isinstance(problem, dict) else {"detail": "the server's answer names no version"}
    kind = ParityError if problem.get("code") == "parity-failed" else ServerError
    raise kind(
        f"{problem.get('code', 'refused')}: {problem.get('detail', '')}",
        int(problem.get("status", 422)),
        problem,
    )

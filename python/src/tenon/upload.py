"""`tenon.push`: a bundle becomes a version on a server, and on request takes the model's traffic."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TextColumn, TransferSpeedColumn

from tenon.bundlefile import Bundle, as_tar, open_bundle, path_of
from tenon.errors import DeployError, ServerError, TenonError
from tenon.http import ask, change, client, refused
from tenon.names import bad_name, is_model_name
from tenon.report import Report

_CHUNK = 1 << 18
_WAIT = "1s"
"""For a quick examination's answer; a longer one is followed as an operation, to show how far it is."""
_ASK_AGAIN_SECONDS = 0.25


@dataclass(frozen=True)
class Version:
    """A registered version: `iris/3` has the number 3.

    `parity` is proven, not-proven (not compared by the server), overridden (its answers differ, and it was let in
    on purpose) or failed. `loosened` says in words what a proven version was held to where that is less than the
    defaults, such as "agreement ≥ 99 %"; "" otherwise. `report_url` is where the examination's report is; None for a
    version that was not compared.
    """

    model: str
    number: int
    digest: str
    parity: str
    report_url: str | None = field(default=None, compare=False)
    loosened: str = ""

    @functools.cached_property
    def report(self) -> Report:
        """The examination's report, fetched from the server at the first use; TenonError if there is none.

        A dict that a notebook shows with its plots.
        """
        if self.report_url is None:
            raise TenonError(f"{self} was not compared with a golden set, so it has no report")
        with client(self.report_url) as http:
            return Report(ask(http, "GET", self.report_url))

    def __str__(self) -> str:
        return f"{self.model}/{self.number}"


def push(
    bundle: Bundle | str | os.PathLike[str],
    server: str | None = None,
    deploy: bool = False,
    *,
    allow_parity_failure: bool = False,
    force: bool = False,
    isolation: str | None = None,
) -> Version:
    """Uploads a bundle (what `export` returned, a tar or a folder); with `deploy` its version goes live.

    The server answers the golden set itself and compares before it registers anything: ParityError says where its
    answers differ from the pipeline's, and nothing is registered. `allow_parity_failure` lets such a version in
    all the same; it is marked `overridden` for ever. The same bundle again is the same version. ServerError is a
    refusal for another reason. A terminal shows the progress.

    DeployError is a version that was registered and not put into traffic, such as one that refuses what callers of
    the version in traffic send, or lacks what they read; `force` deploys that all the same. `isolation` of a version
    that is deployed is where it runs: "shared" is in the server, "process" in a process of its own that may end without
    harm to others, "auto" there if an operator is known to do so; without one, the server's setting is taken.
    """
    source = bundle if isinstance(bundle, Bundle) else open_bundle(path_of(bundle))
    if not is_model_name(source.name):
        raise TenonError(f"the bundle {source.path}: {bad_name(source.name)}")
    if isolation is not None and not deploy:
        raise TenonError(
            "isolation is of a version that takes traffic: push(…, deploy=True, isolation=…), or deploy it later"
        )
    with client(server) as http:
        answer = _upload(http, source, allow_parity_failure)
        version = Version(
            str(answer["model"]),
            int(answer["version"]),
            str(answer["digest"]),
            str(answer.get("parity", "not-proven")),
            f"{str(http.base_url).rstrip('/')}{answer['report']}" if answer.get("report") else None,
            str(answer.get("loosened") or ""),
        )
        if deploy:
            _deploy(http, version, force, isolation)
    return version


def _deploy(http: httpx.Client, version: Version, force: bool, isolation: str | None) -> None:
    wanted: dict[str, Any] = {"stable": version.number, "reason": "tenon.push(deploy=True)"}
    if force:
        wanted["force"] = True
    if isolation is not None:
        wanted["isolation"] = isolation
    try:
        change(http, "POST", f"/v1/models/{version.model}/deployments", json=wanted)
    except ServerError as e:
        raise DeployError(version, e) from None


def _upload(http: httpx.Client, source: Bundle, allow_parity_failure: bool) -> dict[str, Any]:
    asked = {"wait": _WAIT} | ({"allow_parity_failure": "true"} if allow_parity_failure else {})
    with as_tar(source.path) as tar:
        size = tar.stat().st_size
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(size)}
        body = _chunks(tar, size, source.name)
        path = f"/v1/models/{source.name}/versions"
        answer = ask(http, "POST", path, params=asked, content=body, headers=headers)
    return answer if "version" in answer else _followed(http, answer)


def _chunks(tar: Path, size: int, name: str) -> Iterator[bytes]:
    """The file piece by piece, so that its size never lies in memory; a bar where a person watches."""
    with _progress(DownloadColumn(), TransferSpeedColumn()) as progress, tar.open("rb") as file:
        task = progress.add_task(f"pushing {name}", total=size)
        while chunk := file.read(_CHUNK):
            yield chunk
            progress.advance(task, len(chunk))


def _followed(http: httpx.Client, operation: dict[str, Any]) -> dict[str, Any]:
    """Follows an operation that outlived the request; its result, or its error as an exception."""
    with _progress() as progress:
        task = progress.add_task(_state(operation), total=None)
        while operation.get("state") in ("queued", "running"):
            total = operation.get("total") or None
            progress.update(
                task, description=_state(operation), total=total, completed=operation.get("done", 0)
            )
            progress.refresh()
            time.sleep(_ASK_AGAIN_SECONDS)
            operation = ask(http, "GET", f"/v1/operations/{operation['id']}")
    result = operation.get("result")
    if operation.get("state") == "succeeded" and isinstance(result, dict):
        return result
    problem = operation.get("error")
    problem = problem if isinstance(problem, dict) else {"detail": "the server's answer names no version"}
    raise refused(int(problem.get("status", 422)), problem)


def _state(operation: dict[str, Any]) -> str:
    """How far an operation is, for people."""
    if operation.get("state") == "queued":
        return "waiting for another examination to end"
    if operation.get("total"):
        return f"examining {operation.get('done', 0)} of {operation['total']} requests"
    return f"examining: {operation.get('phase') or 'loading'}"


def _progress(*columns: ProgressColumn) -> Progress:
    """A bar on a terminal, which goes when it is done; silent elsewhere."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )

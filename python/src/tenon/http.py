"""Talking to a server: where it is, and its refusals as exceptions that can be read."""

from __future__ import annotations

import os
import secrets
import time
from typing import Any

import httpx

from tenon.errors import ParityError, ServerError, TenonError

DEFAULT_SERVER = "http://127.0.0.1:8080"
_CONNECT_SECONDS = 10.0
"""A server that does not accept within ten seconds is not there; answers may take as long as they need."""


_PAUSES = (0.1, 0.4)
"""Before a change whose connection failed is sent again, in seconds: three times in all, as `tenon` does."""


class _ConnectionError(ServerError):
    """No answer came, so nobody knows what the server did."""


def client(server: str | None) -> httpx.Client:
    """A client for `server`, else the one in TENON_URL, else the default address."""
    url = server or os.environ.get("TENON_URL") or DEFAULT_SERVER
    if "://" not in url:
        raise TenonError(f"the server's address {url!r} has no scheme: write http://{url}")
    timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
    return httpx.Client(base_url=url.rstrip("/"), timeout=timeout, headers={"User-Agent": "tenon-kit"})


def ask(http: httpx.Client, method: str, path: str, **options: Any) -> dict[str, Any]:
    """One request and its JSON object; ServerError or ParityError for anything but success."""
    try:
        response = http.request(method, path, **options)
    except (httpx.ConnectError, httpx.ConnectTimeout):
        raise _ConnectionError(
            f"no server answers at {http.base_url}: start one with 'tenon serve', or set TENON_URL"
        ) from None  # whose own words, three tracebacks long, say the same
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise _ConnectionError(f"the connection to {http.base_url} broke: {e or type(e).__name__}") from e
    if response.is_success:
        return _object(response)
    raise refusal(response)


def change(http: httpx.Client, method: str, path: str, **options: Any) -> dict[str, Any]:
    """A request that changes a model, and that is sent again where the connection fails: the server makes it once."""
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    for pause in _PAUSES:
        try:
            return ask(http, method, path, headers=headers, **options)
        except _ConnectionError:
            time.sleep(pause)
    return ask(http, method, path, headers=headers, **options)


def refusal(response: httpx.Response) -> ServerError:
    """The exception for a problem+json answer, or for whatever came instead."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": response.text[:200]}
    return refused(response.status_code, problem)


def refused(status: int, problem: dict[str, Any]) -> ServerError:
    """The exception for a problem, wherever it stood: in an answer or in an operation."""
    if problem.get("code") == "parity-failed":
        # Its findings are the report's worst rows, which the error shows by itself.
        return ParityError(_sentence(status, {**problem, "errors": None}), status, problem)
    return ServerError(_sentence(status, problem), status, problem)


def _sentence(status: int, problem: dict[str, Any]) -> str:
    """`invalid-input (400): instances[3].age: expected a number, got "abc"`."""
    head = f"{problem.get('code') or problem.get('title') or 'refused'} ({status})"
    detail = str(problem.get("detail") or problem.get("title") or "")
    errors = [e for e in problem.get("errors") or [] if isinstance(e, dict)]
    listed = "; ".join(f"{e.get('path', '')}: {e.get('detail', '')}" for e in errors[:5])
    # How many there are beyond those that a server lists is in its sentence.
    more = f"; .errors lists {len(errors) - 5} more" if len(errors) > 5 else ""
    said = f"{head}: {detail}" if detail else head
    return f"{said} [{listed}{more}]" if listed else said


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError as e:
        raise ServerError(
            f"{response.url} answered {response.status_code} without JSON: is it a tenon server?"
        ) from e
    if not isinstance(content, dict):
        raise ServerError(f"{response.url} answered no JSON object: is it a tenon server?")
    return content

"""Constant load: clients that hold every answer to the version that it names, while somebody changes what is live."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from examples import COLUMNS

SECONDS = 40
"""The most that anything is waited for."""


class Connection:
    """A connection that is kept. A client library would cost more than the server does."""

    def __init__(self, url: str) -> None:
        at = urllib.parse.urlsplit(url)
        self._http = http.client.HTTPConnection(str(at.hostname), at.port, timeout=SECONDS)

    def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/json", caller: str = ""
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """The status, the headers and the body of the answer; OSError or HTTPException where there is none."""
        headers = {"Content-Type": kind, **({"Tenon-Caller": caller} if caller else {})}
        self._http.request(method, path, body, headers)
        answer = self._http.getresponse()
        return answer.status, answer.headers, answer.read()

    def close(self) -> None:
        self._http.close()


class Question:
    """Some rows, as a body, and what each version says of them."""

    def __init__(self, rows: np.ndarray, truth: Mapping[int, np.ndarray], by_columns: bool) -> None:
        records = [dict(zip(COLUMNS, map(float, row), strict=True)) for row in rows]
        columns = {name: [record[name] for record in records] for name in COLUMNS}
        self.body = json.dumps({"inputs": columns} if by_columns else {"instances": records}).encode()
        self._truth = truth

    def fault(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> tuple[str, int]:
        """What is wrong with an answer, "" where nothing is, and the version that it names."""
        if status != 200:
            return f"{status}: {body[:300]!r}", 0
        said = json.loads(body)
        version = said["version"]
        if "predictions" in said:
            got = [row["prediction"] for row in said["predictions"]]
        else:
            got = said["outputs"]["prediction"]
        want = self._truth.get(version)
        if headers["Tenon-Version"] != str(version):
            return f"the body says version {version} and the header {headers['Tenon-Version']}", version
        if want is None or not np.allclose(got, want, rtol=1e-9, atol=1e-9):
            return f"version {version} said {got} where it says {want}", version
        return "", version


def questions(rows: np.ndarray, truth: Mapping[int, np.ndarray]) -> list[Question]:
    """Of one row, of three and of all, in both forms."""
    made = []
    for first, many in itertools.product(range(0, len(rows), 4), (1, 3, len(rows))):
        of = (first + np.arange(many)) % len(rows)
        said = {version: values[of] for version, values in truth.items()}
        made.append(Question(rows[of], said, by_columns=first % 8 == 0))
    return made


class Clients:
    """Threads that ask servers until they are told to stop, each by its own connection."""

    def __init__(self, urls: Sequence[str], clients: int) -> None:
        self._stop, self._came = threading.Event(), threading.Condition()
        self._threads = [
            threading.Thread(target=self._client, args=(k, urls[k % len(urls)]), daemon=True)
            for k in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS)

    def _client(self, number: int, url: str) -> None:
        """Asks one server until `_stop`, and tells `_came` of every answer."""
        raise NotImplementedError


class Load(Clients):
    """Clients that ask references in turn until they are told to stop.

    Whoever changes what a reference leads to says so before and after (`expect`): an answer may come only from a
    version that was live at some moment between its request and its end.
    """

    def __init__(
        self, urls: Sequence[str], asked: Sequence[Question], live: Mapping[str, int], clients: int = 8
    ) -> None:
        self.wrong: list[str] = []
        self.answered: Counter[tuple[str, int]] = Counter()
        self._asked, self._live = asked, {ref: [{version}] for ref, version in live.items()}
        super().__init__(urls, clients)

    @property
    def requests(self) -> int:
        return sum(self.answered.values())

    def expect(self, ref: str, *versions: int) -> None:
        """From now on, these may answer."""
        self._live[ref].append(set(versions))

    def wait_for(self, ref: str, version: int, more: int) -> None:
        """Until the version has answered so often again; what is wrong by then fails."""
        with self._came:
            goal = self.answered[ref, version] + more
            came = self._came.wait_for(
                lambda: self.wrong or self.answered[ref, version] >= goal, timeout=SECONDS
            )
        assert not self.wrong, self.wrong[:3]
        assert came, f"version {version} does not answer as {ref}"

    def _client(self, number: int, url: str) -> None:
        connection = Connection(url)
        refs = list(self._live)
        for turn in itertools.count(number):
            if self._stop.is_set():
                break
            ref, question = refs[turn % len(refs)], self._asked[turn % len(self._asked)]
            fault, version = self._ask(connection, ref, question)
            with self._came:
                self.answered[ref, version] += 1
                if fault:
                    self.wrong.append(f"{ref}: {fault}")
                self._came.notify_all()
        connection.close()

    def _ask(self, connection: Connection, ref: str, question: Question) -> tuple[str, int]:
        states = self._live[ref]
        before = len(states) - 1
        try:
            answer = connection.ask("POST", f"/v1/models/{ref}/predict", question.body)
        except (OSError, http.client.HTTPException) as e:
            connection.close()
            return f"no answer: {e!r}", 0
        fault, version = question.fault(*answer)
        live = set[int]().union(*states[before:])
        if not fault and version not in live:
            return f"version {version} answered while only {sorted(live)} could", version
        return fault, version


def told(answer: tuple[int, Any, bytes], status: int) -> dict[str, Any]:
    """The body of an answer that has the status."""
    assert answer[0] == status, answer[2].decode()
    return json.loads(answer[2])

"""A steady stream of requests to one model: so many a second, whatever the answers are, each answer noted."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from load import SECONDS, Clients, Connection
from variants import CLASSES, GROUPS, LIKELY, UNLIKELY

Truth = Callable[[float], tuple[str, float]]
"""The label and the score of an x."""

CALLERS = 200


@dataclass(frozen=True)
class Answer:
    """What came of one request."""

    at: float
    """When it was sent, by the monotonic clock."""
    seconds: float
    status: int
    """0 where there was no answer."""
    version: int
    caller: str
    wrong: str
    """What is not as the version that it names says by truth; "" where nothing is."""


class Stream(Clients):
    """Clients that send requests at fixed moments, every other one in the name of callers, who stay on one side."""

    def __init__(
        self, urls: Sequence[str], model: str, truths: dict[int, Truth], rate: int, clients: int = 12
    ) -> None:
        self.answers: list[Answer] = []
        self._model, self._truths, self._pause, self._clients = model, truths, clients / rate, clients
        self._numbers, self._chance = itertools.count(1), random.Random(0)
        super().__init__(urls, clients)

    def wait(self, more: int) -> list[Answer]:
        """The next answers, so many."""
        with self._came:
            before = len(self.answers)
            assert self._came.wait_for(lambda: len(self.answers) >= before + more, SECONDS), "too few answers"
            return self.answers[before:]

    def between(self, begin: float, end: float) -> list[Answer]:
        """Of the requests that were sent in that time."""
        with self._came:
            return [a for a in self.answers if begin <= a.at < end]

    def _client(self, k: int, url: str) -> None:
        connection = Connection(url)
        start = time.monotonic() + self._pause * k / self._clients
        for turn in itertools.count():
            if self._stop.wait(max(0.0, start + turn * self._pause - time.monotonic())):
                break
            xs = [self._chance.randrange(600) / 2 + 0.25 for _ in range(1 + 3 * (turn % 4 == 0))]
            caller = f"caller-{self._chance.randrange(CALLERS)}" if k % 2 else ""
            answer = self._ask(connection, xs, GROUPS[k % len(GROUPS)], caller)
            with self._came:
                self.answers.append(answer)
                self._came.notify_all()
        connection.close()

    def _ask(self, connection: Connection, xs: list[float], group: str, caller: str) -> Answer:
        n = next(self._numbers)
        body = json.dumps({"instances": [{"x": x, "group": group, "n": n} for x in xs]}).encode()
        sent = time.monotonic()
        try:
            status, headers, said = connection.ask(
                "POST", f"/v1/models/{self._model}/predict", body, caller=caller
            )
        except (OSError, http.client.HTTPException) as e:
            connection.close()
            return Answer(sent, time.monotonic() - sent, 0, 0, caller, f"no answer: {e!r}")
        seconds = time.monotonic() - sent
        if status != 200:
            return Answer(sent, seconds, status, 0, caller, f"{status}: {said[:300]!r}")
        version = int(headers["Tenon-Version"])
        return Answer(sent, seconds, status, version, caller, self._wrong(version, json.loads(said), xs))

    def _wrong(self, version: int, said: dict[str, Any], xs: list[float]) -> str:
        if said["version"] != version:
            return f"the body says version {said['version']} and the header {version}"
        truth = self._truths[version]
        for x, row in zip(xs, said["predictions"], strict=True):
            label, score = truth(x)
            shares = {name: LIKELY if name == label else UNLIKELY for name in CLASSES}
            if row["label"] != label or row["score"] != score or row["probabilities"] != shares:
                return f"version {version} said {row} of {x}, where {label} and {score} are right"
        return ""


def quantile(answers: list[Answer], q: float) -> float:
    """Of the seconds that they took."""
    return float(np.quantile([a.seconds for a in answers], q))

"""Versions on trial under constant load: bad ones are rolled back before they hurt, good ones are promoted."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import variants
from paced import Answer, Stream, quantile
from serving import LONG, Served, running
from serving import tenon as tenon_command
from variants import GROUPS, Change, bundle, truth

import tenon

STEPS = [1, 5, 25, 50]
ROLLED_BACK_WITHIN = 30.0
RATE = 100
"""Requests a second."""
HURT = 0.01
"""The most of the requests of the time that a roll-back may take that may get a wrong answer, a late one or none."""
LATE = 2.0
"""An answer of the canary that took so many times as long as 99 % of all answers did before is late; so is any that
took a second more than that."""


@dataclass
class Bad:
    """A canary that must be rolled back, by itself and for this reason."""

    change: Change
    reason: str
    groups: list[str] = field(default_factory=lambda: GROUPS)
    force: bool = False
    isolation: str = ""
    live: bool = False
    """Also in CI."""


BAD = {
    "5 % of errors": Bad(variants.errors, r"were refused \(run-failed\) that the stable version takes"),
    "three times as slow": Bad(
        variants.turns(3), r"took over 2 times as long|took over .* only on the canary", live=True
    ),
    "not a number": Bad(variants.not_a_number, r"had an invalid answer"),
    "shifted": Bad(variants.shifted, r"answered otherwise than by the stable version"),
    "its process ends": Bad(variants.crashing, r"failed \(worker-died", isolation="process", live=True),
    "hanging": Bad(variants.hanging, r"had no answer within 1s"),
    "out of memory": Bad(variants.out_of_memory, r"were refused \(run-failed\)", isolation="process"),
    "two labels exchanged": Bad(
        variants.wrong_labels, r"answered otherwise than by the stable version", live=True
    ),
    "refusing": Bad(
        variants.plain,
        r"were refused \(invalid-input\) that the stable version takes",
        groups=GROUPS[:11],
        force=True,
    ),
    "slow in the tail": Bad(variants.slow_in_the_tail, r"took over .* only on the canary"),
    "failing for one caller": Bad(
        variants.failing_for_one_group, r"were refused \(run-failed\) that the stable version takes"
    ),
    "slower and slower": Bad(variants.slower_over_time, r"took over"),
}
LIVE_WITHIN = 2.0
"""Seconds until a step that one server takes is live on the other."""
OFF = -1
"""The step where no canary takes traffic, but a version does."""


def push(server: Served, path: Path, model: str, change: Change, groups: list[str] = GROUPS) -> int:
    return tenon.push(bundle(model, path, change, groups), server=server.url).number


def deploy(server: Served, model: str, **body: object) -> dict[str, Any]:
    answer = server.http.post(f"/v1/models/{model}/deployments", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def newest(server: Served, model: str) -> dict[str, Any]:
    return server.get(f"/v1/models/{model}/deployments")["deployments"][0]


def ended(server: Served, model: str, seconds: float) -> dict[str, Any]:
    """The deployment that ends the canary, which must come in that time."""
    begun = time.monotonic()
    while (now := newest(server, model)).get("canary"):
        assert time.monotonic() - begun <= seconds, (
            f"after {seconds} s: {server.get(f'/v1/models/{model}')['trial']}"
        )
        time.sleep(0.05)  # what is waited for happens in the server
    return now


def hurt(answers: list[Answer], usual: float) -> Counter[str]:
    """How many were hurt, by how. `usual` is the p99 of what callers waited before."""
    found = Counter[str]()
    for a in answers:
        if a.status != 200:
            found[f"status {a.status}"] += 1
        elif a.wrong:
            found["wrong"] += 1
        elif a.seconds > usual + 1 or (a.version == 2 and a.seconds > LATE * usual):
            found["late"] += 1
    return found


@pytest.mark.parametrize("kind", [kind for kind, bad in BAD.items() if LONG or bad.live])
def test_a_bad_canary_is_rolled_back(server: Served, tmp_path: Path, kind: str) -> None:
    bad, model = BAD[kind], re.sub(r"\W+", "-", kind)
    assert push(server, tmp_path / "right.tenon", model, variants.plain) == 1
    assert push(server, tmp_path / "bad.tenon", model, bad.change, bad.groups) == 2
    deploy(server, model, stable=1, isolation=bad.isolation)
    with Stream([server.url], model, {1: truth, 2: truth}, RATE) as stream:
        stream.wait(20)  # the first runs of a session take longer
        usual = quantile(stream.wait(200), 0.99)
        canary = {"version": 2, "steps": STEPS}
        deploy(server, model, stable=1, canary=canary, force=bad.force, isolation=bad.isolation)
        begun = time.monotonic()
        record = ended(server, model, ROLLED_BACK_WITHIN)
        seconds = time.monotonic() - begun
        after = stream.wait(50)
        answers = stream.between(begun, begun + seconds)
    harm = hurt(answers, usual)
    compared = server.get(f"/v1/models/{model}/versions/2/divergence")
    many = compared["requests"] + compared["to"]["failed"]
    print(
        f"{kind}: rolled back after {seconds:.1f} s; {sum(harm.values())} of {len(answers)} hurt {dict(harm)}, "
        f"{sum(a.version == 2 for a in answers)} answered by it; {many / seconds:.0f} copies a second; "
        f"usual p99 {1e3 * usual:.0f} ms; {record['reason']}"
    )
    assert record["stable"] == 1
    assert record["actor"] == "tenon"
    assert record["reason"].startswith("canary 2 rolled back: ")
    assert re.search(bad.reason, record["reason"]), record["reason"]
    assert harm.total() <= HURT * RATE * ROLLED_BACK_WITHIN, [a.wrong for a in answers if a.wrong][:3]
    assert not [a for a in answers if a.status != 200][:3]
    assert not [a for a in after if a.wrong][:3]
    assert {a.version for a in after[-20:]} == {1}


@dataclass
class Good:
    """A canary that must be promoted."""

    change: Change
    isolation: str = ""
    live: bool = False
    """Also in CI."""


GOOD = {
    "trained anew": Good(variants.retrained, live=True),
    "trained anew, in processes": Good(variants.retrained, "process"),
    "1.3 times the time": Good(variants.turns(1.3)),
    "half the time": Good(variants.turns(0.5)),
    "the same": Good(variants.plain),
}
NEW = {variants.retrained: partial(truth, retrained=True)}
"""What those say that are right in another way."""
SOON = {"min_requests": 50 if LONG else 20, "min_time": "1s"}


@pytest.mark.parametrize("kind", [kind for kind, good in GOOD.items() if LONG or good.live])
def test_a_good_canary_is_promoted(server: Served, tmp_path: Path, kind: str) -> None:
    good, model = GOOD[kind], "good-" + re.sub(r"\W+", "-", kind)
    steps = STEPS if LONG else [10, 25, 50]
    push(server, tmp_path / "old.tenon", model, variants.plain)
    push(server, tmp_path / "new.tenon", model, good.change)
    deploy(server, model, stable=1, isolation=good.isolation)
    with Stream([server.url], model, {1: truth, 2: NEW.get(good.change, truth)}, RATE) as stream:
        stream.wait(50)
        canary = {"version": 2, "steps": steps}
        first = deploy(server, model, stable=1, canary=canary, limits=SOON, isolation=good.isolation)
        begun = time.monotonic()
        shown = tenon_command("show", model, server=server)
        record = ended(server, model, 300)
        seconds = time.monotonic() - begun
        stream.wait(50)
    print(f"{kind}: promoted after {seconds:.1f} s and {len(stream.answers)} requests; {record['reason']}")
    assert f"canary 2: at {steps[0]} % since" in shown.stdout, shown
    assert record["stable"] == 2, record
    records = [d for d in server.get(f"/v1/models/{model}/deployments")["deployments"]][::-1]
    taken = [d for d in records if d["deployment"] > first["deployment"]]
    assert [d["actor"] for d in taken] == ["tenon"] * len(steps)
    assert [d.get("canary", {}).get("step") for d in taken] == [*range(1, len(steps)), None]
    words = ["advanced"] * (len(steps) - 1) + ["promoted"]
    assert [d["reason"].split(":")[0] for d in taken] == [f"canary 2 {word}" for word in words]
    assert not [a for a in stream.answers if a.wrong][:3]
    assert {a.version for a in stream.answers[-20:]} == {2}
    assert callers_change_sides_once(stream.answers) > 10


def callers_change_sides_once(answers: list[Answer]) -> int:
    """How many callers came to the canary's side; none may have gone back.

    After a second of waiting for the canary a caller is given the stable version's answer, on a machine that stops.
    """
    came: dict[str, float] = {}
    for a in sorted(answers, key=lambda a: a.at):
        if a.caller and a.version == 2:
            came.setdefault(a.caller, a.at + a.seconds)
        elif a.caller in came and a.seconds < 1:
            assert a.at < came[a.caller], f"{a.caller} is back on the stable side"
    return len(came)


def test_a_shadow_slows_nobody(server: Served, tmp_path: Path) -> None:
    """It takes five times as long as the stable version, so it would show if anybody waited for it."""
    model, times = "shadowed", 10 if LONG else 3
    push(server, tmp_path / "stable.tenon", model, variants.plain)
    push(server, tmp_path / "shadow.tenon", model, both(variants.retrained, variants.turns(5)))
    alone, beside = list[Answer](), list[Answer]()
    deploy(server, model, stable=1)
    with Stream([server.url], model, {1: truth}, RATE) as stream:
        stream.wait(50)
        for _ in range(times):
            deploy(server, model, stable=1)
            alone += stream.wait(150)
            deploy(server, model, stable=1, shadow=2)
            beside += stream.wait(150)
        for _ in range(20):
            found = server.get(f"/v1/models/{model}/versions/2/divergence")
            if found["requests"] >= 20:  # it rests longer where the machine is busy
                break
            beside += stream.wait(50)
    ratios = [quantile(beside, q) / quantile(alone, q) for q in (0.5, 0.99)]
    print(
        f"a shadow: p50 {1e3 * quantile(beside, 0.5):.1f} ms, {ratios[0]:.2f} times that without, "
        f"p99 {1e3 * quantile(beside, 0.99):.1f} ms, {ratios[1]:.2f} times; {found['summary']}"
    )
    assert not [a for a in stream.answers if a.wrong or a.version != 1][:3]
    assert found["requests"] >= 20
    assert found["to"]["run_seconds"]["p50"] > 2.5 * found["from"]["run_seconds"]["p50"]
    assert found["disagreement"] < 0.2, "some 3 %, of 60 rows"
    assert ratios[0] <= (1.25 if LONG else 1.5), "half of the callers wait longer"
    if LONG:  # the p99 of a machine that others use is theirs
        assert ratios[1] <= 1.5, "some callers wait longer"


def both(*changes: Change) -> Change:
    def change(p: variants.Parts) -> None:
        for one in changes:
            one(p)

    return change


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Served]]:
    """Two servers on one registry."""
    folder = tmp_path_factory.mktemp("pair")
    with contextlib.ExitStack() as stack:
        for name in ("one", "two"):
            (folder / name).mkdir()
        yield [stack.enter_context(running(folder / name, folder / "registry")) for name in ("one", "two")]


@pytest.mark.parametrize(
    ("change", "words", "steps"),
    [
        (variants.retrained, ["advanced", "promoted"], [0, 1, OFF]),
        (variants.wrong_labels, ["rolled back"], [OFF]),  # often before the other server has heard of it
    ],
)
def test_two_servers_take_a_step_once(
    pair: list[Served], tmp_path: Path, change: Change, words: list[str], steps: list[int]
) -> None:
    model = "two-" + change.__name__.replace("_", "-")
    push(pair[0], tmp_path / "old.tenon", model, variants.plain)
    push(pair[1], tmp_path / "new.tenon", model, change)
    deploy(pair[0], model, stable=1)
    follow(pair, model, [OFF])
    with Stream(
        [server.url for server in pair], model, {1: truth, 2: NEW.get(change, truth)}, RATE
    ) as stream:
        stream.wait(50)
        first = deploy(pair[0], model, stable=1, canary={"version": 2, "steps": [10, 50]}, limits=SOON)
        if steps == [OFF]:
            ended(pair[0], model, ROLLED_BACK_WITHIN)
        apart = follow(pair, model, steps)
        stream.wait(50)
        answered = {a.version for a in stream.wait(20)}
    later = [
        r["deployment"]["reason"].split(":")[0]
        for r in pair[1].get(f"/v1/models/{model}/log")["records"]
        if r["kind"] == "deployment" and r["seq"] > first["deployment"]
    ]
    print(f"two servers, {words[-1]}: {len(later)} records, live on both within {apart:.2f} s")
    assert later == [f"canary 2 {word}" for word in words], "one record a step"
    assert answered == {2 if words[-1] == "promoted" else 1}
    assert not [a for a in stream.answers if a.status != 200][:3]
    for server in pair:
        log = (server.registry.parent / ("one" if server is pair[0] else "two") / "log").read_text()
        assert not [line for line in log.splitlines() if '"level":"ERROR"' in line][:3]


def step(server: Served, model: str) -> int | None:
    """The step of the canary by which the server routes; None where it does not know the model yet."""
    answer = server.http.get(f"/v1/models/{model}").json()
    return answer.get("trial", {"step": OFF})["step"] if answer.get("ready") else None


def follow(servers: list[Served], model: str, steps: list[int]) -> float:
    """Waits until all route by each of the steps in turn, and returns how long after the first the last one did."""
    slowest, begun = 0.0, time.monotonic()
    for wanted in steps:
        came: dict[str, float] = {}
        while len(came) < len(servers):
            assert time.monotonic() - begun <= 60, f"step {wanted} came to {list(came)}"
            for server in servers:
                if step(server, model) == wanted:
                    came.setdefault(server.url, time.monotonic())
            time.sleep(0.02)  # what is waited for happens in the servers
        slowest = max(slowest, max(came.values()) - min(came.values()))
        assert slowest <= LIVE_WITHIN, f"step {wanted}: {slowest:.2f} s"
    return slowest

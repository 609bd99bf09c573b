"""A rehearsal says of two real versions what their pipelines say of each other, from what callers have sent."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from serving import Served, running
from serving import tenon as tenon_command
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tenon

CITIES = ["Ghent", "Lyon", "Turin"]


def people(n: int, seed: int) -> pd.DataFrame:
    """Rows of two numbers, a place that matters, and a name that no model reads."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, n).astype(float),
            "income": rng.lognormal(10, 1, n).round(2),
            "city": rng.choice(CITIES, n),
            "name": [f"secret-{seed}-{i}" for i in range(n)],
        }
    )


def trained(frame: pd.DataFrame, noise: float) -> Pipeline:
    """A classifier; another noise is another one, on the same rows."""
    rng = np.random.default_rng(5)
    score = frame["age"] / 30 + (frame["city"] == "Lyon") - np.log(frame["income"]) / 5
    labels = np.where(score + rng.normal(0, noise, len(frame)) > 0.5, "yes", "no")
    columns = make_column_transformer(
        (StandardScaler(), ["age", "income"]), (OneHotEncoder(handle_unknown="ignore"), ["city"])
    )
    return make_pipeline(columns, LogisticRegression()).fit(frame, labels)


@pytest.fixture(scope="module")
def versions(server: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Pipeline]:
    """Two versions of one model."""
    folder, frame, pipelines = tmp_path_factory.mktemp("rehearse"), people(400, 1), {}
    for noise in (0.2, 3.0):
        pipeline = trained(frame, noise)
        bundle = tenon.export(
            pipeline, frame, name="loans", holdout=people(300, 2), path=folder / f"{noise}.tenon"
        )
        version = tenon.push(bundle, server=server.url)
        assert version.parity == "proven"
        pipelines[version.number] = pipeline
    assert set(pipelines) == {1, 2}
    return pipelines


def until_kept(server: Served, n: int) -> None:
    end = time.monotonic() + 30
    while server.get("/v1/models/loans")["captures"]["requests"] < n:
        assert time.monotonic() < end, server.get("/v1/models/loans")
        time.sleep(0.02)  # the server keeps them off the callers' way


def disagreeing(found: dict[str, Any]) -> tuple[int, int]:
    """Rows whose label differs, of all."""
    label = next(output for output in found["outputs"] if output["kind"] == "label")
    return label["rows"] - label["agree"], label["rows"]


def test_the_versions_differ_as_their_pipelines_do(
    server: Served, versions: dict[int, Pipeline], tmp_path: Path
) -> None:
    body = {"stable": 1, "capture": {"share": 1, "redact": ["city", "name"]}}
    answer = server.http.post("/v1/models/loans/deployments", json=body)
    assert answer.status_code == 201, answer.text
    golden = tenon_command("rehearse", "loans/2", "--json", server=server)
    assert json.loads(golden.stdout)["replayed"] == "golden", golden.stderr

    asked = people(200, 3)
    client = tenon.Client(server.url)
    for begin in range(0, len(asked), 4):
        client.predict("loans", asked.iloc[begin : begin + 4])
    until_kept(server, 50)
    server.http.put("/v1/models/loans/aliases/champion", json={"version": 1}).raise_for_status()

    done = tenon_command("rehearse", "loans/2", "--against", "loans@champion", server=server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 answers "), done.stdout
    assert "50 captured requests since" in done.stdout
    found = json.loads(tenon_command("rehearse", "loans/2", "--json", server=server).stdout)

    # The city is not kept: that of the first golden request stands in its place.
    example = server.get("/v1/models/loans/versions/1/example")
    city = example["instances"][0]["city"] if "instances" in example else example["inputs"]["city"][0]
    told = asked.assign(city=city)
    truth = int((versions[1].predict(told) != versions[2].predict(told)).sum())
    assert truth > 0
    assert disagreeing(found) == (truth, len(asked))
    assert (found["from"]["version"], found["to"]["version"], found["skipped"]) == (1, 2, 0)
    assert server.get("/v1/models/loans/versions/2")["loaded"] is False

    # The name, which no version reads, is nowhere on the disk; over a restart the rest stays.
    server.process.terminate()
    assert server.process.wait(30) == 0
    kept = "".join(path.read_text() for path in (server.registry / "captures" / "loans").iterdir())
    assert kept.count("\n") == 50
    assert "secret" not in kept
    with running(tmp_path, server.registry) as again:
        report = json.loads(tenon_command("rehearse", "loans/2", "--json", server=again).stdout)
        assert disagreeing(report) == (truth, len(asked))
        assert tenon_command("captures", "loans", "--delete", server=again).returncode == 0
        assert not (server.registry / "captures" / "loans").exists()

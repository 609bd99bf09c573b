"""Applications send whole records: columns that the pipeline never reads are passed over, others refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from serving import Served
from serving import tenon as command
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tenon

N = 200
_random = np.random.default_rng(0)
X = pd.DataFrame(
    {
        "when": pd.date_range("2024-01-01", periods=N),
        "area": _random.normal(size=N),
        "id": np.arange(N),
        "town": _random.choice(["Ulm", "Köln"], N),
    }
)
HOLD = X[150:]
COLUMNS = make_column_transformer((StandardScaler(), ["area"]), (OneHotEncoder(), ["town"]))
MODEL = make_pipeline(COLUMNS, Ridge()).fit(X[:150], (X["area"] + X["when"].dt.day)[:150])
TRUTH = pytest.approx(MODEL.predict(HOLD).tolist(), rel=1e-12)


@pytest.fixture(scope="module")
def deployed(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Served:
    path = tmp_path_factory.mktemp("records") / "m.tenon"
    bundle = tenon.export(MODEL, X[:150], name="records", holdout=HOLD, path=path)
    assert tenon.push(bundle, server=server.url, deploy=True).parity == "proven"
    return server


def test_whole_records_and_needed_columns_have_one_answer(deployed: Served) -> None:
    with tenon.Client(deployed.url) as client:
        for frame in (HOLD, HOLD[["area", "town"]], HOLD.astype({"when": str}), HOLD.assign(id=object())):
            answer = client.predict("records", frame)
            assert answer["prediction"].tolist() == TRUTH
            assert answer.index.equals(HOLD.index)
        records = HOLD.assign(when=HOLD["when"].astype(str)).to_dict("records")
        assert client.predict("records", records)["prediction"].tolist() == TRUTH


def test_any_json_fits_an_unused_column(deployed: Served) -> None:
    row = {"area": HOLD["area"].iloc[0], "town": HOLD["town"].iloc[0]}
    rows = [row, {**row, "when": None}, {**row, "id": [{"deep": [1, "x"]}], "when": -1e300}]
    answer = deployed.predict("records", {"instances": rows})
    assert [p["prediction"] for p in answer["predictions"]] == [TRUTH.expected[0]] * 3


def test_other_columns_are_refused_by_name(deployed: Served) -> None:
    with tenon.Client(deployed.url) as client, pytest.raises(tenon.ServerError) as caught:
        client.predict("records", HOLD.drop(columns="when").assign(Area=1.0))
    assert [(e["path"], e["code"]) for e in caught.value.errors] == [("inputs.Area", "unknown-column")]


def test_an_array_is_told_the_names(deployed: Served) -> None:
    said = r"records takes 2 columns by name.*columns=\['area', 'town'\]"
    with tenon.Client(deployed.url) as client, pytest.raises(tenon.ServerError, match=said):
        client.predict("records", HOLD[["area", "town"]].to_numpy())


def test_they_are_shown(deployed: Served) -> None:
    assert deployed.get("/v1/models/records")["signature"]["unused"] == ["when", "id"]
    example = deployed.get("/v1/models/records/versions/1/example")
    assert set(example["instances"][0]) == {"area", "town"}
    shown = [line.split() for line in command("show", "records", server=deployed).stdout.splitlines()]
    assert ["when", "-", "unused"] in [line[:3] for line in shown]


def test_check_and_report_count_the_same(deployed: Served) -> None:
    check = tenon.check(MODEL, X[:150], HOLD)
    report = deployed.get("/v1/models/records/versions/1/report")
    size = check.golden
    assert 0 < size.rows < size.answers
    assert (report["coverage"]["rows"], report["rows"]) == (size.rows, size.answers)
    assert report["summary"] == (
        f"All {size.answers} rows are what the pipeline answered. These are {size.rows} different rows, sent alone and "
        f"in bodies of up to {size.largest}."
    )
    assert (
        f"{size.answers} answers to {size.rows} rows, sent alone and in bodies of up to {size.largest}."
        in check.summary()
    )
    assert check.to_json()["golden"] == {"rows": size.rows, "answers": size.answers, "largest": size.largest}

"""push and Client against a stub: what is sent, what comes back, and refusals that can be read."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import tenon
from stub import serving
from tenon import upload

PUSHED = {"model": "iris", "version": 3, "digest": "sha256:ab", "parity": "proven", "report": "/r"}
OUTPUTS = {"model": "iris", "version": 3, "outputs": {"prediction": [1, 2.5]}}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tenon.Bundle:
    X, y = load_iris(return_X_y=True)
    path = tmp_path_factory.mktemp("push") / "iris.tenon"
    return tenon.export(LogisticRegression(max_iter=500).fit(X, y), X, name="iris", path=path)


def test_push_streams_the_tar_with_its_length(bundle: tenon.Bundle) -> None:
    with serving((201, PUSHED)) as stub:
        version = tenon.push(bundle, server=stub.url)
    assert version == tenon.Version("iris", 3, "sha256:ab", "proven")
    assert str(version) == "iris/3"
    assert version.loosened == ""
    (asked,) = stub.asked
    assert (asked.method, asked.path) == ("POST", "/v1/models/iris/versions?wait=1s")
    assert asked.headers["Content-Type"] == "application/x-tar"
    assert asked.headers["Content-Length"] == str(bundle.path.stat().st_size)
    assert "Transfer-Encoding" not in asked.headers
    assert asked.body == bundle.path.read_bytes()


def test_a_version_says_what_it_was_held_to(bundle: tenon.Bundle) -> None:
    with serving((201, {**PUSHED, "loosened": "agreement ≥ 99 %"})) as stub:
        version = tenon.push(bundle, server=stub.url)
    assert (version.parity, version.loosened) == ("proven", "agreement ≥ 99 %")
    assert "loosened='agreement ≥ 99 %'" in repr(version)


def test_push_and_deploy(bundle: tenon.Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving((200, PUSHED), (201, {"deployment": 7, "stable": 3})) as stub:
        monkeypatch.setenv("TENON_URL", stub.url + "/")
        tenon.push(str(bundle.path), deploy=True)
    assert stub.asked[1].path == "/v1/models/iris/deployments"
    assert json.loads(stub.asked[1].body)["stable"] == 3
    assert "reason" in json.loads(stub.asked[1].body)


def test_push_says_where_the_version_runs(bundle: tenon.Bundle) -> None:
    with serving((200, PUSHED), (201, {"deployment": 7}), (200, PUSHED), (201, {"deployment": 8})) as stub:
        tenon.push(bundle, server=stub.url, deploy=True, isolation="process")
        tenon.push(bundle, server=stub.url, deploy=True)
        with pytest.raises(tenon.TenonError, match="deploy=True, isolation"):
            tenon.push(bundle, server=stub.url, isolation="process")
    assert json.loads(stub.asked[1].body)["isolation"] == "process"
    assert "isolation" not in json.loads(stub.asked[3].body)
    assert len(stub.asked) == 4, "what cannot be meant uploads nothing"


def test_a_push_that_is_not_deployed_says_what_is_registered(bundle: tenon.Bundle) -> None:
    broken = {"path": "inputs.age", "code": "removed", "detail": "the column is gone"}
    problem = {
        "status": 409,
        "code": "signature-incompatible",
        "detail": "It breaks callers.",
        "errors": [broken],
    }
    with serving((201, PUSHED), (409, problem)) as stub, pytest.raises(tenon.DeployError) as caught:
        tenon.push(bundle, server=stub.url, deploy=True)
    assert "force" not in json.loads(stub.asked[1].body)
    assert caught.value.version == tenon.Version("iris", 3, "sha256:ab", "proven")
    assert (caught.value.code, caught.value.status, caught.value.errors) == (problem["code"], 409, [broken])
    assert str(caught.value) == (
        "iris/3 is registered, and was not put into traffic: signature-incompatible (409): It breaks callers. "
        "[inputs.age: the column is gone]. push(…, deploy=True, force=True) does so all the same"
    )
    with serving((201, PUSHED), (201, {"deployment": 8, "stable": 3})) as stub:
        tenon.push(bundle, server=stub.url, deploy=True, force=True)
    assert json.loads(stub.asked[1].body)["force"] is True


def test_a_deployment_whose_answer_is_lost_is_sent_again(
    bundle: tenon.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenon.http._PAUSES", (0, 0))
    with serving((201, PUSHED), (0, None), (0, None), (201, {"deployment": 7})) as stub:
        tenon.push(bundle, server=stub.url, deploy=True)
    keys = [a.headers.get("Idempotency-Key") for a in stub.asked]
    assert keys[0] is None
    assert keys[1]
    assert keys[1:] == [keys[1]] * 3
    assert len({a.body for a in stub.asked[1:]}) == 1
    with serving((201, PUSHED), (201, {"deployment": 8})) as again:
        tenon.push(bundle, server=again.url, deploy=True)
    assert again.asked[1].headers["Idempotency-Key"] != keys[1]
    with serving((201, PUSHED), *[(0, None)] * 3) as stub, pytest.raises(tenon.ServerError, match="broke"):
        tenon.push(bundle, server=stub.url, deploy=True)
    with serving((201, PUSHED), (422, {"code": "parity-failed"})) as stub, pytest.raises(tenon.DeployError):
        tenon.push(bundle, server=stub.url, deploy=True)
    assert len(stub.asked) == 2, "a refusal is an answer"


def test_push_a_folder(bundle: tenon.Bundle, tmp_path: Path) -> None:
    with tarfile.open(bundle.path) as tar:
        tar.extractall(tmp_path / "folder", filter="data")
    with serving((201, PUSHED)) as stub:
        tenon.push(tmp_path / "folder", server=stub.url)
    assert stub.asked[0].body == bundle.path.read_bytes(), "the same files are the same tar"


def test_push_waits_for_an_operation(bundle: tenon.Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_ASK_AGAIN_SECONDS", 0)
    running = {"id": "op1", "state": "running", "done": 1, "total": 2}
    with serving(
        (202, running), (200, running), (200, {**running, "state": "succeeded", "result": PUSHED})
    ) as stub:
        assert tenon.push(bundle, server=stub.url).number == 3
    assert [a.path for a in stub.asked[1:]] == ["/v1/operations/op1"] * 2
    failed = {
        **running,
        "state": "failed",
        "error": {"status": 422, "code": "parity-failed", "report": {"rows": 1}},
    }
    with serving((202, running), (200, failed)) as stub, pytest.raises(tenon.ParityError) as caught:
        tenon.push(bundle, server=stub.url)
    assert caught.value.report == {"rows": 1}
    lost = {"status": 404, "code": "operation-not-found", "detail": "no such operation"}
    with (
        serving((202, running), (404, lost)) as stub,
        pytest.raises(tenon.ServerError, match="operation-not-"),
    ):
        tenon.push(bundle, server=stub.url)
    with serving((202, running), (200, {"state": "succeeded"})) as stub, pytest.raises(tenon.ServerError):
        tenon.push(bundle, server=stub.url)


def test_a_terminal_shows_how_far_the_examination_is(
    bundle: tenon.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(upload, "_ASK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(
        upload,
        "Console",
        lambda stderr: Console(file=shown, force_terminal=True, width=120, color_system=None),
    )
    states = [
        {"state": "queued", "done": 0, "total": 0},
        {"state": "running", "phase": "loading", "done": 0, "total": 0},
        {"state": "running", "phase": "replaying", "done": 120, "total": 637},
        {"state": "succeeded", "done": 637, "total": 637, "result": PUSHED},
    ]
    answers = [(202 if n == 0 else 200, {"id": "op1", **s}) for n, s in enumerate(states)]
    with serving(*answers) as stub:
        tenon.push(bundle, server=stub.url)
    said = shown.getvalue()
    order = [
        said.index(words)
        for words in (
            "pushing iris",
            "waiting for another examination to end",
            "examining: loading",
            "examining 120 of 637 requests",
        )
    ]
    assert order == sorted(order)


def test_nothing_is_shown_where_nobody_watches(
    bundle: tenon.Bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(
        (202, {"id": "op1", "state": "running"}), (200, {"state": "succeeded", "result": PUSHED})
    ) as stub:
        tenon.push(bundle, server=stub.url)
    assert capfd.readouterr() == ("", "")


def test_parity_failed(bundle: tenon.Bundle) -> None:
    problem = {
        "title": "Refused",
        "status": 422,
        "code": "parity-failed",
        "detail": "4 rows differ",
        "report": {"differing": 4},
    }
    with serving((422, problem)) as stub, pytest.raises(tenon.ParityError, match="4 rows differ") as caught:
        tenon.push(bundle, server=stub.url)
    assert caught.value.report == {"differing": 4}
    assert isinstance(caught.value, tenon.ServerError)
    assert str(caught.value) == "parity-failed (422): 4 rows differ"
    assert caught.value.rows.empty


def test_parity_failure_allowed(bundle: tenon.Bundle) -> None:
    with serving((201, {**PUSHED, "parity": "overridden"})) as stub:
        version = tenon.push(bundle, server=stub.url, allow_parity_failure=True)
    assert version.parity == "overridden"
    assert stub.asked[0].path == "/v1/models/iris/versions?wait=1s&allow_parity_failure=true"
    with pytest.raises(TypeError):
        tenon.push(bundle, "http://127.0.0.1:1", False, True)  # type: ignore[misc]


def test_the_report_of_a_version(bundle: tenon.Bundle) -> None:
    with serving((201, PUSHED), (200, {"rows": 637})) as stub:
        version = tenon.push(bundle, server=stub.url + "/")
        assert version.report_url == f"{stub.url}/r"
        assert version.report == {"rows": 637}
        assert version.report == {"rows": 637}, "asked once"
        assert version == tenon.Version("iris", 3, "sha256:ab", "proven")
    assert [a.path for a in stub.asked[1:]] == ["/r"]
    with pytest.raises(tenon.TenonError, match="iris/3 was not compared"):
        _ = tenon.Version("iris", 3, "sha256:ab", "not-proven").report


def test_a_refusal_carries_code_detail_and_errors() -> None:
    errors = [
        {"path": f"inputs.age[{i}]", "code": "type", "detail": 'expected a number, got "abc"'}
        for i in range(7)
    ]
    problem = {
        "status": 400,
        "code": "invalid-input",
        "detail": "the request does not fit the model",
        "errors": errors,
    }
    with serving((400, problem)) as stub, pytest.raises(tenon.ServerError) as caught:
        tenon.Client(stub.url).predict("iris", pd.DataFrame({"age": ["abc"]}))
    assert caught.value.status == 400
    assert caught.value.code == "invalid-input"
    assert caught.value.errors == errors
    assert not isinstance(caught.value, tenon.ParityError)
    assert 'inputs.age[0]: expected a number, got "abc"' in str(caught.value)
    assert ".errors lists 2 more" in str(caught.value)


def test_no_server_and_no_json() -> None:
    with pytest.raises(tenon.ServerError, match="tenon serve"):
        tenon.Client("http://127.0.0.1:1").predict("iris", [[1.0]])
    with serving((502, b"<html>")) as stub, pytest.raises(tenon.ServerError, match="502"):
        tenon.Client(stub.url).predict("iris", [[1.0]])
    with serving((200, b"hello")) as stub, pytest.raises(tenon.ServerError, match="is it a tenon server"):
        tenon.Client(stub.url).predict("iris", [[1.0]])


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        ("iris", "/v1/models/iris/predict"),
        ("iris/3", "/v1/models/iris/versions/3/predict"),
        ("iris@champion", "/v1/models/iris@champion/predict"),
        ("a.b_c-9", "/v1/models/a.b_c-9/predict"),
    ],
)
def test_references(ref: str, path: str) -> None:
    with serving((200, OUTPUTS)) as stub:
        tenon.Client(stub.url).predict(ref, [[1.0], [2.0]])
    assert stub.asked[0].path == path


@pytest.mark.parametrize(
    "ref", ["", "Iris", "iris/0", "iris/x", "iris@", "iris@A", "iris/3/4", "../x", "iris?x", "iris\n"]
)
def test_references_outside_the_grammar_are_not_sent(ref: str) -> None:
    with pytest.raises(tenon.TenonError, match="is not a reference"):
        tenon.Client("http://127.0.0.1:1").predict(ref, [[1.0]])


def test_what_a_frame_looks_like_on_the_way() -> None:
    frame = pd.DataFrame(
        {
            "f": [0.1, np.nan],
            "inf": [np.inf, -np.inf],
            "single": np.array([0.1, 2], dtype="float32"),
            "i": np.array([2**63 - 1, -1], dtype="int64"),
            "b": [True, False],
            "s": ["ä", None],
            "n": pd.array([1, None], dtype="Int64"),
            "mb": pd.array([True, None], dtype="boolean"),
            "c": pd.Series(["x", None], dtype="category"),
        }
    )
    with serving((200, OUTPUTS)) as stub:
        tenon.Client(stub.url).predict("iris", frame)
    sent = json.loads(stub.asked[0].body)
    assert sent == {
        "inputs": {
            "f": [0.1, None],
            "inf": ["Infinity", "-Infinity"],
            "single": [0.10000000149011612, 2.0],
            "i": [2**63 - 1, -1],
            "b": [True, False],
            "s": ["ä", None],
            "n": [1, None],
            "mb": [True, None],
            "c": ["x", None],
        }
    }
    assert [type(v) for v in sent["inputs"]["n"]] == [int, type(None)]


def test_an_array_is_the_input_x() -> None:
    with serving((200, OUTPUTS)) as stub:
        got = tenon.Client(stub.url).predict("digits", np.array([[0.0, 1.0], [2.0, np.nan]]))
    assert json.loads(stub.asked[0].body) == {"inputs": {"x": [[0.0, 1.0], [2.0, None]]}}
    assert got.index.tolist() == [0, 1]


def answer(outputs: Any, index: Any = ("r1", "r2")) -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1.0] * len(index)}, index=list(index))
    with (
        serving((200, {"model": "m", "version": 1, "outputs": outputs})) as stub,
        tenon.Client(stub.url) as client,
    ):
        return client.predict("m", frame)


def test_the_answer_has_the_rows_index_and_the_right_types() -> None:
    got = answer({"label": ["Adelie", "Gentoo"], "probabilities": {"Adelie": [1, 0.25], "Gentoo": [0, 0.75]}})
    assert got.index.tolist() == ["r1", "r2"]
    assert list(got.columns) == ["label", "probabilities.Adelie", "probabilities.Gentoo"]
    assert got["label"].tolist() == ["Adelie", "Gentoo"]
    assert got["probabilities.Adelie"].dtype == np.float64


@pytest.mark.parametrize(
    ("outputs", "dtype"),
    [
        ({"label": [1, 2]}, "int64"),
        ({"label": [True, False]}, "bool"),
        ({"prediction": [1, 2]}, "float64"),
        ({"prediction": [None, "Infinity"]}, "float64"),
        ({"out": [2**60, 1]}, "int64"),
    ],
)
def test_types_of_answers(outputs: Any, dtype: str) -> None:
    got = answer(outputs)
    assert got.dtypes.tolist() == [np.dtype(dtype)]


def test_missing_and_infinite_answers() -> None:
    assert np.array_equal(
        answer({"prediction": [None, "-Infinity"]})["prediction"], [np.nan, -np.inf], equal_nan=True
    )


def test_bundles_that_are_none(tmp_path: Path) -> None:
    junk = tmp_path / "junk.tenon"
    junk.write_bytes(b"junk" * 200)
    for path, words in (
        (junk, "not a bundle"),
        (tmp_path / "no", "does not exist"),
        (tmp_path, "has no manifest.json"),
    ):
        with pytest.raises(tenon.TenonError, match=words):
            tenon.push(path, server="http://127.0.0.1:1")


def test_the_user_agent_is_the_kit() -> None:
    with serving((200, OUTPUTS)) as stub:
        tenon.Client(stub.url).predict("iris", [[1.0], [2.0]])
    assert stub.asked[0].headers["User-Agent"].startswith("tenon-kit")
    assert httpx.__version__


def test_predict_takes_records_and_columns() -> None:
    rows = [{"a": 2**60, "b": None}, {"a": 1, "b": "x"}, {"a": 3}]
    columns = {"a": [2**60, 1, 3], "b": [None, "x", None]}
    for given in (rows, tuple(rows), columns):
        said = (200, OUTPUTS | {"outputs": {"prediction": [1, 2, 3]}})
        with serving(said) as stub, tenon.Client(stub.url) as client:
            assert client.predict("iris", given)["prediction"].tolist() == [1, 2, 3]
        assert json.loads(stub.asked[0].body) == {"inputs": columns}


@pytest.mark.parametrize("one", [{"a": 1.5, "b": "x"}, {"a": np.zeros((2, 2))}])
def test_one_record_alone_is_no_rows(one: Any) -> None:
    with tenon.Client("http://127.0.0.1:9") as client, pytest.raises(tenon.TenonError, match="list of reco"):
        client.predict("iris", one)


REFUSED_ARRAY = {
    "code": "invalid-input",
    "status": 400,
    "detail": "The request does not fit.",
    "errors": [{"path": "inputs.x", "code": "unknown-column", "detail": 'the model has no column "x"'}],
}


@pytest.mark.parametrize(
    ("width", "says"),
    [
        (2, r"takes 2 columns by name.*pd\.DataFrame\(rows, columns=\['a', 'b'\]\)"),
        (3, r"takes 2 columns by name, and an array of the shape \(1, 3\).*'a', 'b'"),
    ],
)
def test_an_array_for_named_columns(width: int, says: str) -> None:
    signature = {"signature": {"inputs": [{"name": "a"}, {"name": "b"}]}}
    with (
        serving((400, REFUSED_ARRAY), (200, signature)) as stub,
        tenon.Client(stub.url) as client,
        pytest.raises(tenon.ServerError, match=says) as caught,
    ):
        client.predict("iris/3", np.zeros((1, width)))
    assert stub.asked[1].path == "/v1/models/iris/versions/3"
    assert (caught.value.status, caught.value.code) == (400, "invalid-input")


def test_what_no_request_holds_is_sent_only_where_the_model_uses_it() -> None:
    frame = pd.DataFrame({"a": [1.5], "when": pd.to_datetime(["2024-01-01"])})
    unused = (200, {"signature": {"unused": ["when"]}})
    with serving(unused, (200, OUTPUTS)) as stub, tenon.Client(stub.url) as client:
        client.predict("iris", pd.concat([frame, frame]))
    assert json.loads(stub.asked[1].body) == {"inputs": {"a": [1.5, 1.5]}}
    with (
        serving((200, {"signature": {"inputs": [{"name": "when"}]}})) as stub,
        tenon.Client(stub.url) as client,
        pytest.raises(tenon.TenonError, match="column 'when': a value of type Timestamp"),
    ):
        client.predict("iris", frame)


def test_a_client_that_nobody_holds_closes_its_connections() -> None:
    with serving((200, OUTPUTS)) as stub:
        code = f"""
import tenon
print(len(tenon.Client({stub.url!r}).predict("iris", {{"a": [1, 2]}})))
"""
        arguments = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", code]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    assert "ResourceWarning" not in done.stderr, done.stderr


@pytest.mark.parametrize(("listed", "says"), [(5, "expected a number]"), (20, "; .errors lists 15 more]")])
def test_more_findings_than_are_listed(listed: int, says: str) -> None:
    errors = [
        {"path": f"inputs.a[{n}]", "code": "type", "detail": "expected a number"} for n in range(listed)
    ]
    problem = {"code": "invalid-input", "detail": "It does not fit.", "errors": errors}
    with (
        serving((400, problem)) as stub,
        tenon.Client(stub.url) as client,
        pytest.raises(tenon.ServerError) as caught,
    ):
        client.predict("iris", pd.DataFrame({"a": ["x"] * listed}))
    assert str(caught.value).endswith(says)

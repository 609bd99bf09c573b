"""A reader of bundles written from docs/bundle-format.md alone: it decodes golden bodies and runs the graph."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort


class Reader:
    """A bundle's files, its golden set and one session of its graph."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as tar:
            self.members = [m.name for m in tar.getmembers()]
            self.headers = tar.getmembers()
            self.files = {m.name: tar.extractfile(m).read() for m in self.headers}  # type: ignore[union-attr]
        self.manifest = json.loads(self.files["manifest.json"])
        self.signature = json.loads(self.files["signature.json"])
        self.profile = json.loads(self.files["profile.json"])
        self.requests = self._lines("golden/requests.jsonl.gz")
        self.answers = {a["id"]: a for a in self._lines("golden/answers.jsonl.gz")}

    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.files["manifest.json"]).hexdigest()

    def input(self, name: str) -> dict[str, Any]:
        return next(i for i in self.signature["inputs"] if i["name"] == name)

    def replay(self) -> dict[str, float]:
        """Runs every golden body; the largest distance by output. Fails on the first value out of tolerance."""
        scales, worst = self._scales(), {o["name"]: 0.0 for o in self.signature["outputs"]}
        for request in self.requests:
            columns, count = self._columns(request["body"])
            got = self.run(columns, count)
            said = self._said(self.answers[request["id"]])
            for output, values in zip(self.signature["outputs"], got, strict=True):
                for key, mine in self._parts(output, values):
                    theirs = said[output["name"]] if key is None else said[output["name"]][key]
                    worst[output["name"]] = max(
                        worst[output["name"]], self._compare(output, mine, theirs, scales)
                    )
        return worst

    def run(self, columns: dict[str, list[Any]], count: int) -> list[np.ndarray]:
        """The graph's answers to rows given as JSON values by column, in the order of the signature's outputs."""
        return self._session().run(
            [o["from"] for o in self.signature["outputs"]], self._feeds(columns, count)
        )

    def _lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in gzip.decompress(self.files[name]).splitlines()]

    def _columns(self, body: dict[str, Any]) -> tuple[dict[str, list[Any]], int]:
        if "inputs" in body:
            return body["inputs"], len(next(iter(body["inputs"].values())))
        rows = body["instances"]
        return {i["name"]: [row[i["name"]] for row in rows] for i in self.signature["inputs"]}, len(rows)

    def _feeds(self, columns: dict[str, list[Any]], count: int) -> dict[str, np.ndarray]:
        feeds: dict[str, Any] = {}
        for spec in self.signature["inputs"]:
            values = np.array(columns[spec["name"]], dtype=object).reshape(count, -1)
            gone = np.array([[v is None for v in row] for row in values])
            assert not gone.any() or spec["missing"] == "allowed", spec["name"]
            if spec.get("unknown") == "refuse":
                assert {v for v in values[~gone]} <= set(spec["domain"])
            elif spec["type"] == "string":
                values = np.where(gone, spec.get("sentinel", ""), values)
            if spec["type"] == "string":
                feeds[spec["feed"]] = np.where(gone, spec.get("sentinel", ""), values).astype(object)
            elif "column" in spec:
                feeds.setdefault(spec["feed"], {})[spec["column"]] = values
            else:
                feeds[spec["feed"]] = np.where(gone, np.nan, values) if gone.any() else values
        wanted = {i.name: i for i in self._session().get_inputs()}
        out = {}
        for name, values in feeds.items():
            if isinstance(values, dict):
                values = np.hstack([values[j] for j in sorted(values)])
            elem = {"tensor(double)": "float64", "tensor(float)": "float32", "tensor(string)": "object"}.get(
                wanted[name].type, wanted[name].type[7:-1]
            )
            out[name] = values.astype(elem)
        return out

    @functools.cache  # noqa: B019  (one session a reader, as long as the reader)
    def _session(self) -> ort.InferenceSession:
        """One thread, as the server: with more, sums over trees are taken in another order."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        return ort.InferenceSession(self.files["model.onnx"], options, providers=["CPUExecutionProvider"])

    @staticmethod
    def _parts(output: dict[str, Any], values: np.ndarray) -> list[tuple[str | None, np.ndarray]]:
        if output["kind"] != "probabilities":
            return [(None, values)]
        keys = [c if isinstance(c, str) else json.dumps(c) for c in output["classes"]]
        return [(k, values[:, j]) for j, k in enumerate(keys)]

    @staticmethod
    def _said(answer: dict[str, Any]) -> dict[str, Any]:
        if "outputs" in answer:
            return answer["outputs"]
        rows = answer["predictions"]
        out: dict[str, Any] = {}
        for name, first in rows[0].items():
            if isinstance(first, dict):
                out[name] = {k: [r[name][k] for r in rows] for k in first}
            else:
                out[name] = [r[name] for r in rows]
        return out

    def _scales(self) -> dict[str, float]:
        scales: dict[str, float] = {}
        for answer in self.answers.values():
            for name, values in self._said(answer).items():
                lists = values.values() if isinstance(values, dict) else [values]
                flat = np.array([*lists], dtype=object).ravel()
                for v in (v for v in flat if isinstance(v, float)):
                    scales[name] = max(scales.get(name, 0.0), abs(v))
        return {name: scale or 1.0 for name, scale in scales.items()}

    @staticmethod
    def _compare(
        output: dict[str, Any], mine: np.ndarray, theirs: list[Any], scales: dict[str, float]
    ) -> float:
        assert len(mine) == len(theirs)
        if "tolerance" not in output:
            assert mine.tolist() == theirs
            assert [type(v) for v in mine.tolist()] == [type(v) for v in theirs]
            return 0.0
        wide = np.array([np.nan if v is None else v for v in theirs], dtype=np.float64)
        limit = output["tolerance"]["abs"] * scales[output["name"]] + output["tolerance"]["rel"] * np.abs(
            wide
        )
        got = mine.reshape(wide.shape).astype(np.float64)
        both = np.isnan(got) & np.isnan(wide)
        distance = np.where(both, 0.0, np.abs(got - wide))
        assert (both | (distance <= limit)).all()
        return float(distance.max(initial=0.0))

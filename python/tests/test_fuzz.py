"""A random pipeline is exported exactly or refused with a sentence: none slips through as a wrong bundle."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import fuzz
import numpy as np
import pandas as pd

import tenon
from reader import Reader

LONG = bool(os.environ.get("TENON_LONG"))
CASES = 500 if LONG else 40
REFUSED = 0.15
"""At most, of the cases: more, and the fuzzer would look at refusals instead of exports."""


def test_random_pipelines(tmp_path: Path) -> None:
    refused: dict[int, str] = {}
    converted = rows = 0
    for seed in range(CASES):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn = fuzz.draw(seed)
            try:
                bundle = tenon.export(
                    drawn.pipeline, drawn.train, name="m", holdout=drawn.held, path=tmp_path / f"{seed}.tenon"
                )
            except tenon.ExportError as e:
                refused[seed] = str(e)
                continue
            read = Reader(bundle.path)
            converted += "Converted" in read.files["README.md"].decode()
            rows += check(seed, drawn, read)
    print(f"{CASES} pipelines: {converted} converted, {len(refused)} refused, {rows} fresh rows equal")
    for seed, sentence in refused.items():
        print(f"  {seed}: {sentence.splitlines()[0]}")
    assert len(refused) <= CASES * REFUSED, refused


def check(seed: int, drawn: fuzz.Drawn, read: Reader) -> int:
    """The bundle's graph against the pipeline on rows that the export never saw, as far as the signature takes them."""
    fresh = drawn.fresh[accepted(read, drawn.fresh)]
    columns = {c: [None if pd.isna(v) else v for v in fresh[c].astype(object)] for c in fresh}
    for output, got in zip(read.signature["outputs"], read.run(columns, len(fresh)), strict=True):
        if output["kind"] == "probabilities":
            expected: Any = drawn.pipeline.predict_proba(fresh)
        else:
            expected = np.asarray(drawn.pipeline.predict(fresh))
        said = f"seed {seed}: {output['name']} of {drawn.pipeline}"
        if "tolerance" not in output:
            assert (got == expected).all(), said
            continue
        got = got.reshape(expected.shape)
        rule, scale = output["tolerance"], np.abs(expected[np.isfinite(expected)]).max(initial=0.0) or 1.0
        with np.errstate(invalid="ignore"):
            near = np.abs(got - expected) <= rule["abs"] * scale + rule["rel"] * np.abs(expected)
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        assert (np.where(np.isfinite(expected), near, same)).all(), said
    return len(fresh)


def accepted(read: Reader, fresh: pd.DataFrame) -> np.ndarray:
    """Rows that a server would take: missing only where allowed, categories only within a closed domain."""
    good = np.ones(len(fresh), dtype=bool)
    for spec in read.signature["inputs"]:
        values = fresh[spec["name"]]
        if spec["missing"] != "allowed":
            good &= values.notna().to_numpy()
        if spec.get("unknown") == "refuse":
            good &= (values.isin(spec["domain"]) | values.isna()).to_numpy()
    return good

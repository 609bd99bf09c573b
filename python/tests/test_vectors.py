"""Vectors that Python writes and Go reads: those committed are what the script writes today."""

from __future__ import annotations

import gzip
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
LONG = bool(os.environ.get("TENON_LONG"))


@pytest.fixture(scope="module")
def vectors() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vectors", ROOT / "scripts" / "vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_numbers_are_not_stale(vectors: ModuleType, tmp_path: Path) -> None:
    vectors.write(tmp_path / "numbers.tsv.gz", vectors.COUNT)
    written = gzip.decompress((tmp_path / "numbers.tsv.gz").read_bytes())
    assert written == gzip.decompress(vectors.COMMITTED.read_bytes()), (
        "run scripts/vectors.py and commit its file"
    )


@pytest.mark.skipif(
    not LONG, reason="a minute of writing: the long form, make parity; Go reads 20,000 in its own tests"
)
def test_a_million_numbers(vectors: ModuleType, tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("Go reads them, and there is no go")
    vectors.write(tmp_path / "numbers.tsv.gz", 1_000_010)
    command = ["go", "test", "-count=1", "-v", "-run", "TestNumbersAreNumpys", "./internal/tensor"]
    env = {**os.environ, "TENON_NUMBERS": str(tmp_path / "numbers.tsv.gz")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "1000010 numbers" in done.stdout

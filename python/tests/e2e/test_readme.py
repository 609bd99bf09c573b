"""What the README tells a newcomer to type is what happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import httpx
from serving import BINARY, ROOT, Served

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    """The lines behind a prompt, without the comments at their end."""
    lines = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+# .*", "", line) for line in lines]


def run(command: list[str] | str, folder: Path, server: Served) -> str:
    done = subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env={**os.environ, "TENON_URL": server.url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_program_of_your_own_model(server: Served, tmp_path: Path) -> None:
    (program,) = blocks("python")
    (tmp_path / "mine.py").write_text(program)
    printed = run([sys.executable, "mine.py"], tmp_path, server)
    assert printed.startswith("iris/1")
    assert "probabilities.2" in printed
    assert (tmp_path / "iris.tenon").exists()
    again = run([str(BINARY), "push", "iris.tenon", "--deploy"], tmp_path, server)
    assert again.startswith("iris/1 was registered before and takes the traffic")


def test_the_commands(server: Served, tmp_path: Path) -> None:
    bundle = tmp_path / "penguins.tenon"
    run(
        [sys.executable, str(ROOT / "models/penguins/train.py"), "--push", "--out", str(bundle)], ROOT, server
    )
    tried = [
        c
        for c in commands()
        if c.startswith(("curl", "bin/tenon ls", "bin/tenon show p", "bin/tenon predict"))
    ]
    assert len(tried) == 4
    for command in tried:
        printed = run(command.replace("http://127.0.0.1:8080", server.url), ROOT, server)
        assert "penguins" in printed
        if command.startswith("curl"):
            (prediction,) = json.loads(printed)["predictions"]
            assert prediction["label"] == "Gentoo"


def test_a_bare_model(server: Served, tmp_path: Path) -> None:
    (program,) = blocks("python")
    (tmp_path / "mine.py").write_text(program)
    run([sys.executable, "mine.py"], tmp_path, server)
    with tarfile.open(tmp_path / "iris.tenon") as files:
        files.extract("model.onnx", tmp_path, filter="data")
    pushes = [c for c in commands() if c.startswith("bin/tenon push model.onnx")]
    assert len(pushes) == 1
    run(pushes[0].replace("bin/tenon", str(BINARY)), tmp_path, server)
    assert httpx.get(f"{server.url}/v1/models/mine").json()["parity"] == "not-proven"

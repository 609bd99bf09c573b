"""What the process table says of a server and of the processes that it has started."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest


def needs_proc() -> None:
    """Skips where there is no process table to read."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("processes are read from /proc, which this system has not")


def children(pid: int) -> list[int]:
    """The processes that this one has started and that run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = entry.read_text().rpartition(")")
        except OSError:
            continue  # it has ended
        state, parent = rest.split()[:2]
        if int(parent) == pid and state != "Z":
            found.append(int(entry.parent.name))
    return found


def runs(pid: int) -> bool:
    """Whether the process is there and has not ended."""
    try:
        _, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return False
    return rest.split()[0] != "Z"


def gone(pids: list[int], seconds: float = 5) -> None:
    """Asserts that none of them runs any more, soon: the end of a pipe takes a moment to reach them."""
    end = time.monotonic() + seconds
    while left := [pid for pid in pids if runs(pid)]:
        assert time.monotonic() < end, f"processes outlive their server: {left}"
        time.sleep(0.01)


def resident(pid: int) -> float:
    """Resident memory in bytes."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), flags=re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024.0


def descriptors(pid: int) -> int:
    """How many files, sockets and pipes it has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))

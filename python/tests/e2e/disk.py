"""A file system in a file, whose power can be cut."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

SHUTDOWN = 0x8004587D
WITHOUT_FLUSH = 2
"""EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH: what the kernel's own tests of power cuts use."""


class Disk:
    """An ext4 whose journal is written when somebody syncs, or after a minute. Skips where it cannot be mounted."""

    def __init__(self, folder: Path) -> None:
        if sys.platform != "linux" or os.geteuid() != 0:
            pytest.skip("a file system is mounted, which only root on Linux may")
        if not shutil.which("mkfs.ext4"):
            pytest.skip("mkfs.ext4 is not here")
        self._image, self.at = folder / "image", folder / "disk"
        self.at.mkdir()
        with self._image.open("wb") as image:
            image.truncate(512 << 20)
        options = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
        subprocess.run(["mkfs.ext4", *options, self._image], check=True)
        try:
            self.mount()
        except subprocess.CalledProcessError as e:
            pytest.skip(f"a file cannot be mounted here, as in a container without that right: {e.stderr}")

    def mount(self) -> None:
        """The kernel replays the journal, as after a start."""
        subprocess.run(
            ["mount", "-o", "loop,commit=60", self._image, self.at], check=True, stderr=subprocess.PIPE
        )

    def unmount(self) -> None:
        subprocess.run(["umount", self.at], check=True)

    def cut(self) -> None:
        """What has not reached the device never will, and every later call fails."""
        folder = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(folder)

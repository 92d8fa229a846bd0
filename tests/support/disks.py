"""Disks that are really full: small file systems in memory, which only an administrator can mount."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Disk:
    """A mounted disk."""

    path: Path

    def resize(self, size: str) -> None:
        """Another size, such as ``3m``; not less than what is in use."""
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], check=True)

    def fill(self) -> None:
        """Take all room that is left."""
        self._filler.write_bytes(b"x" * shutil.disk_usage(self.path).free)

    def make_room(self) -> None:
        """Give it back."""
        self._filler.unlink()

    @property
    def _filler(self) -> Path:
        return self.path / "filler"


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Disk]:
    """A disk of this size; the test is skipped where none can be mounted."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk can be mounted, and so be full, only by an administrator on Linux")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)

"""A program that is killed and started again, as a supervisor does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class Program:
    """A command with its children, in a folder that is its home and has its log and its temporary files."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.command = list(command)
        self.folder = folder
        self.log = folder / "log"
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        self._environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(temporary), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, for the first time or again."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of its first process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL it and all of its children."""
        os.killpg(self.pid, signal.SIGKILL)
        self._wait()

    def stop(self, *, seconds: float = 10.0) -> None:
        """Ask it to end, then kill it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait()

    def __contains__(self, pid: int) -> bool:
        """Whether a process is one of its own."""
        try:
            return os.getpgid(pid) == self.pid
        except ProcessLookupError:
            return False

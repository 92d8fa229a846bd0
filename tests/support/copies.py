"""A copy of the program with changes, and programs that run on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from .installation import REPOSITORY


class ProgramCopy:
    """A copy of the package in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(REPOSITORY / "drillster_pipeline", folder / "drillster_pipeline")

    def write(self, path: str, text: str) -> None:
        """Add a file."""
        (self.folder / path).write_text(text, encoding="utf-8")

    def apply(self, diff: str) -> None:
        """Apply changes as CONTRIBUTING.md shows them: a blank line ends a hunk, a comment names the file."""
        path = Path()
        for hunk in re.split(r"\n\n", diff.strip("\n")):
            lines = hunk.splitlines()
            if lines[0].startswith(" # "):
                path = self.folder / lines.pop(0).removeprefix(" # ")
            before, after = ("".join(f"{one[1:]}\n" for one in lines if one[0] in f" {sign}") for sign in "-+")
            text = path.read_text(encoding="utf-8")
            assert text.count(before) == 1, before
            path.write_text(text.replace(before, after), encoding="utf-8")

    def run(self, program: str, *arguments: object) -> Any:
        """The JSON that a program prints; it imports the copy, and the tests as they are."""
        ended = subprocess.run(
            [sys.executable, "-P", "-c", program, *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": f"{self.folder}{os.pathsep}{REPOSITORY}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

"""A column is one line, a resource and its table are a declaration each, and a dialect is one file.

A copy of the program gets what CONTRIBUTING.md shows, and is tested by tests/extended. It describes itself, replays a
capture that was made before, and captures and loads a date.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .support.installation import REPOSITORY

EXTENDED = REPOSITORY / "tests" / "extended"
SECOND_TABLE = """
 # drillster_pipeline/tables/people.py
+GROUP_SIZES = entity(
+    "group_sizes",
+    "The size of a group, from the list of groups and from each group.",
+    key("group_id", "The group.", "{group_id} | id", references="groups.group_id"),
+    integer("members", "Members, as Drillster counts them.", "counts.members"),
+    sources=("groups",),
+)
 GROUP_STAFF = entity(

 # drillster_pipeline/tables/__init__.py
+from .people import GROUP_SIZES
 from .schema import Column, Kind, Table, Type, history_name, history_of

     "Content": (PLAYABLES, CATALOGS, CATALOG_PLAYABLES, CATALOG_SUBJECTS, GROUP_PLAYABLES),
+    "Sizes": (GROUP_SIZES,),
"""


def apply(diff: str, folder: Path) -> None:
    """Apply changes as CONTRIBUTING.md shows them: a blank line ends a hunk, a comment names the file."""
    path = Path()
    for hunk in re.split(r"\n\n", diff.strip("\n")):
        lines = hunk.splitlines()
        if lines[0].startswith(" # "):
            path = folder / lines.pop(0).removeprefix(" # ")
        before, after = ("".join(f"{one[1:]}\n" for one in lines if one[0] in f" {sign}") for sign in "-+")
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, before
        path.write_text(text.replace(before, after), encoding="utf-8")


@pytest.mark.deep
def test_what_contributing_shows_is_all_it_takes(prepared: Path, tmp_path: Path) -> None:
    package = tmp_path / "drillster_pipeline"
    shutil.copytree(REPOSITORY / package.name, package)
    page = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for diff in (*re.findall(r"```diff\n(.*?)```", page, re.DOTALL), SECOND_TABLE):
        apply(diff, tmp_path)
    for path, text in re.findall(r"```python\n# (\S+)\n(.*?)```", page, re.DOTALL):
        (tmp_path / path).write_text(text, encoding="utf-8")
    shutil.copy(EXTENDED / "made_up.py", package / "warehouse" / "dialects")
    environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}", "PREPARED": str(tmp_path / "installation")}
    shutil.copytree(prepared, environment["PREPARED"])
    options = ["-o", f"pythonpath={tmp_path}", "--import-mode=append", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *options, EXTENDED / "checks.py"],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 passed" in ended.stdout

"""A Dagster project of somebody else, with one ``defs.yaml`` for each organization."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import dagster as dg
import pytest
import yaml

from tests.drillster import Sandbox
from tests.support.installation import FIRST

TYPE = "drillster_pipeline.components.DrillsterComponent"
_numbers = count()
_DEFINITIONS = """
from pathlib import Path
import dagster as dg

@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


class Project:
    """In ``folder``, as ``create-dagster project`` makes one; what stands for its organizations is in the environment.

    Its package has a name of its own, as a process imports each once.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.package = f"project_{os.getpid()}_{next(_numbers)}"
        self.defs = folder / "src" / self.package / "defs"
        self._monkeypatch = monkeypatch
        self.defs.mkdir(parents=True)
        for package in (self.defs.parent, self.defs):
            (package / "__init__.py").touch()
        (self.defs.parent / "definitions.py").write_text(_DEFINITIONS)
        (folder / "pyproject.toml").write_text(
            f'[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "{self.package}"\n'
            'code_location_name = "group"\n'
        )
        (folder / "workspace.yaml").write_text(
            f"load_from:\n  - python_module:\n      module_name: {self.package}.definitions\n"
            f"      working_directory: {folder / 'src'}\n      location_name: group\n"
        )
        monkeypatch.syspath_prepend(str(folder / "src"))

    def add(self, name: str, sandbox: Sandbox | None = None, /, *, without: str = "", **attributes: object) -> Path:
        """Declare an organization; returns its file. ``without``: a setting whose variable is not there."""
        values: dict[str, object] = {
            "warehouse_url": f"sqlite:///{self.folder / name}.sqlite",
            "archive_url": str(self.folder / name / "archive"),
            "reports_folder": str(self.folder / name / "reports"),
            "first_export_date": str(FIRST),
        }
        for given, value in (sandbox.environment() if sandbox else {}).items():
            setting = given.removeprefix("DRILLSTER_").lower()
            variable = f"{name}_{setting}".upper()
            values[setting] = f"{{{{ env.{variable} }}}}"
            if setting != without:
                self._monkeypatch.setenv(variable, value)
        file = self.defs / name / "defs.yaml"
        file.parent.mkdir()
        file.write_text(yaml.safe_dump({"type": TYPE, "attributes": values | attributes}, sort_keys=False))
        return file

    def load(self) -> dg.Definitions:
        """All definitions of the project. Raises what Dagster raises of a file that is wrong."""
        return dg.ComponentTree.for_project(self.folder).build_defs()

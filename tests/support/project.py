"""A dg project that declares organizations, as ``dg scaffold defs`` makes one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

_PROJECT = """
[project]
name = "{name}"
version = "0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{name}"
"""


def declare_organizations(
    folder: Path, monkeypatch: pytest.MonkeyPatch, organizations: Mapping[str, Mapping[str, str]]
) -> None:
    """Make a project, with the attributes of each organization by its name, and go to its folder."""
    name = f"project_{secrets.token_hex(4)}"  # Python imports a module of one name only once
    defs = folder / "src" / name / "defs"
    for organization, attributes in organizations.items():
        (defs / organization).mkdir(parents=True)
        declared = {"type": "drillster_pipeline.components.DrillsterComponent", "attributes": dict(attributes)}
        (defs / organization / "defs.yaml").write_text(yaml.safe_dump(declared))
    for package in (defs, defs.parent):
        (package / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(_PROJECT.format(name=name))
    monkeypatch.syspath_prepend(folder / "src")
    monkeypatch.chdir(folder)

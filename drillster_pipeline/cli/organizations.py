"""Which organization a command is for: that of ``--organization``, or the only one, of the environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.organization import Organization

if TYPE_CHECKING:
    from drillster_pipeline.orchestration.names import Names

_KEY = "drillster_pipeline.organization"


def organization_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--organization`` to a command."""

    def remember(context: click.Context, _: click.Parameter, name: str | None) -> None:
        if name:
            context.meta[_KEY] = name

    return click.option(
        "--organization",
        metavar="NAME",
        expose_value=False,
        callback=remember,
        help="One of the organizations that the defs.yaml files of this project declare.",
    )(command)


def selected_name() -> str | None:
    """What ``--organization`` says."""
    name: str | None = click.get_current_context().meta.get(_KEY)
    return name


def selected_names() -> Names:
    """The names of the selected organization's definitions. Raises SettingsError for an unknown organization."""
    from drillster_pipeline.orchestration.names import ALONE

    if (name := selected_name()) is None:
        return ALONE
    known = organizations_here()
    if name in known:
        return known[name]
    raise SettingsError(
        f"There is no organization {name} here. "
        + (
            f"The project declares {', '.join(known)}"
            if known
            else f"No defs.yaml of a project in {Path.cwd()} declares one"
        )
    )


def selected_organization() -> Organization:
    """The selected organization. Raises SettingsError for an unknown one."""
    return Organization() if selected_name() is None else selected_names().organization


def organizations_here() -> dict[str, Names]:
    """The organizations of the project in this folder or above it, by name; empty where there are none.

    Raises SettingsError where a ``defs.yaml`` can't be read.
    """
    if not any(map(_is_project, (Path.cwd(), *Path.cwd().parents))):
        return {}
    import dagster as dg

    from drillster_pipeline.components import DrillsterComponent

    try:
        found = [each.names for each in dg.ComponentTree.for_project(Path.cwd()).get_all_components(DrillsterComponent)]
    except Exception as problem:  # noqa: BLE001 - Dagster loads code of others, which may raise anything
        cause: BaseException = problem
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise SettingsError(f"The organizations of this project can't be read: {cause}") from None
    return {names.organization.name: names for names in sorted(found, key=lambda names: names.organization.name)}


def _is_project(folder: Path) -> bool:
    """Whether dg finds its settings there; not every Python project has them."""
    python = folder / "pyproject.toml"
    return (folder / "dg.toml").exists() or (python.exists() and "[tool.dg" in python.read_text("utf-8", "replace"))

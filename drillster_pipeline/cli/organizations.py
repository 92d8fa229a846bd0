"""Which organization a command is for: that of ``--organization``, or the only one, of the environment."""

from __future__ import annotations

import re
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
    declared = f"The project declares {', '.join(known)}" if known else f"No project in {Path.cwd()} declares one"
    raise SettingsError(f"There is no organization {name} here. {declared}")


def selected_organization() -> Organization:
    """The selected organization. Raises SettingsError for an unknown one."""
    return Organization() if selected_name() is None else selected_names().organization


def organizations_here() -> dict[str, Names]:
    """The organizations of the project in this folder, by name; empty where there are none.

    Not of one in a folder above: their folders and files are relative to it. Raises SettingsError where a ``defs.yaml``
    can't be read.
    """
    files = [file for name in ("dg.toml", "pyproject.toml") if (file := Path(name)).exists()]
    if not any(re.search(r"""directory_type *= *["']project""", file.read_text("utf-8", "replace")) for file in files):
        return {}
    import dagster as dg

    from drillster_pipeline.components import organizations_of

    try:
        found = [each.names for each in organizations_of(dg.ComponentTree.for_project(Path.cwd()))]
    except Exception as problem:  # noqa: BLE001 - Dagster loads code of others, which may raise anything
        cause: BaseException = problem
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise SettingsError(f"The organizations of this project can't be read: {cause}") from None
    return {names.organization.name: names for names in sorted(found, key=lambda names: names.organization.name)}

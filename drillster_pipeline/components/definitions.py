"""The definitions of an organization from plain arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

from drillster_pipeline.orchestration.definitions import definitions_of
from drillster_pipeline.orchestration.names import Names, Translation
from drillster_pipeline.organization import Organization
from drillster_pipeline.settings import Settings
from drillster_pipeline.tables import DATA_TABLES


def build_defs(
    settings: Settings | None = None,
    *,
    name: str | None = None,
    key_prefix: str | Sequence[str] = (),
    group_name: str | None = None,
    owners: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    schedule: bool = True,
    select: Iterable[str] = DATA_TABLES,
    translation: Translation | None = None,
) -> dg.Definitions:
    """The definitions of one organization: assets, checks, jobs, schedules, sensors and one resource.

    ``settings``: without them the environment and ``.env`` have them, and are read anew for each run. ``name`` tells
    its jobs, pool and tags from those of other organizations; that of ``key_prefix`` if left out. ``key_prefix``
    precedes the keys of all assets, by default the name does. ``group_name`` replaces the groups of assets, ``owners``
    the setting of this name; ``tags`` are those of assets and runs. ``schedule``: whether there are schedules.
    ``select``: names of the tables that are loaded. ``translation`` changes each asset's spec.

    Each job has the executor of the settings. None is among them for what is launched as single assets, as a code
    location has one. Raises ValueError for a name, a prefix or a table that can't be.
    """
    prefix = (key_prefix,) if isinstance(key_prefix, str) else tuple(key_prefix)
    organization = Organization(
        name=checked_name("_".join(prefix) if name is None else name), settings=settings, tables=checked_tables(select)
    )
    names = Names(
        organization,
        key_prefix=checked_prefix(prefix or ((organization.name,) if organization.name else ())),
        group_name=group_name,
        owners=owners,
        tags=tags,
        translation=translation,
    )
    return definitions_of(names, schedule=schedule)


def checked_name(name: str) -> str:
    """The name of an organization. Raises ValueError where Dagster would refuse names that are made of it."""
    if re.fullmatch(r"([A-Za-z]\w*)?", name, re.ASCII):
        return name
    raise ValueError(
        f"{name!r} can't be the name of an organization: give it one of letters, digits and underscores, a letter first"
    )


def checked_prefix(prefix: Sequence[str]) -> tuple[str, ...]:
    """A key prefix. Raises ValueError for one that Dagster does not take."""
    if all(re.fullmatch(r"[A-Za-z0-9_.-]+", part) for part in prefix):
        return tuple(prefix)
    raise ValueError(f"{'/'.join(prefix)!r} can't be a key prefix: letters, digits and _ . - can, with / between parts")


def checked_tables(select: Iterable[str]) -> tuple[str, ...]:
    """The selected tables, parents before children. Raises ValueError where there are none or others."""
    selected = set(select)
    if unknown := sorted(selected - DATA_TABLES.keys()):
        raise ValueError(f"There is no table {', '.join(unknown)}. The tables are {', '.join(DATA_TABLES)}")
    if not selected:
        raise ValueError("No table is selected: leave the selection out for all of them")
    return tuple(table for table in DATA_TABLES if table in selected)

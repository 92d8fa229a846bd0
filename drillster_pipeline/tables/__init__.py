"""The warehouse contract, as data: every table, and the resources of Drillster that each is read from."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from drillster_pipeline.resources import RESOURCES

from .bookkeeping import LOAD_TABLES, LOADS, REJECTED_ROWS
from .content import CATALOG_PLAYABLES, CATALOGS, GROUP_PLAYABLES, PLAYABLES
from .daily import GROUP_DAILY, GROUP_OBJECTIVE_DAILY, ORGANIZATION_DAILY
from .learning import (
    OBJECTIVE_EVALUATIONS,
    OBJECTIVE_EVENTS,
    OBJECTIVE_PLAYABLES,
    OBJECTIVES,
    RESULTS,
    TEST_RESULT_DRILLS,
    TEST_RESULT_SCORES,
    TEST_RESULTS,
)
from .people import ACCOUNT_EXTERNAL_IDS, ACCOUNTS, GROUP_MEMBERS, GROUP_STAFF, GROUPS, ORGANIZATIONS
from .schema import Column, Kind, Table, Type, history_name, history_of

__all__ = [
    "DAILY_TABLES",
    "DATA_TABLES",
    "FIRST_TABLES",
    "HISTORY_TABLES",
    "SUBJECTS",
    "TABLES",
    "Column",
    "Kind",
    "Table",
    "Type",
    "history_name",
    "resources_of",
    "tables_of",
]

SUBJECTS: Mapping[str, tuple[Table, ...]] = {
    "People and groups": (ORGANIZATIONS, ACCOUNTS, ACCOUNT_EXTERNAL_IDS, GROUPS, GROUP_MEMBERS, GROUP_STAFF),
    "Content": (PLAYABLES, CATALOGS, CATALOG_PLAYABLES, GROUP_PLAYABLES),
    "Objectives": (OBJECTIVES, OBJECTIVE_PLAYABLES, OBJECTIVE_EVALUATIONS, OBJECTIVE_EVENTS),
    "Practice and tests": (RESULTS, TEST_RESULTS, TEST_RESULT_SCORES, TEST_RESULT_DRILLS),
}
"""The registry of the tables that come from Drillster, by what they are about, parents before children."""

DATA_TABLES: dict[str, Table] = {table.name: table for tables in SUBJECTS.values() for table in tables}
"""The tables that come from Drillster, parents before children."""

FIRST_TABLES: Mapping[str, str] = {table.sources[0]: name for name, table in reversed(DATA_TABLES.items())}
"""The first table of each resource that tables are read from."""

HISTORY_TABLES: dict[str, Table] = {
    history_name(table.name): history_of(table) for table in DATA_TABLES.values() if table.kind is Kind.ENTITY
}
"""The history of each entity table, in the order of :data:`DATA_TABLES`."""

DAILY_TABLES: dict[str, Table] = {
    table.name: table for table in (GROUP_DAILY, ORGANIZATION_DAILY, GROUP_OBJECTIVE_DAILY)
}
"""The figures of each date, computed from tables that come from Drillster."""

TABLES: dict[str, Table] = {
    LOADS.name: LOADS,
    **DATA_TABLES,
    **HISTORY_TABLES,
    **DAILY_TABLES,
    LOAD_TABLES.name: LOAD_TABLES,
    REJECTED_ROWS.name: REJECTED_ROWS,
}
"""Every table of the contract, parents before children."""


def tables_of(kind: str) -> tuple[str, ...]:
    """The tables that a load of this kind (``snapshot`` or ``events``) publishes, parents before children."""
    return tuple(name for name in DATA_TABLES if (name == OBJECTIVE_EVENTS.name) == (kind == "events"))


def resources_of(tables: Collection[str]) -> tuple[str, ...]:
    """The resources that these tables are read from, in the order of the crawl: pages of others need not be read.

    With the lists that lead to whatever may refer to a thing: an item without a readable id hides all that is
    requested by it, so that things may be there although nothing refers to them.
    """
    declared = [DATA_TABLES[name] for name in tables]
    read = {resource for table in declared for resource in table.sources + table.secondary_sources}
    leading = {resource for table in declared if table.kind is Kind.ENTITY for resource in table.secondary_sources}
    for resource in reversed(tuple(RESOURCES)):
        if resource in leading:
            leading.update(RESOURCES[resource].parents)
    return tuple(resource for resource in RESOURCES if resource in read | leading)

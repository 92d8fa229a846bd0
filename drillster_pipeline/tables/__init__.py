"""The warehouse contract, as data: every table, and the resources of Drillster that each is drawn from."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from drillster_pipeline.resources import RESOURCES

from .accounts import ACCOUNT_EXTERNAL_IDS, ACCOUNTS
from .bookkeeping import LOAD_TABLES, LOADS, REJECTED_ROWS
from .catalogs import CATALOG_PLAYABLES, CATALOGS
from .evaluations import OBJECTIVE_EVALUATIONS, OBJECTIVE_EVENTS
from .groups import GROUP_PLAYABLES, GROUPS
from .history import history_name, history_of
from .memberships import GROUP_MEMBERS, GROUP_STAFF
from .objectives import OBJECTIVE_PLAYABLES, OBJECTIVES
from .organization import ORGANIZATIONS
from .playables import PLAYABLES
from .results import RESULTS
from .schema import Column, Kind, Table, Type
from .test_results import TEST_RESULT_DRILLS, TEST_RESULT_SCORES, TEST_RESULTS

__all__ = [
    "DATA_TABLES",
    "HISTORY_TABLES",
    "TABLES",
    "Column",
    "Kind",
    "Table",
    "Type",
    "history_name",
    "resources_of",
    "tables_of",
]

DATA_TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        ORGANIZATIONS,
        ACCOUNTS,
        ACCOUNT_EXTERNAL_IDS,
        PLAYABLES,
        CATALOGS,
        CATALOG_PLAYABLES,
        GROUPS,
        GROUP_MEMBERS,
        GROUP_STAFF,
        GROUP_PLAYABLES,
        OBJECTIVES,
        OBJECTIVE_PLAYABLES,
        OBJECTIVE_EVALUATIONS,
        RESULTS,
        TEST_RESULTS,
        TEST_RESULT_SCORES,
        TEST_RESULT_DRILLS,
        OBJECTIVE_EVENTS,
    )
}
"""The tables that come from Drillster, parents before children."""

HISTORY_TABLES: dict[str, Table] = {
    history_name(table.name): history_of(table) for table in DATA_TABLES.values() if table.kind is Kind.ENTITY
}
"""The history of each entity table, in the order of :data:`DATA_TABLES`."""

TABLES: dict[str, Table] = {
    LOADS.name: LOADS,
    **DATA_TABLES,
    **HISTORY_TABLES,
    LOAD_TABLES.name: LOAD_TABLES,
    REJECTED_ROWS.name: REJECTED_ROWS,
}
"""Every table of the contract, parents before children."""

_TABLES_OF: Mapping[str, tuple[str, ...]] = {
    "snapshot": tuple(name for name in DATA_TABLES if name != OBJECTIVE_EVENTS.name),
    "events": (OBJECTIVE_EVENTS.name,),
}


def tables_of(kind: str) -> tuple[str, ...]:
    """The tables that a load of this kind (``snapshot`` or ``events``) publishes, parents before children."""
    return _TABLES_OF[kind]


def resources_of(tables: Collection[str]) -> tuple[str, ...]:
    """The resources that these tables draw on, in the order of the walk: pages of others need not be read.

    With the lists that lead to whatever may name a thing in passing: an item without a readable id hides all that is
    asked for by it, so that things may be there although nothing names them.
    """
    declared = [DATA_TABLES[name] for name in tables]
    drawn_on = {resource for table in declared for resource in table.sources + table.secondary_sources}
    named_in = {resource for table in declared if table.kind is Kind.ENTITY for resource in table.secondary_sources}
    for resource in reversed(tuple(RESOURCES)):
        if resource in named_in:
            named_in.update(RESOURCES[resource].parents)
    return tuple(resource for resource in RESOURCES if resource in drawn_on | named_in)

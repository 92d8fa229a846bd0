"""Drillster changes its answers, or the program its tables: told, borne or refused, and mended by a replay."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import GuardRefused, Refused
from tests.drillster import Faults, FieldFault

from .houses import DAY, House, night_after

NEXT = DAY + timedelta(days=1)
NEW_COLUMNS = {
    "accounts": "time_zone",
    "objectives": "estimated_study_seconds",
    "results": "expected_duration_seconds",
    "objective_evaluations": "minimum_proficiency",
    "test_results": "question_count",
}
"""One or two of each kind of table."""
ENTITIES = ("accounts", "objectives")
"""Those of the tables that follow a history, which has the same columns."""


def _execute(house: House, *statements: str) -> None:
    with house.warehouse() as warehouse, warehouse.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def _views(house: House) -> list[str]:
    with house.warehouse() as warehouse:
        return sa.inspect(warehouse.engine).get_view_names()


def _make_older(house: House) -> None:
    """As a version of the program left it that did not know the new columns."""
    _execute(
        house,
        *(f"DROP VIEW {view}" for view in _views(house)),
        *(f"ALTER TABLE {table} DROP COLUMN {column}" for table, column in NEW_COLUMNS.items()),
        *(f"ALTER TABLE {entity}_history DROP COLUMN {NEW_COLUMNS[entity]}" for entity in ENTITIES),
        *(f"UPDATE {entity} SET row_hash = 'older' || row_hash" for entity in ENTITIES),
        *(f"UPDATE {entity}_history SET row_hash = 'older' || row_hash" for entity in ENTITIES),
    )


def _filled(house: House, day: Any) -> dict[str, tuple[int, int]]:
    """Of each new column: rows of the date that have it, and rows of the date."""
    found = {}
    for table, column in NEW_COLUMNS.items():
        of_date = "WHERE export_date = :day" if table in {"results", "objective_evaluations"} else ""
        query = f"SELECT count({column}), count(*) FROM {table} {of_date}"
        ((some, all_of_them),) = house.rows(query, **({"day": str(day)} if of_date else {}))
        found[table] = (some, all_of_them)
    return found


def test_columns_of_a_new_version_come_by_themselves_and_a_replay_fills_them(lived_in: House) -> None:
    house = lived_in
    before = _filled(house, DAY)
    assert all(some for some, _ in before.values())
    _make_older(house)
    house.at(night_after(NEXT))
    assert house.night(NEXT).success
    assert {table: _filled(house, DAY)[table][0] for table in ("results", "objective_evaluations")} == {
        "results": 0,
        "objective_evaluations": 0,
    }
    assert all(some for some, _ in _filled(house, NEXT).values())
    house.sandbox.clear()
    assert house.night(DAY).success
    assert house.sandbox.requests == []
    after = _filled(house, DAY)
    assert {table: after[table] for table in ("results", "objective_evaluations")} == {
        table: before[table] for table in ("results", "objective_evaluations")
    }
    assert "current_results" in _views(house)


def test_what_is_no_addition_is_refused_with_instructions_and_left_alone(lived_in: House) -> None:
    house = lived_in
    _execute(
        house,
        *(f"DROP VIEW {view}" for view in _views(house)),
        "ALTER TABLE results RENAME COLUMN time_spent_seconds TO time_spent_minutes",
        "ALTER TABLE results ADD COLUMN time_spent_seconds TEXT",
    )
    house.at(night_after(NEXT))
    night = house.night(NEXT)
    assert night.exit_code == 5
    told = str(next(error for error in night.errors if isinstance(error, Refused)))
    assert "results.time_spent_seconds: the type is TEXT, and must be" in told
    assert "backfill of all dates" in told


@pytest.mark.parametrize(
    ("resource", "field", "named"),
    [("accounts", "account.id", "accounts: "), ("results", "drillable.id", "results: ")],
)
def test_a_field_that_drillster_renames_is_one_clear_message_and_changes_nothing(
    lived_in: House, resource: str, field: str, named: str
) -> None:
    house = lived_in
    before = house.counts()
    house.at(night_after(NEXT))
    house.sandbox.faults = Faults(fields=(FieldFault(resource=resource, field=field, what="missing"),))
    night = house.night(NEXT)
    assert night.exit_code == 5
    (refused,) = [error for error in night.errors if isinstance(error, GuardRefused)]
    told = str(refused)
    assert told.count("rows did not fit") == 1
    assert named in told
    assert ": missing" in told
    after = house.counts()
    assert {name: after[name] for name in after if name != "objective_events"} == {
        name: before[name] for name in before if name != "objective_events"
    }
    assert house.rows("SELECT count(*) FROM loads WHERE kind = 'snapshot'") == [(1,)]

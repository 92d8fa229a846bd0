"""Loads in a few words: rows as keyword arguments, a night as a mapping of tables to rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from drillster_pipeline.extract.batches import Batch, Reject, batch_of
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.warehouse import LoadPlan, LoadReport, TablePlan, Warehouse

Row = Mapping[str, Any]
CAPTURED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def day(number: int) -> date:
    """The number-th day of 2026."""
    return date.fromordinal(date(2026, 1, 1).toordinal() + number - 1)


def batch(table: str, rows: Iterable[Row], rejects: Iterable[Reject] = ()) -> Batch:
    """Rows through the same typing as those that come out of answers."""
    declared = DATA_TABLES[table]
    tuples = [tuple(row.get(column.name) for column in declared.columns) for row in rows]
    return batch_of(declared, tuples, list(rejects))


def plan(
    on: date, tables: Mapping[str, TablePlan] | Iterable[str], *, kind: str = "snapshot", **options: Any
) -> LoadPlan:
    plans = tables if isinstance(tables, Mapping) else {name: TablePlan() for name in tables}
    return LoadPlan(
        export_date=on,
        kind=kind,
        run_id=f"run-{on}",
        tables=plans,
        captured_from=CAPTURED,
        captured_until=CAPTURED,
        archive_url="data/archive",
        program_version="1.2.3",
        **options,
    )


def load(
    warehouse: Warehouse,
    on: date,
    content: Mapping[str, Iterable[Row]],
    *,
    plans: Mapping[str, TablePlan] | None = None,
    rejects: Mapping[str, Iterable[Reject]] | None = None,
    kind: str = "snapshot",
    **options: Any,
) -> LoadReport:
    """One whole load: the tables of ``content``, all FULL unless ``plans`` says otherwise."""
    tables = {name: (plans or {}).get(name, TablePlan()) for name in content}
    with warehouse.loading(plan(on, tables, kind=kind, **options)) as loading:
        for name, rows in content.items():
            loading.stage(batch(name, rows, (rejects or {}).get(name, ())))
        left_out = {name: found for name, found in (rejects or {}).items() if name not in content}
        loading.validate(
            unreadable=[name for name, found in left_out.items() if any(each.key is None for each in found)]
        )
        return loading.merge()


def reject(table: str, *key: str, reason: str = "name: missing", **required: str) -> Reject:
    """A row that did not fit; without a key: one of which the key could not be read."""
    declared = DATA_TABLES[table]
    needed = {column.name for column in declared.columns if not column.nullable} - set(declared.key)
    return Reject(table, reason, {"name": None}, key or None, required if needed <= required.keys() else None)


def account(account_id: str, name: str | None = None, *, is_managed: bool | None = True, **more: Any) -> Row:
    return {"account_id": account_id, "name": name or account_id.upper(), "is_managed": is_managed, **more}


def group(group_id: str, name: str | None = None, **more: Any) -> Row:
    return {"group_id": group_id, "name": name or group_id.upper(), **more}


def playable(playable_id: str, name: str | None = None, **more: Any) -> Row:
    return {"playable_id": playable_id, "name": name or playable_id.upper(), "type": "DRILL", **more}


def member(group_id: str, account_id: str, **more: Any) -> Row:
    return {
        "group_id": group_id,
        "member_key": account_id,
        "account_id": account_id,
        "name": account_id.upper(),
        "status": "MEMBER",
        **more,
    }


def objective(objective_id: str, group_id: str, **more: Any) -> Row:
    return {"objective_id": objective_id, "group_id": group_id, "type": "ONEOFF", "name": objective_id.upper(), **more}


def result(
    on: date, group_id: str, account_id: str, playable_id: str, proficiency: int | None = 50, **more: Any
) -> Row:
    return {
        "export_date": on,
        "group_id": group_id,
        "account_id": account_id,
        "playable_id": playable_id,
        "proficiency": proficiency,
        "captured_at": CAPTURED,
        **more,
    }


def evaluation(on: date, objective_id: str, account_id: str, group_id: str, met: bool | None, **more: Any) -> Row:
    return {
        "export_date": on,
        "objective_id": objective_id,
        "account_id": account_id,
        "group_id": group_id,
        "met": met,
        "captured_at": CAPTURED,
        **more,
    }


def event(event_id: str, account_id: str, **more: Any) -> Row:
    return {
        "event_id": event_id,
        "objective_id": "o1",
        "account_id": account_id,
        "group_id": "g1",
        "event_type": "OBJECTIVE_BECAME_OK",
        "occurred_at": CAPTURED,
        **more,
    }

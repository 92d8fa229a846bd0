"""Loads of tests in a few words, and what is in the tables afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.extract.batches import Batch, Reject, batch_of
from drillster_pipeline.tables import DATA_TABLES, HISTORY_TABLES
from drillster_pipeline.warehouse import CONTRACT, LoadPlan, LoadType, TablePlan, Warehouse
from drillster_pipeline.warehouse.load_plan import LoadReport, TableReport
from drillster_pipeline.warehouse.model import build, lookup
from drillster_pipeline.warehouse.staging import PREFIX

Row = Mapping[str, Any]
CAPTURED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PARTIAL, ADDITIVE = TablePlan(load_type=LoadType.PARTIAL), TablePlan(load_type=LoadType.ADDITIVE)


@cache
def metadata_of(dialect: str, schema: str | None) -> sa.MetaData:
    return build(CONTRACT.values(), dialect=dialect, schema=schema)


def table(warehouse: Warehouse, name: str) -> sa.Table:
    return lookup(metadata_of(warehouse.engine.dialect.name, warehouse.schema))(name)


def is_mariadb(warehouse: Warehouse) -> bool:
    return warehouse.engine.dialect.name == "mariadb"


def empty(warehouse: Warehouse) -> None:
    """Remove all that loads have left."""
    names = [name for name in reversed(CONTRACT) if name not in {"loads", "view_definitions"}]
    with warehouse.engine.begin() as connection:
        for name in (*names, "loads"):
            connection.execute(sa.delete(table(warehouse, name)))


def rows(warehouse: Warehouse, name: str, *, ledger: bool = False) -> list[dict[str, Any]]:
    """All rows of a table in the order of its key; without the columns that name a load unless asked for."""
    found = table(warehouse, name)
    is_data = name in DATA_TABLES | HISTORY_TABLES
    columns = [each for each in found.columns if ledger or not is_data or each.name not in {"load_id", "loaded_at"}]
    query = sa.select(*columns).order_by(*found.primary_key.columns)
    with warehouse.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def column(warehouse: Warehouse, name: str, of: str) -> dict[Any, Any]:
    """The values of a column by the key of the row: one value, or a tuple where the key has several parts."""
    key = [part.name for part in table(warehouse, name).primary_key.columns]
    return {
        row[key[0]] if len(key) == 1 else tuple(row[part] for part in key): row[of]
        for row in rows(warehouse, name, ledger=True)
    }


def view(warehouse: Warehouse, name: str) -> list[dict[str, Any]]:
    prefix = "" if warehouse.schema is None else f"{warehouse.schema}."
    with warehouse.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {prefix}{name}")).mappings()]


def sql(warehouse: Warehouse, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements as an outsider would; ``{}`` stands for the schema and its dot. The rows of the last one."""
    prefix = "" if warehouse.schema is None else f"{warehouse.schema}."
    with warehouse.engine.connect() as connection, connection.begin():
        if is_mariadb(warehouse):
            # Some statements take no schema; the session is not used again.
            connection.detach()
            connection.exec_driver_sql(f"USE {warehouse.schema}")
        for statement in statements:
            result = connection.exec_driver_sql(statement.replace("{}", prefix))
        return [tuple(row) for row in result] if result.returns_rows else []


def staging_tables(warehouse: Warehouse) -> list[str]:
    found = sa.inspect(warehouse.engine).get_table_names(schema=warehouse.schema)
    return [name for name in found if name.startswith(PREFIX)]


@contextmanager
def listening(target: Any, event: str, function: Any) -> Iterator[None]:
    """Call a function at each event of SQLAlchemy for a while."""
    sa.event.listen(target, event, function)
    try:
        yield
    finally:
        sa.event.remove(target, event, function)


def statements(warehouse: Warehouse) -> list[str]:
    """What preparing writes to the database."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.split(maxsplit=1)[0] in {"CREATE", "ALTER", "DROP", "COMMENT", "INSERT", "DELETE", "UPDATE"}:
            found.append(statement)

    with listening(warehouse.engine, "before_cursor_execute", note):
        warehouse.prepare()
    return found


# Loads


def day(number: int) -> date:
    """The number-th day of 2026."""
    return date.fromordinal(date(2026, 1, 1).toordinal() + number - 1)


def batch(table: str, rows: Iterable[Row], rejects: Iterable[Reject] = ()) -> Batch:
    """Rows through the same typing as those of answers."""
    declared = DATA_TABLES[table]
    tuples = [tuple(row.get(column.name) for column in declared.columns) for row in rows]
    return batch_of(declared, tuples, list(rejects))


def plan(
    on: date, tables: Mapping[str, TablePlan] | Iterable[str], *, kind: str = "snapshot", **options: Any
) -> LoadPlan:
    return LoadPlan(
        export_date=on,
        kind=kind,
        run_id=f"run-{on}",
        tables=tables if isinstance(tables, Mapping) else {name: TablePlan() for name in tables},
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
    """A complete load: the tables of ``content``, all FULL unless ``plans`` says otherwise."""
    tables = {name: (plans or {}).get(name, TablePlan()) for name in content}
    with warehouse.loading(plan(on, tables, kind=kind, **options)) as loading:
        for name, rows in content.items():
            loading.stage(batch(name, rows, (rejects or {}).get(name, ())))
        left_out = {name: found for name, found in (rejects or {}).items() if name not in content}
        loading.validate(
            unreadable=[name for name, found in left_out.items() if any(each.key is None for each in found)]
        )
        return loading.merge()


def counts(report: TableReport) -> tuple[int, int, int, int]:
    """Rows inserted, updated, deleted and unchanged."""
    return report.rows_inserted, report.rows_updated, report.rows_deleted, report.rows_unchanged


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
    of_account = {"member_key": account_id, "account_id": account_id, "name": account_id.upper(), "status": "MEMBER"}
    return {"group_id": group_id, **of_account, **more}


def objective(objective_id: str, group_id: str, **more: Any) -> Row:
    return {"objective_id": objective_id, "group_id": group_id, "type": "ONEOFF", "name": objective_id.upper(), **more}


def result(
    on: date, group_id: str, account_id: str, playable_id: str, proficiency: int | None = 50, **more: Any
) -> Row:
    ids = {"group_id": group_id, "account_id": account_id, "playable_id": playable_id}
    return {"export_date": on, **ids, "proficiency": proficiency, "captured_at": CAPTURED, **more}


def evaluation(on: date, objective_id: str, account_id: str, group_id: str, met: bool | None, **more: Any) -> Row:
    ids = {"objective_id": objective_id, "account_id": account_id, "group_id": group_id}
    return {"export_date": on, **ids, "met": met, "captured_at": CAPTURED, **more}


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

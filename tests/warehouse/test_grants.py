"""Who may read what on PostgreSQL: real logins of every role, before and after whatever changes a warehouse."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from drillster_pipeline.cli.main import commands
from drillster_pipeline.errors import Busy, Refused, SettingsError
from drillster_pipeline.tables import Kind
from drillster_pipeline.warehouse import CONTRACT, VIEWS, Warehouse, grants
from drillster_pipeline.warehouse.views import View
from tests.support.databases import Place, execute, oldest_postgresql_server, postgresql_engine

from .support import account, batch, day, evaluation, event, group, load, member, objective, plan, playable, result

pytestmark = pytest.mark.slow
SCHEMA = "drillster"
LARGE, SMALL = 6, 2


def content(on: date) -> dict[str, list[Any]]:
    """Groups with people, an objective, practice and a test of their own; every text says of which it is."""
    sizes = {"large": LARGE, "small": SMALL, "grown": SMALL if on == day(1) else LARGE}
    people = [(each, f"{each}-{number}") for each, size in sizes.items() for number in range(size)]
    groups, leads = [*sizes], [f"lead-{each}" for each in sizes]
    return {
        "organizations": [{"organization_id": "o", "name": "Zorg", "email_address": "info@named.example"}],
        "accounts": [
            *(account(each, f"Named {each}", email_address=f"{each}@named.example") for _, each in people),
            *(account(each, f"Named {each}", year_of_birth=1961) for each in leads),
        ],
        "account_external_ids": [
            {"account_id": each, "third_party": "HR", "external_id": f"named-key-{each}"} for _, each in people
        ],
        "groups": [group(each, description=f"Named description of {each}") for each in groups],
        "group_members": [member(of, each, email_address=f"{each}@named.example") for of, each in people],
        "group_staff": [{"group_id": of, "account_id": f"lead-{of}", "permission": "MANAGE"} for of in groups],
        "playables": [playable("p"), playable("t", type="TEST")],
        "group_playables": [{"group_id": of, "playable_id": "p", "type": "DRILL"} for of in groups],
        "objectives": [objective(f"{each}-{of}", of) for each in ("o", "unevaluated") for of in groups],
        "objective_playables": [{"objective_id": f"o-{of}", "playable_id": "p"} for of in groups],
        "objective_evaluations": [evaluation(on, f"o-{of}", each, of, True) for of, each in people],
        "results": [result(on, of, each, "p") for of, each in people],
        "test_results": [
            {"test_result_id": f"r-{each}", "test_id": "t", "group_id": of, "account_id": each} for of, each in people
        ],
        "test_result_scores": [
            {"test_result_id": f"r-{each}", "transformation_id": "grade", "result": f"named result of {each}"}
            for _, each in people
        ],
        "test_result_drills": [{"test_result_id": f"r-{each}", "drill_id": "p"} for _, each in people],
    }


class Rights:
    """A database with a warehouse in it that belongs to a loader, and a login for each role."""

    def __init__(self, url: str) -> None:
        self._url, self.name = url, f"rights_{secrets.token_hex(3)}"
        self.prefix = f"{self.name}_"
        self.loader = f"{self.prefix}owner"
        self.place = Place(self.url(self.loader), SCHEMA)

    def url(self, role: str) -> str:
        return f"postgresql://{role}@/{self.name}?{self._url.split('?', 1)[1]}"

    def run(self, *statements: str, role: str = "postgres") -> list[tuple[Any, ...]]:
        """As a superuser, or as the login of a role."""
        login = role if role == "postgres" else f"{self.prefix}{role}"
        return execute(self.url(login), *statements)

    def command(self, *arguments: str) -> str:
        environment = {"DRILLSTER_WAREHOUSE_URL": self.place.url, "DRILLSTER_WAREHOUSE_SCHEMA": self.place.schema or ""}
        command = ["grants", "--prefix", self.prefix, *arguments]
        ended = CliRunner().invoke(commands, command, env=environment, catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return ended.output

    def schemas(self) -> dict[str, str]:
        return {"": SCHEMA, **{each: f"{self.prefix}{each}" for each in ("team_lead", "without_names")}}

    def read(self, login: str) -> dict[tuple[str, str], list[Any]]:
        """All rows that a login may read, by schema (without its prefix) and table or view."""
        found: dict[tuple[str, str], list[Any]] = {}
        listed = "SELECT schemaname, tablename FROM pg_tables UNION ALL SELECT schemaname, viewname FROM pg_views"
        there = set(self.run(listed))
        with postgresql_engine(self.url(f"{self.prefix}{login}")).connect() as connection:
            for short, schema in self.schemas().items():
                for name in sorted(name for place, name in there if place == schema):
                    try:
                        rows = connection.exec_driver_sql(f"SELECT * FROM {schema}.{name}")
                    except sa.exc.ProgrammingError as error:
                        if "permission denied" not in str(error):
                            raise
                    else:
                        found[short, name] = [tuple(row) for row in rows]
        return found

    def readable(self, login: str) -> set[tuple[str, str]]:
        """What a login may read of the contract; team leads and who reads without names no partition of it."""
        found = self.read(login).keys()
        contract = {(short, name) for short, name in found if name in CONTRACT or name in VIEWS}
        assert login == "ada" or found == contract
        return contract

    def groups(self, login: str, name: str, *before: str) -> set[str]:
        return {row[0] for row in self.run(*before, f"SELECT DISTINCT group_id FROM {name}", role=login)}


@pytest.fixture(scope="module", params=[18, pytest.param(15, marks=pytest.mark.deep)], ids="PostgreSQL {}".format)
def rights(request: pytest.FixtureRequest) -> Iterator[Rights]:
    """The warehouse of two dates in one month, with rights as an administrator gives them; no test leaves a change."""
    if request.param == 18:
        yield from _granted(request.getfixturevalue("postgresql_url"))
        return
    with oldest_postgresql_server() as url:
        if url is None:
            pytest.skip("no PostgreSQL 15 to test on: install postgresql-15")
        yield from _granted(url)


def _granted(url: str) -> Iterator[Rights]:
    made = Rights(url)
    execute(url, f"CREATE ROLE {made.loader} LOGIN", f"CREATE DATABASE {made.name}")
    made.run(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {made.loader}")
    with made.place.prepared() as warehouse:
        fill(warehouse, day(1))
        fill(warehouse, day(2))
    as_administrator(made)
    logins = {"ada": "analyst", "anna": "auditor", "board": "dashboard", "robin": "reader_without_names"}
    logins |= {"lee": "team_lead", "sam": "team_lead", "superset": "team_lead", "stranger": "team_lead"}
    for login, role in {**logins, "etl": "loader"}.items():
        made.run(f"CREATE ROLE {made.prefix}{login} LOGIN IN ROLE {made.prefix}{role}")
    made.run(f"ALTER ROLE {made.prefix}etl SET role = {made.loader}")
    for login, account_id in (("lee", "'lead-large'"), ("sam", "'lead-small'"), ("superset", "NULL")):
        values = f"'{made.prefix}{login}', {account_id}, {account_id == 'NULL'}"
        made.run(f"INSERT INTO {SCHEMA}.reader_logins VALUES ({values})", role="owner")
    yield made
    roles = f"SELECT replace(quote_ident(rolname), '%%', '%%%%') FROM pg_roles WHERE rolname LIKE '{made.name}%%'"
    execute(url, f"DROP DATABASE {made.name} WITH (FORCE)")
    for (role,) in execute(url, roles):
        execute(url, f"DROP ROLE {role}")


def fill(warehouse: Warehouse, on: date) -> None:
    load(warehouse, on, content(on))
    with warehouse.loading(plan(on, ["objective_events"], kind="events")) as loading:
        events = [event(f"e-{of}", f"{of}-0", group_id=of, objective_id=f"o-{of}") for of in ("large", "small")]
        loading.stage(batch("objective_events", events))
        loading.merge()


def as_administrator(rights: Rights) -> None:
    """Run what the command prints, as psql would."""
    with postgresql_engine(rights.url("postgres")).connect() as connection:
        connection.connection.driver_connection.execute(rights.command())  # type: ignore[union-attr]  # of psycopg


def with_views(*names: str) -> set[tuple[str, str]]:
    return {("", name) for name in names}


def test_each_role_reads_its_tables_and_views(rights: Rights) -> None:
    every = {*CONTRACT, *VIEWS}
    of_operators = {"rejected_rows", "load_exceptions", "erasures", "view_definitions", "reader_logins"}
    practice = {"results", "test_results", "test_result_scores", "test_result_drills"}
    counts = {name for name, view in VIEWS.items() if "account_id" not in view.columns}
    assert rights.readable("ada") == {("", name) for name in every}
    assert rights.readable("robin") == {("without_names", name) for name in every - of_operators}
    shown = rights.readable("board")
    assert shown >= {("without_names", name) for name in counts}
    assert {name for _, name in shown} - counts == {name for name in CONTRACT if name.endswith("_daily")}
    anna = rights.readable("anna")
    assert anna >= with_views("objective_evaluations", "accounts", "objectives_history", "loads", "rejected_rows")
    assert anna >= with_views("overdue_objectives", "group_compliance", "latest_load")
    assert not anna & with_views(*practice, "account_external_ids", "current_results", "proficiency_trend")
    lee = rights.readable("lee")
    assert lee == {("", name) for name in CONTRACT.keys() - of_operators} | {("team_lead", name) for name in VIEWS}
    for login in ("ada", "anna", "board", "robin", "lee"):
        for schema in rights.schemas().values():
            for statement in (f"DELETE FROM {schema}.loads", f"CREATE TABLE {schema}.mine (one int)"):
                with pytest.raises(sa.exc.ProgrammingError, match=r"permission denied|does not exist"):
                    rights.run(statement, role=login)


def test_a_team_lead_reads_nothing_of_other_groups(rights: Rights) -> None:
    for login, own, other in (("lee", "large", "small"), ("sam", "small", "large")):
        read = repr(rights.read(login))
        assert f"Named {own}-0" in read
        assert f"r-{own}-0" in read
        assert other not in read.lower()
    # A query with a condition of its own, whose function sees only what it may see.
    leak = f"SELECT group_id FROM {SCHEMA}.results WHERE CAST(account_id AS int) > 0"
    with pytest.raises(sa.exc.DBAPIError, match='syntax for type integer: "large-'):
        rights.run(leak, role="lee")
    assert rights.run(f"SELECT * FROM {SCHEMA}.results", role="stranger") == [], "a login that nobody entered"
    with pytest.raises(sa.exc.ProgrammingError, match="would be affected by row-level security"):
        rights.run("SET row_security = off", f"SELECT * FROM {SCHEMA}.results", role="lee")


def test_the_session_setting_counts_for_the_trusted_application_alone(rights: Rights) -> None:
    view = f"{rights.prefix}team_lead.group_compliance"
    as_other = "SET drillster.account_id = 'lead-small'"
    assert rights.groups("superset", view) == set()
    assert rights.groups("superset", view, as_other) == {"small"}
    assert rights.groups("lee", view, as_other) == {"large"}
    assert rights.groups("lee", view, as_other, f"SET ROLE {rights.prefix}team_lead") == {"large"}
    assert rights.groups("stranger", view, as_other) == set()
    for login in ("superset", "lee"):
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            rights.run(f"INSERT INTO {SCHEMA}.reader_logins VALUES ('x', 'lead-small', false)", role=login)


def test_a_prepared_statement_follows_the_session(rights: Rights) -> None:
    prepared = [
        f"PREPARE mine AS SELECT DISTINCT group_id FROM {SCHEMA}.results",
        "SET plan_cache_mode = force_generic_plan",
    ]
    for account_id, expected in (("lead-large", [("large",)]), ("lead-small", [("small",)])):
        first, then = sorted(("lead-large", "lead-small"), key=lambda each: each == account_id)
        switched = [f"SET drillster.account_id = '{first}'", "EXECUTE mine", f"SET drillster.account_id = '{then}'"]
        assert rights.run(*prepared, *switched, "EXECUTE mine", role="superset") == expected
    with postgresql_engine(rights.url(f"{rights.prefix}lee")).connect() as connection:
        for _ in range(7):  # from the sixth time on, a server may use one plan for all
            query = sa.text(f"SELECT DISTINCT group_id FROM {SCHEMA}.results WHERE export_date = :day")
            assert connection.execute(query, {"day": day(1)}).all() == [("large",)]


def test_readers_without_names_read_no_name_and_nothing_of_small_groups(rights: Rights) -> None:
    read = rights.read("robin")
    assert not re.search(r"named|\b1961\b", repr(read).lower())
    assert "large-0" in repr(read)
    ids_alone = ("accounts", "accounts_history", "account_external_ids", "account_external_ids_history")
    assert "small-0" not in repr({name: rows for (_, name), rows in read.items() if name not in ids_alone})
    assert not re.search("named|(large|small)-0", repr(rights.read("board")).lower())


def test_groups_that_were_small_on_a_date_have_no_figures_of_it(rights: Rights) -> None:
    figures = {
        "group_compliance": ("met, met_percentage", (LARGE, 100.0)),
        "proficiency_trend": ("learner_count, average_proficiency", (LARGE, 50.0)),
        "group_daily": ("member_count, average_proficiency", (LARGE, 50.0)),
        "group_objective_daily": ("evaluated, met", (LARGE, LARGE)),
    }
    for login in ("board", "robin"):
        for name, (columns, found) in figures.items():
            query = f"SELECT export_date, group_id, {columns} FROM {rights.prefix}without_names.{name}"
            shown = {(row[0].day, row[1]): row[2:] for row in rights.run(query, role=login)}
            is_shown = {(1, "large"), (2, "large"), (2, "grown")}
            expected = {(on, each): found if (on, each) in is_shown else (None, None) for on, each in shown}
            assert (len(shown), shown) == (6, expected), name
    every = f"SELECT group_id, met_percentage FROM {SCHEMA}.group_compliance WHERE group_id = 'small'"
    assert set(rights.run(every, role="ada")) == {("small", 100.0)}


def test_figures_of_few_people_are_not_shown_nor_left_by_subtracting(rights: Rights) -> None:
    """Of larger groups, too; of the organization where the groups that show none have as few together."""
    names = ("large", "small", "grown")
    dates = {  # members and learners of each group; and whether there are figures of the organization
        day(60): (((6, 6), (2, 2)), False),
        day(61): (((6, 6), (2, 2), (4, 4)), True),
        day(62): (((6, 6), (6, 3)), False),
        day(63): (((6, 6), (6, 3), (9, 4)), True),
        day(64): (((6, 6), (6, 0), (9, 9)), True),
        day(65): (((6, 3),), False),
    }
    daily = "group_daily", "group_objective_daily", "organization_daily"
    own, statements, expected = f"{rights.prefix}without_names", [], {}
    for on, (sizes, _) in dates.items():
        for each, (members, learners) in zip(names, sizes, strict=False):
            is_shown = members > 4 and not 0 < learners < 5
            expected[on, each] = (learners, 50, learners, 1) if is_shown else (None,) * 4
            of_group = f"'{on}', '{each}', {members}, {learners}, {learners}, 50, 9, {learners}, 1"
            statements.append(written("group_daily", of_group))
            statements.append(written("group_objective_daily", f"'{on}', '{each}', 'o-{each}', {learners}, 1, 0"))
        learners = sum(each for _, each in sizes)
        statements.append(written("organization_daily", f"'{on}', 20, {learners}, {learners}, 50, 9, {learners}, 1"))
    rights.run(*statements, role="owner")
    try:
        for login in ("board", "robin"):
            for name, read, of in (
                ("group_daily", "learner_count, average_proficiency, tests_completed, tests_passed", slice(4)),
                ("proficiency_trend", "learner_count, average_proficiency", slice(2)),
                ("group_objective_daily", "evaluated, met", slice(0, 4, 3)),
                ("group_compliance", "evaluated, met", slice(0, 4, 3)),
            ):
                query = f"SELECT export_date, group_id, {read} FROM {own}.{name} WHERE export_date >= '{day(60)}'"
                found = {row[:2]: row[2:] for row in rights.run(query, role=login)}
                assert found == {key: values[of] for key, values in expected.items()}, name
            query = f"SELECT export_date, average_proficiency, tests_passed, member_count FROM {own}.organization_daily"
            found = {row[0]: row[1:] for row in rights.run(f"{query} WHERE export_date >= '{day(60)}'", role=login)}
            assert found == {on: (50, 1, 20) if is_shown else (None, None, 20) for on, (_, is_shown) in dates.items()}
    finally:
        rights.run(*(f"DELETE FROM {SCHEMA}.{name} WHERE export_date >= '{day(60)}'" for name in daily), role="owner")
    for name in ("group_daily", "group_compliance", "organization_daily"):
        explained = repr(rights.run(f"EXPLAIN SELECT * FROM {own}.{name}"))
        assert "SubPlan" not in explained, "sizes are read once, not for each column"


def test_proficiency_of_few_results_is_not_shown_nor_left_by_subtracting(rights: Rights) -> None:
    """Though more learners have results, of which the others have no proficiency."""
    names, daily = ("large", "small", "grown"), ("group_daily", "organization_daily")
    dates = {  # members, learners and results of each group; and whether there is a proficiency of the organization
        day(70): (((6, 6, 6), (6, 6, 1)), False),
        day(71): (((6, 6, 6), (6, 6, 3), (6, 6, 2)), True),
        day(72): (((6, 6, 6), (6, 6, 0)), True),
        day(73): (((6, 6, 4),), False),
        day(74): (((6, 3, 9), (2, 2, 0), (6, 6, 2)), True),
    }
    own, statements, groups, organization = f"{rights.prefix}without_names", [], {}, {}
    for on, (sizes, is_shown) in dates.items():
        for each, (members, learners, results) in zip(names, sizes, strict=False):
            of_group = f"'{on}', '{each}', {members}, {learners}, {results}, 37, 9, 0, 0"
            statements.append(written("group_daily", of_group))
            shown_learners = learners if learners > 4 else None
            shown = (results, 37, 9) if shown_learners and not 0 < results < 5 else (None,) * 3
            groups[on, each] = (shown_learners, *shown)
        learners, results = (sum(column) for column in list(zip(*sizes, strict=True))[1:])
        statements.append(written("organization_daily", f"'{on}', 20, {learners}, {results}, 37, 9, 0, 0"))
        organization[on] = (learners, *((results, 37, 9) if is_shown else (None,) * 3))
    rights.run(*statements, role="owner")
    try:
        where, columns = f"WHERE export_date >= '{day(70)}'", "result_count, average_proficiency, proficiency_deviation"
        for login in ("board", "robin"):
            query = f"SELECT export_date, group_id, learner_count, {columns} FROM {own}.group_daily {where}"
            assert {row[:2]: row[2:] for row in rights.run(query, role=login)} == groups
            query = f"SELECT export_date, group_id, average_proficiency FROM {own}.proficiency_trend {where}"
            found = {row[:2]: row[2] for row in rights.run(query, role=login)}
            assert found == {key: average for key, (_, _, average, _) in groups.items()}
            query = f"SELECT export_date, learner_count, {columns} FROM {own}.organization_daily {where}"
            assert {row[0]: row[1:] for row in rights.run(query, role=login)} == organization
    finally:
        rights.run(*(f"DELETE FROM {SCHEMA}.{name} WHERE export_date >= '{day(70)}'" for name in daily), role="owner")


def written(name: str, row: str) -> str:
    """The statement that writes figures, as of some load."""
    proficiency = "result_count, average_proficiency, proficiency_deviation"
    figures = f"member_count, learner_count, {proficiency}, tests_completed, tests_passed"
    columns = {
        "group_daily": f"group_id, {figures}",
        "group_objective_daily": "group_id, objective_id, evaluated, met, overdue",
        "organization_daily": figures,
    }
    day, _, values = row.partition(", ")
    return (
        f"INSERT INTO {SCHEMA}.{name} (export_date, {columns[name]}, load_id, loaded_at)"
        f" SELECT DATE {day}, {values}, load_id, finished_at FROM {SCHEMA}.loads LIMIT 1"
    )


def test_who_is_invited_or_has_left_makes_no_group_large(rights: Rights) -> None:
    own, people = (
        f"{rights.prefix}without_names",
        "SELECT DISTINCT account_id FROM {}.{} WHERE account_id LIKE 'large-%%'",
    )
    assert len(rights.run(people.format(own, "test_results"), role="robin")) == LARGE
    for change, back, shown in (
        ("status = 'INVITED'", "status = 'MEMBER'", 0),
        ("deleted_on = last_seen_on", "deleted_on = NULL", 0),
    ):
        of = "WHERE group_id = 'large' AND account_id IN ('large-0', 'large-1')"
        rights.run(f"UPDATE {SCHEMA}.group_members SET {change} {of}", role="owner")
        try:
            for name in ("test_results", "enrollments"):
                assert len(rights.run(people.format(own, name), role="robin")) == shown
        finally:
            rights.run(f"UPDATE {SCHEMA}.group_members SET {back} {of}", role="owner")
    left = "WHERE group_id = 'large' AND account_id = 'large-0'"
    rights.run(f"UPDATE {SCHEMA}.group_members SET deleted_on = last_seen_on {left}", role="owner")
    try:
        found = rights.run(people.format(own, "account_results"), role="robin")
        assert len(found) == LARGE - 1, "who has left the large group, and may be in a small one"
    finally:
        rights.run(f"UPDATE {SCHEMA}.group_members SET deleted_on = NULL {left}", role="owner")


LEAK = """CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN IF $1 LIKE '%%small%%' THEN RAISE EXCEPTION 'leaked %%', $1; END IF; RETURN true; END $$"""


@pytest.mark.parametrize("login", ["robin", "lee"])
def test_a_function_of_the_reader_sees_only_what_the_reader_may_see(rights: Rights, login: str) -> None:
    for schema, names in (
        ("without_names", ("results", "objective_evaluations", "test_results", "current_results", "account_results")),
        ("team_lead", ("current_results", "learner_progress", "overdue_objectives", "enrollments")),
    ):
        if (schema == "team_lead") == (login == "lee"):
            for name in names:
                query = f"SELECT count(*) FROM {rights.prefix}{schema}.{name} WHERE pg_temp.leak(account_id)"
                assert rights.run(LEAK, query, role=login), name
    if login == "lee":
        assert rights.run(LEAK, f"SELECT count(*) FROM {SCHEMA}.accounts WHERE pg_temp.leak(name)", role=login)


def test_readers_without_names_see_objectives_without_an_evaluation(rights: Rights) -> None:
    query = f"SELECT DISTINCT objective_id FROM {rights.prefix}without_names.enrollments ORDER BY 1"
    found = [row[0] for row in rights.run(query, role="robin")]
    assert found == ["o-grown", "o-large", "unevaluated-grown", "unevaluated-large"]


@pytest.mark.parametrize("change", ["TABLE {1} DISABLE ROW LEVEL SECURITY", "POLICY {0}team_lead ON {1} USING (true)"])
def test_row_level_security_that_somebody_has_changed_comes_back(rights: Rights, change: str) -> None:
    rights.run(f"ALTER {change.format(rights.prefix, f'{SCHEMA}.results')}", role="owner")
    assert rights.groups("lee", f"{SCHEMA}.results") != {"large"}
    rights.command("--apply")
    assert rights.groups("lee", f"{SCHEMA}.results") == {"large"}


def test_what_is_printed_replaces_views_that_an_older_version_made(rights: Rights) -> None:
    before = {login: rights.readable(login) for login in ("board", "robin", "lee")}
    other, privilege = f"{rights.prefix}stranger", "SELECT has_table_privilege('{}', '{}', 'SELECT')"
    views = [f"{schema}.group_compliance" for short, schema in rights.schemas().items() if short]
    for view in views:
        older = f"CREATE VIEW {view} AS SELECT group_id, met FROM {SCHEMA}.group_compliance"
        rights.run(f"DROP VIEW {view}", older, f"GRANT SELECT ON {view} TO {other}", role="owner")
    as_administrator(rights)
    assert {login: rights.readable(login) for login in before} == before
    for view in views:
        assert rights.groups("lee" if "team_lead" in view else "robin", view) >= {"large"}
        assert rights.run(privilege.format(other, view)) == [(True,)], "what was given to others by hand"
        rights.run(f"REVOKE SELECT ON {view} FROM {other}", role="owner")
    assert rights.run(f"SELECT DISTINCT viewowner FROM pg_views WHERE schemaname ~ '^{rights.prefix}'") == [
        (rights.loader,)
    ]
    rights.command("--apply")
    assert "DROP VIEW" not in rights.command()


def test_models_of_dbt_are_for_analysts_alone(rights: Rights) -> None:
    """Also those that a later build makes anew, as dbt does: beside the old ones, then in their place."""
    marts = f"{SCHEMA}_dbt"
    make = f"CREATE TABLE {marts}.dim_accounts__dbt_tmp AS SELECT account_id, name FROM {SCHEMA}.accounts"
    rename = f"ALTER TABLE {marts}.dim_accounts__dbt_tmp RENAME TO dim_accounts"
    rights.run(f"CREATE SCHEMA {marts} AUTHORIZATION {rights.loader}")
    rights.run(make, rename, role="owner")
    try:
        for renewed in (False, True):
            if renewed:
                rights.run(make, f"DROP TABLE {marts}.dim_accounts", rename, role="owner")
            else:
                rights.command("--apply")
            query = f"SELECT count(*) > 0 FROM {marts}.dim_accounts"
            assert rights.run(query, role="ada") == [(True,)]
            for login in ("anna", "board", "robin", "lee", "superset"):
                with pytest.raises(sa.exc.ProgrammingError, match="permission denied for schema"):
                    rights.run(query, role=login)
    finally:
        rights.run(f"DROP SCHEMA {marts} CASCADE")


def test_another_database_of_the_server_has_roles_of_its_own(rights: Rights) -> None:
    """And a schema that an administrator made and gave to the loader works as well."""
    name = f"{rights.name}_second"
    rights.run(f"CREATE DATABASE {name}")
    try:
        url = rights.url("postgres").replace(f"/{rights.name}?", f"/{name}?")
        execute(url, f"CREATE SCHEMA {SCHEMA}", f"GRANT USAGE, CREATE ON SCHEMA {SCHEMA} TO {rights.loader}")
        place = Place(url.replace("postgres@", f"{rights.loader}@"), SCHEMA)
        with place.prepared():
            environment = {"DRILLSTER_WAREHOUSE_URL": place.url, "DRILLSTER_WAREHOUSE_SCHEMA": SCHEMA}
            command = ["grants", "analyst", "--prefix"]
            with pytest.raises(Refused, match=f"role {rights.prefix}analyst is of the warehouse in {rights.name}"):
                CliRunner().invoke(commands, [*command, rights.prefix], env=environment, catch_exceptions=False)
            ended = CliRunner().invoke(commands, [*command, f"{name}_"], env=environment, catch_exceptions=False)
            with postgresql_engine(url).connect() as connection:
                connection.connection.driver_connection.execute(ended.output)  # type: ignore[union-attr]  # of psycopg
            execute(url, f"CREATE ROLE {name}_ann LOGIN IN ROLE {name}_analyst")
            assert execute(url.replace("postgres@", f"{name}_ann@"), f"SELECT count(*) FROM {SCHEMA}.results") == [(0,)]
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied for schema"):
                rights.run(f"SELECT count(*) FROM {SCHEMA}.results", role="second_ann")
    finally:
        rights.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.deep
def test_the_loader_loads_prunes_and_sets_rights_again(rights: Rights) -> None:
    """A new partition, its removal, and a second `--apply` leave everybody's rights as they are."""
    before = {login: rights.readable(login) for login in ("ada", "anna", "board", "robin", "lee")}
    with Place(rights.url(f"{rights.prefix}etl"), SCHEMA).prepared() as warehouse:
        fill(warehouse, day(40))
        assert rights.groups("lee", f"{SCHEMA}.results", "SET enable_partition_pruning = off") == {"large"}
        assert "results_2026_02" not in {name for _, name in rights.read("lee")}
        query = f"SELECT max(export_date) FROM {rights.prefix}without_names.results"
        assert rights.run(query, role="robin") == [(day(40),)]
        warehouse.drop_snapshots(day(32))
        assert rights.groups("lee", f"{SCHEMA}.results") == {"large"}
        assert rights.run(f"SELECT DISTINCT export_date FROM {SCHEMA}.results", role="ada") == [(day(40),)]
    said = rights.command("--apply")
    assert f"{rights.prefix}team_lead" in said
    assert {login: rights.readable(login) for login in before} == before
    assert rights.groups("lee", f"{SCHEMA}.results") == {"large"}
    again = rights.command()
    assert not re.search("^CREATE (ROLE|SCHEMA|POLICY)", again, re.MULTILINE), "what is there is left alone"
    owners = f"SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = '{SCHEMA}'"
    assert rights.run(owners) == [(rights.loader,)]


@pytest.mark.deep
def test_a_migration_changes_no_rights_and_then_rights_cover_what_it_brought(
    rights: Rights, monkeypatch: pytest.MonkeyPatch
) -> None:
    compliance = VIEWS["group_compliance"]

    def moved(tables: Any) -> Any:
        selected = compliance.query(tables)
        return selected.with_only_columns(*reversed(selected.selected_columns))

    def newer(tables: Any) -> Any:
        rows = tables("results")
        return sa.select(rows.c.group_id, rows.c.account_id, rows.c.proficiency)

    columns = dict(reversed(compliance.columns.items()))
    monkeypatch.setitem(VIEWS, "group_compliance", View("group_compliance", "Moved.", columns, moved))
    described = dict.fromkeys(("group_id", "account_id", "proficiency"), "…")
    monkeypatch.setitem(VIEWS, "newer", View("newer", "New.", described, newer))
    with pytest.raises(Refused, match=r"older than this version of the program: it lacks .*newer"):
        rights.command("--apply")
    rights.run(f"ALTER TABLE {SCHEMA}.accounts DROP COLUMN time_zone CASCADE", role="owner")
    with rights.place.prepared() as warehouse:
        assert rights.groups("lee", f"{rights.prefix}team_lead.group_compliance") == {"large"}
        assert ("", "newer") in rights.readable("ada")
        moved_view = f"{rights.prefix}without_names.group_compliance"
        rights.run(f"GRANT SELECT ON {moved_view} TO {rights.prefix}stranger", role="owner")
        rights.run(f"CREATE VIEW {SCHEMA}.mine AS SELECT * FROM {moved_view}", role="owner")
        with pytest.raises(
            Refused, match=r"columns of the view .*group_compliance change .* other views are built on it"
        ):
            rights.command("--apply")
        rights.run(f"DROP VIEW {SCHEMA}.mine", role="owner")
        rights.command("--apply")
        kept = f"SELECT has_table_privilege('{rights.prefix}stranger', '{moved_view}', 'SELECT')"
        assert rights.run(kept) == [(True,)], "what was given to others by hand"
        for name in ("group_compliance", "newer"):
            assert rights.groups("lee", f"{rights.prefix}team_lead.{name}") == {"large"}
        assert "newer" not in {name for _, name in rights.readable("board")}
        assert rights.groups("robin", f"{rights.prefix}without_names.newer") == {"large", "grown"}
        with warehouse.engine.begin() as connection:
            connection.exec_driver_sql(f"DROP VIEW {SCHEMA}.newer")
            for each in ("team_lead", "without_names"):
                connection.exec_driver_sql(f"DROP VIEW {rights.prefix}{each}.newer")
    monkeypatch.undo()
    with rights.place.prepared():
        rights.command("--apply")


@pytest.mark.deep
def test_what_others_did_and_what_is_in_the_way_is_said(rights: Rights, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"may not make roles. Have an administrator run what"):
        rights.command("--prefix", "other_", "--apply")
    for statement in ("ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY"):
        rights.run(f"DROP POLICY IF EXISTS every_row ON {SCHEMA}.groups", f"ALTER TABLE {SCHEMA}.groups {statement}")
        if statement.startswith("ENABLE"):
            with pytest.raises(Refused, match="The table groups has row-level security of others"):
                rights.command()
    rights.run(f"DROP POLICY {rights.prefix}team_lead ON {SCHEMA}.groups")
    rights.command("--apply")
    monkeypatch.setattr(grants, "DDL_WAIT", "100ms")
    with (
        postgresql_engine(rights.url("postgres")).execution_options(isolation_level="READ COMMITTED").begin() as reader
    ):
        rights.run(f"DROP POLICY {rights.prefix}team_lead ON {SCHEMA}.groups")
        reader.exec_driver_sql(f"SELECT * FROM {SCHEMA}.groups")
        with pytest.raises(Busy, match="a query holds a lock"):
            rights.command("--apply")
    rights.command("--apply")


def test_an_unknown_role_and_a_database_without_row_level_security_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, error in (
        (["analyst", "boss"], "There is no role boss: name some of dashboard, analyst"),
        (["--apply"], "Roles need PostgreSQL 15 or newer, and the warehouse is sqlite 3"),
    ):
        with pytest.raises(SettingsError, match=error):
            CliRunner().invoke(commands, ["grants", *arguments], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_another_schema_has_roles_of_its_own_whose_names_may_need_quotes(rights: Rights) -> None:
    schema = f"""{rights.name}-%a's "$$:b"""
    place = Place(rights.place.url, schema)
    rights.run(f"CREATE SCHEMA {quoted(schema)} AUTHORIZATION {rights.loader}")
    environment = {"DRILLSTER_WAREHOUSE_URL": rights.url("postgres"), "DRILLSTER_WAREHOUSE_SCHEMA": schema}
    with place.prepared():
        for arguments, is_older in (([], False), (["--apply"], True), ([], True), ([], False)):
            if is_older:
                view, analyst = f"{quoted(f'{schema}_team_lead')}.group_compliance", quoted(f"{schema}_analyst")
                older = (f"CREATE VIEW {view} AS SELECT 1 AS one", f"GRANT SELECT ON {view} TO {analyst}")
                rights.run(f"DROP VIEW {view}", *older, role="owner")
            ended = CliRunner().invoke(commands, ["grants", *arguments], env=environment, catch_exceptions=False)
            if "BEGIN;" in ended.output:
                with postgresql_engine(rights.url("postgres")).connect() as connection:
                    connection.connection.driver_connection.execute(ended.output)  # type: ignore[union-attr]  # of psycopg
        assert "CREATE POLICY" not in ended.output, "what is there is left alone"
        with pytest.raises(Refused, match=rf"schema {rights.prefix}without_names is of the warehouse in {SCHEMA}"):
            CliRunner().invoke(commands, ["grants", "--prefix", rights.prefix], env=environment, catch_exceptions=False)
        login = re.search(r"CREATE ROLE alice .*;", ended.output)
        assert login
        rights.run(login[0].replace("alice", f"{rights.prefix}quoted").replace("%", "%%"))
        rights.run(f"SELECT * FROM {quoted(schema)}.results", role="quoted")
    rights.run(f"DROP SCHEMA {quoted(schema)} CASCADE")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def test_the_page_has_each_role_and_its_statements_work(rights: Rights) -> None:
    page = (Path(__file__).parents[2] / "docs" / "roles.md").read_text()
    assert {*re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)} == grants.ROLES.keys()
    for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL):
        own = re.sub(r"\bdrillster_(?=analyst)|\b(?=alice\b|portal\b)", rights.prefix, block)
        rights.run(own)
    assert rights.run("SELECT count(*) > 0, current_setting('TimeZone') FROM results", role="alice") == [(True, "UTC")]
    rights.run(f"DELETE FROM {SCHEMA}.reader_logins WHERE login ~ '(alice|portal)$'")


def test_every_table_about_people_belongs_to_a_group_or_a_person() -> None:
    """Else row-level security would leave it open to all team leads, and its names to readers without names."""
    of_groups, for_all = grants.for_team_leads()
    assert of_groups
    for name in for_all:
        columns = CONTRACT[name].columns
        assert not [each.name for each in columns if each.personal or each.names_account], name
    names = {"name", "email_address", "external_id", "member_key"}
    for name, table in CONTRACT.items():
        if table.kind is not Kind.BOOKKEEPING and name not in for_all:
            personal = {each.name for each in table.columns if each.personal}
            assert personal >= names & {each.name for each in table.columns if not each.prose}, name

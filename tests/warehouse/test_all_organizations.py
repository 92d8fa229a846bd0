"""Views over all organizations of a PostgreSQL database, and who may read what."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from drillster_pipeline.cli.main import commands
from drillster_pipeline.errors import Refused, SettingsError
from drillster_pipeline.warehouse import CONTRACT, VIEWS
from tests.organizations.projects import Project
from tests.support.databases import Place, execute

from .support import account, day, load, sql

pytestmark = pytest.mark.slow

ALL = "all_organizations"


class Group:
    """A database with a schema for each of two organizations, in a project that declares them and a third elsewhere."""

    def __init__(self, url: str, name: str) -> None:
        self.options = url.split("?", 1)[1]
        self.name = name
        self.acme, self.beta = (Place(self.url("postgres"), schema) for schema in ("acme", "beta"))

    def url(self, role: str) -> str:
        return f"postgresql://{role}@/{self.name}?{self.options}"

    def run(self, *statements: str, role: str = "postgres") -> list[tuple[Any, ...]]:
        return execute(self.url(role), *statements)

    def command(self, *arguments: str) -> str:
        ended = CliRunner().invoke(commands, ["schema", "--all-organizations", *arguments], catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return ended.output


@pytest.fixture
def group(postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    made = Group(postgresql_url, f"group_{secrets.token_hex(3)}")
    execute(postgresql_url, f"CREATE DATABASE {made.name}")
    project = Project(tmp_path, monkeypatch)
    for place in (made.acme, made.beta):
        project.add(place.schema or "", warehouse_url=place.url, warehouse_schema=place.schema)
    project.add("gamma")  # on SQLite
    monkeypatch.chdir(tmp_path)
    yield made
    roles = f"SELECT rolname FROM pg_roles WHERE rolname ~ '{made.name}$'"
    execute(postgresql_url, f"DROP DATABASE {made.name} WITH (FORCE)")
    for (role,) in execute(postgresql_url, roles):
        execute(postgresql_url, f"DROP ROLE {role}")


def statements_of(printed: str) -> list[str]:
    """What is no comment."""
    lines = (line for line in printed.splitlines() if not line.startswith("--"))
    return [statement for each in "\n".join(lines).split(";") if (statement := each.strip())]


def test_they_show_each_organization_and_say_what_is_left_out(group: Group) -> None:
    accounts = f"SELECT organization, account_id, time_zone FROM {ALL}.accounts ORDER BY 1, 2"
    with group.acme.prepared() as acme, group.beta.opened() as beta:
        load(acme, day(1), {"accounts": [account("a", time_zone="UTC"), account("b")]})
        said = group.command("--apply")
        assert "gamma is left out: its warehouse is not on PostgreSQL" in said
        assert "beta: the schema beta has no tables yet" in said
        assert group.run(accounts) == [("acme", "a", "UTC"), ("acme", "b", None)]

        beta.prepare()
        load(beta, day(1), {"accounts": [account("a")]})
        every = [("acme", "a", "UTC"), ("acme", "b", None), ("beta", "a", None)]
        assert group.run(accounts) == every, "the first load of an organization adds it"

        sql(beta, "ALTER TABLE {}accounts DROP COLUMN time_zone CASCADE", "DROP TABLE {}rejected_rows CASCADE")
        for _ in range(2):
            assert "beta: the schema beta has no rejected_rows yet" in group.command("--apply")
            assert group.run(accounts) == every
        views = set(sa.inspect(acme.engine).get_view_names(schema=ALL))
        assert views == {"organization_schemas", *CONTRACT, *VIEWS}
        assert group.run(f"SELECT * FROM {ALL}.organization_schemas") == [("acme", "acme"), ("beta", "beta")]

        group.run(*statements_of(group.command("--schema", "printed")))
        assert group.run(accounts.replace(ALL, "printed")) == every
        # Over a view of an older version.
        reader = f"reader_{group.name}"
        older = "CREATE VIEW printed.accounts AS SELECT organization, name FROM all_organizations.accounts"
        given = f"GRANT SELECT ON printed.accounts TO {reader}"
        used = f"GRANT USAGE ON SCHEMA printed TO {reader}"
        group.run(f"CREATE ROLE {reader}", used, "DROP VIEW printed.accounts", older, given)
        group.run(*statements_of(group.command("--schema", "printed")))
        assert group.run(f"SET ROLE {reader}", accounts.replace(ALL, "printed")) == every
    with pytest.raises(SettingsError, match="The schema beta has the tables of an organization"):
        group.command("--schema", "beta", "--apply")


def test_the_printed_role_reads_all_organizations_by_the_views_alone(group: Group) -> None:
    reader = f"all_organizations_reader_{group.name}"  # roles are of the server, which other tests share
    with group.acme.prepared() as acme, group.beta.prepared() as beta:
        for warehouse in (acme, beta):
            load(warehouse, day(1), {"accounts": [account("a")]})
        group.command("--apply")
        grants = re.findall(r"^--   (.*);$", group.command(), re.MULTILINE)
        group.run(*(each.replace("all_organizations_reader", reader) for each in grants))
        assert group.run(f"SELECT count(*) FROM {ALL}.accounts", role=reader) == [(2,)]
        for schema in ("acme", "beta"):
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied for schema"):
                group.run(f"SELECT count(*) FROM {schema}.accounts", role=reader)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of the program in which the columns of a view have another order, so that it must be dropped."""
    latest = VIEWS["latest_load"]

    def query(tables: Any) -> Any:
        selected = latest.query(tables)
        return selected.with_only_columns(*reversed(selected.selected_columns))

    monkeypatch.setitem(VIEWS, "latest_load", replace(latest, query=query))


LATEST = f"SELECT organization, kind, export_date FROM {ALL}.latest_load ORDER BY 1"


@pytest.mark.parametrize("others", [False, True], ids=["by the role that made them", "by another role"])
def test_a_load_that_changes_a_view_makes_them_anew(
    group: Group, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture, others: bool
) -> None:
    reader, loader = f"reader_{group.name}", f"loader_{group.name}"
    with group.acme.prepared() as acme, group.beta.prepared() as beta:
        for warehouse in (acme, beta):
            load(warehouse, day(1), {"accounts": [account("a")]})
        group.command("--apply")
        group.run(
            *(f"CREATE ROLE {role} LOGIN" for role in (reader, loader)),
            f"GRANT USAGE ON SCHEMA {ALL} TO {reader}",
            f"GRANT SELECT ON {ALL}.latest_load TO {reader}",
        )
        request.getfixturevalue("moved")
        if others:
            group.run(f"GRANT CREATE, USAGE ON SCHEMA acme TO {loader}")
            query = "SELECT format('%I.%I', schemaname, {0}name) FROM pg_{0}s WHERE schemaname = 'acme'"
            for kind in ("table", "view"):
                for (name,) in group.run(query.format(kind).replace("%", "%%")):
                    group.run(f"ALTER {kind} {name} OWNER TO {loader}")
        with Place(group.url(loader if others else "postgres"), "acme").prepared() as changed:
            load(changed, day(2), {"accounts": [account("a")]})
    shown = [("acme", "snapshot", day(2)), ("beta", "snapshot", day(1))]
    if others:
        assert "making the views of all_organizations failed" in caplog.text
        assert "Run: drillster-pipeline schema --all-organizations --apply" in caplog.text
        with pytest.raises(sa.exc.ProgrammingError, match="does not exist"):
            group.run(LATEST)
        group.command("--apply")
    assert group.run(LATEST, role="postgres" if others else reader) == shown


def test_a_load_runs_nothing_of_a_role_that_made_a_view_of_that_name(
    group: Group, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = f"stranger_{group.name}"
    with group.acme.prepared() as acme:
        group.run(
            f"CREATE ROLE {stranger}",
            f"CREATE SCHEMA theirs AUTHORIZATION {stranger}",
            "CREATE TABLE public.called (by text)",
            "CREATE FUNCTION theirs.listing() RETURNS text LANGUAGE sql"
            " AS 'INSERT INTO public.called SELECT current_user RETURNING by'",
            "CREATE VIEW theirs.organization_schemas AS SELECT theirs.listing() AS organization, 'acme' AS schema_name",
            f"ALTER VIEW theirs.organization_schemas OWNER TO {stranger}",
        )
        request.getfixturevalue("moved")
        acme.prepare()
    assert group.run("SELECT * FROM public.called") == []
    assert "The views of theirs are those of a role" in caplog.text


@pytest.mark.parametrize("schema", ["public", ALL])
def test_views_that_others_built_on_them_are_not_dropped(
    group: Group, request: pytest.FixtureRequest, schema: str
) -> None:
    with group.acme.prepared() as acme:
        group.command("--apply")
        group.run(f"CREATE VIEW {schema}.mine AS SELECT * FROM {ALL}.latest_load")
        request.getfixturevalue("moved")
        with pytest.raises(Refused, match="other views are built on it"):
            acme.prepare()
    assert group.run(f"SELECT * FROM {schema}.mine") == []

"""`schema --all-organizations`: views over all organizations of a PostgreSQL database, printed or made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import click
import sqlalchemy as sa

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.warehouse.all_organizations import AllViews, compose, make
from drillster_pipeline.warehouse.dialects import dialect_of, plain, quoted
from drillster_pipeline.warehouse.engine import create_engine, database_errors, parse_url
from drillster_pipeline.warehouse.postgresql_views import replacing

from .organizations import organizations_here, selected_name, selected_names

_READER = """\
-- A role that reads all organizations; of one of them: drillster-pipeline grants --organization NAME
--   CREATE ROLE all_organizations_reader LOGIN;
--   GRANT USAGE ON SCHEMA {schema} TO all_organizations_reader;
--   GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO all_organizations_reader;
--   ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT SELECT ON TABLES TO all_organizations_reader;"""

Warehouses = Mapping[str, tuple[sa.URL, str | None]]
"""URL and schema of each organization's warehouse, by its name; None: the schema of the search path."""


def views_over_all(schema: str, *, apply: bool) -> None:
    """Print the views of each database, or make them: with ``--organization`` those of its database, by its role.

    Raises SettingsError where no organization is on PostgreSQL, and what a database raises.
    """
    selected = selected_name() and selected_names().organization.name
    databases: dict[tuple[object, ...], dict[str, tuple[sa.URL, str | None]]] = defaultdict(dict)
    for name, names in organizations_here().items():
        settings = names.organization.load(needs_api=False)
        url = parse_url(settings.warehouse_url.get_secret_value(), schema=settings.warehouse_schema)
        if url.get_backend_name() == "postgresql":
            server = (url.host or url.query.get("host"), url.port or url.query.get("port"), url.database)
            databases[server][name] = url, settings.warehouse_schema
        else:
            click.echo(f"-- {name} is left out: its warehouse is not on PostgreSQL")
    found = [each for each in databases.values() if selected is None or selected in each]
    if not found:
        raise SettingsError("No organization is declared here whose warehouse is on PostgreSQL")
    for warehouses in found:
        _print_or_make(warehouses, warehouses[selected or next(iter(warehouses))][0], schema, apply=apply)


def _print_or_make(warehouses: Warehouses, url: sa.URL, schema: str, *, apply: bool) -> None:
    engine = create_engine(url)
    organizations = {name: own for name, (_, own) in warehouses.items()}
    try:
        with database_errors("making the views over all organizations"), engine.begin() as connection:
            if apply:
                dialect_of(connection).prepare_schema(connection, schema)
                make(connection, schema, organizations)
            views = compose(connection, schema, organizations)
            script = [] if apply else [*_script(connection, schema, views, url)]
    finally:
        engine.dispose()
    if apply:
        click.echo(f"The schema {schema} has the views over {', '.join(organizations)}.")
    for each in script:
        click.echo(plain(each))
    for note in views.notes:
        click.echo(f"-- {note}")


def _script(connection: sa.Connection, schema: str, views: AllViews, url: sa.URL) -> Iterator[str]:
    quote = connection.dialect.identifier_preparer.quote
    yield f"BEGIN;\nCREATE SCHEMA IF NOT EXISTS {quote(schema)};"
    for name, (statement, comments) in views.statements.items():
        yield f"\n-- {comments.view}"
        for each in replacing(connection, quoted(connection, name, schema), statement, comments.columns):
            yield f"{each};"
    yield "COMMIT;\n"
    yield _READER.format(schema=quote(schema), owner=quote(url.username or "…"))

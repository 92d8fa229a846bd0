"""`grants`: the rights of roles in a PostgreSQL warehouse, printed or set."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from drillster_pipeline.warehouse import grants
from drillster_pipeline.warehouse.dialects import plain
from drillster_pipeline.warehouse.engine import database_errors

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.context import PipelineContext

_LOGINS = """\
-- A login for a person, by an administrator; of the role loader, with SET role = {owner} alone:
--   CREATE ROLE alice LOGIN PASSWORD '…' IN ROLE {analyst};
--   ALTER ROLE alice SET search_path = {schema};
--   ALTER ROLE alice SET TimeZone = 'UTC';
--   ALTER ROLE alice SET default_transaction_read_only = on;
--   ALTER ROLE alice SET statement_timeout = '5min';
-- The search_path of the roles with views of their own:
--   dashboard, reader_without_names: {without_names}
--   team_lead: {team_lead}, {schema}
-- Whose login it is, for team leads:
--   INSERT INTO {schema}.reader_logins (login, account_id, is_trusted) VALUES ('alice', 'account id', false);
-- An application that says for whom it reads (SET drillster.account_id = '…'):
--   INSERT INTO {schema}.reader_logins (login, is_trusted) VALUES ('portal', true);
"""


def run_grants(context: PipelineContext, roles: Collection[str], prefix: str | None, *, apply: bool) -> None:
    """Print the statements, or set the rights and print which roles have them."""
    names = grants.known_roles(roles)
    with context.inspection() as inspection, database_errors("setting rights"), inspection.engine.begin() as connection:
        found = grants.compose(connection, inspection.schema, prefix, names)
        if apply:
            grants.apply(connection, found)
        else:
            statements = grants.to_print(connection, found)
    if apply:
        click.echo(f"These roles have their rights: {', '.join(f'{found.prefix}{name}' for name in names)}.")
    else:
        click.echo("-- For an administrator, or the owner where all roles are there. Again after each new version.")
        click.echo("BEGIN;")
        for name in names:
            click.echo(f"-- {found.prefix}{name}: {grants.ROLES[name]}")
        for statement in statements:
            click.echo(f"{statement};")
        click.echo("COMMIT;\n")
        names_of = {name: f"{found.prefix}{name}" for name in ("analyst", "without_names", "team_lead")}
        names_of |= {"owner": found.owner, "schema": found.schema}
        quote = inspection.engine.dialect.identifier_preparer.quote
        logins = _LOGINS.format(**{name: quote(value) for name, value in names_of.items()})
        click.echo(plain(logins), nl=False)
    for note in found.notes:
        click.echo(f"-- {note}")

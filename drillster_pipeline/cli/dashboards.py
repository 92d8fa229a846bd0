"""`dashboards`: what Superset imports, in a file."""

from __future__ import annotations

from pathlib import Path

import click

from drillster_pipeline.dashboards import DASHBOARDS, LOGIN, SUPERSET, archive, connection_url
from drillster_pipeline.errors import SettingsError
from drillster_pipeline.language import Language
from drillster_pipeline.organization import Organization


def write_dashboards(organization: Organization, file: Path, url: str | None) -> None:
    """Write the ZIP file. Raises SettingsError where it can't be written, or for a database other than PostgreSQL."""
    settings = organization.load(needs_api=False)
    if url is None:
        connection = connection_url(settings.warehouse_url.get_secret_value()).set(username=LOGIN)
    else:
        connection = connection_url(url)
    try:
        file.write_bytes(archive(connection, organization.name, Language(settings.language)))
    except OSError as problem:
        raise SettingsError(f"{file} can't be written ({problem.strerror}): name another file") from None
    click.echo(f"{file} has {len(DASHBOARDS)} dashboards for Superset {SUPERSET}, which read {connection!r}.")
    click.echo("Import it as an administrator, with the password of that login (here in PASSWORD):")
    click.echo(
        f"""  curl -H "Authorization: Bearer $TOKEN" -F bundle=@{file} """
        """-F passwords='{"databases/drillster.yaml": "'$PASSWORD'"}' https://SUPERSET/api/v1/assets/import/"""
    )

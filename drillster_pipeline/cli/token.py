"""`token`: an access token for a program, or the element that starts a widget with it."""

from __future__ import annotations

import sys
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING

import click

from drillster_pipeline.dates import wall_clock

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

WIDGETS = ("player", "tile", "repertoire", "identity", "access-code", "subscription")
"""Drillster's widgets. The element of one is ``<div class="drl-widget drl-player" drl-token="…"></div>`` (Drillster's
developer pages on widgets, as the catalogue api-evangelist/drillster gives them on 2026-09-06)."""


def print_token(settings: Settings, account_id: str | None, *, header: bool, widget: str | None, show: bool) -> None:
    """Print a new token, plain, as a header or in the element of a widget; it is kept nowhere.

    Raises UsageError for options that exclude each other and for a terminal without ``show``, and what
    TokenSource.token raises.
    """
    from drillster_pipeline.api.auth import TokenEndpoint
    from drillster_pipeline.api.retry import INTERACTIVE
    from drillster_pipeline.api.tokens import TokenSource

    if account_id is not None and not account_id.strip():  # of an unset variable: no reason to take another account
        raise click.UsageError("--account is empty: put the ID of an account there, or leave the option out")
    if header and widget:
        raise click.UsageError("--header and --widget exclude each other: choose one")
    if widget and account_id in {None, settings.service_account_id}:
        raise click.UsageError("--widget needs an end user's --account: whoever opens the page can read the token")
    if sys.stdout.isatty() and not show:
        raise click.UsageError(
            "A token is as good as a password, so it is not printed on a terminal. Pipe it into the program that needs "
            "it, or add --show"
        )
    began = wall_clock()
    with TokenSource(TokenEndpoint(settings, account_id=account_id), backoff=INTERACTIVE) as source:
        value = source.token().value
    assert source.granted is not None
    if widget:
        value = f'<div class="drl-widget drl-{widget}" drl-token="{escape(value)}"></div>'
    click.echo(f"Authorization: Bearer {value}" if header else value)
    expires = began + timedelta(seconds=source.granted.lifetime)
    click.echo(f"The token {source.granted.validity}, until {expires:%Y-%m-%dT%H:%M:%SZ}.", err=True)

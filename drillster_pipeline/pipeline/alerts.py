"""What alerts need of the export: the channels of the settings, and whether a date is missing from the warehouse."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from drillster_pipeline.dates import midnight
from drillster_pipeline.pipeline.alert_channels import notify, post
from drillster_pipeline.settings import Settings

from .context import PipelineContext

STALE_AFTER = timedelta(hours=6)
"""How long after the hour of the schedule the newest date may still be missing from the warehouse."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One place that messages go to."""

    name: str
    """Its setting, and for one of several its position and kind."""
    key: str
    """Tells it from others without saying where it is."""
    send: Callable[[str, str], str | None] = field(repr=False)
    """Takes a title and a text; returns why they were not delivered, or None."""


def channels_of(settings: Settings) -> list[Channel]:
    """The channels of the settings; each gets every message."""
    urls = [("DRILLSTER_ALERT_WEBHOOK", post, settings.alert_webhook)] if settings.alert_webhook else []
    for position, secret in enumerate(settings.alert_urls, 1):
        kind = secret.get_secret_value().partition("://")[0]
        urls.append((f"DRILLSTER_ALERT_URLS {position} ({kind})", notify, secret))
    return [
        Channel(
            name,
            hashlib.sha256(url.get_secret_value().encode()).hexdigest()[:12],
            functools.partial(send, url.get_secret_value()),
        )
        for name, send, url in urls
    ]


def expected_date(session: PipelineContext, *, coming: date | None = None) -> date | None:
    """The newest date that should be in the warehouse by now; None where none is due yet.

    ``coming`` is a date that a run is just about to load, or has just failed to, and so is not missed.
    """
    settings, newest = session.settings, session.newest_complete
    since_midnight = timedelta(hours=settings.nightly_at.hour, minutes=settings.nightly_at.minute)
    due = midnight(newest + timedelta(days=1), settings.timezone) + since_midnight + STALE_AFTER
    expected = newest if session.now() >= due and coming != newest else newest - timedelta(days=1)
    return expected if expected >= settings.first_export_date else None


def why_stale(session: PipelineContext, expected: date) -> str | None:
    """Why the warehouse is stale, as neither that date nor a later one is in it; None where one is.

    Raises PipelineError where the warehouse can't be read.
    """
    latest = session.warehouse.ledger.latest_loads().get("snapshot")
    if latest is not None and latest.export_date >= expected:
        return None
    if latest is None and expected != session.newest_complete:
        return None  # perhaps installed today: the first run is not due yet
    found = f"The newest complete load describes {latest.export_date}" if latest else "No load is complete yet"
    return f"{found}. Look at the run of the job 'nightly' for {expected}."

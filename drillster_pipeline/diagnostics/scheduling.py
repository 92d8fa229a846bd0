"""Whether nights will come: the schedule, the daemon, and who hears when one goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from drillster_pipeline.dates import newest_complete

from .amounts import lasting
from .report import Notes, Part

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

SILENT_SECONDS = 120.0
"""A daemon shows a sign of life every half minute."""
_UNAVAILABLE = 4

Daemon = Callable[[], dict[str, Any]]
"""Tells of Dagster: ``home`` (set, default), ``exists``, ``storage`` (its kind), ``silent_seconds`` (or None)."""


def next_night(now: datetime, settings: Settings) -> datetime:
    """The next moment of the schedule, in its time zone."""
    local = now.astimezone(settings.timezone)
    coming = local.replace(
        hour=settings.nightly_at.hour, minute=settings.nightly_at.minute, second=0, microsecond=0, fold=0
    )
    return coming if coming > local else coming + timedelta(days=1)


def examine_schedule(notes: Notes, settings: Settings, now: datetime) -> None:
    """When the next night is, of which date, and until when it lasts."""
    with notes.step(Part.OPERATION, "next night", "DRILLSTER_NIGHTLY_AT in DRILLSTER_TIMEZONE") as step:
        coming = next_night(now, settings)
        export_date = newest_complete(coming, settings.timezone)
        wait = lasting(max(0.0, (coming - now).total_seconds()))
        found = f"{coming:%Y-%m-%d %H:%M} {settings.timezone.key} (in {wait}), for {export_date}"
        night = notes.report.night
        if night is not None:
            end = coming + timedelta(minutes=night.minutes.high)
            found += f"; done by about {end:%H:%M}" if night.minutes.high < 1440 else "; it takes longer than a day"
        if export_date < settings.first_export_date:
            step.warning(
                f"{found}, which is before DRILLSTER_FIRST_EXPORT_DATE ({settings.first_export_date}): nothing runs "
                "until that date has ended.",
                advice="Set it to the first date that you want, at the latest yesterday.",
            )
        elif night is not None and night.minutes.likely > 360:
            step.warning(
                f"{found}: that is a long night.",
                advice="See docs/scaling.md: more DRILLSTER_CONCURRENCY, or an earlier DRILLSTER_NIGHTLY_AT.",
            )
        else:
            step.ok(found)


def examine_daemon(notes: Notes, daemon: Daemon) -> None:
    """Whether somebody will start the night."""
    with notes.step(Part.OPERATION, "Dagster", "DAGSTER_HOME, its storage, and signs of life of the daemon") as step:
        try:
            told = daemon()
        except Exception as error:  # noqa: BLE001 - each kind of storage raises errors of its own
            # Not its text, which may name a database and its user.
            step.failed(
                f"Dagster's storage can't be opened ({type(error).__name__}).",
                advice="Check dagster.yaml in DAGSTER_HOME, and that the database it names is up.",
                exit_code=_UNAVAILABLE,
            )
            return
        home = "DAGSTER_HOME is set" if told["home"] == "set" else "DAGSTER_HOME is not set: data/dagster is used"
        by_cron = (
            "Without the daemon nothing starts by itself: see the README, or let cron call drillster-pipeline run."
        )
        if not told["exists"]:
            step.ok(f"{home}; nothing has run there yet", advice=by_cron)
            return
        found = f"{home}; runs are kept in {told['storage']}"
        silent = told["silent_seconds"]
        if silent is None:
            step.ok(f"{found}; no daemon has run there", advice=by_cron)
        elif silent > SILENT_SECONDS:
            step.warning(
                f"{found}; the daemon has shown no sign of life for {lasting(silent)}.",
                advice="Start dagster-daemon again, or no night begins by itself.",
            )
        else:
            step.ok(f"{found}; the daemon runs")


def examine_alerts(notes: Notes, settings: Settings, *, send: bool) -> None:
    """Whether anybody hears of a run that goes wrong; messages are sent only when asked for."""
    from drillster_pipeline.pipeline.alert_channels import ROUND_SECONDS, bounded, ping
    from drillster_pipeline.pipeline.alerts import channels_of

    trials: list[tuple[str, str, Callable[[], str | None]]] = []
    for channel in channels_of(settings):
        message = partial(channel.send, "This is a test of `check --alert`", "Nothing is wrong")
        trials.append(("alerts", channel.name, partial(bounded, message, ROUND_SECONDS)))
    if not trials:
        with notes.step(Part.OPERATION, "alerts", "DRILLSTER_ALERT_WEBHOOK and DRILLSTER_ALERT_URLS") as step:
            step.ok(
                "neither DRILLSTER_ALERT_WEBHOOK nor DRILLSTER_ALERT_URLS is set, so nobody hears of a failed run",
                advice="Set one: docs/deployment.md has examples.",
            )
    if settings.heartbeat_url:
        trials.append(
            ("heartbeat", "DRILLSTER_HEARTBEAT_URL", partial(ping, settings.heartbeat_url.get_secret_value()))
        )
    for part, name, trial in trials:
        with notes.step(Part.OPERATION, part, name) as step:
            if not send:
                step.ok(f"{name} is set; `check --alert` tries it")
            elif (problem := trial()) is None:
                step.ok(f"{name} took a test message")
            else:
                step.failed(f"{name} failed: {problem}.", advice="Check its address.", exit_code=_UNAVAILABLE)

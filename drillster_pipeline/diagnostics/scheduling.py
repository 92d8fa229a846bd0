"""Whether runs will start and who gets a message: the schedule, the daemon, alerts and the heartbeat."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from drillster_pipeline.dates import newest_complete
from drillster_pipeline.errors import PipelineError, Unavailable
from drillster_pipeline.formatting import duration
from drillster_pipeline.language import Language

from .report import DiagnosticsReport, Part

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

SILENT_SECONDS = 120.0
"""A daemon writes a heartbeat every half minute."""
LONG_MINUTES = 360

Daemon = Callable[[], dict[str, Any]]
"""Describes Dagster: ``home`` (set, default), ``exists``, ``storage`` (its kind), ``silent_seconds`` (or None)."""


def check_schedule(report: DiagnosticsReport, settings: Settings, now: datetime) -> None:
    """When the next run starts, for which date, and when it ends."""
    with report.step(Part.OPERATION, "next run", "DRILLSTER_NIGHTLY_AT in DRILLSTER_TIMEZONE") as step:
        at = settings.nightly_at
        start = now.astimezone(settings.timezone).replace(
            hour=at.hour, minute=at.minute, second=0, microsecond=0, fold=0
        )
        if start <= now:
            start += timedelta(days=1)
        export_date = newest_complete(start, settings.timezone)
        wait = duration(max(0.0, (start - now).total_seconds()))
        found = f"{start:%Y-%m-%d %H:%M} {settings.timezone.key} (in {wait}), for {export_date}"
        minutes = report.estimate.minutes if report.estimate else 0.0
        if minutes:
            found += f"; it takes about {duration(60 * minutes)}"
        if export_date < settings.first_export_date:
            step.warning(
                f"{found}, which is before DRILLSTER_FIRST_EXPORT_DATE ({settings.first_export_date}): nothing runs "
                "until that date has ended.",
                "Set it to the first date that you want, at the latest yesterday.",
            )
        elif minutes > LONG_MINUTES:
            step.warning(
                f"{found}, which is long.",
                "See docs/scaling.md: more DRILLSTER_CONCURRENCY, or an earlier DRILLSTER_NIGHTLY_AT.",
            )
        else:
            step.ok(found)


def check_daemon(report: DiagnosticsReport, daemon: Daemon) -> None:
    """Whether a daemon runs that starts the schedule."""
    with report.step(Part.OPERATION, "Dagster", "DAGSTER_HOME, its storage, and the daemon's heartbeat") as step:
        try:
            dagster = report.dagster = daemon()
        except PipelineError:
            raise
        except Exception as error:  # noqa: BLE001 - each kind of storage raises errors of its own
            # Without its message, which may name a database and its user.
            step.failed(
                f"Dagster's storage can't be opened ({type(error).__name__}).",
                "Check dagster.yaml in DAGSTER_HOME, and that the database it names is up.",
                exit_code=Unavailable.exit_code,
            )
            return
        is_set = dagster["home"] == "set"
        home = "DAGSTER_HOME is set" if is_set else "DAGSTER_HOME is not set: data/dagster is used"
        by_cron = "without a daemon, cron has to call drillster-pipeline run (docs/deployment.md)"
        silent = dagster["silent_seconds"]
        if not dagster["exists"]:
            step.ok(f"{home}; nothing has run there yet; {by_cron}")
        elif silent is None:
            step.ok(f"{home}; runs are stored in {dagster['storage']}; no daemon has run there; {by_cron}")
        elif silent > SILENT_SECONDS:
            step.warning(
                f"{home}; the daemon's last heartbeat is {duration(silent)} old.",
                "Start dagster-daemon again, or no run starts.",
            )
        else:
            step.ok(f"{home}; runs are stored in {dagster['storage']}; the daemon runs")


def check_alerts(report: DiagnosticsReport, settings: Settings, *, send: bool) -> None:
    """Whether alerts have a channel; ``send`` tries each."""
    from drillster_pipeline.alert_channels import channels_of, ping
    from drillster_pipeline.bounded_requests import ROUND_SECONDS, bounded

    translated = Language(settings.language).translated
    trials: list[tuple[str, str, Callable[[], str | None]]] = []
    for channel in channels_of(settings):
        title, body = translated("This is a test of `check --alert`"), translated("Nothing is wrong")
        message = partial(channel.send, title, body)
        trials.append(("alerts", channel.name, partial(bounded, message, ROUND_SECONDS)))
    if not trials:
        with report.step(Part.OPERATION, "alerts", "DRILLSTER_ALERT_WEBHOOK and DRILLSTER_ALERT_URLS") as step:
            step.ok(
                "a failed run sends no message, as neither DRILLSTER_ALERT_WEBHOOK nor DRILLSTER_ALERT_URLS is set "
                "(docs/deployment.md has examples)"
            )
    if settings.heartbeat_url:
        url = settings.heartbeat_url.get_secret_value()
        trials.append(("heartbeat", "DRILLSTER_HEARTBEAT_URL", partial(ping, url)))
    for kind, name, trial in trials:
        with report.step(Part.OPERATION, kind, name) as step:
            if not send:
                step.ok(f"{name} is set; `check --alert` tries it")
            elif (problem := trial()) is None:
                step.ok(f"{name} accepted a test message")
            else:
                step.failed(f"{name} failed: {problem}.", "Check its address.", exit_code=Unavailable.exit_code)

"""Alerts: what an operator must know of the finished runs and backfills that Dagster has recorded, once each.

:func:`send_alerts` serves the sensor and the command ``run`` alike. What was read and reported, and messages that a
channel has not taken yet, are kept in :mod:`.alert_state`: so a daemon and cron that share an instance do not report
twice, and what could not be sent is sent later. A message is sent again where it is not known whether it arrived. The
words around the causes (:mod:`.failure_causes`) are in the language of the settings.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import dagster as dg

from drillster_pipeline.alert_channels import Channel, channels_of
from drillster_pipeline.bounded_requests import ROUND_SECONDS, run_bounded
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.language import marked
from drillster_pipeline.pipeline.context import PipelineContext

from .alert_state import ENDED, RECORD, AlertState, ended_backfills, load_state, locked, save_state
from .failure_causes import LONGEST_CAUSE, FailureCause, causes_of
from .names import Names
from .specs import JOBS, NIGHTLY, UPKEEP, export_dates

LONGEST_TEXT = 3_000
"""Characters of a message: Slack shows no more, and refuses far longer ones."""
RETRY_WITHIN = timedelta(minutes=10)
"""A failed run that the daemon does not begin again within this time has failed: perhaps the daemon is dead."""
STALE = "stale"
"""In place of a job where the warehouse is what fails: a run may succeed and its load not be complete."""
_SUBJECTS = {
    "capture": marked("The capture of %(date)s"),
    "publish": marked("The publish of %(date)s"),
    "report": marked("The report of %(date)s"),
    "dbt": marked("The build of dbt's models"),
    "run": marked("The run of %(date)s"),
    UPKEEP: marked("The job %(job)s"),
}
_EVENTS_READ, _DATES_SHOWN = 10_000, 10

logger = logging.getLogger(__name__)


def send_alerts(
    instance: dg.DagsterInstance,
    pipeline: PipelineContext,
    names: Names,
    *,
    pending: date | None = None,
    settings_error: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[int, int]:
    """Report what is new, and send what waits; returns how many messages were delivered, and how many still wait.

    ``pending`` is a date that a command is about to load; ``settings_error`` what is wrong in the settings, so that
    the warehouse is not read. The first call on an instance reports nothing of what was before it.
    """
    channels = channels_of(pipeline.settings)
    if not channels:
        return 0, 0
    with locked(instance, sleep):
        alerts = _Alerts(instance, pipeline, names, load_state(instance, names.of(RECORD)))
        alerts.read_runs()
        alerts.read_backfills()
        if settings_error is None:
            alerts.read_warehouse(pending)
        elif pending is not None:
            alerts.add_failure(NIGHTLY, str(pending), [FailureCause(settings_error)])
        state = alerts.state
        save_state(instance, names.of(RECORD), state)
        _deliver(channels, state.messages)
        left = [each for each in state.messages if {channel.key for channel in channels} - set(each["done"])]
        sent = len(state.messages) - len(left)
        state.messages = left
        save_state(instance, names.of(RECORD), state)
    return sent, len(left)


def _deliver(channels: Sequence[Channel], messages: Sequence[dict[str, Any]]) -> None:
    """Send each message to each channel that has not taken it; never raises because of a channel."""
    deadline = time.monotonic() + ROUND_SECONDS
    taken: list[tuple[dict[str, Any], str]] = []

    def send_all(channel: Channel) -> None:
        for message in messages:
            if channel.key in message["done"] or time.monotonic() > deadline:
                continue
            problem = channel.send(message["title"], message["text"])
            if problem is None:
                taken.append((message, channel.key))
                continue
            logger.warning("%s did not take a message (%s): it is sent again later.", channel.name, problem)
            if not problem.startswith("status"):
                return  # where nobody answers, every other message would wait as long

    run_bounded([partial(send_all, channel) for channel in channels], ROUND_SECONDS)
    for message, key in taken:
        message["done"].append(key)


@dataclass
class _Alerts:
    """A round: what is new since the last one, as messages of the state."""

    instance: dg.DagsterInstance
    pipeline: PipelineContext
    names: Names
    state: AlertState

    def __post_init__(self) -> None:
        self.translated = self.pipeline.language.translated

    def read_runs(self) -> None:
        """The runs that have ended, in that order, but for those of backfills."""
        for run_id, since in list(self.state.undecided.items()):
            if self._read_failure(run_id, datetime.fromisoformat(since)):
                del self.state.undecided[run_id]
        for change in self._changes():
            self.state.position = change.storage_id
            run = self.instance.get_run_by_id(change.run_id)
            if run is None or not self.names.is_ours(run.job_name, run.asset_selection):
                continue
            self._read_unavailable(run)
            if "dagster/backfill" in run.tags:
                continue  # it is reported with its backfill
            if change.event_log_entry.dagster_event_type is dg.DagsterEventType.RUN_SUCCESS:
                self._add_success(self.names.plain(run.job_name), self._day(run))
            elif not self._read_failure(run.run_id, self.pipeline.now()):
                self.state.undecided[run.run_id] = self.pipeline.now().isoformat()

    def _changes(self) -> list[dg.EventLogRecord]:
        found: list[dg.EventLogRecord] = []
        for kind in ENDED:
            since = dg.RunStatusChangeRecordsFilter(kind, after_storage_id=self.state.position)
            found += self.instance.fetch_run_status_changes(since, limit=_EVENTS_READ, ascending=True).records
        return sorted(found, key=lambda change: change.storage_id)

    def _read_failure(self, run_id: str, since: datetime) -> bool:
        """Report a failed run, unless another attempt of the daemon does that. False while this is not decided."""
        run = self.instance.get_run_by_id(run_id)
        if run is None or "dagster/auto_retry_run_id" in run.tags:
            return True
        # The tag comes just after the event. The daemon can't begin again what a command has run.
        unknown = str(self.instance.run_retries_enabled).lower()
        may_be_retried = run.remote_job_origin is not None and run.tags.get("dagster/will_retry", unknown) == "true"
        if may_be_retried and self.pipeline.now() - since < RETRY_WITHIN:
            return False
        self.add_failure(self.names.plain(run.job_name), self._day(run), causes_of(run, self.instance, self.translated))
        return True

    def _read_unavailable(self, run: dg.DagsterRun) -> None:
        """Report the resources that a new capture could not read; also one whose own run was killed."""
        found: dict[str, Any] = {}
        for entry in self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            assert entry.dagster_event is not None
            materialization = entry.dagster_event.step_materialization_data.materialization
            why, how = (materialization.metadata.get(name) for name in ("unavailable", "how"))
            resource = materialization.asset_key.path[-1]
            if why and how and how.value != "replayed" and self.state.is_new("unavailable", self._day(run), resource):
                found[resource] = why.value
        if found:
            text = "; ".join(f"{resource}: {why}" for resource, why in found.items())
            title = self.translated(
                "The capture of %(date)s could not read %(resources)s",
                date=self._dates(self._day(run)),
                resources=", ".join(found),
            )
            self._add(title, text)

    def read_backfills(self) -> None:
        """The backfills that have ended, when their last run has."""
        for key, backfill in ended_backfills(self.instance).items():
            if key in self.state.reported:
                continue
            filters = dg.RunsFilter(tags={"dagster/backfill": backfill.backfill_id})
            runs = [record.dagster_run for record in self.instance.get_run_records(filters)]
            if all(run.is_finished for run in runs):
                self.state.reported.append(key)
                if self.names.is_ours(backfill.job_name, backfill.asset_selection):
                    self._add_backfill(backfill, runs)

    def _add_backfill(self, backfill: Any, runs: Sequence[dg.DagsterRun]) -> None:
        """Report the dates whose newest run failed, by cause; or that there was none."""
        newest = {self._day(run): run for run in reversed(runs)}
        causes: dict[str, tuple[str, list[str]]] = {}
        failed = [day for day in sorted(newest) if newest[day].status is dg.DagsterRunStatus.FAILURE]
        for day in failed:
            for cause in causes_of(newest[day], self.instance, self.translated):
                causes.setdefault(cause.key, (cause.text[:LONGEST_CAUSE], []))[1].append(day)
        if failed:
            title = self.translated(
                "The backfill %(id)s failed for %(failed)s of %(all)s dates",
                id=backfill.backfill_id,
                failed=len(failed),
                all=len(newest),
            )
            ordered = sorted(causes.values(), key=lambda cause: -len(cause[1]))
            self._add(title, ".\n".join(f"{self._dates(*days)}: {text}" for text, days in ordered))
        elif backfill.status.value == "FAILED":
            title = self.translated("The backfill %(id)s failed", id=backfill.backfill_id)
            self._add(title, self.translated("Dagster's daemon could not carry it out: see it in Dagster"))

    def read_warehouse(self, pending: date | None) -> None:
        """Report a date of which a complete load should be there and is not, and when there is one again.

        The warehouse is read once for each date, and in each round while it is stale.
        """
        from drillster_pipeline.pipeline.gaps import expected_date, why_stale

        stale = self.state.failing.get(STALE, [])
        expected = expected_date(self.pipeline, pending=pending)
        if expected is None or (not stale and f"{STALE}|{expected}|" in self.state.reported):
            return
        expected = max([expected, *map(date.fromisoformat, stale)])
        try:
            why = why_stale(self.pipeline, expected)
            is_healed = bool(stale) and why is None and "snapshot" in self.pipeline.warehouse.ledger.latest_loads()
        except PipelineError as problem:
            logger.warning("It is not known whether the warehouse is stale: %s", problem)
            return
        if self.state.is_new(STALE, str(expected), "") and why is not None:
            title = marked("The warehouse is stale: there is no complete load of %(date)s")
            self._add(self.translated(title, date=self._dates(str(expected))), why)
            self.state.failing.setdefault(STALE, []).append(str(expected))
        if is_healed:
            text = marked("Its newest complete load describes %(date)s or later")
            text = self.translated(text, date=self._dates(str(expected)))
            self._add(self.translated("The warehouse is up to date again"), text)
            del self.state.failing[STALE]

    def add_failure(self, job: str, day: str, causes: Sequence[FailureCause]) -> None:
        """Report a failure of a job for a date, but for causes that were reported for them before."""
        causes = [cause for cause in causes if self.state.is_new(job, day, cause.key)]
        if not causes:
            return
        works = {UPKEEP} if job == UPKEEP else {cause.work for cause in causes}
        subject = _SUBJECTS.get(works.pop() if len(works) == 1 else "run", _SUBJECTS["run"])
        is_refused = all(cause.is_refusal for cause in causes)
        title = marked("%(subject)s was refused") if is_refused else marked("%(subject)s failed")
        subject = self.translated(subject, date=self._dates(day), job=job)
        self._add(self.translated(title, subject=subject), ". ".join(cause.text for cause in causes))
        if job in JOBS:
            self.state.failing.setdefault(job, []).append(day)

    def _add_success(self, job: str, day: str) -> None:
        dates = self.state.failing.get(job, [])
        if not dates or day < max(dates):
            return
        text = self.translated(
            "Its run of %(date)s succeeded; before, it failed for %(dates)s",
            date=self._dates(day),
            dates=self._dates(*dates),
        )
        self._add(self.translated("The job %(job)s works again", job=job), text)
        del self.state.failing[job]
        self.state.reported = [key for key in self.state.reported if not key.startswith(f"{job}|")]

    def _add(self, title: str, text: str) -> None:
        if self.names.organization.name:
            title = f"{self.names.organization.name}: {title}"
        text = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
        self.state.messages.append({"title": title, "text": text, "done": []})

    def _day(self, run: dg.DagsterRun) -> str:
        """The export date of a run; of one without, today."""
        dates = export_dates(run.tags) or (self.pipeline.now().date(),)
        return " to ".join(sorted(map(str, {*dates})))

    def _dates(self, *days: str) -> str:
        """The first of some dates and spans of :meth:`_day`, as people read them, and how many more there are."""
        language = self.pipeline.language
        ordered = sorted({*days})
        spans = [[language.numeric_day(date.fromisoformat(day)) for day in span.split(" to ")] for span in ordered]
        shown = ", ".join(self.translated(" to ").join(span) for span in spans[:_DATES_SHOWN])
        more = len(spans) - _DATES_SHOWN
        return self.translated("%(dates)s and %(more)s more", dates=shown, more=more) if more > 0 else shown

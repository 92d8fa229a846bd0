"""What the finished runs and backfills of Dagster came to: the messages about them, each made once.

Texts are those of our errors, which hold no secret and no personal value; of any other exception only
the type is named.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

from drillster_pipeline.errors import PipelineError, Refused

from .errors import ERROR_TYPE, EXIT_CODE, WHERE
from .keys import ASSET_FOLDERS, JOBS, UPKEEP
from .partitions import export_dates

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.context import PipelineContext

LONGEST_TEXT, LONGEST_CAUSE = 3_000, 800
"""Characters of a message and, in one of a backfill, of a cause: Slack shows no more, and refuses far longer ones."""
RETRY_WITHIN = timedelta(minutes=10)
"""A failed run that the daemon does not begin again within this time has failed for good: perhaps it is dead."""
BACKFILLS_READ = 50
STALE = "stale"
"""Stands for a job where the warehouse is what fails: a run may succeed and its load not be complete."""
_DATES_SHOWN, _EVENTS_READ = 10, 10_000
_WORK_OF_STEPS = {"capture": "capture", "publish": "publish", "write": "report"}
"""What a step does, by the first word of its name."""

logger = logging.getLogger(__name__)


@dataclass
class State:
    """What is kept between two rounds, as JSON."""

    position: int
    """Number of the last event that was read."""
    backfills: list[str]
    """Those that are finished and reported, of the newest."""
    undecided: dict[str, str] = field(default_factory=dict)
    """Failed runs that the daemon may begin again, and since when that is awaited."""
    reported: list[str] = field(default_factory=list)
    """What was reported: ``<job>|<date>|<cause>``."""
    failing: dict[str, list[str]] = field(default_factory=dict)
    """Per job, the dates for which failures were reported since it last succeeded."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """``title``, ``text``, and ``done``: keys of the channels that took it."""


class Cause(NamedTuple):
    """Why a step failed."""

    text: str
    work: str = "run"
    is_refusal: bool = False

    @property
    def key(self) -> str:
        """The same for texts that differ in numbers, dates and ids alone."""
        return " ".join("#" if re.search(r"\d", word) else word for word in self.text[:LONGEST_CAUSE].split())


@dataclass
class Outcomes:
    """A round: what is new since the last one, as messages of the state."""

    instance: dg.DagsterInstance
    session: PipelineContext
    state: State

    def read_runs(self) -> None:
        """The runs that have ended, in that order, but for those of backfills."""
        for run_id, since in list(self.state.undecided.items()):
            if self._read_failure(run_id, datetime.fromisoformat(since)):
                del self.state.undecided[run_id]
        for change in self._events():
            self.state.position = change.storage_id
            run = self.instance.get_run_by_id(change.run_id)
            if run is None or not _is_ours(run.job_name, run.asset_selection):
                continue
            self._read_unavailable(run)
            if "dagster/backfill" in run.tags:
                continue  # it is reported with its backfill
            if change.event_log_entry.dagster_event_type is dg.DagsterEventType.RUN_SUCCESS:
                self._add_success(run.job_name, self._day(run))
            elif not self._read_failure(run.run_id, self.session.now()):
                self.state.undecided[run.run_id] = self.session.now().isoformat()

    def _events(self) -> list[dg.EventLogRecord]:
        since = self.state.position
        filters = (
            dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=since),
            dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_SUCCESS, after_storage_id=since),
        )
        pages = [self.instance.fetch_run_status_changes(each, limit=_EVENTS_READ, ascending=True) for each in filters]
        return sorted((change for page in pages for change in page.records), key=lambda change: change.storage_id)

    def _read_failure(self, run_id: str, since: datetime) -> bool:
        """Report a failed run, unless another attempt of the daemon does that. False while this is not decided."""
        run = self.instance.get_run_by_id(run_id)
        if run is None or "dagster/auto_retry_run_id" in run.tags:
            return True
        # The tag comes just after the event. The daemon can't begin again what the console has run.
        unknown = str(self.instance.run_retries_enabled).lower()
        may_be_retried = run.remote_job_origin is not None and run.tags.get("dagster/will_retry", unknown) == "true"
        if may_be_retried and self.session.now() - since < RETRY_WITHIN:
            return False
        self.add_failure(run.job_name, self._day(run), self._causes(run))
        return True

    def _causes(self, run: dg.DagsterRun) -> list[Cause]:
        found: dict[str, Cause] = {}
        for entry in self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
            cause = _cause(entry)
            found.setdefault(cause.key, cause)
        ended = f"Run {run.run_id} ended before it was done: it could not start, or was killed. Look at it in Dagster"
        return list(found.values()) or [Cause(ended)]

    def _read_unavailable(self, run: dg.DagsterRun) -> None:
        """Report the resources that a new capture could not read; also one whose own run was killed."""
        found: dict[str, Any] = {}
        for entry in self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            assert entry.dagster_event is not None
            materialization = entry.dagster_event.step_materialization_data.materialization
            why, how = (materialization.metadata.get(name) for name in ("unavailable", "how"))
            resource = materialization.asset_key.path[-1]
            if why and how and how.value != "replayed" and self._is_new("unavailable", self._day(run), resource):
                found[resource] = why.value
        if found:
            text = "; ".join(f"{resource}: {why}" for resource, why in found.items())
            self._add(f"The capture of {self._day(run)} could not read {', '.join(found)}", text)

    def read_backfills(self) -> None:
        """The backfills that have ended."""
        finished = []
        for backfill in self.instance.get_backfills(limit=BACKFILLS_READ):
            if is_finished(backfill):
                is_known = backfill.backfill_id in self.state.backfills
                if is_known or self._read_backfill(backfill):
                    finished.append(backfill.backfill_id)
        self.state.backfills = finished

    def _read_backfill(self, backfill: Any) -> bool:
        """Report one that has ended, if dates failed. False while a run of it goes on."""
        filters = dg.RunsFilter(tags={"dagster/backfill": backfill.backfill_id})
        runs = [record.dagster_run for record in self.instance.get_run_records(filters)]
        if any(not run.is_finished for run in runs):
            return False
        if not _is_ours(backfill.job_name or "", backfill.asset_selection):
            return True
        newest = {self._day(run): run for run in reversed(runs)}
        groups: dict[str, tuple[str, list[str]]] = {}
        failed = [day for day in sorted(newest) if newest[day].status is dg.DagsterRunStatus.FAILURE]
        for day in failed:
            for cause in self._causes(newest[day]):
                groups.setdefault(cause.key, (cause.text[:LONGEST_CAUSE], []))[1].append(day)
        title = f"The backfill {backfill.backfill_id} failed"
        if failed:
            ordered = sorted(groups.values(), key=lambda group: -len(group[1]))
            text = ".\n".join(f"{_listed(days)}: {text}" for text, days in ordered)
            self._add(f"{title} for {len(failed)} of {len(newest)} dates", text)
        elif backfill.status.value == "FAILED":
            self._add(title, "Dagster's daemon could not carry it out: look at it in Dagster")
        return True

    def read_warehouse(self, coming: date | None) -> None:
        """Report a date of which a complete load should be there and is not, and when there is one again.

        The warehouse is asked once for each date, and in each round while it is stale.
        """
        from drillster_pipeline.pipeline.alerts import expected_date, why_stale

        stale = self.state.failing.get(STALE, [])
        expected = expected_date(self.session, coming=coming)
        if expected is None or (not stale and f"{STALE}|{expected}|" in self.state.reported):
            return
        expected = max([expected, *map(date.fromisoformat, stale)])
        try:
            why = why_stale(self.session, expected)
            is_healed = bool(stale) and why is None and "snapshot" in self.session.warehouse.ledger.latest_loads()
        except PipelineError as problem:
            logger.warning("Whether the warehouse is stale can't be told: %s", problem)
            return
        if self._is_new(STALE, str(expected), "") and why is not None:
            self._add(f"The warehouse is stale: there is no complete load of {expected}", why)
            self.state.failing.setdefault(STALE, []).append(str(expected))
        if is_healed:
            self._add("The warehouse is up to date again", f"Its newest complete load describes {expected} or later")
            del self.state.failing[STALE]

    def add_failure(self, job: str, day: str, causes: Sequence[Cause]) -> None:
        """Report a failure of a job for a date, but for causes that were reported for them before."""
        causes = [cause for cause in causes if self._is_new(job, day, cause.key)]
        if not causes:
            return
        verb = "was refused" if all(cause.is_refusal for cause in causes) else "failed"
        works = {cause.work for cause in causes}
        what = f"The {works.pop() if len(works) == 1 else 'run'} of {day}" if job != UPKEEP else f"The job {job}"
        self._add(f"{what} {verb}", ". ".join(cause.text for cause in causes))
        if job in JOBS:
            self.state.failing.setdefault(job, []).append(day)

    def _add_success(self, job: str, day: str) -> None:
        dates = self.state.failing.get(job, [])
        if not dates or day < max(dates):
            return
        self._add(f"The job {job} works again", f"Its run of {day} succeeded; before, it failed for {_listed(dates)}")
        del self.state.failing[job]
        self.state.reported = [key for key in self.state.reported if not key.startswith(f"{job}|")]

    def _is_new(self, job: str, day: str, what: str) -> bool:
        """Whether this was not reported yet; from now on it is."""
        key = f"{job}|{day}|{what}"
        if key in self.state.reported:
            return False
        self.state.reported.append(key)
        return True

    def _add(self, title: str, text: str) -> None:
        text = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
        self.state.messages.append({"title": title, "text": text, "done": []})

    def _day(self, run: dg.DagsterRun) -> str:
        """The export date of a run; of one without, today."""
        dates = export_dates(run.tags) or (self.session.now().date(),)
        return " to ".join(sorted({str(day) for day in dates}))


def _cause(entry: dg.EventLogEntry) -> Cause:
    """Why a step failed: the sentence of an error of ours, or the type of any other."""
    assert entry.dagster_event is not None
    data = entry.dagster_event.step_failure_data
    work = _WORK_OF_STEPS.get((entry.step_key or "").partition("_")[0], "run")
    failure = data.user_failure_data
    if failure is not None and failure.description and WHERE not in failure.metadata:
        code = failure.metadata.get(EXIT_CODE)
        return Cause(failure.description, work, code is not None and code.value == Refused.exit_code)
    if failure is not None and ERROR_TYPE in failure.metadata:
        kind = failure.metadata[ERROR_TYPE].value
    else:
        kind = (data.error.cause or data.error).cls_name if data.error else "unknown"
    text = f"An error that this program does not expect, {kind}: look at run {entry.run_id} in Dagster"
    return Cause(text, work)


def _is_ours(job: str, assets: Any) -> bool:
    """Whether a run or a backfill is of this code: other code may share the instance."""
    return job in JOBS or any(key.path[0] in ASSET_FOLDERS for key in assets or ())


def is_finished(backfill: Any) -> bool:
    """Whether a backfill has ended, in any way."""
    return str(backfill.status.value).startswith(("COMPLETED", "FAILED", "CANCELED"))


def _listed(days: Sequence[str]) -> str:
    shown = sorted(set(days))
    more = f" and {len(shown) - _DATES_SHOWN} more" if len(shown) > _DATES_SHOWN else ""
    return f"{', '.join(shown[:_DATES_SHOWN])}{more}"

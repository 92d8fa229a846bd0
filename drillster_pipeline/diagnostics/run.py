"""The examination: every step in turn, and none that needs what an earlier one did not find."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from drillster_pipeline.api.client import Client, EndpointClient
from drillster_pipeline.api.transport import Limits
from drillster_pipeline.dates import Window, events_window, midnight, newest_complete
from drillster_pipeline.settings import environment

from .access import note_access, note_night
from .connection import ANSWER_SECONDS, PATIENCE, ask_for_token, compare_clocks, reach
from .endpoints import judge_endpoints
from .probing import ORDER, Probe
from .report import Notes, Part, Report
from .scheduling import examine_alerts, examine_daemon, examine_schedule
from .settings import examine_settings
from .storage import examine_archive, examine_reports, examine_room, examine_warehouse

if TYPE_CHECKING:
    from datetime import date

    from drillster_pipeline.api.tokens import TokenSource
    from drillster_pipeline.settings import Settings

    from .scheduling import Daemon

EVENT_DAYS = 31
"""Events are asked for over so many days: a single one may have none, and then nothing is known of their form."""
_CREDENTIALS = frozenset(
    {
        "DRILLSTER_CLIENT_ID",
        "DRILLSTER_CLIENT_SECRET",
        "DRILLSTER_SERVICE_ACCOUNT_ID",
        "DRILLSTER_PRIVATE_KEY",
        "DRILLSTER_PRIVATE_KEY_FILE",
    }
)
_BASE = "DRILLSTER_BASE_URL"
_WAREHOUSE = frozenset({"DRILLSTER_WAREHOUSE_URL", "DRILLSTER_WAREHOUSE_SCHEMA"})
_ARCHIVE = "DRILLSTER_ARCHIVE_URL"


class Examination:
    """One examination. ``report`` has what was found so far, also while it runs or after it was broken off.

    ``environ`` stands in for the environment and ``.env``; ``daemon`` tells of Dagster, of which nothing here knows
    anything. ``send_alert``: send every alert URL a message, and ask the heartbeat URL.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        daemon: Daemon | None = None,
        send_alert: bool = False,
    ) -> None:
        self.environ = environment() if environ is None else environ
        self.report = Report(now())
        self.settings: Settings | None = None
        self._now = now
        self._daemon = daemon
        self._send_alert = send_alert
        self._notes = Notes(self.report)

    def run(self, on_step: Callable[[str], None] = lambda _: None) -> Report:
        """Try everything; ``on_step`` hears what comes next. Raises no PipelineError: what goes wrong is a finding."""
        self._notes.announce = on_step
        started = time.monotonic()
        try:
            self._run()
            self.report.is_complete = True
        finally:
            self.report.seconds = time.monotonic() - started
        return self.report

    def _run(self) -> None:
        notes = self._notes
        settings, wrong = examine_settings(notes, self.environ)
        self.settings = settings
        self._examine_drillster(settings, wrong)
        newest = newest_complete(self._now(), settings.timezone)
        has_warehouse, has_archive = _WAREHOUSE.isdisjoint(wrong), _ARCHIVE not in wrong
        is_connected = has_warehouse and examine_warehouse(notes, settings, newest)
        if not has_warehouse:
            notes.skip(Part.WAREHOUSE, "warehouse", "its setting is wrong")
        if has_archive:
            examine_archive(notes, settings)
        else:
            notes.skip(Part.ARCHIVE, "archive", "its setting is wrong")
        examine_room(notes, settings, warehouse=is_connected, archive=has_archive)
        if not wrong & {"DRILLSTER_TIMEZONE", "DRILLSTER_NIGHTLY_AT", "DRILLSTER_FIRST_EXPORT_DATE"}:
            examine_schedule(notes, settings, self._now())
        if self._daemon is not None:
            examine_daemon(notes, self._daemon)
        examine_reports(notes, settings)
        examine_alerts(notes, settings, send=self._send_alert)

    def _examine_drillster(self, settings: Settings, wrong: frozenset[str]) -> None:
        notes = self._notes
        if _BASE in wrong:
            notes.skip(Part.DRILLSTER, "connection", f"{_BASE} is wrong")
            return
        skew = reach(notes, settings, self._now)
        missing = sorted(wrong & (_CREDENTIALS | {"DRILLSTER_ORGANIZATION_ID"}))
        if missing:
            notes.skip(Part.DRILLSTER, "access token", f"{', '.join(missing)} must be right first")
            compare_clocks(notes, skew, refused=False)
            self._skip_endpoints()
            return
        tokens, closer = ask_for_token(notes, settings, self._now)
        compare_clocks(notes, closer or skew, refused=tokens is None)
        if tokens is None:
            self._skip_endpoints()
            return
        with tokens:
            self._examine_api(settings, tokens)

    def _skip_endpoints(self) -> None:
        self._notes.skip(Part.ENDPOINTS, f"{len(ORDER)} endpoints", "there is no access token")
        self._notes.skip(Part.NIGHT, "requests", "there is no access token")

    def _examine_api(self, settings: Settings, tokens: TokenSource) -> None:
        notes = self._notes
        newest = newest_complete(self._now(), settings.timezone)
        with Client(
            base_url=settings.base_url,
            tokens=tokens,
            concurrency=settings.concurrency,
            requests_per_second=settings.requests_per_second,
            backoff=PATIENCE,
            limits=Limits(read_seconds=ANSWER_SECONDS, answer_seconds=ANSWER_SECONDS),
        ) as client:
            asker = EndpointClient(client, organization_id=settings.organization_id, window=_window(newest, settings))
            probe = Probe(client, asker)
            try:
                probe.run(notes.announce)
            finally:
                self.report.endpoints = list(probe.probed.values())
                self.report.requests = client.metrics.requests
            judge_endpoints(notes, probe, newest)
            note_access(notes, probe, asker)
            lifetime = tokens.granted.lifetime if tokens.granted is not None else None
            note_night(notes, probe, settings, lifetime)
            self.report.requests = client.metrics.requests


def _window(newest: date, settings: Settings) -> Window:
    """The window of a night's events, begun earlier."""
    first = newest - timedelta(days=EVENT_DAYS)
    return Window(midnight(first, settings.timezone), events_window(newest, settings.timezone).end)

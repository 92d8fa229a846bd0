"""All checks in turn, except those that need something that an earlier one did not find."""

from __future__ import annotations

import difflib
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from drillster_pipeline.api.client import EndpointClient, client_of
from drillster_pipeline.api.retry import INTERACTIVE
from drillster_pipeline.dates import Window, events_window, midnight, newest_complete, wall_clock
from drillster_pipeline.errors import SettingsError
from drillster_pipeline.settings import SETTINGS, environment, read_settings

from .connection import LIMITS, check_clock, check_connection, request_token
from .endpoints import ORDER, Probe, add_estimate, check_rows
from .report import DiagnosticsReport, Part
from .scheduling import check_alerts, check_daemon, check_schedule
from .storage import check_archive, check_reports, check_timestamps, check_warehouse
from .workers import check_workers

if TYPE_CHECKING:
    from drillster_pipeline.api.tokens import TokenSource
    from drillster_pipeline.settings import Settings

    from .scheduling import Daemon

EVENT_DAYS = 31
"""Events are requested for so many days: a single day may have none."""
_CREDENTIALS = re.compile("DRILLSTER_(CLIENT_|SERVICE_ACCOUNT_|PRIVATE_KEY|ORGANIZATION_)")
_KEY_FILE = "DRILLSTER_PRIVATE_KEY_FILE"
_NAMES = tuple(setting.name for setting in SETTINGS)


class Diagnostics:
    """One check of everything. ``report`` has the results so far, also while it runs or after it was interrupted.

    ``environ`` stands in for the environment and ``.env``, ``empty`` are settings that were to have a value there;
    ``daemon`` describes Dagster, which nothing here imports.
    ``send_alert``: send a message to every alert URL, and request the heartbeat URL.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        empty: Collection[str] = (),
        now: Callable[[], datetime] = wall_clock,
        daemon: Daemon | None = None,
        send_alert: bool = False,
    ) -> None:
        self.environ = environment() if environ is None else environ
        self.settings, self._problems = read_settings(self.environ, empty=empty)
        self.report = DiagnosticsReport(now())
        self._now = now
        self._daemon = daemon
        self._send_alert = send_alert

    def run(self, on_step: Callable[[str], None] = lambda _: None) -> DiagnosticsReport:
        """Try everything; ``on_step`` gets the name of each step. Raises no PipelineError: errors become items."""
        self.report.on_step = on_step
        started = time.monotonic()
        try:
            self._run(self.report, self.settings)
            self.report.is_complete = True
        finally:
            self.report.seconds = time.monotonic() - started
        return self.report

    def _run(self, report: DiagnosticsReport, settings: Settings) -> None:
        wrong = frozenset(problem.partition(" ")[0] for problem in self._problems)
        _check_settings(report, self.environ, self._problems)
        if "DRILLSTER_BASE_URL" in wrong:
            report.skip(Part.DRILLSTER, "connection", "DRILLSTER_BASE_URL is wrong")
        else:
            self._check_drillster(sorted(filter(_CREDENTIALS.match, wrong)))
        if wrong & {"DRILLSTER_WAREHOUSE_URL", "DRILLSTER_WAREHOUSE_SCHEMA"}:
            report.skip(Part.WAREHOUSE, "warehouse", "its setting is wrong")
        else:
            check_warehouse(report, settings, newest_complete(self._now(), settings.timezone))
        check_archive(report, settings)
        check_timestamps(report, settings)
        if not wrong & {"DRILLSTER_TIMEZONE", "DRILLSTER_NIGHTLY_AT", "DRILLSTER_FIRST_EXPORT_DATE"}:
            check_schedule(report, settings, self._now())
        if self._daemon is not None:
            check_daemon(report, self._daemon)
        check_workers(report, settings)
        check_reports(report, settings)
        check_alerts(report, settings, send=self._send_alert)

    def _check_drillster(self, wrong: list[str]) -> None:
        report, settings = self.report, self.settings
        skew = check_connection(report, settings, self._now)
        tokens = None
        if wrong:
            report.skip(Part.DRILLSTER, "access token", f"{', '.join(wrong)} must be right first")
        else:
            tokens, closer = request_token(report, settings, self._now)
            skew = closer or skew
        check_clock(report, skew, is_refused=tokens is None and not wrong)
        if tokens is None:
            report.skip(Part.ENDPOINTS, f"{len(ORDER)} endpoints", "there is no access token")
            report.skip(Part.ESTIMATE, "run", "there is no access token")
            return
        with tokens:
            self._check_api(tokens)

    def _check_api(self, tokens: TokenSource) -> None:
        report, settings = self.report, self.settings
        newest = newest_complete(self._now(), settings.timezone)
        first = newest - timedelta(days=EVENT_DAYS)
        window = Window(midnight(first, settings.timezone), events_window(newest, settings.timezone).end)
        with client_of(settings, tokens, backoff=INTERACTIVE, limits=LIMITS) as client:
            endpoint_client = EndpointClient(client, organization_id=settings.organization_id, window=window)
            probe = Probe(client, endpoint_client, report)
            probe.run()
            if report.pages:
                check_rows(report, probe, newest)
            add_estimate(report, probe, settings)


def _check_settings(report: DiagnosticsReport, environ: Mapping[str, str], problems: tuple[str, ...]) -> None:
    """Add every mistake, names that are no settings, and files with secrets that others may read."""
    with report.step(Part.SETTINGS, "settings", "environment and .env") as step:
        if not problems:
            given = sum(bool(environ.get(name, "").strip()) for name in _NAMES)
            step.ok(f"{given} are set, {len(_NAMES) - given} have their defaults; none is wrong")
        for problem in problems:
            step.name, _, complaint = problem.partition(" ")
            step.failed(f"{complaint.removesuffix('.')}.", exit_code=SettingsError.exit_code)
        unknown = {name for name in environ if re.fullmatch(r"DRILLSTER_(?!TEST_)[A-Z0-9_]{1,40}", name)} - {*_NAMES}
        for name in sorted(unknown):
            step.name = name
            near = difflib.get_close_matches(name, _NAMES, n=1)
            advice = f"Did you mean {near[0]}?" if near else "docs/settings.md lists them all."
            step.warning("is not a setting and has no effect.", advice)
        for name, path in {".env": ".env", _KEY_FILE: environ.get(_KEY_FILE, "").strip()}.items():
            if path and _is_readable_by_all(Path(path).expanduser()):
                step.name = name
                step.warning("every user may read this file, and it contains secrets.", f"chmod 600 {path}")


def _is_readable_by_all(path: Path) -> bool:
    """Whether this is our file and everybody may read it; not as root, who is alone in a container."""
    try:
        status = path.stat()
    except OSError:
        return False
    return hasattr(os, "getuid") and 0 != os.getuid() == status.st_uid and bool(status.st_mode & stat.S_IROTH)

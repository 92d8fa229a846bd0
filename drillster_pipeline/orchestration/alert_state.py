"""What alerts keep between two rounds: one record in Dagster's own database, beside the runs that it is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import dagster as dg

from drillster_pipeline.errors import Busy, Unavailable

RECORD = "drillster-pipeline/alerts"
ENDED: tuple[Any, ...] = (dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE)
"""The events of runs that are read."""
_LOCK_SECONDS, _BACKFILLS_READ = 30, 50
_MESSAGES_KEPT, _REPORTED_KEPT = 100, 1_000


@dataclass
class AlertState:
    """What is kept, as JSON."""

    position: int
    """Number of the last event that was read."""
    undecided: dict[str, str] = field(default_factory=dict)
    """Failed runs that the daemon may begin again, and since when that is awaited."""
    reported: list[str] = field(default_factory=list)
    """What was reported: ``<job>|<date>|<cause>``, or ``backfill|<id>|``."""
    failing: dict[str, list[str]] = field(default_factory=dict)
    """Per job, the dates for which failures were reported since it last succeeded."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """``title``, ``text``, and ``done``: keys of the channels that took it."""

    def is_new(self, job: str, day: str, what: str) -> bool:
        """Whether this was not reported yet; from now on it is."""
        key = f"{job}|{day}|{what}"
        if key in self.reported:
            return False
        self.reported.append(key)
        return True


@contextmanager
def locked(instance: dg.DagsterInstance, sleep: Callable[[float], None]) -> Iterator[None]:
    """One process at a time, or two would report the same. Where there can be no lock, it is done without."""
    from drillster_pipeline.archive.local import LocalStorage

    home = LocalStorage(Path(instance.root_directory))
    with ExitStack() as lock:
        for _ in range(_LOCK_SECONDS):
            try:
                lock.enter_context(home.locked("alerts", "sending alerts"))
            except Busy:
                sleep(1.0)
                continue
            except Unavailable:
                pass
            break
        yield


def load_state(instance: dg.DagsterInstance, record: str) -> AlertState:
    """What was kept; the first time, that all before is reported."""
    stored = instance.daemon_cursor_storage.get_cursor_values({record}).get(record)
    if stored:
        values, known = json.loads(stored), {each.name for each in fields(AlertState)}
        state = AlertState(**{name: value for name, value in values.items() if name in known})
        # An earlier version kept the ended backfills apart.
        state.reported += [f"backfill|{backfill}|" for backfill in values.get("backfills", ())]
        return state
    state = AlertState(0)
    for kind in ENDED:
        for change in instance.fetch_run_status_changes(kind, limit=1).records:
            state.position = max(state.position, change.storage_id)
    state.reported = list(ended_backfills(instance))
    return state


def save_state(instance: dg.DagsterInstance, record: str, state: AlertState) -> None:
    """Keep it, without the oldest of what is too much."""
    state.messages = state.messages[-_MESSAGES_KEPT:]
    # Backfills are read again in every round, so that theirs are kept apart from the rest.
    backfills = [key for key in state.reported if key.startswith("backfill|")][-2 * _BACKFILLS_READ :]
    state.reported = backfills + [key for key in state.reported if not key.startswith("backfill|")][-_REPORTED_KEPT:]
    instance.daemon_cursor_storage.set_cursor_values({record: json.dumps(asdict(state))})


def ended_backfills(instance: dg.DagsterInstance) -> dict[str, Any]:
    """The newest backfills that have ended, by what :attr:`AlertState.reported` has of each."""
    newest: Any = instance.get_backfills(limit=_BACKFILLS_READ)
    return {
        f"backfill|{each.backfill_id}|": each
        for each in newest
        if str(each.status.value).startswith(("COMPLETED", "FAILED", "CANCELED"))
    }

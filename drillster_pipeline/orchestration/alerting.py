"""Alerts: what an operator must hear of, once each, made from the finished runs and backfills that Dagster remembers.

:func:`send_alerts` serves the sensor and the console alike. How far it has read, what it has reported, and messages
that a channel has not taken yet are one record in Dagster's own database, beside the runs that they are about: so a
daemon and cron that share an instance do not report twice, and what could not be sent is sent later. A message is sent
again where it is not known whether it arrived.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from drillster_pipeline.errors import Busy, Unavailable
from drillster_pipeline.pipeline.alert_channels import ROUND_SECONDS, run_bounded

from .keys import NIGHTLY
from .outcomes import BACKFILLS_READ, Cause, Outcomes, State, is_finished

if TYPE_CHECKING:
    from datetime import date

    from drillster_pipeline.pipeline.alerts import Channel
    from drillster_pipeline.pipeline.context import PipelineContext

RECORD = "drillster-pipeline/alerts"
TURN_SECONDS = 30
_MESSAGES_KEPT, _REPORTED_KEPT = 100, 1_000

logger = logging.getLogger(__name__)


def send_alerts(
    instance: dg.DagsterInstance,
    session: PipelineContext,
    *,
    coming: date | None = None,
    settings_error: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[int, int]:
    """Report what is new, and send what waits; returns how many messages were delivered, and how many still wait.

    ``coming`` is a date that the console is about to load; ``settings_error`` what is wrong in the settings, so that
    the warehouse is not looked at. The first call on an instance reports nothing of what was before it.
    """
    from drillster_pipeline.pipeline.alerts import channels_of

    channels = channels_of(session.settings)
    if not channels:
        return 0, 0
    with _turn(instance, sleep):
        outcomes = Outcomes(instance, session, _load(instance))
        outcomes.read_runs()
        outcomes.read_backfills()
        if settings_error is None:
            outcomes.read_warehouse(coming)
        elif coming is not None:
            outcomes.add_failure(NIGHTLY, str(coming), [Cause(settings_error)])
        state = outcomes.state
        _save(instance, state)
        _deliver(channels, state.messages)
        left = [each for each in state.messages if {channel.key for channel in channels} - set(each["done"])]
        sent = len(state.messages) - len(left)
        state.messages = left
        _save(instance, state)
    return sent, len(left)


@contextmanager
def _turn(instance: dg.DagsterInstance, sleep: Callable[[float], None]) -> Iterator[None]:
    """One process at a time, or two would report the same. Where there can be no lock, it is done without."""
    from drillster_pipeline.archive.local import LocalStorage

    home = LocalStorage(Path(instance.root_directory))
    with ExitStack() as lock:
        for _ in range(TURN_SECONDS):
            try:
                lock.enter_context(home.locked("alerts", "sending alerts"))
            except Busy:
                sleep(1.0)
                continue
            except Unavailable:
                pass
            break
        yield


def _load(instance: dg.DagsterInstance) -> State:
    stored = instance.daemon_cursor_storage.get_cursor_values({RECORD}).get(RECORD)
    if stored:
        return State(**json.loads(stored))
    newest = [
        change.storage_id
        for kind in (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)
        for change in instance.fetch_run_status_changes(kind, limit=1).records
    ]
    finished = [each.backfill_id for each in instance.get_backfills(limit=BACKFILLS_READ) if is_finished(each)]
    return State(max(newest, default=0), finished)


def _save(instance: dg.DagsterInstance, state: State) -> None:
    state.messages = state.messages[-_MESSAGES_KEPT:]
    state.reported = state.reported[-_REPORTED_KEPT:]
    instance.daemon_cursor_storage.set_cursor_values({RECORD: json.dumps(asdict(state))})


def _deliver(channels: Sequence[Channel], messages: Sequence[dict[str, Any]]) -> None:
    """Send each message to each channel that has not taken it; never raises on account of a channel."""
    deadline = time.monotonic() + ROUND_SECONDS
    taken: list[tuple[dict[str, Any], str]] = []

    def work(channel: Channel) -> None:
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

    run_bounded([partial(work, channel) for channel in channels], ROUND_SECONDS)
    for message, key in taken:
        message["done"].append(key)

"""Why a run failed, as Dagster has recorded it.

Causes are those of our errors, in English, which hold no secret and no personal value; of any other exception only the
type is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import dagster as dg

from drillster_pipeline.errors import Refused

from .errors import ERROR_TYPE, EXIT_CODE, WHERE, WORK

LONGEST_CAUSE = 800
"""Characters of a cause that are shown in the message of a backfill, and compared with those of others."""


class FailureCause(NamedTuple):
    """Why a step failed."""

    text: str
    work: str = "run"
    """What the step did: ``capture``, ``publish``, ``report``, ``dbt``; ``run`` where that is not known."""
    is_refusal: bool = False

    @property
    def key(self) -> str:
        """The same for texts that differ in numbers, dates and ids alone."""
        return " ".join("#" if re.search(r"\d", word) else word for word in self.text[:LONGEST_CAUSE].split())


def causes_of(run: dg.DagsterRun, instance: dg.DagsterInstance, translated: Callable[..., str]) -> list[FailureCause]:
    """Why a run failed, each cause once."""
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    found = {cause.key: cause for cause in (_cause(entry, translated) for entry in entries)}
    if found:
        return list(found.values())
    text = translated(
        "Run %(run_id)s ended before it was done: it could not start, or was killed. See it in Dagster",
        run_id=run.run_id,
    )
    return [FailureCause(text)]


def _cause(entry: dg.EventLogEntry, translated: Callable[..., str]) -> FailureCause:
    """Why a step failed: the sentence of an error of ours, or the type of any other."""
    assert entry.dagster_event is not None
    data = entry.dagster_event.step_failure_data
    known = data.user_failure_data.metadata if data.user_failure_data else {}
    work = str(known[WORK].value) if WORK in known else "run"
    if data.user_failure_data and data.user_failure_data.description and WHERE not in known:
        is_refusal = EXIT_CODE in known and known[EXIT_CODE].value == Refused.exit_code
        return FailureCause(data.user_failure_data.description, work, is_refusal)
    if ERROR_TYPE in known:
        kind = known[ERROR_TYPE].value
    else:
        kind = (data.error.cause or data.error).cls_name if data.error else translated("unknown")
    text = translated(
        "An error that this program does not expect, %(kind)s: see run %(run_id)s in Dagster",
        kind=kind,
        run_id=entry.run_id,
    )
    return FailureCause(text, work)

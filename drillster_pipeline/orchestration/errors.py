"""What becomes of an error in a step: a failure whose message says what to do, and whether to try again later."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from drillster_pipeline.errors import PipelineError, Unavailable

from .resources import RunContext

StepContext = dg.AssetExecutionContext | dg.OpExecutionContext
"""That of an asset's step, or of one step of several that an asset takes."""
OUTAGE_RETRIES = dg.RetryPolicy(max_retries=2, delay=600)
"""For when Drillster does not answer for longer than requests are repeated. All other errors are not tried again."""
ERROR_TYPE, EXIT_CODE, WHERE, WORK = "error_type", "exit_code", "where", "work"
"""Metadata of a failure; ``WHERE`` is there if the error was not expected, ``WORK`` is what the step did."""
ERROR_TYPE_TAG = "drillster/error_type"
"""Tag of a failed run: the page of runs shows it, and can be searched for it."""
_ABOUT_CODE = (ImportError, NameError, AttributeError, TypeError, NotImplementedError, MemoryError, RecursionError)
"""Unexpected errors whose message is about code. That of any other may quote a value, and is withheld."""
_FRAMES_SHOWN = 12


@contextmanager
def error_boundary(context: StepContext, run: RunContext, work: str) -> Iterator[None]:
    """Around the work of a step: any error becomes a ``Failure`` without a secret, a body or a personal value.

    ``work``: what the step does (``capture``, ``publish``, ``report``), by which an alert names the failure.
    A step of a run that has ended does nothing, and leaves its tags as they are: a broker may deliver a task once more
    at any time.
    """
    found = context.instance.get_run_by_id(context.run.run_id)
    if found is not None and found.is_finished:
        raise dg.Failure("This step was started again after its run had ended: nothing was done", allow_retries=False)
    try:
        yield
    except PipelineError as error:
        run.errors[context.op_def.name] = error
        retries = context.op_def.retry_policy
        is_passing = isinstance(error, Unavailable)
        if not (is_passing and retries and context.retry_number < retries.max_retries):
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
            context.instance.add_run_tags(context.run.run_id, {ERROR_TYPE_TAG: words})
        metadata: dict[str, Any] = {ERROR_TYPE: type(error).__name__, EXIT_CODE: error.exit_code, WORK: work}
        raise dg.Failure(str(error), metadata, allow_retries=is_passing) from None
    except Exception as error:  # noqa: BLE001 - its message and its locals must not get into Dagster's log
        raise _unexpected(context, error, work) from None


def _unexpected(context: StepContext, error: Exception, work: str) -> dg.Failure:
    name = type(error).__name__
    message = str(error) if isinstance(error, _ABOUT_CODE) else "its message is withheld, as it may quote data"
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_SHOWN:]
    # Files, lines and names, never a value; the innermost last.
    where = "\n".join(f"- `{frame.filename}:{frame.lineno}` in `{frame.name}`" for frame in frames)
    context.instance.add_run_tags(context.run.run_id, {ERROR_TYPE_TAG: f"unexpected {name}"})
    return dg.Failure(
        f"An error that this program does not expect. Please report it with the lines below. {name}: {message}",
        {ERROR_TYPE: name, WORK: work, WHERE: dg.MetadataValue.md(where)},
        allow_retries=False,
    )

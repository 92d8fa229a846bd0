"""What becomes of an error in a step: a failure that says what to do, or another try later."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from typing import NoReturn, TypeVar

import dagster as dg

from drillster_pipeline.errors import PipelineError, Unavailable

from .resources import RunContext

Outcome = TypeVar("Outcome")

OUTAGE_RETRIES = 2
OUTAGE_WAIT_SECONDS = 600
"""How often, and after how long, a step begins again when Drillster does not answer for longer than requests retry."""
_TOLD = (ImportError, NameError, AttributeError, TypeError, NotImplementedError, MemoryError, RecursionError)
"""Unexpected errors whose message speaks of code. Any other may quote a value, so that its message is withheld."""
_FRAMES_SHOWN = 12
ERROR_TYPE_TAG = "drillster/failed_with"
ERROR_TYPE, EXIT_CODE, WHERE = "kind of error", "exit code", "where"
"""Metadata of a failure; ``WHERE`` is there if the error was not expected."""


def error_boundary(context: dg.AssetExecutionContext, run: RunContext, work: Callable[[], Outcome]) -> Outcome:
    """Do the work of a step; whatever goes wrong is told without a secret, a body or a personal value.

    Raises ``RetryRequested`` for an outage, where the run may wait; ``Failure`` for everything else.
    """
    try:
        return work()
    except PipelineError as error:
        if isinstance(error, Unavailable) and run.retries and context.retry_number < OUTAGE_RETRIES:
            context.log.warning("%s. Trying again in %s minutes.", error, OUTAGE_WAIT_SECONDS // 60)
            raise dg.RetryRequested(max_retries=OUTAGE_RETRIES, seconds_to_wait=OUTAGE_WAIT_SECONDS) from None
        run.errors[context.assets_def.op.name] = error
        _fail(context, error)
    except Exception as error:  # noqa: BLE001 - its message and its locals must not get into Dagster's log
        _fail_unexpectedly(context, error)


def _fail(context: dg.AssetExecutionContext, error: PipelineError) -> NoReturn:
    _tag(context, _in_words(type(error)))
    raise dg.Failure(
        description=str(error),
        metadata={ERROR_TYPE: type(error).__name__, EXIT_CODE: error.exit_code},
        allow_retries=False,
    ) from None


def _fail_unexpectedly(context: dg.AssetExecutionContext, error: Exception) -> NoReturn:
    kind = type(error).__name__
    told = f"{kind}: {error}" if isinstance(error, _TOLD) else f"{kind} (its message is withheld: it may quote data)"
    sentence = f"An error that this program does not expect. Please report it with what stands here. {told}"
    where = dg.MetadataValue.md(_where(error))
    _tag(context, f"unexpected {kind}")
    raise dg.Failure(
        description=sentence,
        metadata={ERROR_TYPE: kind, WHERE: where},
        allow_retries=False,
    ) from None


def _tag(context: dg.AssetExecutionContext, why: str) -> None:
    """Note on the run what it failed with: the list of runs shows that, and can be searched for it."""
    context.instance.add_run_tags(context.run.run_id, {ERROR_TYPE_TAG: why})


def _in_words(kind: type[PipelineError]) -> str:
    """``PastDateRefused`` as ``past date refused``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()


def _where(error: Exception) -> str:
    """The places in the code that led to an error, the innermost last: files, lines and names, never a value."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_SHOWN:]
    return "\n".join(f"- `{frame.filename}:{frame.lineno}` in `{frame.name}`" for frame in frames)

"""What becomes of an error in a step: a failure that says what to do, an alert, or another try later."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

import dagster as dg

from drillster_pipeline.errors import PipelineError, Unavailable

from .partitions import export_dates
from .resources import Run

if TYPE_CHECKING:
    from drillster_pipeline.export.alerts import Trouble

Outcome = TypeVar("Outcome")

OUTAGE_RETRIES = 2
OUTAGE_WAIT_SECONDS = 600
"""How often, and after how long, a step begins again when Drillster does not answer for longer than requests retry."""
_TOLD = (ImportError, NameError, AttributeError, TypeError, NotImplementedError, MemoryError, RecursionError)
"""Unexpected errors whose message speaks of code. Any other may quote a value, so that its message is withheld."""
_FRAMES_SHOWN = 12
FAILED_WITH = "drillster/failed_with"
ALERTED_AS = "alerted as"
"""Metadata of a failure that people were told of."""

logger = logging.getLogger(__name__)


def guarded(context: dg.AssetExecutionContext, run: Run, work: Callable[[], Outcome]) -> Outcome:
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
        _fail(context, run, error)
    except Exception as error:  # noqa: BLE001 - its message and its locals must not get into Dagster's log
        _fail_unexpectedly(context, run, error)


def tell(context: dg.AssetExecutionContext, run: Run, trouble: Trouble, told: str, *, subject: str = "") -> bool:
    """Alert people; an alert that can't be kept or sent is no reason to fail. Whether it was kept or sent."""
    from drillster_pipeline.export.alerts import alert, deliver

    dates = export_dates(context.run.tags)
    if dates is None:
        return False
    session = run.session_to_tell
    try:
        alert(session, trouble, dates[0], told, subject=subject)
    except PipelineError as problem:
        context.log.warning("The alert could neither be kept nor sent: %s", problem)
        return False
    try:
        deliver(session)
    except PipelineError as problem:
        context.log.warning("The alerts that wait could not be sent: %s", problem)
    return True


def _fail(context: dg.AssetExecutionContext, run: Run, error: PipelineError) -> NoReturn:
    from drillster_pipeline.export.alerts import alert_of

    trouble = alert_of(error)
    _tag(context, _in_words(type(error)))
    raise dg.Failure(
        description=str(error),
        metadata={
            "kind of error": type(error).__name__,
            "exit code": error.exit_code,
            **_told(context, run, trouble, str(error)),
        },
        allow_retries=False,
    ) from None


def _fail_unexpectedly(context: dg.AssetExecutionContext, run: Run, error: Exception) -> NoReturn:
    from drillster_pipeline.export.alerts import Trouble

    kind = type(error).__name__
    told = f"{kind}: {error}" if isinstance(error, _TOLD) else f"{kind} (its message is withheld: it may quote data)"
    sentence = f"An error that this program does not expect. Please report it with what stands here. {told}"
    where = dg.MetadataValue.md(_where(error))
    _tag(context, f"unexpected {kind}")
    alert = f"An error that this program does not expect, {kind}: look at run {context.run.run_id} in Dagster."
    raise dg.Failure(
        description=sentence,
        metadata={"where": where, **_told(context, run, Trouble.FAILED, alert)},
        allow_retries=False,
    ) from None


def _tag(context: dg.AssetExecutionContext, why: str) -> None:
    """Note on the run what it failed with: the list of runs shows that, and can be searched for it."""
    context.instance.add_run_tags(context.run.run_id, {FAILED_WITH: why})


def _in_words(kind: type[PipelineError]) -> str:
    """``PastDateRefused`` as ``past date refused``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()


def _where(error: Exception) -> str:
    """The places in the code that led to an error, the innermost last: files, lines and names, never a value."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_SHOWN:]
    return "\n".join(f"- `{frame.filename}:{frame.lineno}` in `{frame.name}`" for frame in frames)


def _told(context: dg.AssetExecutionContext, run: Run, trouble: Trouble, told: str) -> dict[str, str]:
    """Alert people, and note on the failure that this was done: the sensor need not do it again."""
    dates = export_dates(context.run.tags)
    if dates is None:
        return {}
    known = {"export date": str(dates[0])}
    return known | {ALERTED_AS: str(trouble)} if tell(context, run, trouble, told) else known

"""Time in the sandbox: whole milliseconds since 1970, UTC, and the forms in which Drillster writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOUNDING = int(datetime(2024, 1, 8, tzinfo=UTC).timestamp()) * SECOND
"""The organization's first day on Drillster: nothing exists before."""
FOREVER = 1 << 52

SLOT = 15 * MINUTE
"""The organization is seen in steps of a quarter of an hour: two questions within one step meet the same moment."""


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime, exactly."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def slot_of(moment: datetime) -> int:
    """The start of the step that the moment falls in."""
    return milliseconds(moment) // SLOT * SLOT


def horizon_of(moment: int) -> int:
    """The next half year: what is worked out ahead, and kept, reaches as far as this."""
    half_year = 182 * DAY
    return (moment // half_year + 1) * half_year


@lru_cache(maxsize=8192)
def _date(day: int) -> str:
    return (EPOCH + timedelta(days=day)).date().isoformat()


def iso(moment: int) -> str:
    """``2024-01-11T16:54:11Z``."""
    day, rest = divmod(moment // SECOND, 86_400)
    return f"{_date(day)}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


def iso_milliseconds(moment: int) -> str:
    """``2016-02-23T15:36:57.814Z``, as in cursors and in events."""
    return f"{iso(moment)[:-1]}.{moment % SECOND:03}Z"


def parse_iso(text: str) -> int:
    """Milliseconds of an ISO 8601 date or time (UTC where it names no offset). Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return milliseconds(moment)

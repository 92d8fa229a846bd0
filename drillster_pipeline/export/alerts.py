"""Alerts: what an operator must hear of, once each, also when the webhook is down at that moment.

An alert is first written to an outbox in the archive and then sent; what could not be sent stays there and is sent
later. Its name says what it is about, so that the same trouble of the same date is told once, whoever notices it.
Texts are those of errors and checks, which hold no secret and no personal value.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import StrEnum
from typing import Any

from drillster_pipeline.archive import utc_moment, utc_text
from drillster_pipeline.dates import midnight
from drillster_pipeline.errors import PipelineError, Refused, Unavailable

from .session import Session

OUTBOX = "alerts"
SEND_SECONDS = 10.0
STALE_AFTER = timedelta(hours=6)
"""How long after the hour of the schedule the newest date may still be missing from the warehouse."""
REMEMBERED_FOR = timedelta(days=60)
"""How long a sent alert is remembered, so that it is not sent again."""

logger = logging.getLogger(__name__)


class Trouble(StrEnum):
    """What an alert is about."""

    FAILED = "failed"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    STALE = "stale"


_HEADINGS = {
    Trouble.FAILED: "The night of {date} failed",
    Trouble.REFUSED: "The publish of {date} was refused",
    Trouble.UNAVAILABLE: "A resource was unavailable in the night of {date}",
    Trouble.STALE: "The warehouse is stale: {date} is missing",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a round of sending came to."""

    sent: int
    waiting: int


def alert(session: Session, trouble: Trouble, export_date: date, told: str, *, subject: str = "") -> bool:
    """Put an alert into the outbox, unless the same was told before; ``subject`` tells apart what may both happen.

    Returns whether it is new. Without DRILLSTER_ALERT_WEBHOOK nothing happens. Where the outbox can't be used, as on
    a full disk, the alert is sent at once: to hear of it twice is better than never. Raises Unavailable if that fails.
    """
    if not session.settings.alert_webhook:
        return False
    digest = hashlib.sha256(subject.encode()).hexdigest()[:8]
    name = f"{export_date}-{trouble}-{digest}.json"
    text = f"drillster-pipeline: {_HEADINGS[trouble].format(date=export_date)}. {told}"
    try:
        if name in session.archive.storage.names(OUTBOX):
            return False
        _write(session, name, {"text": text, "raised_at": utc_text(session.now()), "sent_at": None})
    except Unavailable:
        if not _post(session, text):
            raise
    return True


def deliver(session: Session) -> Delivery:
    """Send what waits in the outbox. Never raises on account of the webhook; what fails waits for the next round."""
    if not session.settings.alert_webhook:
        return Delivery(0, 0)
    sent = waiting = 0
    for name, message in _outbox(session):
        if message["sent_at"] is not None:
            if session.now() - utc_moment(message["raised_at"]) > REMEMBERED_FOR:
                session.archive.storage.remove(f"{OUTBOX}/{name}")
        elif _post(session, message["text"]):
            _write(session, name, {**message, "sent_at": utc_text(session.now())})
            sent += 1
        else:
            waiting += 1
    return Delivery(sent, waiting)


def notice_staleness(session: Session) -> bool:
    """Alert if the newest date should be in the warehouse by now and is not. Returns whether that alert is new."""
    settings, newest = session.settings, session.newest_complete
    due = midnight(newest + timedelta(days=1), settings.timezone) + _since_midnight(settings.nightly_at) + STALE_AFTER
    if session.now() < due or newest < settings.first_export_date:
        return False
    latest = session.warehouse.latest_loads().get("snapshot")
    if latest is not None and latest.export_date >= newest:
        return False
    told = f"It describes {latest.export_date}" if latest else "Nothing is loaded yet"
    return alert(session, Trouble.STALE, newest, f"{told}. Look at the run of the job 'nightly' for {newest}.")


def alert_of(error: PipelineError) -> Trouble:
    """Which alert an error is worth: a refusal protects the data, anything else is a failure."""
    return Trouble.REFUSED if isinstance(error, Refused) else Trouble.FAILED


def _since_midnight(moment: time) -> timedelta:
    return timedelta(hours=moment.hour, minutes=moment.minute)


def _outbox(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in session.archive.storage.names(OUTBOX):
        if not name.endswith(".json") or name.startswith("."):
            continue
        try:
            message = json.loads(session.archive.storage.read(f"{OUTBOX}/{name}"))
        except ValueError:
            continue
        yield name, message


def _write(session: Session, name: str, message: dict[str, Any]) -> None:
    session.archive.storage.write(f"{OUTBOX}/{name}", json.dumps(message, indent=1).encode())


def _post(session: Session, text: str) -> bool:
    import requests

    webhook = session.settings.alert_webhook
    assert webhook is not None
    try:
        answer = requests.post(webhook.reveal(), json={"text": text}, timeout=SEND_SECONDS, allow_redirects=False)
    except requests.RequestException as problem:
        # The address is a secret: its path lets anyone post.
        logger.warning("The alert webhook does not answer (%s); the alert is sent later.", type(problem).__name__)
        return False
    if 200 <= answer.status_code < 300:
        return True
    logger.warning("The alert webhook answered with status %d; the alert is sent later.", answer.status_code)
    return False

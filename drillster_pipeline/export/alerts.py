"""Alerts: what an operator must hear of, once each, also when the webhook is down at that moment.

An alert is first written to an outbox in the archive and then sent; what could not be sent stays there and is sent
later. Its name says what it is about, so that the same trouble of the same date is told once, whoever notices it.
Where the archive itself is the trouble, the alert is sent without being kept. Nobody can tell whether a message got
through whose sender died, or lost patience, before the answer came: it is sent again, as hearing twice is better than
never. Texts are those of errors and checks,
which hold no secret and no personal value.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from drillster_pipeline.archive import utc_moment, utc_text
from drillster_pipeline.dates import midnight
from drillster_pipeline.errors import ArchiveCorrupt, Busy, PipelineError, Refused
from drillster_pipeline.settings import Secret

from .session import Session

OUTBOX = "alerts"
SEND_SECONDS = 10.0
LONGEST_TEXT = 3_000
"""Characters of a message: Slack shows no more of one, and refuses far longer ones."""
TURN_SECONDS = 30.0
"""How long to wait while another process sends: what it sends and what we have to send is in the same outbox."""
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

    Returns whether it is new. Without DRILLSTER_ALERT_WEBHOOK nothing happens. Raises PipelineError where it could
    neither be kept nor sent.
    """
    if not session.settings.alert_webhook:
        return False
    text = _text(trouble, export_date, told)
    name = f"{export_date}-{trouble}-{hashlib.sha256(subject.encode()).hexdigest()[:8]}.json"
    if _is_told(session, name):
        return False
    try:
        if name in session.archive.storage.names(OUTBOX):
            return False
        _write(session, name, {"text": text, "raised_at": utc_text(session.now()), "sent_at": None})
    except PipelineError:
        # The archive fails, and that may be the very trouble.
        if not _post(session, text):
            raise
        _note_told(session, name)
    return True


_told: set[tuple[str, str]] = set()
"""Archive and name of alerts that this process has sent without being able to note that. Sensors look every few
minutes, each time in a session of its own: a disk that stays full must not make each of them tell the same again."""


def _is_told(session: Session, name: str) -> bool:
    return (session.settings.archive_url.reveal(), name) in _told


def _note_told(session: Session, name: str) -> None:
    _told.add((session.settings.archive_url.reveal(), name))


def _text(trouble: Trouble, export_date: date, told: str) -> str:
    text = f"drillster-pipeline: {_HEADINGS[trouble].format(date=export_date)}. {told}"
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def deliver(session: Session, *, sleep: Callable[[float], None] = time.sleep) -> Delivery:
    """Send what waits in the outbox. Never raises on account of the webhook; what fails waits for the next round.

    One process sends at a time, or two would send the same. Raises Unavailable where the archive gives out.
    """
    if not session.settings.alert_webhook:
        return Delivery(0, 0)
    waiting = _tidied(session)
    waited = 0.0
    while waiting:
        try:
            with session.archive.storage.locked(f"{OUTBOX}/.sending", "sending alerts"):
                return _send_all(session)
        except Busy:
            if waited >= TURN_SECONDS:
                break
            sleep(1.0)
            waited += 1.0
            waiting = _tidied(session)
    return Delivery(0, waiting)


def _send_all(session: Session) -> Delivery:
    sent = waiting = 0
    answers = True
    for name, message in _outbox(session):
        if message["sent_at"] is not None:
            continue
        reply = True if _is_told(session, name) else _post(session, message["text"]) if answers else None
        if reply:
            _note_told(session, name)  # before it is written, which may fail
            _write(session, name, {**message, "sent_at": utc_text(session.now())})
            sent += 1
            continue
        waiting += 1
        answers = reply is not None  # where nobody answers, every other alert would wait as long
    return Delivery(sent, waiting)


def _tidied(session: Session) -> int:
    """Forget what was sent long ago; how many alerts wait."""
    waiting = 0
    for name, message in _outbox(session):
        if message["sent_at"] is None:
            waiting += 1
        elif session.now() - utc_moment(message["raised_at"]) > REMEMBERED_FOR:
            session.archive.storage.remove(f"{OUTBOX}/{name}")
    return waiting


def notice_staleness(session: Session, *, coming: date | None = None) -> bool:
    """Alert if a date should be in the warehouse by now and neither it nor a later one is.

    ``coming`` is a date that a run is just about to load, and so is not missed yet. Returns whether that alert is new.
    Raises PipelineError where the warehouse can't be asked.
    """
    settings, newest = session.settings, session.newest_complete
    since_midnight = timedelta(hours=settings.nightly_at.hour, minutes=settings.nightly_at.minute)
    due = midnight(newest + timedelta(days=1), settings.timezone) + since_midnight + STALE_AFTER
    wanted = newest if session.now() >= due and coming != newest else newest - timedelta(days=1)
    if wanted < settings.first_export_date:
        return False
    latest = session.warehouse.latest_loads().get("snapshot")
    if latest is None and wanted != newest:
        return False  # perhaps installed today: the first night is not due yet
    if latest is not None and latest.export_date >= wanted:
        return False
    told = f"It describes {latest.export_date}" if latest else "Nothing is loaded yet"
    return alert(session, Trouble.STALE, wanted, f"{told}. Look at the run of the job 'nightly' for {wanted}.")


def look_and_send(session: Session, *, coming: date | None = None) -> Delivery:
    """Notice a stale warehouse, and send what waits. A warehouse that can't be asked keeps no alert from being sent.

    ``coming``: see :func:`notice_staleness`. Raises Unavailable where the archive gives out.
    """
    if not session.settings.alert_webhook:
        return Delivery(0, 0)
    try:
        notice_staleness(session, coming=coming)
    except PipelineError as trouble:
        logger.warning("Whether the warehouse is stale can't be told: %s", trouble)
    return deliver(session)


def alert_of(error: PipelineError) -> Trouble:
    """Which alert an error is worth: a refusal protects the data, anything else is a failure."""
    return Trouble.REFUSED if isinstance(error, Refused) else Trouble.FAILED


def _outbox(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    """The alerts by name, the oldest date first."""
    storage = session.archive.storage
    for name in storage.names(OUTBOX):
        if not name.endswith(".json") or name.startswith("."):
            continue
        try:
            message = json.loads(storage.read(f"{OUTBOX}/{name}"))
            utc_moment(message["raised_at"])
            known = {"text": str(message["text"]), "raised_at": message["raised_at"], "sent_at": message["sent_at"]}
        except (ArchiveCorrupt, ValueError, KeyError, TypeError):
            continue  # removed by another process since it was listed, or none of ours
        yield name, known


def _write(session: Session, name: str, message: dict[str, Any]) -> None:
    session.archive.storage.write(f"{OUTBOX}/{name}", json.dumps(message, indent=1).encode())


def _post(session: Session, text: str) -> bool | None:
    webhook = session.settings.alert_webhook
    assert webhook is not None
    return post(webhook, text)


def post(webhook: Secret, text: str) -> bool | None:
    """Send a message; whether the webhook took it, and None where it did not answer.

    A timeout of a request counts from one byte to the next, and a webhook that sends its answer in drips would hold up
    the night: so it is asked by a thread that nobody waits for any longer than that.
    """
    answer: list[bool | None] = []
    thread = threading.Thread(target=lambda: answer.append(_posted(webhook, text)), name="alert", daemon=True)
    thread.start()
    thread.join(2 * SEND_SECONDS)
    if thread.is_alive():
        logger.warning("The alert webhook does not come to an end with its answer; the alert is sent later.")
    return answer[0] if answer else None


def _posted(webhook: Secret, text: str) -> bool | None:
    import requests

    try:
        # Only the status is read: a body that never ends holds up nothing.
        with requests.post(
            webhook.reveal(), json={"text": text}, timeout=SEND_SECONDS, allow_redirects=False, stream=True
        ) as answer:
            status = answer.status_code
    except (requests.RequestException, OSError, ValueError) as problem:
        # The address is a secret: its path lets anyone post.
        logger.warning("The alert webhook does not answer (%s); the alert is sent later.", type(problem).__name__)
        return None
    if 200 <= status < 300:
        return True
    logger.warning("The alert webhook answered with status %d; the alert is sent later.", status)
    return False

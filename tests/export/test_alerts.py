from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.errors import ContractError, GuardRefused, PastDateRefused, Unavailable
from drillster_pipeline.export.alerts import Trouble, alert, alert_of, deliver, notice_staleness
from drillster_pipeline.export.session import Session
from tests.disks import small_disk

from .sessions import NOW, session_in

DAY = date(2026, 6, 9)


@dataclass
class Webhook:
    """A webhook on a real socket."""

    status: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.status == 200:
                hook.got.append(json.loads(body))
            self.send_response(hook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/services/T0/very-secret"
    yield hook
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def session(tmp_path: Path, webhook: Webhook) -> Iterator[Session]:
    with session_in(tmp_path, {"DRILLSTER_ALERT_WEBHOOK": webhook.url}) as opened:
        yield opened


def test_a_full_disk_of_the_archive_keeps_no_alert_from_being_sent(
    session: Session, webhook: Webhook, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "archive", "64k") as disk:
        disk.fill()
        assert alert(session, Trouble.FAILED, DAY, "The disk is full.") is True
        assert [message["text"] for message in webhook.got] == [
            "drillster-pipeline: The night of 2026-06-09 failed. The disk is full."
        ]
        webhook.status = 503
        with pytest.raises(Unavailable, match="no space is left on the device"):
            alert(session, Trouble.FAILED, DAY, "The disk is full.")


def test_an_alert_is_sent_once_whoever_notices_the_trouble(session: Session, webhook: Webhook) -> None:
    assert alert(session, Trouble.FAILED, DAY, "Drillster is down.") is True
    assert alert(session, Trouble.FAILED, DAY, "The run ended early.") is False
    assert deliver(session).sent == 1
    assert deliver(session).sent == 0
    assert webhook.got == [{"text": "drillster-pipeline: The night of 2026-06-09 failed. Drillster is down."}]


def test_different_troubles_and_dates_are_told_apart(session: Session, webhook: Webhook) -> None:
    alert(session, Trouble.FAILED, DAY, "x")
    alert(session, Trouble.REFUSED, DAY, "x")
    alert(session, Trouble.FAILED, DAY - timedelta(days=1), "x")
    alert(session, Trouble.UNAVAILABLE, DAY, "x", subject="catalogs")
    alert(session, Trouble.UNAVAILABLE, DAY, "x", subject="results")
    assert deliver(session).sent == len(webhook.got) == 5


@pytest.mark.parametrize("status", [500, 404, 302])
def test_an_alert_waits_while_the_webhook_is_down_and_is_sent_then(
    session: Session, webhook: Webhook, status: int
) -> None:
    webhook.status = status
    alert(session, Trouble.FAILED, DAY, "x")
    assert (deliver(session).sent, deliver(session).waiting) == (0, 1)
    webhook.status = 200
    assert deliver(session).sent == 1
    assert len(webhook.got) == 1


def test_a_webhook_that_nobody_listens_at_does_no_harm_and_its_address_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with session_in(tmp_path, {"DRILLSTER_ALERT_WEBHOOK": "http://127.0.0.1:9/very-secret"}) as session:
        alert(session, Trouble.FAILED, DAY, "x")
        assert deliver(session).waiting == 1
    assert "later" in caplog.text
    assert "very-secret" not in caplog.text


def test_without_a_webhook_nothing_is_written(tmp_path: Path) -> None:
    with session_in(tmp_path) as session:
        assert alert(session, Trouble.FAILED, DAY, "x") is False
        assert deliver(session).sent == 0
    assert not (tmp_path / "archive").exists()


def test_an_alert_is_forgotten_after_two_months(tmp_path: Path, webhook: Webhook) -> None:
    settings = {"DRILLSTER_ALERT_WEBHOOK": webhook.url}
    with session_in(tmp_path, settings) as session:
        alert(session, Trouble.FAILED, DAY, "x")
        deliver(session)
    with session_in(tmp_path, settings, now=NOW + timedelta(days=61)) as session:
        deliver(session)
    assert list((tmp_path / "archive/alerts").iterdir()) == []


@pytest.mark.parametrize(
    ("hour", "stale"),
    [(datetime(2026, 6, 10, 6, 29, tzinfo=UTC), False), (datetime(2026, 6, 10, 6, 30, tzinfo=UTC), True)],
)
def test_a_warehouse_is_stale_six_hours_after_the_schedule(
    tmp_path: Path, webhook: Webhook, hour: datetime, stale: bool
) -> None:
    with session_in(tmp_path, {"DRILLSTER_ALERT_WEBHOOK": webhook.url}, now=hour) as session:
        assert notice_staleness(session) is stale
        assert notice_staleness(session) is False
        deliver(session)
    assert len(webhook.got) == stale


def test_a_refusal_is_told_as_one() -> None:
    assert alert_of(GuardRefused("x")) is Trouble.REFUSED
    assert alert_of(PastDateRefused("x")) is Trouble.REFUSED
    assert alert_of(ContractError("x")) is Trouble.FAILED

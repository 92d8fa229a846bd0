from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from drillster_pipeline.errors import ContractError, GuardRefused, PastDateRefused, Unavailable
from drillster_pipeline.export import alerts
from drillster_pipeline.export.alerts import Trouble, alert, alert_of, deliver, look_and_send, notice_staleness
from drillster_pipeline.export.session import Session
from drillster_pipeline.settings import Secret
from tests.disks import small_disk
from tests.webhooks import Webhook, running_webhook

from .sessions import NOW, session_in

DAY = date(2026, 6, 9)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as hook:
        yield hook


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
            alert(session, Trouble.REFUSED, DAY, "The disk is full.")


def test_a_disk_that_stays_full_makes_no_session_tell_the_same_again(tmp_path: Path, webhook: Webhook) -> None:
    settings = {"DRILLSTER_ALERT_WEBHOOK": webhook.url}
    with small_disk(tmp_path / "archive", "64k") as disk:
        with session_in(tmp_path, settings) as first:
            alert(first, Trouble.FAILED, DAY, "Kept, and not sent yet.")
        disk.fill()
        for _ in range(3):  # as a sensor does, every few minutes
            with session_in(tmp_path, settings) as session:
                alert(session, Trouble.STALE, DAY, "The disk is full.")
                with pytest.raises(Unavailable):
                    deliver(session)
        disk.make_room()
        with session_in(tmp_path, settings) as session:
            deliver(session)
        assert deliver(session).waiting == 0
    assert sorted(message["text"].split(". ")[1] for message in webhook.got) == [
        "Kept, and not sent yet.",
        "The disk is full.",
    ]


def test_an_answer_that_comes_in_drips_holds_up_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerts, "SEND_SECONDS", 0.3)

    def drip() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            for _ in range(40):
                connection.sendall(b"X")  # of a status line that never ends
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, daemon=True).start()
        webhook = Secret(f"http://127.0.0.1:{listener.getsockname()[1]}/very-secret")
        monkeypatch.setattr(session, "settings", replace(session.settings, alert_webhook=webhook))
        alert(session, Trouble.FAILED, DAY, "x")
        started = time.monotonic()
        assert deliver(session).waiting == 1
        assert time.monotonic() - started < 3
    assert "very-secret" not in caplog.text


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
    assert list((tmp_path / "archive/alerts").glob("*.json")) == []


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


def test_two_processes_that_send_at_once_send_once(
    session: Session, tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert(session, Trouble.FAILED, DAY, "x")
    webhook.held.clear()
    found = []
    with session_in(tmp_path, {"DRILLSTER_ALERT_WEBHOOK": webhook.url}) as other:
        first = threading.Thread(target=lambda: found.append(deliver(session).sent))
        first.start()
        while not webhook.asked:
            assert first.is_alive()

        def answer(_seconds: float) -> None:
            webhook.held.set()
            first.join()

        found.append(deliver(other, sleep=answer).sent)
    assert sorted(found) == [0, 1]
    assert webhook.asked == len(webhook.got) == 1


def test_a_webhook_that_hangs_is_asked_once_a_round(
    session: Session, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "SEND_SECONDS", 0.2)
    webhook.held.clear()
    for back in range(3):
        alert(session, Trouble.FAILED, DAY - timedelta(days=back), "x")
    assert deliver(session).waiting == 3
    assert webhook.asked == 1
    webhook.held.set()


def test_one_alert_that_is_refused_holds_up_no_other(
    session: Session, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert(session, Trouble.FAILED, DAY, "x")
    alert(session, Trouble.STALE, DAY, "x")
    webhook.status = 400
    assert deliver(session).waiting == 2
    assert webhook.asked == 2


def test_an_answer_whose_body_never_ends_holds_up_nothing(
    session: Session, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "SEND_SECONDS", 0.5)
    webhook.endless = True
    alert(session, Trouble.FAILED, DAY, "x")
    assert deliver(session).sent == 1


def test_what_an_archive_can_not_keep_is_sent_at_once_and_once(tmp_path: Path, webhook: Webhook) -> None:
    (tmp_path / "archive").write_text("in the way")
    with session_in(tmp_path, {"DRILLSTER_ALERT_WEBHOOK": webhook.url}) as session:
        assert alert(session, Trouble.FAILED, DAY, "The archive failed.") is True
        assert alert(session, Trouble.FAILED, DAY, "The archive failed.") is False
        assert len(webhook.got) == 1
        webhook.status = 500
        with pytest.raises(Unavailable):
            alert(session, Trouble.STALE, DAY, "x")


def test_a_message_is_as_long_as_slack_takes(session: Session, webhook: Webhook) -> None:
    alert(session, Trouble.FAILED, DAY, "x" * 100_000)
    deliver(session)
    assert len(webhook.got[0]["text"]) == alerts.LONGEST_TEXT + 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"text": "x", "raised_at": 3, "sent_at": null}', "\xff"])
def test_what_is_no_alert_is_left_alone(session: Session, tmp_path: Path, webhook: Webhook, content: str) -> None:
    alert(session, Trouble.FAILED, DAY, "x")
    (tmp_path / "archive/alerts/2026-01-01-failed-00000000.json").write_text(content, encoding="latin-1")
    assert deliver(session).sent == len(webhook.got) == 1


def test_a_night_that_was_missed_is_noticed_before_the_next_one_is_due(
    tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where cron calls `run`, nobody looks at any other moment."""
    with session_in(tmp_path, {"DRILLSTER_ALERT_WEBHOOK": webhook.url}) as session:
        assert notice_staleness(session) is False  # nothing is loaded, perhaps for it was installed today
        loaded = SimpleNamespace(export_date=DAY - timedelta(days=1))
        monkeypatch.setattr(session.warehouse, "latest_loads", lambda: {"snapshot": loaded})
        assert notice_staleness(session) is False
        loaded.export_date = DAY - timedelta(days=2)
        assert notice_staleness(session) is True
        deliver(session)
    assert webhook.got[0]["text"].startswith(
        "drillster-pipeline: The warehouse is stale: 2026-06-08 is missing. It describes 2026-06-07."
    )


def test_a_warehouse_that_can_not_be_asked_keeps_no_alert_from_being_sent(tmp_path: Path, webhook: Webhook) -> None:
    settings = {
        "DRILLSTER_ALERT_WEBHOOK": webhook.url,
        "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{tmp_path}/no-folder/x/w.sqlite",
    }
    (tmp_path / "no-folder").write_text("in the way")
    with session_in(tmp_path, settings) as session:
        alert(session, Trouble.FAILED, DAY, "x")
        assert look_and_send(session).sent == 1

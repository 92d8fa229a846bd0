"""Channels on real sockets: a web server, a mail server, and servers whose answers do not end."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import AuthResult, LoginPassword

from drillster_pipeline import alert_channels as channels
from drillster_pipeline.alert_channels import channels_of, notify, ping, post
from drillster_pipeline.bounded_requests import bounded
from drillster_pipeline.errors import SettingsError
from drillster_pipeline.settings import load_settings, read_settings
from tests.support.webhooks import Webhook

NOBODY = "127.0.0.1:9"
MAIL = "?smtp=127.0.0.1&from=a@example.org&to=b@example.org"
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")  # of the mail server


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test shows an address, at any level of ours."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it logs paths
    yield
    assert "very-secret" not in caplog.text


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as running:
        yield running


class Mailbox(Message):
    """What a mail server got."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.got.append(message)


@contextmanager
def mail_server(box: Mailbox, password: bytes = b"very-secret") -> Iterator[str]:
    """A real one, which requires a password; its address and port."""

    def login(*arguments: Any) -> AuthResult:
        given = arguments[-1]
        return AuthResult(success=isinstance(given, LoginPassword) and given.password == password, handled=False)

    controller = Controller(
        box, hostname="127.0.0.1", port=0, authenticator=login, auth_required=True, auth_require_tls=False
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        controller.port = probe.getsockname()[1]
    controller.start()
    try:
        yield f"127.0.0.1:{controller.port}"
    finally:
        controller.stop()


@contextmanager
def dripping_server() -> Iterator[str]:
    """One whose answer begins, and never ends."""
    over = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            while not over.wait(0.05):
                connection.sendall(b"X")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        over.set()


def test_a_webhook_gets_a_slack_compatible_message(hook: Webhook) -> None:
    assert post(hook.url, "The run of 2026-06-09 failed", "Drillster is down") is None
    assert hook.got == [{"text": "drillster-pipeline: The run of 2026-06-09 failed. Drillster is down"}]


def test_a_url_of_apprise_gets_title_and_text(hook: Webhook) -> None:
    assert notify(hook.url.replace("http", "json", 1), "The run failed", "Drillster is down") is None
    assert (hook.got[0]["title"], hook.got[0]["message"]) == ("drillster-pipeline: The run failed", "Drillster is down")


def test_a_message_arrives_by_mail_as_it_is() -> None:
    box = Mailbox()
    with mail_server(box) as address:
        url = f"mailto://user:very-secret@{address}{MAIL},c@example.org"
        assert notify(url, "The run failed", "1 < 2 & 3 > 2") is None
    assert sorted(mail["To"] for mail in box.got) == ["b@example.org", "c@example.org"]
    assert box.got[0]["Subject"] == "drillster-pipeline: The run failed"
    body = b"".join(part.get_payload(decode=True) or b"" for part in box.got[0].walk()).decode()
    assert body.startswith("1 < 2 & 3 > 2")
    assert "1&nbsp;&lt;&nbsp;2" in body  # as HTML


def test_a_mail_server_that_refuses_is_named_by_its_exception_alone() -> None:
    with mail_server(Mailbox(), password=b"another") as address:
        url = f"mailto://user:very-secret@{address}{MAIL}"
        assert notify(url, "x", "x") == "SMTPAuthenticationError"
        # It offers no encryption, and the password is not sent without.
        assert notify(url.replace("mailto", "mailtos", 1) + "&mode=starttls", "x", "x") == "SMTPNotSupportedError"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_status_is_named(hook: Webhook, status: int) -> None:
    hook.status = status
    for problem in (post(hook.url, "x", "x"), notify(hook.url.replace("http", "json", 1), "x", "x"), ping(hook.url)):
        assert problem == f"status {status}"


def test_who_does_not_listen_is_named_by_the_exception() -> None:
    assert post(f"http://{NOBODY}/very-secret", "x", "x") == "ConnectionError"
    assert notify(f"json://user:very-secret@{NOBODY}/very-secret", "x", "x") == "ConnectionError"
    assert notify(f"mailto://user:very-secret@{NOBODY}{MAIL}", "x", "x") == "ConnectionRefusedError"


def test_who_does_not_speak_tls_is_named_by_the_exception(hook: Webhook) -> None:
    assert ping(hook.url.replace("http", "https", 1)) == "SSLError"


@pytest.mark.parametrize("kind", ["http", "json", "mailto"])
def test_an_answer_that_comes_in_drips_delays_nothing(kind: str) -> None:
    send = post if kind == "http" else notify
    with dripping_server() as address:
        problem = bounded(lambda: send(f"{kind}://user:very-secret@{address}/{MAIL}", "x", "x"), 0.3)
    assert problem == "no end of the response within 0 s"


def test_an_answer_whose_body_never_ends_is_an_answer(hook: Webhook) -> None:
    hook.endless = True
    assert post(hook.url, "x", "x") is None


def test_a_heartbeat_is_tried_twice_and_no_longer_than_it_may(hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ping(hook.url), hook.pings) == (None, 1)
    hook.status = 503
    assert (ping(hook.url), hook.pings) == ("status 503", 3)
    monkeypatch.setattr(channels, "PING_SECONDS", 0.1)
    with dripping_server() as address:
        assert ping(f"http://{address}/very-secret") == "no end of the response within 0 s"


def test_a_wrong_url_is_named_by_its_position_and_the_others_are_kept() -> None:
    urls = "json://127.0.0.1/very-secret mailtos://a:very-secret@example.org?to=b@example.org,c@example.org"
    assert len(load_settings({"DRILLSTER_ALERT_URLS": urls}, needs_api=False).alert_urls) == 2
    wrong = {"DRILLSTER_ALERT_URLS": f"very-secret,{urls}\n nosuch://very-secret/x", "DRILLSTER_HEARTBEAT_URL": "x"}
    with pytest.raises(SettingsError) as raised:
        load_settings(wrong, needs_api=False)
    assert "- DRILLSTER_ALERT_URLS has URLs that Apprise does not know (1, 4 of 4)" in str(raised.value)
    assert "- DRILLSTER_HEARTBEAT_URL is not a web address" in str(raised.value)
    assert "very-secret" not in str(raised.value)
    kept, _ = read_settings(wrong, needs_api=False)
    assert len(kept.alert_urls) == 2
    assert "very-secret" not in repr(kept)


def test_nothing_is_kept_on_disk(hook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    notify(hook.url.replace("http", "json", 1), "x", "x")
    assert list(tmp_path.rglob("*")) == []


def test_channels_are_known_by_setting_position_and_kind_alone() -> None:
    urls = "json://user:very-secret@127.0.0.1/a, mailtos://user:very-secret@example.org"
    environment = {"DRILLSTER_ALERT_URLS": urls, "DRILLSTER_ALERT_WEBHOOK": "https://hooks.example.org/very-secret"}
    found = channels_of(load_settings(environment, needs_api=False))
    assert [channel.name for channel in found] == [
        "DRILLSTER_ALERT_WEBHOOK",
        "DRILLSTER_ALERT_URLS 1 (json)",
        "DRILLSTER_ALERT_URLS 2 (mailtos)",
    ]
    assert len({channel.key for channel in found}) == 3
    assert "very-secret" not in repr(found)

"""Where messages go: a Slack-compatible webhook, any URL of Apprise, and the URL of a heartbeat.

The addresses are secrets: whoever knows one can post. Nothing below logs, raises or returns one; Apprise, whose
log names hosts and recipients, is kept from logging.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from .bounded_requests import bounded, request
from .errors import needs_extra

PING_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Channel:
    """One place that messages go to."""

    name: str
    """Its setting, and for one of several its position and kind."""
    key: str
    """Distinguishes it from others without its address."""
    send: Callable[[str, str], str | None] = field(repr=False)
    """Takes a title and a text; returns why they were not delivered, or None."""


def channels_of(settings: Any) -> list[Channel]:
    """The channels of the settings; each gets every message."""
    found = [("DRILLSTER_ALERT_WEBHOOK", post, settings.alert_webhook)] if settings.alert_webhook else []
    for position, secret in enumerate(settings.alert_urls, 1):
        kind = secret.get_secret_value().partition("://")[0]
        found.append((f"DRILLSTER_ALERT_URLS {position} ({kind})", notify, secret))
    urls = [(name, send, secret.get_secret_value()) for name, send, secret in found]
    return [
        Channel(name, sha256(url.encode()).hexdigest()[:12], functools.partial(send, url)) for name, send, url in urls
    ]


def split_urls(value: str) -> list[tuple[str, bool]]:
    """The URLs of a text, divided by commas or white space as Apprise does, and whether it knows what each means."""
    if not value:
        return []
    urls: list[str] = _apprise().utils.parse.parse_urls(value)
    if urls and not value.startswith(urls[0]):
        urls.insert(0, "")  # Apprise passes over what precedes the first URL
    return [(url, bool(_service(url))) for url in urls]


def ping(url: str) -> str | None:
    """Ask a URL, twice if need be; returns why nobody took notice, or None."""
    once = functools.partial(request, "GET", url, seconds=PING_SECONDS)
    return bounded(lambda: once() and once(), 3 * PING_SECONDS)


def post(url: str, title: str, text: str) -> str | None:
    """Send a message to a Slack-compatible webhook; returns why it was not taken, or None."""
    return request("POST", url, json={"text": f"drillster-pipeline: {title}. {text}"})


def notify(url: str, title: str, text: str) -> str | None:
    """Send a message by Apprise, which has limits of its own; returns why it was not taken, or None."""
    _reason.text = "it was not taken"
    took = _service(url).notify(title=f"drillster-pipeline: {title}", body=text, body_format="text")
    return None if took else str(_reason.text)


def _service(url: str) -> Any:
    """Apprise with one URL; falsy for a URL that it does not know."""
    apprise = _apprise()
    # Redirects would carry the message elsewhere, and nothing is to be kept on disk.
    asset = apprise.AppriseAsset(
        app_id="drillster-pipeline", http_redirects=False, storage_mode="memory", pgp_autogen=False, pem_autogen=False
    )
    service = apprise.Apprise(asset=asset)
    service.add([url])
    return service


@functools.cache
def _apprise() -> Any:
    with needs_extra("alerts", "DRILLSTER_ALERT_URLS"):
        import apprise

    log = logging.getLogger("apprise")
    log.setLevel(logging.WARNING)
    log.addFilter(_keep_reason)
    return apprise


_reason = threading.local()


def _keep_reason(record: logging.LogRecord) -> bool:
    """Apprise says why it failed to its log alone, in words with addresses: keep the reason, and log nothing."""
    if kind := sys.exc_info()[0]:  # it logs where it handles the exception
        _reason.text = kind.__name__
    elif status := re.search(r"error=(\d{3})\b", record.getMessage()):
        _reason.text = f"status {status[1]}"
    return False

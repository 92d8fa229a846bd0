"""Where messages go: a Slack-compatible webhook, any URL of Apprise, and the URL of a heartbeat.

The addresses are secrets: whoever knows one can post. Nothing below logs, raises or returns one; Apprise, whose
log names hosts and recipients, is kept from logging. No call lasts longer than its limit, whatever the other end does.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from .errors import needs_extra

SEND_SECONDS = 10.0
"""How long a webhook may take from one byte to the next. Apprise has limits of its own, by the kind of URL."""
ROUND_SECONDS = 2 * SEND_SECONDS
"""How long sending may take in all: a sensor of Dagster has a minute."""
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
    return bounded(lambda: _request("GET", url, PING_SECONDS) and _request("GET", url, PING_SECONDS), 3 * PING_SECONDS)


def bounded(work: Callable[[], str | None], seconds: float) -> str | None:
    """What ``work`` returns: why it failed, or None; or that it took longer than it may."""
    found: list[str | None] = []
    run_bounded([lambda: found.append(work())], seconds)
    return found[0] if found else f"no end of the response within {seconds:.0f} s"


def run_bounded(works: Iterable[Callable[[], None]], seconds: float) -> None:
    """Do all at once, in threads that nobody waits for any longer than that: responses may come in drips for ever."""
    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=work, name="channel", daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def post(url: str, title: str, text: str) -> str | None:
    """Send a message to a Slack-compatible webhook; returns why it was not taken, or None."""
    return _request("POST", url, SEND_SECONDS, {"text": f"drillster-pipeline: {title}. {text}"})


def notify(url: str, title: str, text: str) -> str | None:
    """Send a message by Apprise; returns why it was not taken, or None."""
    _reason.text = "it was not taken"
    took = _service(url).notify(title=f"drillster-pipeline: {title}", body=text, body_format="text")
    return None if took else str(_reason.text)


def _request(method: str, url: str, seconds: float, content: Any = None) -> str | None:
    import requests

    try:
        # Only the status is read: a body that never ends delays nothing.
        with requests.request(
            method, url, json=content, timeout=seconds, allow_redirects=False, stream=True
        ) as response:
            return None if 200 <= response.status_code < 300 else f"status {response.status_code}"
    except (requests.RequestException, OSError, ValueError) as problem:
        return type(problem).__name__


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

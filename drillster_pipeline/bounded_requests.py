"""Requests to services beside Drillster, and other work, that end in time whatever the other end does.

Their addresses may be secrets: nothing below logs, raises or returns one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

ANSWER_SECONDS = 10.0
"""How long the other end may take from one byte to the next."""
ROUND_SECONDS = 2 * ANSWER_SECONDS
"""How long some requests may take in all: a sensor of Dagster has a minute."""
LARGEST = 1 << 20
"""Bytes of a response at most."""


def request(
    method: str, url: str, *, seconds: float = ANSWER_SECONDS, content: list[bytes] | None = None, **options: Any
) -> str | None:
    """Send a request; returns why it was not taken, or None. ``content``: gets the body of the response."""
    import requests
    from urllib3.exceptions import HTTPError

    try:
        with requests.request(method, url, timeout=seconds, allow_redirects=False, stream=True, **options) as response:
            if content is not None:  # else a body that never ends delays nothing
                content.append(response.raw.read(LARGEST, decode_content=True))
            return None if 200 <= response.status_code < 300 else f"status {response.status_code}"
    except (requests.RequestException, HTTPError, OSError, ValueError) as problem:
        return type(problem).__name__


def bounded(work: Callable[[], str | None], seconds: float) -> str | None:
    """What ``work`` returns: why it failed, or None; or that it took longer than it may."""
    found: list[str | None] = []
    run_bounded([lambda: found.append(work())], seconds)
    return found[0] if found else f"no end of the response within {seconds:.0f} s"


def run_bounded(works: Iterable[Callable[[], None]], seconds: float) -> None:
    """Do all at once, in threads that nobody waits for any longer than that: responses may come in drips for ever."""
    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=work, name="bounded", daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))

"""Where a redirect may lead: to the same host, by the same scheme and port, and nowhere else.

A redirect elsewhere would carry our token to whoever is there: a login page, a captive portal, an old address that
changed hands.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from drillster_pipeline.errors import AnswerError, SettingsError

from .responses import host_named_in

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 3
"""In a row, for one request."""

_PORTS = {"http": 80, "https": 443}


def redirected(url: str, location: str, *, status: int, hops: int, endpoint: str) -> str:
    """The address to ask instead of ``url``, at redirect number ``hops`` of one request.

    Raises SettingsError where ``location`` is another host, or no address at all; AnswerError after too many.
    """
    try:
        target = urljoin(url, location)
        same = bool(location) and _origin(target) == _origin(url)
    except ValueError:
        same = False
    if same and hops <= MOST_REDIRECTS:
        return target
    if same:
        raise AnswerError(
            f"{endpoint} redirects again and again. Check that DRILLSTER_BASE_URL is Drillster's address.",
            endpoint=endpoint,
            status=status,
        )
    host = host_named_in(location)
    cure = f"If that is Drillster's own host, set DRILLSTER_BASE_URL to https://{host}; otherwise" if host else "So"
    raise SettingsError(
        f"{endpoint} redirects to {host or 'an address that makes no sense'} ({status}), where our token must not go. "
        f"{cure} something on the way intercepts requests, or DRILLSTER_BASE_URL is wrong."
    )


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)

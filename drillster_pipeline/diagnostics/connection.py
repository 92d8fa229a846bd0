"""From the network to an access token: whether Drillster is reached, the clocks agree and the client is accepted."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from drillster_pipeline import __version__
from drillster_pipeline.api.auth import BACKDATED_SECONDS, ENDPOINT, VALID_SECONDS, Skew, TokenEndpoint, skew_between
from drillster_pipeline.api.client import VERSION
from drillster_pipeline.api.responses import is_transient, redirect_error
from drillster_pipeline.api.retry import INTERACTIVE, CancelToken
from drillster_pipeline.api.tokens import TokenSource
from drillster_pipeline.api.transport import Limits, Transport, TransportError
from drillster_pipeline.errors import SettingsError, Unavailable
from drillster_pipeline.formatting import duration

from .report import DiagnosticsReport, Part

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

LIMITS = Limits(read_seconds=20.0, response_seconds=20.0)
"""Less than in a run: somebody waits for the result."""
NOTICEABLE_SECONDS = 30.0
"""A clock that is off by more than this should be set, though assertions are still valid."""


def check_connection(report: DiagnosticsReport, settings: Settings, now: Callable[[], datetime]) -> Skew | None:
    """Send a request that needs no token. Returns the difference of the clocks, if the response has a date."""
    skew = None
    with report.step(Part.DRILLSTER, "connection", f"GET api/{VERSION}/version, without a token") as step:
        transport = Transport(settings.base_url, limits=LIMITS)
        url = f"{settings.base_url}/api/{VERSION}/version"
        headers = {"User-Agent": f"drillster-pipeline/{__version__}", "Connection": "close"}
        asked, started = now(), time.monotonic()
        try:
            response = transport.send("GET", url, headers=headers, cancel=CancelToken())
        except TransportError as error:
            raise Unavailable(
                f"{transport.host} can't be reached: {error}. Check DRILLSTER_BASE_URL, the network, and HTTPS_PROXY "
                "where this machine needs a proxy."
            ) from None
        finally:
            transport.close()
        skew = skew_between(response.headers, asked, now())
        scheme = settings.base_url.partition(":")[0] + (" through a proxy" if transport.has_proxy else "")
        found = f"{transport.host} answers in {duration(time.monotonic() - started)} ({scheme})"
        if 300 <= response.status < 400:
            raise redirect_error(response, transport.host)
        if is_transient(response.status):
            raise Unavailable(
                f"{found}, but with status {response.status}: it is down, being upgraded, or overloaded. Try again "
                "later."
            )
        if response.status == 200:
            step.ok(found)
        else:
            step.warning(f"{found}, but not with its version (status {response.status}).")
    return skew


def request_token(
    report: DiagnosticsReport, settings: Settings, now: Callable[[], datetime]
) -> tuple[TokenSource | None, Skew | None]:
    """Request a token. Returns its source, or None if there is no token, and the difference of the clocks."""
    source = None
    with report.step(Part.DRILLSTER, "access token", f"POST {ENDPOINT}, with a signed assertion") as step:
        endpoint = TokenEndpoint(settings, response_seconds=LIMITS.response_seconds, now=now)
        source = TokenSource(endpoint, backoff=INTERACTIVE)
        source.token()
        assert source.granted is not None
        validity = source.granted.validity
        step.ok(f"Drillster accepts the client, the service account and its key; the token {validity}")
    if source is not None and step.has_failed:
        source.close()
    return (None if step.has_failed else source), (source.endpoint.skew if source else None)


def check_clock(report: DiagnosticsReport, skew: Skew | None, *, is_refused: bool) -> None:
    """Compare the clocks. A difference is a failure only if it explains why a token ``is_refused``."""
    if skew is None:
        report.skip(Part.DRILLSTER, "clock", "no response had a date to compare with")
        return
    with report.step(Part.DRILLSTER, "clock", "the Date of Drillster's responses, and this machine's clock") as step:
        off, is_ahead = abs(skew.ahead), skew.ahead > 0
        found = "the same as Drillster's"
        if off > skew.within:
            found = f"{off:,.1f} s {'ahead of' if is_ahead else 'behind'} Drillster's (± {skew.within:.1f} s)"
        found += (
            f"; assertions are valid from {BACKDATED_SECONDS} s before to {VALID_SECONDS} s after this clock's time"
        )
        advice = "Set this machine's clock (NTP): assertions are dated by it."
        if off <= NOTICEABLE_SECONDS:
            step.ok(found)
        elif is_refused and off > (BACKDATED_SECONDS if is_ahead else VALID_SECONDS):
            reason = "lie in the future" if is_ahead else "have expired"
            step.failed(f"{found}, so they {reason}.", advice, exit_code=SettingsError.exit_code)
        else:
            step.warning(f"{found}.", advice)

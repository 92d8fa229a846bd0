"""From the network to a token: can Drillster be reached, do the clocks agree, does it know who we are."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from drillster_pipeline import __version__
from drillster_pipeline.api.auth import BACKDATED_SECONDS, ENDPOINT, VALID_SECONDS, Skew, skew_between
from drillster_pipeline.api.client import VERSION
from drillster_pipeline.api.responses import host_named_in
from drillster_pipeline.api.retry import Backoff, CancelToken
from drillster_pipeline.api.tokens import EARLY_SECONDS, EARLY_SHARE, TokenSource
from drillster_pipeline.api.transport import Limits, RawResponse, Transport, TransportError

from .amounts import lasting
from .report import Notes, Part, Status

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

    from .report import Step

ANSWER_SECONDS = 20.0
"""Whoever looks at a screen has less patience than a night."""
PATIENCE = Backoff(attempts=3, longest=15.0, first=0.5, cap=4.0)
NOTICEABLE_SECONDS = 30.0
"""A clock that is off by so much should be set, though it does no harm yet."""
_UNAVAILABLE, _SETTINGS = 4, 2
_BUILD = re.compile(r"[0-9][0-9A-Za-z.-]{0,30}")


def reach(notes: Notes, settings: Settings, now: Callable[[], datetime]) -> Skew | None:
    """Ask what may be asked without a token; gives how far the clocks are apart, where the answer told."""
    with notes.step(Part.DRILLSTER, "connection", f"GET api/{VERSION}/version, without a token") as step:
        transport = Transport(
            settings.base_url, limits=Limits(read_seconds=ANSWER_SECONDS, answer_seconds=ANSWER_SECONDS)
        )
        try:
            asked, started = now(), time.monotonic()
            reply = _sent(transport, f"{settings.base_url}/api/{VERSION}/version")
            seconds = time.monotonic() - started
        except TransportError as broken:
            step.failed(
                f"{transport.host} can't be reached: {broken}.",
                advice="Check DRILLSTER_BASE_URL, the network, and HTTPS_PROXY where this machine needs a proxy.",
                exit_code=_UNAVAILABLE,
            )
            return None
        finally:
            transport.close()
        _judge(step, settings, transport, reply, seconds)
        return skew_between(reply.headers, asked, now())
    return None


def _sent(transport: Transport, url: str) -> RawResponse:
    headers = {"Accept": "application/json", "User-Agent": f"drillster-pipeline/{__version__}", "Connection": "close"}
    try:
        return transport.send("GET", url, headers=headers, cancel=CancelToken())
    except TransportError:
        time.sleep(PATIENCE.first)
        return transport.send("GET", url, headers=headers, cancel=CancelToken())


def _judge(step: Step, settings: Settings, transport: Transport, reply: RawResponse, seconds: float) -> None:
    how = "https" if settings.base_url.startswith("https") else "plain http, on this machine"
    if transport.has_proxy:
        how += " through the proxy that the environment names"
    said = f"{transport.host} answers in {lasting(seconds)} ({how})"
    wrong_place = "Check that DRILLSTER_BASE_URL is Drillster's address and that nothing on the way answers for it."
    if 300 <= reply.status < 400:
        target = host_named_in(reply.headers.get("Location", "")) or "another address"
        step.failed(f"{said}, but sends us on to {target} ({reply.status}).", advice=wrong_place, exit_code=_SETTINGS)
    elif reply.status >= 500 or reply.status == 429:
        step.failed(
            f"{said}, but with status {reply.status}: it is down, being upgraded, or overloaded.",
            advice="Try again later.",
            exit_code=_UNAVAILABLE,
        )
    elif reply.status != 200:
        step.warning(f"{said}, and does not tell its version (status {reply.status}).")
    elif (build := _build(reply)) is None:
        step.warning(f"{said}, with something that is not the API's version.", advice=wrong_place)
    else:
        step.ok(f"{said}{f'; its build is {build}' if build else ''}")


def _build(reply: RawResponse) -> str | None:
    """The build that the answer names, empty where it has another form; None where it is no JSON."""
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    named = answer.get("version") if isinstance(answer, dict) else answer
    return named if isinstance(named, str) and _BUILD.fullmatch(named) else ""


def token_source(settings: Settings, now: Callable[[], datetime]) -> TokenSource:
    """The source of tokens of this examination. Raises SettingsError for a key that can't sign."""
    return TokenSource(
        token_url=f"{settings.base_url}/{ENDPOINT}",
        client_id=settings.client_id,
        client_secret=settings.client_secret.get_secret_value(),
        service_account_id=settings.service_account_id,
        private_key=settings.private_key.get_secret_value(),
        backoff=PATIENCE,
        answer_seconds=ANSWER_SECONDS,
        now=now,
    )


def ask_for_token(
    notes: Notes, settings: Settings, now: Callable[[], datetime]
) -> tuple[TokenSource | None, Skew | None]:
    """Ask for a token; gives its source, or None where there is none, and how far the clocks are apart."""
    source = None
    with notes.step(Part.DRILLSTER, "access token", f"POST {ENDPOINT}, with a signed assertion") as step:
        source = token_source(settings, now)
        started = time.monotonic()
        source.token()
        seconds = time.monotonic() - started
        assert source.granted is not None
        lifetime = source.granted.lifetime
        early = min(EARLY_SECONDS, lifetime * EARLY_SHARE)
        lives = (
            f"lives {lasting(lifetime)}"
            if source.granted.is_stated
            else f"names no lifetime: {lasting(lifetime)} is assumed"
        )
        step.ok(
            f"Drillster accepts the client, the service account and its key; the token came in {lasting(seconds)}, "
            f"{lives}, and is renewed {lasting(early)} before its end"
        )
    if source is None:
        return None, None
    if not step.is_ok:
        source.close()
    return (source if step.is_ok else None), source.skew


def compare_clocks(notes: Notes, skew: Skew | None, *, refused: bool) -> None:
    """Say how far the clocks are apart, and what that does to assertions. ``refused``: no token was issued."""
    step, tried = "clock", "the Date of Drillster's answers beside this machine's clock"
    if skew is None:
        notes.skip(Part.DRILLSTER, step, "no answer carried a date to compare with")
        return
    off, way = abs(skew.ahead), "ahead of" if skew.ahead > 0 else "behind"
    found = (
        f"{off:,.1f} s {way} Drillster's (± {skew.within:.1f} s)" if off > skew.within else "the same as Drillster's"
    )
    limit = BACKDATED_SECONDS if skew.ahead > 0 else VALID_SECONDS
    bounds = f"assertions hold from {BACKDATED_SECONDS} s before to {VALID_SECONDS} s after this clock's time"
    advice = "Set this machine's clock (NTP): assertions are dated by it."
    if off > limit:
        end = "seem to come from the future" if skew.ahead > 0 else "have ended when they arrive"
        status = Status.FAILED if refused else Status.WARNING
        notes.note(
            Part.DRILLSTER,
            step,
            status,
            f"{found}: {bounds}, so they {end}.",
            tried=tried,
            advice=advice,
            exit_code=_SETTINGS if refused else 0,
        )
    elif off > NOTICEABLE_SECONDS:
        notes.note(
            Part.DRILLSTER, step, Status.WARNING, f"{found}: {bounds}, which holds as long as it grows no further.",
            tried=tried, advice=advice,
        )  # fmt: skip
    else:
        notes.note(Part.DRILLSTER, step, Status.OK, f"{found}; {bounds}", tried=tried)

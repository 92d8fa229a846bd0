"""The answer to a request for a token, taken apart: a token and its lifetime, or why there is none."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from drillster_pipeline.errors import AnswerError

from .responses import described
from .retry import http_date

if TYPE_CHECKING:
    from datetime import datetime

    from .transport import RawResponse

ENDPOINT = "daas/oauth/token"
DEFAULT_LIFETIME = 600.0
"""Seconds, where Drillster gives none that makes sense: too long is mended by a 401, too short by a renewal."""
LONGEST_LIFETIME = 86_400.0
"""Seconds: whatever a longer figure means, one renewal a day costs nothing."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token and the seconds it lives."""

    access_token: str = field(repr=False)
    lifetime: float
    is_stated: bool = field(default=True, compare=False)
    """Whether the answer named a lifetime at all."""


def granted(reply: RawResponse) -> Grant | None:
    """The token in a 200 (RFC 6749, section 5.1); None where the body is not JSON, which another attempt may mend.

    Raises AnswerError where it is JSON, but no token can be had from it.
    """
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not _fits_a_header(token):
        raise _contract("holds no usable 'access_token'", reply.status)
    kind = answer.get("token_type")
    if kind is not None and str(kind).lower() != "bearer":
        raise _contract("is for a token that is not of type bearer", reply.status)
    return Grant(token, lifetime(answer.get("expires_in")), is_stated=answer.get("expires_in") is not None)


def lifetime(expires_in: Any) -> float:
    """Seconds that a token lives, from an ``expires_in`` that may be an int, a string, missing, zero or absurd."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, (int, float, str)):
        return DEFAULT_LIFETIME
    try:
        seconds = float(expires_in)
    except (ValueError, OverflowError):
        return LONGEST_LIFETIME if isinstance(expires_in, int) and expires_in > 0 else DEFAULT_LIFETIME
    if math.isnan(seconds) or seconds <= 0:
        return DEFAULT_LIFETIME
    return min(seconds, LONGEST_LIFETIME)


def refusal(status: int, identifier: str | None, skew: float | None) -> str:
    """The sentence for a token request that was refused: what Drillster said and what to check.

    ``skew``: seconds that our clock is ahead of Drillster's; None where its answer carried no date.
    """
    client = "DRILLSTER_CLIENT_ID and DRILLSTER_CLIENT_SECRET (the secret is still listed for that client)"
    account = "DRILLSTER_SERVICE_ACCOUNT_ID (the account exists and is active)"
    key = "DRILLSTER_PRIVATE_KEY (it belongs to that account)"
    if skew is None:
        clock = "the clock of this machine"
    else:
        direction = "ahead of" if skew >= 0 else "behind"
        clock = f"the clock of this machine (it is {abs(skew):.0f} s {direction} Drillster's)"
    # What the code points to comes first (RFC 6749, section 5.2).
    if identifier == "invalid_grant":
        checks = [account, key, clock, client]
        if skew is not None and abs(skew) > 60:
            checks = [clock, account, key, client]
    else:
        checks = [client, account, key, clock]
    return f"Drillster refused to issue a token ({described(status, identifier)}). Check: {'; '.join(checks)}."


def skew_of(reply: RawResponse, now: datetime) -> float | None:
    """Seconds that ``now`` is ahead of the answer's Date header; None without a usable one."""
    date = http_date(reply.headers.get("Date"))
    return None if date is None else (now - date).total_seconds()


def _fits_a_header(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def _contract(complaint: str, status: int) -> AnswerError:
    return AnswerError(
        f"The answer to a token request {complaint}. Check that DRILLSTER_BASE_URL is Drillster's address.",
        endpoint=ENDPOINT,
        status=status,
    )

"""Responses that are no success: the error id, in whatever form it comes, and the error to raise.

Drillster's API answers errors as ``{"id", "description"}`` (API 2.1.1, object Error), its token endpoint probably
as ``{"error", "error_description"}`` (RFC 6749, section 5.2), and what stands in between may answer HTML or nothing.
Only the id is ever taken: a description is free text and may repeat what we sent.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

from drillster_pipeline.errors import AnswerError, ApiError, NotFound, PermissionDenied, RequestRefused, SettingsError

from .transport import RawResponse

PERMISSION_IDS = frozenset(
    ("not_linked_to_organization", "no_permission", "not_permitted", "no_access", "not_authorized", "no_group_access")
)
"""Ids that mean "you are known, but may not": Drillster gives some of them with 400 or 401 (API notes, 2.2)."""

_FINAL = frozenset({501, 505, 506, 508, 510, 511})
"""Statuses from 500 that are not about the moment; others (507, 520-524, 529) are of proxies in distress."""

OVERLOAD = frozenset({429, 503})
"""Statuses that ask every thread to go slower, not only the one that received it."""

# Letters only: an id of Drillster or OAuth has no digits, while most secrets, ids and tokens do.
_PLAIN = re.compile(r"[A-Za-z]+(?:_[A-Za-z]+)*")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}")
_LONGEST_ID = 64
_LONGEST_ERROR_BODY = 65_536


def error_id(body: bytes) -> str | None:
    """The id of the error that a response names, if it is a plain identifier such as ``not_found``; else None."""
    if len(body) > _LONGEST_ERROR_BODY:
        return None
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(decoded, dict):
        return None
    for name in ("error", "id"):
        value = decoded.get(name)
        if isinstance(value, str) and len(value) <= _LONGEST_ID and _PLAIN.fullmatch(value):
            return value
    return None


def host_named_in(location: str) -> str | None:
    """The host that a Location header points to, and nothing more of it; None where it names none that can be shown."""
    try:
        host = urlsplit(location).hostname or ""
    except ValueError:
        return None
    return host if _HOST.fullmatch(host) else None


def described(status: int, identifier: str | None) -> str:
    """``403 no_permission``, or the status alone."""
    return f"{status} {identifier}" if identifier else str(status)


def is_transient(status: int) -> bool:
    """Whether another attempt may succeed after a response of this status."""
    return status in {408, 429} or (status >= 500 and status not in _FINAL)


def redirect_error(response: RawResponse, endpoint: str) -> SettingsError:
    """The error for a redirect, which is never followed: it would carry our token elsewhere.

    That may be a login page, a captive portal, or an old address that changed hands.
    """
    target = host_named_in(response.headers.get("Location", ""))
    return SettingsError(
        f"{endpoint} redirects to {target or 'another address'} ({response.status}). If that is Drillster's own host, "
        "put it in DRILLSTER_BASE_URL; otherwise something on the way intercepts requests."
    )


def error_for(status: int, identifier: str | None, endpoint: str) -> ApiError:
    """The error for a response that another attempt would not change; ``endpoint`` is the path template."""
    said = described(status, identifier)
    if status == 403 or (status in {400, 401} and identifier in PERMISSION_IDS):
        kind: type[ApiError] = PermissionDenied
        message = f"The service account may not read {endpoint} ({said}). {_cure(identifier, endpoint)}"
    elif status == 404:
        kind = NotFound
        message = (
            f"Drillster has nothing at {endpoint} ({said}): what it belongs to was removed after it was listed, "
            "or this version of the API does not have it."
        )
    elif 400 <= status < 500:
        kind = RequestRefused
        message = (
            f"Drillster did not accept a request to {endpoint} ({said}). Its API seems to differ from what this "
            "program knows: look for a newer version of drillster-pipeline, or report this message."
        )
    else:
        kind = AnswerError
        message = (
            f"Drillster answered a request to {endpoint} with a status that a read should not have ({said}). "
            "Check that DRILLSTER_BASE_URL is Drillster's address and that nothing on the way intercepts requests."
        )
    return kind(message, endpoint=endpoint, status=status, error_id=identifier)


def _cure(identifier: str | None, endpoint: str) -> str:
    if identifier == "not_linked_to_organization":
        return "In Drillster's console, make it an administrator of the organization that is to be exported."
    if identifier == "no_group_access" or endpoint.startswith(("group/", "groups")):
        return (
            "In Drillster's console, give it access to the group, or the permission 'Groups administrator' for all "
            "groups of the organization."
        )
    if endpoint.startswith("catalog/"):
        return "In Drillster's console, give it the right to publish to the catalog (PUBLISH_TO_CATALOG)."
    return "In Drillster's console, give it the administrator's permission to read this."

"""Every error that this program raises on purpose, grouped by what the operator should do.

    PipelineError
    ├── SettingsError        a setting is wrong: correct it (exit code 2)
    │   ├── AuthenticationError   Drillster does not accept the credentials
    │   └── ExtraMissing          a package that an extra brings is not installed
    ├── PermissionDenied     the service account may not do this: give it the right (3)
    ├── Unavailable          Drillster or the warehouse does not answer: try later (4)
    │   ├── Busy             another run holds the lock: wait for it
    │   └── Interrupted      the work was interrupted: do it again
    ├── Refused              we will not do this, to protect the data (5)
    │   ├── PastDateRefused       the date is past and was never captured
    │   └── GuardRefused          too much would be deleted or rejected
    └── ContractError        Drillster answered in a form that we do not know (6)
        └── ArchiveCorrupt   a part of the archive is not what its seal says

A message is a sentence to an operator: what happened, where, and what to do now. It never has a token, a
secret, a body of a response or a personal value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar


class PipelineError(Exception):
    """Base of all; carries the exit code of the command line."""

    exit_code: ClassVar[int] = 1


class SettingsError(PipelineError):
    """One or more settings are missing or wrong. The message lists all of them."""

    exit_code = 2


class AuthenticationError(SettingsError):
    """The token was refused: the client, its secret, the service account, its key or the clock is wrong."""


class ExtraMissing(SettingsError):
    """``what`` needs packages that an extra of this one brings; ``cure`` names it."""

    def __init__(self, what: str, extra: str) -> None:
        self.cure = f"needs the extra {extra}: pip install 'drillster-pipeline[{extra}]'"
        super().__init__(f"{what} {self.cure}")


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Around the first import of what an extra brings. Raises ExtraMissing where that is not installed."""
    try:
        yield
    except ImportError as problem:
        if (problem.name or "").startswith("drillster_pipeline"):
            raise
        raise ExtraMissing(what, extra) from problem


class ApiError(PipelineError):
    """A response of Drillster that is an error; mixed into the errors below that stem from a response.

    ``endpoint`` is the path template (``group/{group_id}/members``), never the filled path; ``status`` the HTTP
    status or None; ``error_id`` Drillster's own id of the error (object ``Error``) or None.
    """

    def __init__(self, message: str, *, endpoint: str, status: int | None = None, error_id: str | None = None) -> None:
        super().__init__(message)
        self.endpoint = endpoint
        self.status = status
        self.error_id = error_id


class PermissionDenied(ApiError):
    """The service account is known, but may not see this (403, or a 401/400 whose id says so)."""

    exit_code = 3


class NotFound(ApiError):
    """The thing does not exist, or no longer (404)."""

    exit_code = 6


class RequestRefused(ApiError):
    """Drillster did not accept a request (400 and other 4xx)."""

    exit_code = 6


class Unauthorized(ApiError, AuthenticationError):
    """A second 401, on a token that was just issued: who we are is accepted, but not here."""


class Unavailable(PipelineError):
    """Something we need does not answer now. Running again later finishes the work."""

    exit_code = 4


class ApiUnavailable(ApiError, Unavailable):
    """Drillster did not give a usable response within the retry budget."""


class Busy(Unavailable):
    """Another run holds the lock on the same warehouse or capture."""


class Interrupted(Unavailable):
    """The work was interrupted, and nothing of it was kept, as when the database restarts: begin again."""


class Refused(PipelineError):
    """We could, but will not: it would harm what is already there."""

    exit_code = 5


class PastDateRefused(Refused):
    """The date is past, and no archive of it exists: Drillster only knows how things are now."""


class GuardRefused(Refused):
    """The staged data would delete or reject more than is believable."""


class ContractError(PipelineError):
    """Drillster (or the archive) has something in a form that we do not know."""

    exit_code = 6


class AnswerError(ApiError, ContractError):
    """A response of Drillster breaks its contract: unknown shape, a cursor that stands still, and the like."""


class ArchiveCorrupt(ContractError):
    """A part of the archive is missing or does not have the checksum that its manifest names."""


def gravest_exit_code(errors: Iterable[PipelineError]) -> int:
    """The exit code of the gravest error, which needs somebody most and is cured least by waiting; 0 without errors."""
    codes = {error.exit_code for error in errors}
    return next((code for code in (2, 3, 6, 5, 4, 1) if code in codes), 0)

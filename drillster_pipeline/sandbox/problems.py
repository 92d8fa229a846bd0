"""An answer that is an error, as the API words it."""

from __future__ import annotations

USUAL_IDS = {
    400: "invalid_request",
    401: "not_authenticated",
    403: "not_permitted",
    404: "not_found",
    405: "method_not_allowed",
    429: "too_many_requests",
    500: "internal_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}


class Problem(Exception):
    """Ends a request with an error answer: ``id`` is for programs, ``description`` for people."""

    def __init__(self, status: int, id_: str = "", description: str = "") -> None:
        self.status = status
        self.id = id_ or USUAL_IDS.get(status, f"error_{status}")
        self.description = description or self.id.replace("_", " ").capitalize() + "."
        super().__init__(self.description)

"""The ASGI application: Starlette routes requests to the token endpoint and to the endpoints of the API."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import lru_cache, partial
from time import time
from urllib.parse import parse_qsl, unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .endpoints import ENDPOINTS, Endpoint, Endpoints, Problem
from .oauth import GRANT_PATH, Grants, Refusal
from .organization import Json, Organization

_COMPRESSED_FROM = 700
"""Bytes from which a body is compressed."""
_STANDARD = {
    "content-type": "application/json;charset=UTF-8",
    "cache-control": "no-cache, no-store, max-age=0, must-revalidate",
    "x-content-type-options": "nosniff",
}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Drillster:
    """The application. ``step`` gives the moment at which the organization is shown."""

    def __init__(self, organization: Organization, grants: Grants, step: Callable[[], int]) -> None:
        self.organization, self.grants, self._step = organization, grants, step
        self.clock: Callable[[], float] = time
        self.request_count = 0
        self.bodies = lru_cache(maxsize=2048)(self._body)
        self._routes = Starlette(
            routes=[
                Route(GRANT_PATH, self._token, methods=["POST"]),
                *(
                    Route(f"/api/{version}/{endpoint.path}", partial(self._api, endpoint, version))
                    for endpoint in ENDPOINTS
                    for version in endpoint.versions
                ),
            ],
            exception_handlers={Problem: self._problem, Refusal: self._refusal, HTTPException: self._unrouted},
        )
        self._routes.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Paths are matched as they are sent, since an id may contain an escaped slash."""
        self.request_count += 1
        await self._routes({**scope, "path": scope["raw_path"].decode("latin-1")}, receive, send)

    def answer(self, endpoint: Endpoint, version: str, query: dict[str, str], parameters: tuple[str, ...]) -> Json:
        """What an endpoint answers, as a JSON value. Raises Problem."""
        del version
        at = self.organization.snapshot(self._step())
        return getattr(Endpoints(at, query), endpoint.resource)(*parameters)

    def reply(self, status: int, value: Json, **headers: str) -> Response:
        """An answer with the headers that all of them have."""
        return self._response(status, _encode(value).encode(), headers)

    def _response(self, status: int, body: bytes, headers: dict[str, str]) -> Response:
        date = formatdate(self.clock(), usegmt=True)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Response(body, status, {**_STANDARD, "date": date, **named})

    def token(self, form: bytes, headers: Mapping[str, str], url: str) -> Json:
        """A Token object for a request to the token endpoint at the URL. Raises Refusal."""
        return self.grants.grant(form, headers, url, self.clock())

    async def _token(self, request: Request) -> Response:
        url = f"{request.url.scheme}://{request.headers.get('host', '')}{GRANT_PATH}"
        return self.reply(200, self.token(await request.body(), request.headers, url))

    async def _api(self, endpoint: Endpoint, version: str, request: Request) -> Response:
        if endpoint.resource != "version":
            self.grants.check(request.headers.get("authorization", ""), self.clock())
        parameters = tuple(unquote(text) for text in request.path_params.values())
        plain, packed = self.bodies(self._step(), endpoint, version, request.url.query, parameters)
        if packed and "gzip" in request.headers.get("accept-encoding", ""):
            return self._response(200, packed, {"content-encoding": "gzip", "vary": "accept-encoding"})
        return self._response(200, plain, {})

    def _body(
        self, _step: int, endpoint: Endpoint, version: str, query: str, parameters: tuple[str, ...]
    ) -> tuple[bytes, bytes]:
        """The body of an answer, plain and compressed (empty where it is too short for that)."""
        value = self.answer(endpoint, version, dict(parse_qsl(query, keep_blank_values=True)), parameters)
        plain = _encode(value).encode()
        return plain, gzip.compress(plain, compresslevel=1, mtime=0) if len(plain) >= _COMPRESSED_FROM else b""

    # -- errors --------------------------------------------------------------------------------------------------

    def problem(self, problem: Problem, **headers: str) -> Response:
        """The Error object of the API."""
        if problem.status == 401:
            headers["www_authenticate"] = f'Bearer error="{problem.id}"'
        return self.reply(problem.status, {"id": problem.id, "description": problem.description}, **headers)

    def refusal(self, refusal: Refusal) -> Response:
        """The error of the token endpoint: RFC 6749, section 5.2."""
        headers = {"www_authenticate": 'Basic realm="oauth"'} if refusal.error == "invalid_client" else {}
        body = {"error": refusal.error, "error_description": refusal.description}
        return self.reply(refusal.status, body, **headers)

    async def _problem(self, _: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        return self.problem(problem)

    async def _refusal(self, _: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, Refusal)
        return self.refusal(refusal)

    async def _unrouted(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        allow = (error.headers or {}).get("Allow")
        if allow is not None:
            return self.problem(Problem(405, "method_not_allowed"), allow=allow)
        return self.problem(Problem(404, "not_found", "There is no such resource."))

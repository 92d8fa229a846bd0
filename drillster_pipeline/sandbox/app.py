"""The web application: Starlette routes requests to the token endpoint and the API; faults stand around both."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from email.utils import formatdate
from time import time
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route

from .chaos import Chaos
from .faults import How
from .oauth import GRANT_PATH, Access, Grants, Refusal, error_body
from .organization import Organization
from .problems import Problem
from .question import Question
from .recorder import Recorder
from .routes import find
from .shaping import reshape
from .visit import Visit
from .wire import (
    HTML_TYPE,
    JSON_TYPE,
    PROXY_PAGE,
    ConnectionRegister,
    Receive,
    Reply,
    Scope,
    Send,
    break_off,
    deliver,
    drip,
)

VERSIONS = ("2.1.1", "3")
_LONGEST_FORM = 64 * 1024
_COMPRESSED_FROM = 700
"""Bytes from which compressing an answer is worth its while."""
_BROKEN = frozenset({How.CUT, How.CUT_CHUNKED, How.RESET, How.RESET_IN_BODY})
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_VERSION = _encode({"version": "2-1-1.601"}).encode()


class Drillster:
    """The ASGI application. ``slot`` tells which moment the organization is seen at."""

    def __init__(
        self, *, organization: Organization, grants: Grants, recorder: Recorder, slot: Callable[[], int]
    ) -> None:
        self.organization = organization
        self.grants = grants
        self.recorder = recorder
        self.connections = ConnectionRegister()
        self.chaos: Chaos
        self._slot = slot
        self._routes = Starlette(
            routes=[
                Route(GRANT_PATH, _Endpoint(self.token), methods=None),
                Mount("/api", app=_Endpoint(self.api)),
                Mount("/", app=_Endpoint(self.nowhere)),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Writes the request down, decides whether it fails, and passes it on."""
        if scope["type"] != "http":
            raise RuntimeError(f"The sandbox speaks HTTP only, not {scope['type']}.")
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        record = self.recorder.begin(scope["method"], path, query)
        chaos = self.chaos
        target = "token" if path == GRANT_PATH else "/".join(path.split("/")[3:])
        try:
            rule = chaos.decide(target, query)
            scope["sandbox"] = Visit(chaos, record, rule, target)
            await chaos.wait(rule, f"{target}?{query}")
            await self._routes(scope, receive, send)
        finally:
            self.recorder.end()

    # -- answers ---------------------------------------------------------------------------------------------------

    async def token(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST a grant, get a token."""
        visit: Visit = scope["sandbox"]
        await self._finish(await self._token_reply(visit, scope, receive), visit, scope, receive, send)

    async def _token_reply(self, visit: Visit, scope: Scope, receive: Receive) -> Reply:
        shape = visit.chaos.faults.shapes.grant_errors
        try:
            token = await self._grant(visit, Request(scope, receive))
        except Refusal as refusal:
            body, content_type = error_body(refusal, shape)
            challenge = [(b"www-authenticate", b'Basic realm="oauth"')] if refusal.error == "invalid_client" else []
            return Reply(refusal.status, body, [(b"content-type", content_type), *challenge])
        self.recorder.granted()
        visit.record.token_id = token["jti"]
        return Reply(200, _encode(token).encode())

    async def _grant(self, visit: Visit, request: Request) -> dict[str, Any]:
        """The Token object for a request. Raises Refusal."""
        if visit.fails:
            raise Refusal(visit.status, visit.rule_error or "server_error", "The sandbox was told to fail.")
        if request.method != "POST":
            raise Refusal(405, "method_not_allowed", "The token endpoint takes POST only.")
        form = b""
        async for chunk in request.stream():
            form += chunk
            if len(form) > _LONGEST_FORM:
                raise Refusal(413, "invalid_request", "The form is too large.")
        return self.grants.grant(
            form,
            request.headers,
            audiences=frozenset({f"{request.scope['scheme']}://{request.headers.get('host', '')}{GRANT_PATH}"}),
            faults=visit.chaos.faults,
            now=time() + visit.chaos.faults.clock_skew,
        )

    async def api(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The REST API."""
        visit: Visit = scope["sandbox"]
        await self._finish(self._api_reply(visit, scope), visit, scope, receive, send)

    def _api_reply(self, visit: Visit, scope: Scope) -> Reply:
        headers = dict(scope["headers"])
        try:
            plain, packed = self._answer(visit, scope, headers.get(b"authorization", b""))
        except Problem as problem:
            return self._problem_reply(visit, problem)
        if packed is not None and b"gzip" in headers.get(b"accept-encoding", b""):
            return Reply(200, packed, [JSON_TYPE, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")])
        return Reply(200, plain)

    def _answer(self, visit: Visit, scope: Scope, authorization: bytes) -> tuple[bytes, bytes | None]:
        """The body of an answer, plain and compressed. Raises Problem."""
        words = scope["path"].split("/")[2:]
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(405, description="This sandbox can only be read from.")
        if words == ["2.1.1", "version"] and not visit.fails:
            return _VERSION, None
        access = self._access(visit, authorization.decode("latin-1"))
        if visit.fails:
            raise Problem(visit.status, visit.rule_error, "The sandbox was told to fail.")
        self._authenticate(visit, access)
        return self._body(visit, scope["query_string"], words)

    def _access(self, visit: Visit, authorization: str) -> Access | Problem:
        """The token of a request, or what is wrong with it. Both scheme names are case sensitive (section 1.4)."""
        scheme, _, token = authorization.partition(" ")
        if scheme not in ("Bearer", "OAuth") or not token:
            return Problem(401, "not_authenticated", "User was not authenticated.")
        access = self.grants.access(token.strip())
        if access is None:
            return Problem(401, "invalid_token", "The access token is not valid.")
        visit.record.token_id = access.jti
        return access

    def _authenticate(self, visit: Visit, access: Access | Problem) -> None:
        """Raises Problem where the token is not good (any more)."""
        if isinstance(access, Problem):
            raise access
        if visit.rule is not None and visit.rule.how is How.REVOKE:
            access.revoked = True
        if access.revoked:
            raise Problem(401, "invalid_token", "The access token is not valid any more.")
        if access.expires_at <= time() + visit.chaos.faults.clock_skew:
            raise Problem(401, "token_expired", "The access token has expired.")

    def _body(self, visit: Visit, query_string: bytes, words: list[str]) -> tuple[bytes, bytes | None]:
        """The body of an answer, plain and compressed. Raises Problem."""
        chaos, slot = visit.chaos, self._slot()
        key = (slot, query_string, *words)
        kept = chaos.kept(key)
        if kept is not None:
            return kept
        version, *rest = words
        found = find(version, rest) if version in VERSIONS and rest else None
        if found is None:
            raise Problem(404, "not_found", "There is no such resource.")
        handler, parameters = found
        query = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))
        question = Question(self.organization.snapshot(slot), query, chaos.faults, version, chaos.fired)
        resource, body = handler(question, *parameters)
        chaos.bend(resource, body)
        plain = _encode(reshape(resource, body, chaos.faults.shapes)).encode()
        packed = gzip.compress(plain, compresslevel=1, mtime=0) if len(plain) >= _COMPRESSED_FROM else None
        chaos.keep(key, plain, packed)
        return plain, packed

    async def nowhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever lies outside the API."""
        visit: Visit = scope["sandbox"]
        reply = self._problem_reply(visit, Problem(404, "not_found", "There is no such resource."))
        await self._finish(reply, visit, scope, receive, send)

    def _problem_reply(self, visit: Visit, problem: Problem) -> Reply:
        shapes = visit.chaos.faults.shapes
        status = problem.status
        if status == 403:
            status = shapes.permission_status
        headers = [JSON_TYPE]
        if problem.status == 401:
            headers.append((b"www-authenticate", f'Bearer error="{problem.id}"'.encode()))
        if problem.status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        if shapes.errors == "html":
            return Reply(status, PROXY_PAGE, [HTML_TYPE, *headers[1:]])
        if shapes.errors == "nothing":
            return Reply(status, b"", headers[1:])
        names = ("id", "description") if shapes.errors == "object" else ("error", "error_description")
        body = dict(zip(names, (problem.id, problem.description), strict=True))
        return Reply(status, _encode(body).encode(), headers)

    # -- sending -----------------------------------------------------------------------------------------------------

    async def _finish(self, reply: Reply, visit: Visit, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer, in the way that the failure asks for."""
        rule, chaos = visit.rule, visit.chaos
        date = formatdate(time() + chaos.faults.clock_skew, usegmt=True).encode()
        if rule is None:
            visit.record.status = reply.status
            await deliver(reply, date, send)
            return
        reply = visit.replaced(reply)
        if rule.how in _BROKEN:
            if rule.how is not How.RESET:
                visit.record.status = reply.status
            await break_off(reply, date, rule, transport=self.connections.of(scope), receive=receive)
            return
        visit.record.status = reply.status
        if rule.how is How.DRIP:
            await drip(reply, date, send, rule.seconds)
        else:
            await deliver(reply, date, send)


class _Endpoint:
    """An ASGI application out of a method (Starlette takes a plain function for one of requests)."""

    def __init__(self, answer: Callable[[Scope, Receive, Send], Any]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send)

"""The application of the sandbox with failing calls: late, broken off, or with another answer.

uvicorn would not send a body that is shorter than it says, so broken answers are written to the connection itself.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase
from http import HTTPStatus
from time import time
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from drillster_pipeline.sandbox.endpoints import PATHS, Problem
from drillster_pipeline.sandbox.oauth import GRANT_PATH, Grants, Refusal
from drillster_pipeline.sandbox.organization import Organization
from drillster_pipeline.sandbox.server import Drillster

from .endpoints import FaultyEndpoints, change_field
from .faults import Failure, Faults, How
from .recorder import Record, Recorder
from .shapes import Json, items_of, reshape

PROXY_PAGE = (
    b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Please try again later</h1></body></html>"
)
_IDS = {401: "not_authenticated", 403: "not_permitted"}


class FaultyDrillster(Drillster):
    """The application. Calls are counted from when the faults were set."""

    def __init__(self, organization: Organization, grants: Grants, step: Callable[[], int]) -> None:
        super().__init__(organization, grants, step)
        self.clock = lambda: time() + self.faults.clock_skew
        self.recorder = Recorder()
        self.rewrite: Callable[[str, str, Response], Response] | None = None
        """Changes every response of the API, given its path and query."""
        self.set_faults(Faults())

    def set_faults(self, faults: Faults) -> None:
        """Answer with these faults from now on."""
        self.faults = faults
        self.fired: set[int] = set()
        """``id()`` of the faults that have done something."""
        self.bodies.cache_clear()
        self._calls: Counter[str] = Counter()
        self._matches: Counter[int] = Counter()

    # -- what is answered ----------------------------------------------------------------------------------------

    def token(self, form: bytes, content_type: str, url: str) -> Json:
        """A Token object, with another word on how long it is valid where the faults say so."""
        body, stated = super().token(form, content_type, url), self.faults.stated_lifetime
        if stated is None:
            del body["expires_in"]
        return body if stated in {"real", None} else body | {"expires_in": stated}

    def answer(self, path: str, query: dict[str, str], parameters: tuple[str, ...]) -> Json:
        """The answer of a path, changed as the faults describe."""
        shapes, resource = self.faults.shapes, PATHS[path]
        if resource == "catalog_content" and shapes.content_version not in {"both", path.partition("/")[0]}:
            raise Problem(404, "not_found", "There is no such resource.")
        endpoints = FaultyEndpoints(self.organization.snapshot(self.step()), query, self.faults, self.fired)
        body = getattr(endpoints, resource)(*parameters)
        for fault in self.faults.fields:
            if fault.resource in {resource, "*"}:
                for item in items_of(resource, body)[:: fault.every]:
                    if change_field(item, fault):
                        self.fired.add(id(fault))
        return reshape(resource, body, shapes)

    def error(self, problem: Problem, **headers: str) -> Response:
        """An error answer, in the form of the shapes."""
        shapes = self.faults.shapes
        form = "oauth" if isinstance(problem, Refusal) else shapes.errors
        if problem.status == 403:
            problem.status = shapes.permission_status
        if form in {"object", "oauth"}:
            problem.names = ("id", "description") if form == "object" else ("error", "error_description")
            return super().error(problem, **headers)
        body, type_ = (PROXY_PAGE, "text/html") if form == "html" else (b"", "text/plain")
        return Response(body, problem.status, headers, type_)

    # -- failing calls -------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record a request, and let it fail where it is to."""
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        record = self.recorder.begin(scope["method"], path, query)
        try:
            decided = self._decide("token" if path == GRANT_PATH else "/".join(path.split("/")[3:]), query)
            await asyncio.sleep(self.faults.latency)
            if decided is None:
                await self._send(await self._usual(scope, receive), record, send)
            else:
                self.fired.add(id(decided[0]))
                await self._fail(*decided, record, scope, receive, send)
        finally:
            self.recorder.end()

    def _decide(self, target: str, query: str) -> tuple[Failure, int] | None:
        """How this call fails, and with which status. ``target`` is the path behind the version, or ``token``."""
        if not self.faults.failures:
            return None
        call = f"{target}?{query}"
        self._calls[call] += 1
        for number, rule in enumerate(self.faults.failures):
            matches = fnmatchcase(target, rule.at) and fnmatchcase(query, rule.query)
            if matches and (rule.at == "token" or target != "token"):
                self._matches[number] += 1
                if self._applies(number, rule, call):
                    return rule, self._chance("status", call, self._calls[call]).choice(rule.statuses)
        return None

    def _chance(self, *parts: object) -> random.Random:
        return random.Random(repr((self.organization.seed, *parts)))

    def _applies(self, number: int, rule: Failure, call: str) -> bool:
        if rule.first is not None and self._calls[call] > rule.first:
            return False
        if rule.nth and self._matches[number] not in rule.nth:
            return False
        if self._matches[number] <= rule.after:
            return False
        return rule.rate >= 1.0 or self._chance("rate", number, call, self._calls[call]).random() < rule.rate

    async def _usual(self, scope: Scope, receive: Receive) -> Response:
        """The complete answer that the call would get without a failure."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await super().__call__(scope, receive, keep)
        start, *rest = messages
        response = Response(b"".join(message.get("body", b"") for message in rest), start["status"])
        response.raw_headers = start["headers"]
        if self.rewrite is None or scope["path"] == GRANT_PATH:
            return response
        return self.rewrite(scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1"), response)

    async def _fail(
        self, rule: Failure, status: int, record: Record, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if rule.how is How.SLOW:
            await asyncio.sleep(rule.seconds)
        if rule.how is How.REVOKE:
            token = dict(scope["headers"]).get(b"authorization", b"").decode().partition(" ")[2]
            self.grants.tokens[token] = 0.0
        response = self._replaced(rule, status, scope["path"] == GRANT_PATH) or await self._usual(scope, receive)
        if rule.retry_after is not None:
            response.headers["retry-after"] = str(rule.retry_after)
        if rule.how in {How.CUT, How.RESET}:
            record.status = None if rule.how is How.RESET else response.status_code
            _break_off(response, rule, send.__self__.transport)  # type: ignore[attr-defined]  # uvicorn's cycle
            while (await receive())["type"] != "http.disconnect":
                pass
        else:
            await self._send(response, record, send)

    def _replaced(self, rule: Failure, status: int, token: bool) -> Response | None:
        """The answer that a rule puts in the place of the real one, if it does."""
        if rule.how is How.STATUS and token:
            return self.error(Refusal(status, rule.error or "server_error", "A failure."))
        if rule.how is How.STATUS:
            error = rule.error or _IDS.get(status) or HTTPStatus(status).name.lower()
            return self.error(Problem(status, error, "A failure."))
        if rule.how is How.HTML:
            return Response(PROXY_PAGE, status, media_type="text/html")
        if rule.how is How.REDIRECT:
            return Response(b"", 302, {"location": rule.location})
        return None

    async def _send(self, response: Response, record: Record, send: Send) -> None:
        record.status = response.status_code
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": response.body})


def _break_off(response: Response, rule: Failure, transport: Any) -> None:
    """Send half of the body, or nothing at all, and end the connection."""
    body = bytes(response.body)
    if rule.how is How.CUT:
        lines = [f"HTTP/1.1 {response.status_code} X".encode(), b"content-length: %d" % (len(body) + 1)]
        lines += [name + b": " + value for name, value in response.raw_headers if name != b"content-length"]
        transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body[: max(1, len(body) // 2)])
        transport.close()
        return
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:  # no lingering: the other side gets a reset, not an end
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()

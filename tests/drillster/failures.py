"""Failing calls, as a layer around the application: late, broken off, or with another answer.

uvicorn would not send a body that is shorter than it says, so broken answers are written to the connection itself.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from email.utils import formatdate
from fnmatch import fnmatchcase
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from drillster_pipeline.sandbox.endpoints import Problem
from drillster_pipeline.sandbox.oauth import GRANT_PATH, Refusal

from .endpoints import PROXY_PAGE, FaultyDrillster
from .faults import Failure, Faults, How
from .recorder import Record, Recorder

_PIECES = 20
_USUAL_IDS = {
    400: "invalid_request",
    401: "not_authenticated",
    403: "not_permitted",
    404: "not_found",
    429: "too_many_requests",
    500: "internal_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}


class Failures:
    """Decides which calls fail. They are counted from when the faults were set."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults, self._seed = faults, seed
        self._rules = faults.failures
        if faults.failure_rate:
            self._rules += (Failure(rate=faults.failure_rate, statuses=(500, 502, 503)),)
        self._calls: Counter[str] = Counter()
        self._matches: Counter[int] = Counter()

    def decide(self, target: str, query: str) -> tuple[Failure, int] | None:
        """How this call fails, and with which status. ``target`` is the path behind the version, or ``token``."""
        if not self._rules:
            return None
        call = f"{target}?{query}"
        self._calls[call] += 1
        for number, rule in enumerate(self._rules):
            matches = fnmatchcase(target, rule.at) and fnmatchcase(query, rule.query)
            if matches and (rule.at == "token" or target != "token"):
                self._matches[number] += 1
                if self._applies(number, rule, call):
                    return rule, self._chance("status", call, self._calls[call]).choice(rule.statuses)
        return None

    def _chance(self, *parts: object) -> random.Random:
        return random.Random(repr((self._seed, *parts)))

    def _applies(self, number: int, rule: Failure, call: str) -> bool:
        if rule.first is not None and self._calls[call] > rule.first:
            return False
        if rule.nth and self._matches[number] not in rule.nth:
            return False
        if self._matches[number] <= rule.after:
            return False
        return rule.rate >= 1.0 or self._chance("rate", number, call, self._calls[call]).random() < rule.rate


class FailingCalls:
    """The ASGI application with failures and a record of the requests."""

    def __init__(self, app: FaultyDrillster, recorder: Recorder) -> None:
        self.app, self._recorder = app, recorder
        self.failures = Failures(Faults(), 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record a request, and let it fail where it is to."""
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        record = self._recorder.begin(scope["method"], path, query)
        target = "token" if path == GRANT_PATH else "/".join(path.split("/")[3:])
        try:
            decided = self.failures.decide(target, query)
            await asyncio.sleep(self.failures.faults.latency)
            if decided is None:
                await self._send(await self._answer(scope, receive), record, send)
            else:
                self.app.fired.add(id(decided[0]))
                await self._fail(*decided, record, scope, receive, send)
        finally:
            self._recorder.end()

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        """What the application answers."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        start, *rest = messages
        response = Response(b"".join(message.get("body", b"") for message in rest), start["status"])
        response.raw_headers = start["headers"]
        return response

    async def _fail(
        self, rule: Failure, status: int, record: Record, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if rule.how is How.SLOW:
            await asyncio.sleep(rule.seconds)
        if rule.how is How.REVOKE:
            self.app.grants.revoke(dict(scope["headers"]).get(b"authorization", b"").decode())
        response = self._replaced(rule, status, scope["path"] == GRANT_PATH) or await self._answer(scope, receive)
        retry_after = rule.retry_after
        if isinstance(retry_after, str) and retry_after.startswith("date:"):
            retry_after = formatdate(self.app.clock() + float(retry_after[5:]), usegmt=True)
        if retry_after is not None:
            response.headers["retry-after"] = str(retry_after)
        if rule.how in {How.CUT, How.CUT_CHUNKED, How.RESET, How.RESET_IN_BODY}:
            record.status = None if rule.how is How.RESET else response.status_code
            await _break_off(response, rule, send.__self__.transport)  # type: ignore[attr-defined]  # uvicorn's cycle
            while (await receive())["type"] != "http.disconnect":
                pass
        else:
            await self._send(response, record, send, seconds=rule.seconds if rule.how is How.DRIP else 0)

    def _replaced(self, rule: Failure, status: int, token: bool) -> Response | None:
        """The answer that a rule puts in the place of the real one, if it does."""
        error = rule.error or _USUAL_IDS.get(status, f"error_{status}")
        match rule.how:
            case How.STATUS if token:
                return self.app.refusal(Refusal(status, rule.error or "server_error", "A failure."))
            case How.STATUS:
                return self.app.problem(Problem(status, error, "A failure."))
            case How.HTML:
                return Response(PROXY_PAGE, status, media_type="text/html")
            case How.EMPTY:
                return Response(b"", status, media_type="application/json")
            case How.REDIRECT:
                return Response(b"", 302, {"location": rule.location})
        return None

    async def _send(self, response: Response, record: Record, send: Send, *, seconds: float = 0) -> None:
        """Send an answer, over so many seconds."""
        record.status = response.status_code
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        body = bytes(response.body)
        if seconds:
            size = max(1, -(-len(body) // _PIECES))
            for start in range(0, len(body), size):
                await asyncio.sleep(seconds / _PIECES)
                piece = body[start : start + size]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            body = b""
        await send({"type": "http.response.body", "body": body})


async def _break_off(response: Response, rule: Failure, transport: Any) -> None:
    """Send part of an answer, or none, and end the connection."""
    body = bytes(response.body)
    half = body[: max(1, len(body) // 2)]
    lines = [f"HTTP/1.1 {response.status_code} X".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers if name != b"content-length"]
    if rule.how is How.CUT_CHUNKED:
        lines.append(b"transfer-encoding: chunked")
        half = b"%x\r\n" % (len(half) + 16) + half
    else:
        lines.append(b"content-length: %d" % (len(body) + 1))
    if rule.how is not How.RESET:
        transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + half)
    if rule.how in {How.RESET, How.RESET_IN_BODY}:
        await asyncio.sleep(0.01 if rule.how is How.RESET_IN_BODY else 0)
        raw: socket.socket | None = transport.get_extra_info("socket")
        if raw is not None:  # no lingering: the other side gets a reset, not an end
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()

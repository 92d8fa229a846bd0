"""Puts answers on the wire, whole or broken.

uvicorn would not send a body that is shorter than it says, so broken answers are written to the connection itself;
:class:`ConnectionRegister` is how an answer finds its connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .faults import Failure, How

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

Headers = list[tuple[bytes, bytes]]
_DRIPS = 20
JSON_TYPE = (b"content-type", b"application/json;charset=UTF-8")
HTML_TYPE = (b"content-type", b"text/html; charset=utf-8")
STANDARD: Headers = [
    (b"cache-control", b"no-cache, no-store, max-age=0, must-revalidate"),
    (b"x-content-type-options", b"nosniff"),
]
PROXY_PAGE = (
    b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Please try again later</h1></body></html>"
)


@dataclass(slots=True)
class Reply:
    """An answer: status, headers (length, date and the like aside), body."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=lambda: [JSON_TYPE])


class ConnectionRegister:
    """The open connections of a server, by the address of the client."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """Uvicorn's own HTTP protocol, which enters its connections here."""
        transports = self._transports

        class Registering(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen by Uvicorn when it runs
            def connection_made(self, transport: asyncio.Transport) -> None:
                self.registered = transport.get_extra_info("peername")[:2]
                transports[self.registered] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self.registered, None)
                super().connection_lost(exc)

        return Registering

    def of(self, scope: Scope) -> asyncio.Transport:
        """The connection that a request came in by."""
        return self._transports[tuple(scope["client"])]


def _head(reply: Reply, date: bytes, framing: tuple[bytes, bytes]) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in [*STANDARD, *reply.headers, (b"date", date), framing]]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def deliver(reply: Reply, date: bytes, send: Send) -> None:
    """Sends a whole answer."""
    headers = [*STANDARD, *reply.headers, (b"date", date), (b"content-length", b"%d" % len(reply.body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def drip(reply: Reply, date: bytes, send: Send, seconds: float) -> None:
    """Sends an answer in about twenty bits, over so many seconds."""
    headers = [*STANDARD, *reply.headers, (b"date", date), (b"content-length", b"%d" % len(reply.body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    size = max(1, -(-len(reply.body) // _DRIPS))
    for start in range(0, len(reply.body), size):
        await asyncio.sleep(seconds / _DRIPS)
        await send({"type": "http.response.body", "body": reply.body[start : start + size], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def break_off(
    reply: Reply, date: bytes, rule: Failure, *, transport: asyncio.Transport, receive: Receive
) -> None:
    """Sends part of an answer, or none, and ends the connection."""
    half = reply.body[: max(1, len(reply.body) // 2)]
    if rule.how in (How.CUT, How.RESET_IN_BODY):
        transport.write(_head(reply, date, (b"content-length", b"%d" % (len(reply.body) + 1))) + half)
    elif rule.how is How.CUT_CHUNKED:
        head = _head(reply, date, (b"transfer-encoding", b"chunked"))
        transport.write(head + b"%x\r\n" % (len(half) + 16) + half)
    if rule.how in (How.RESET, How.RESET_IN_BODY):
        await asyncio.sleep(0.01 if rule.how is How.RESET_IN_BODY else 0)
        raw: socket.socket | None = transport.get_extra_info("socket")
        if raw is not None:  # no lingering: the other side gets a reset, not an end
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass

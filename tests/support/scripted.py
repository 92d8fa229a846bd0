"""A server on a real socket: a function from request to response, byte by byte if need be. It records requests."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

HEADERS = {"Authorization": "Bearer s3cret-token", "Accept-Encoding": "gzip"}
"""Of a request that a client makes."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode(), strict_parsing=True).items()}

    @property
    def token(self) -> str:
        return self.headers["authorization"].removeprefix("Bearer ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    pieces: Iterable[bytes] | None = None
    """Sent as they are, instead of everything else; the connection is closed after them."""
    piece_wait: float = 0.0
    reset: bool = False


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status=status, body=json.dumps(value).encode(), headers=named)


class ScriptedServer(socketserver.ThreadingTCPServer):
    """``answer`` is called for each request, in the thread of its connection; replace it at any time."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[Request], Reply], *, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.answer, self.context = answer, context
        self.requests: list[Request] = []
        self.connections: list[socket.socket] = []
        self.closing = threading.Event()
        self.port = self.server_address[1]
        self.url = f"{'https' if context else 'http'}://{'localhost' if context else '127.0.0.1'}:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def get_request(self) -> tuple[Any, Any]:
        """A new connection, whose handshake is made in its own thread."""
        connection, address = super().get_request()
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.connections.append(connection)
        return connection, address

    def handle_error(self, *_: Any) -> None:
        """Of a connection: clients may leave at any time, but an error of a test is one."""
        if not isinstance(sys.exc_info()[1], OSError):
            raise  # noqa: PLE0704 - called while it is handled


class _Connection(socketserver.StreamRequestHandler):
    server: ScriptedServer
    disable_nagle_algorithm = True

    def handle(self) -> None:
        number, is_open = self.server.connections.index(self.request) + 1, True
        while is_open and (first := self.rfile.readline().decode("latin-1")):
            if not first.isascii():  # TLS, which this server does not speak
                self.request.sendall(b"HTTP/1.1 400 X\r\n\r\n")
                return
            method, target, _ = first.split(" ", 2)
            lines = iter(lambda: self.rfile.readline().decode().strip(), "")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            request = Request(method, target, headers, body, number, time.monotonic())
            self.server.requests.append(request)
            is_open = self._reply(self.server.answer(request))

    def _reply(self, reply: Reply) -> bool:
        """Send it; returns whether the connection stays open."""
        self.server.closing.wait(reply.wait)
        if reply.reset:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.request.close()
        elif reply.pieces is not None:
            for piece in reply.pieces:
                self.request.sendall(piece)
                self.server.closing.wait(reply.piece_wait)
        else:
            head = {"Content-Type": "application/json", "Content-Length": str(len(reply.body)), **reply.headers}
            lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
            self.request.sendall(f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode() + reply.body)
        return not reply.reset and reply.pieces is None


def play(*replies: Reply) -> Callable[[Request], Reply]:
    """An ``answer`` that gives replies in turn; the last one is repeated for ever."""
    rest = chain(replies, repeat(replies[-1]))
    return lambda _: next(rest)


def head(**headers: object) -> bytes:
    """The beginning of a good answer with these headers, an underscore for each hyphen."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode()

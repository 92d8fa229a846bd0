"""Connections that can be aborted: exchanges that take too long, and all of them when the work is cancelled.

A socket's timeout counts from one piece to the next: a server (or something in between) that sends a byte now and
then blocks a thread for hours, and a thread that awaits a response does not notice that the work was cancelled. So one
thread watches all exchanges of a transport, and shuts the socket down under those that must end; the thread that
reads from it then fails at once.

The adapter is that of requests for one host that is asked thousands of things. What HTTPAdapter and http.client work
out anew for every request is 40 % of the CPU time of a request, and with many threads in one process it is CPU time
that bounds how fast a crawl can go.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import re
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import connection, connectionpool

from .retry import CancelToken

if TYPE_CHECKING:
    from urllib3.response import HTTPResponse

_LONGEST_INTERVAL = 0.2
"""Seconds between two checks; an exchange may take that much longer than it should."""

# With that warning urllib3 prints the complete URL and whatever the server sent in place of headers.
logging.getLogger("urllib3.connection").addFilter(lambda record: "Failed to parse headers" not in str(record.msg))

_of_thread = threading.local()
"""``exchange``: the one that the thread is in, for the connection that will carry it."""


@dataclass(slots=True, eq=False)
class Exchange:
    """A request under way: until when it may take, and on which socket it is (None: not connected yet)."""

    deadline: float
    cancel: CancelToken
    socket: socket.socket | None = None
    is_aborted: bool = False

    def abort(self) -> None:
        """Shut the socket down: the thread that reads from it gets an error."""
        self.is_aborted = True
        if self.socket is not None:
            with contextlib.suppress(OSError):
                # On a TLS socket its own shutdown() would pull the TLS state from under the reading thread.
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class Watchdog:
    """Watches the exchanges of one transport; its thread starts with the first of them."""

    def __init__(self, *, response_seconds: float) -> None:
        self._response_seconds = response_seconds
        self._interval = min(_LONGEST_INTERVAL, response_seconds / 4)
        self._lock = threading.Lock()
        self._exchanges: set[Exchange] = set()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def begin(self, cancel: CancelToken) -> Exchange:
        """Note that this thread begins an exchange, which ends early when ``cancel`` is cancelled."""
        exchange = Exchange(time.monotonic() + self._response_seconds, cancel)
        with self._lock:
            self._exchanges.add(exchange)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="drillster-watchdog", daemon=True)
                self._thread.start()
        _of_thread.exchange = exchange
        return exchange

    def end(self, exchange: Exchange) -> None:
        """Note that the exchange is over."""
        _of_thread.exchange = None
        with self._lock:
            self._exchanges.discard(exchange)

    def close(self) -> None:
        """End what is still under way, and the thread."""
        self._closed.set()
        with self._lock:
            for exchange in self._exchanges:
                exchange.abort()

    def _watch(self) -> None:
        while not self._closed.wait(self._interval):
            now = time.monotonic()
            with self._lock:
                for exchange in self._exchanges:
                    if now > exchange.deadline or exchange.cancel.is_cancelled:
                        exchange.abort()


class HostAdapter(HTTPAdapter):
    """An adapter for requests to one origin (scheme, host and port), all by the same route.

    Plain http must not go through a proxy: see :class:`~drillster_pipeline.api.transport.Transport`.
    """

    def __init__(self, *, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections)
        self._pool: connectionpool.ConnectionPool | None = None

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> connectionpool.ConnectionPool:
        """The pool that ``send`` takes a connection from (called by HTTPAdapter)."""
        if self._pool is None:
            try:
                self._pool = super().get_connection_with_tls_context(*args, **kwargs)
            except (TypeError, ValueError) as error:  # whatever it stumbles over in the address of a proxy
                raise requests.exceptions.InvalidProxyURL(error) from error
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:  # noqa: ARG002 - HTTPAdapter's own
        """What stands in the request line (called by HTTPAdapter): never the complete URL, as no proxy reads it."""
        return request.path_url

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:  # noqa: ARG002 - the same
        """A response (called by HTTPAdapter) without cookies, and without the request and the token in it."""
        response = requests.Response()
        response.status_code, response.raw = resp.status, resp
        return response

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager of direct connections (called by HTTPAdapter)."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make, or find, the manager of connections through a proxy (called by HTTPAdapter)."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # those have connections of their own
            manager.pool_classes_by_scheme = _POOLS
        return manager


class PlainHeadResponse(http.client.HTTPResponse):
    """A response whose head is read without the parser of e-mails that http.client uses for it.

    That parser takes an eighth of all CPU time of a request. The head of nearly every response is a dozen plain lines,
    for which one regular expression is enough. Anything else (any status but 200, lines that are folded or malformed,
    a head that has not arrived in one piece) is left to http.client, from the first byte on.
    """

    def begin(self, **options: Any) -> None:
        """Read the head (called by HTTPConnection)."""
        if self.headers is None and not self._begin_plain():
            super().begin(**options)

    def _begin_plain(self) -> bool:
        """Read a plain head; False, and nothing is read, where it is not one."""
        head = _PLAIN.match(self.fp.peek())
        if head is None:
            return False
        message = http.client.HTTPMessage()
        for line in head[2].decode("latin-1").split("\r\n")[:-1]:
            name, _, value = line.partition(":")
            message[name] = value.lstrip(" \t")
        chunked = message.get("transfer-encoding")
        length = message.get("content-length")
        if (chunked is not None and chunked.lower() != "chunked") or (length and not _DIGITS.fullmatch(length)):
            return False
        self.fp.read(head.end())
        self.version, self.status, self.code, self.reason = 11, 200, 200, head[1].decode("latin-1").strip()
        self.headers = self.msg = message
        self.chunked = chunked is not None
        if self.chunked:
            self.chunk_left = None
        self.length = int(length) if length and not self.chunked else None
        # What says neither how long it is nor that it comes in chunks lasts until the connection ends.
        endless = self.length is None and not self.chunked
        self.will_close = endless or "close" in message.get("connection", "").lower()
        return True


_PLAIN = re.compile(rb"HTTP/1\.1 200 ([^\r\n]*)\r\n((?:[!-9;-~]+:[^\r\n]*\r\n){1,50})\r\n")
"""A status line, headers as RFC 9112 (section 5) wants them, and the empty line. http.client says how many are many."""
_DIGITS = re.compile("[0-9]{1,18}")


class _Watched:
    """Mixed into the connections of urllib3: the watchdog learns on which socket a response comes."""

    response_class = PlainHeadResponse
    sock: socket.socket | None

    def getresponse(self) -> HTTPResponse:
        exchange: Exchange | None = getattr(_of_thread, "exchange", None)
        if exchange is not None:
            exchange.socket = self.sock
            if exchange.is_aborted:  # while it was still connecting
                raise TimeoutError
        return super().getresponse()  # type: ignore[misc,no-any-return]  # of the connection that this is mixed into


class _Plain(_Watched, connection.HTTPConnection):  # type: ignore[misc]  # the mixin's getresponse calls the other
    pass


class _Secure(_Watched, connection.HTTPSConnection):  # type: ignore[misc]  # the same
    pass


class _PlainPool(connectionpool.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(connectionpool.HTTPSConnectionPool):
    ConnectionCls = _Secure


_POOLS = {"http": _PlainPool, "https": _SecurePool}

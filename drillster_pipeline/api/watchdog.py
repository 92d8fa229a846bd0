"""Cuts exchanges that take too long, and all of them when the work is called off.

A socket's timeout counts from one piece to the next: a server (or something in between) that sends a byte now and
then holds a thread for hours, and a thread that awaits an answer does not notice that the work was called off. So one
thread looks after all exchanges of a transport, and shuts the socket down under those that must end; the thread that
reads from it then fails at once.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3 import connection, connectionpool

from .response_head import HeadResponse

if TYPE_CHECKING:
    from urllib3.response import HTTPResponse

    from .cancellation import CancelToken

_LONGEST_INTERVAL = 0.2
"""Seconds between two looks; an exchange may take that much longer than it should."""


def _harmless(record: logging.LogRecord) -> bool:
    return "Failed to parse headers" not in str(record.msg)


# With that warning urllib3 prints the whole URL and whatever the server sent in place of headers.
logging.getLogger("urllib3.connection").addFilter(_harmless)

_of_thread = threading.local()
"""``wire``: the exchange that the thread is in, for the connection that will carry it."""


@dataclass(slots=True, eq=False)
class Exchange:
    """An exchange under way: until when it may take, and on which socket it is (None: not connected yet)."""

    deadline: float
    cancel: CancelToken
    socket: socket.socket | None = None
    cut: bool = False

    def abort(self) -> None:
        """Shut the socket down: whoever reads from it meets its end."""
        self.cut = True
        if self.socket is not None:
            with contextlib.suppress(OSError):
                # On a TLS socket its own shutdown() would pull the TLS state from under the reading thread.
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class Watchdog:
    """Looks after the exchanges of one transport; its thread starts with the first of them."""

    def __init__(self, *, answer_seconds: float) -> None:
        self._answer_seconds = answer_seconds
        self._interval = min(_LONGEST_INTERVAL, answer_seconds / 4)
        self._lock = threading.Lock()
        self._wires: set[Exchange] = set()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def begin(self, cancel: CancelToken) -> Exchange:
        """Note that this thread begins an exchange, which ends early when ``cancel`` is stopped."""
        wire = Exchange(time.monotonic() + self._answer_seconds, cancel)
        with self._lock:
            self._wires.add(wire)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="drillster-watch", daemon=True)
                self._thread.start()
        _of_thread.wire = wire
        return wire

    def end(self, wire: Exchange) -> None:
        """Note that the exchange is over."""
        _of_thread.wire = None
        with self._lock:
            self._wires.discard(wire)

    def close(self) -> None:
        """End what is still under way, and the thread."""
        self._closed.set()
        with self._lock:
            for wire in self._wires:
                wire.abort()

    def _look(self) -> None:
        while not self._closed.wait(self._interval):
            now = time.monotonic()
            with self._lock:
                for wire in self._wires:
                    if now > wire.deadline or wire.cancel.stopped:
                        wire.abort()


def _carry(sock: socket.socket | None) -> None:
    """Tell the exchange of this thread which socket its answer comes on."""
    wire: Exchange | None = getattr(_of_thread, "wire", None)
    if wire is not None:
        wire.socket = sock
        if wire.cut:  # while it was still connecting
            raise TimeoutError


class _Plain(connection.HTTPConnection):
    response_class = HeadResponse

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
        _carry(self.sock)
        return super().getresponse()


class _Secure(connection.HTTPSConnection):
    response_class = HeadResponse

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
        _carry(self.sock)
        return super().getresponse()


class _PlainPool(connectionpool.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(connectionpool.HTTPSConnectionPool):
    ConnectionCls = _Secure


_POOLS = {"http": _PlainPool, "https": _SecurePool}


class WatchedAdapter(HTTPAdapter):
    """An adapter of requests whose connections can be watched."""

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

"""A wire to a server of tests that breaks where a test wants it."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress

Rule = Callable[[bytes, bool], bytes]
"""What goes on of bytes that were sent, by the client if True. Where it is not all of them, the connection ends."""


class Wire(socketserver.ThreadingTCPServer):
    """A port of this machine that leads to a server, reached by ``connect``; each connection has a rule of its own."""

    daemon_threads = True

    def __init__(self, connect: Callable[[], socket.socket], new_rule: Callable[[], Rule]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.connect, self.new_rule = connect, new_rule
        self.over = threading.Event()
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """End all connections, and take no more."""
        self.over.set()
        self.shutdown()
        self.server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: Wire

    def handle(self) -> None:
        rule = self.server.new_rule()
        with suppress(OSError), self.server.connect() as far:
            ends = {self.request: far, far: self.request}
            while not self.server.over.is_set():
                for ready in select.select([*ends], [], [], 0.05)[0]:
                    data = ready.recv(65536)
                    passed = rule(data, ready is self.request)
                    ends[ready].sendall(passed)
                    if not data or passed != data:
                        return

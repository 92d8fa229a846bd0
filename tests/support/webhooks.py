"""A webhook on a real socket, which can be down, slow or rude."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """A webhook on a real socket."""

    status: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    asked: int = 0
    pings: int = 0
    """How often it was asked with GET."""
    held: threading.Event = field(default_factory=threading.Event)
    """Nothing is answered until it is set; set from the start."""
    endless: bool = False
    """The body of an answer never ends."""

    def __post_init__(self) -> None:
        self.held.set()


@contextmanager
def running_webhook() -> Iterator[Webhook]:
    """One that listens."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hook.pings += 1
            self.send_response(hook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.asked += 1
            hook.held.wait(10)
            if hook.status == 200:
                hook.got.append(json.loads(body))
            self.send_response(hook.status)
            self.send_header("Content-Length", "9" if hook.endless else "0")
            self.end_headers()
            if hook.endless:
                threading.Event().wait(1)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/services/T0/very-secret"
    yield hook
    server.shutdown()
    server.server_close()
    thread.join()

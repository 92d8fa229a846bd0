"""A webhook on a real socket, which can be down, slow or rude."""

from __future__ import annotations

import json
import threading
from typing import Any

from .scripted import Reply, Request, ScriptedServer, head


class Webhook(ScriptedServer):
    """A webhook, also of a heartbeat: that comes with GET."""

    def __init__(self) -> None:
        super().__init__(self._reply)
        self.url += "/services/T0/very-secret"
        self.status = 200
        self.endless = False
        """The body of a response never ends."""
        self.held = threading.Event()
        """No message is answered until it is set; set from the start."""
        self.held.set()
        self.got: list[dict[str, Any]] = []
        """The messages that were taken."""
        self.asked = self.pings = 0

    def _reply(self, request: Request) -> Reply:
        if request.method == "GET":
            self.pings += 1
        else:
            self.asked += 1
            self.held.wait(10)
            if self.status == 200:
                self.got.append(json.loads(request.body))
        if self.endless:
            return Reply(pieces=[head(Content_Length=9)], piece_wait=1)
        return Reply(status=self.status, body=b"")

"""The head of an answer, read without the parser of e-mails that http.client lends for it.

That parser, made for letters of any age and origin, takes an eighth of all CPU time of a walk. The head of nearly
every answer is a dozen plain lines, which one regular expression can vouch for. Whatever it does not vouch for (any
status but 200, lines that are folded or malformed, a head that has not arrived in one piece) is left to http.client,
from the first byte on.
"""

from __future__ import annotations

import http.client
import re
from typing import Any

_PLAIN = re.compile(rb"HTTP/1\.1 200 ([^\r\n]*)\r\n((?:[!-9;-~]+:[^\r\n]*\r\n){1,50})\r\n")
"""A status line, headers as RFC 9112 (section 5) wants them, and the empty line.

Fifty headers are plenty; how many are too many, http.client says.
"""
_DIGITS = re.compile("[0-9]{1,18}")


class HeadResponse(http.client.HTTPResponse):
    """A response of http.client, to be set as the ``response_class`` of a connection."""

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

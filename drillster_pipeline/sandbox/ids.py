"""Identifiers that look like Drillster's and can be read back, so that no register of things is needed.

22 characters of ``[A-Za-z0-9_-]`` (16 bytes), groups 43 (32 bytes): 8 bytes of tag, and the kind and two numbers
under a mask that only the seed gives away. An id that this organization never gave out does not pass the tag.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple


class Kind(IntEnum):
    """What an id names. The values are part of the ids: never renumber."""

    ORGANIZATION = 1
    PERSON = 2  # chair, occupant
    EXTERNAL = 3  # group slot and seat, occupant
    STAFF = 4  # administrators who do not learn: number
    GROUP = 5  # slot, life
    DRILL = 6  # index in the library
    COURSE = 7
    TEST = 8  # group slot, number within it
    OBJECTIVE = 9  # group slot and life, slot and version
    CATALOG = 10
    OTHER_ORGANIZATION = 11


class Reference(NamedTuple):
    """What an id says: its kind, and which one."""

    kind: Kind
    first: int
    second: int


_LONG = frozenset({Kind.GROUP})
_SHORT_LENGTH, _LONG_LENGTH = 22, 43
_KINDS = frozenset(int(kind) for kind in Kind)


class Ids:
    """Writes and reads the ids of one organization."""

    def __init__(self, seed: int) -> None:
        self._key = blake2b(seed.to_bytes(16, "big", signed=True), digest_size=32).digest()
        self.make = lru_cache(maxsize=65_536)(self._make)
        self.read = lru_cache(maxsize=16_384)(self._read)

    def _pad(self, data: bytes, size: int) -> bytes:
        return blake2b(data, key=self._key, digest_size=size).digest()

    def _make(self, kind: Kind, first: int = 0, second: int = 0) -> str:
        plain = bytes([kind]) + first.to_bytes(4, "big") + second.to_bytes(3, "big")
        tag = self._pad(plain, 8)
        pad = int.from_bytes(self._pad(tag, 8), "big")
        data = tag + (int.from_bytes(plain, "big") ^ pad).to_bytes(8, "big")
        if kind in _LONG:
            data += self._pad(data, 16)
        return urlsafe_b64encode(data).rstrip(b"=").decode()

    def _read(self, text: str) -> Reference | None:
        if len(text) not in (_SHORT_LENGTH, _LONG_LENGTH):
            return None
        try:
            data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        tag, masked, rest = data[:8], data[8:16], data[16:]
        plain = (int.from_bytes(masked, "big") ^ int.from_bytes(self._pad(tag, 8), "big")).to_bytes(8, "big")
        if plain[0] not in _KINDS or self._pad(plain, 8) != tag:
            return None
        reference = Reference(Kind(plain[0]), int.from_bytes(plain[1:5], "big"), int.from_bytes(plain[5:], "big"))
        if (reference.kind in _LONG) != bool(rest) or self.make(*reference) != text:
            return None
        return reference

    def opaque(self, *parts: int) -> str:
        """22 characters that name something for ever, but cannot be read back (an attempt, an event)."""
        data = b"".join(part.to_bytes(8, "big", signed=False) for part in parts)
        return urlsafe_b64encode(self._pad(data, 16)).rstrip(b"=").decode()

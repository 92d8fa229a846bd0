"""Decides, for each call, whether and how it fails, and bends answers as the faults ask for."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from email.utils import formatdate
from fnmatch import fnmatchcase
from hashlib import blake2b
from time import time
from typing import Any

from .faults import Failure, Faults, FieldFault, How
from .objects import Object
from .paging import Json
from .validation import validate

_CACHED_BYTES = 64 * 1024 * 1024
_LISTS = (
    "accounts", "groups", "members", "groupStaffUsers", "users", "drillables", "objectives", "evaluations", "events",
    "groupDrillableMemberResults", "memberTestResults", "testResults", "catalogs", "playables",
)  # fmt: skip


class Chaos:
    """One set of faults at work: it counts calls from when it was set, and keeps the answers that do not change.

    Raises ValueError for faults that could never do anything. Only the server's event loop touches it, so it needs no
    lock.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        validate(faults)
        self.faults = faults
        self.fired: set[int] = set()
        """``id()`` of the failures, page faults and field faults that have done something."""
        self._seed = seed
        self._calls: Counter[str] = Counter()
        self._matches: Counter[int] = Counter()
        self._rules = faults.failures
        if faults.failure_rate:
            self._rules += (Failure(rate=faults.failure_rate, statuses=faults.failure_statuses),)
        self._cache: OrderedDict[tuple[Any, ...], tuple[bytes, bytes | None]] = OrderedDict()
        self._cached = 0

    def _chance(self, *parts: object) -> float:
        digest = blake2b(repr((self._seed, *parts)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2.0**64

    def decide(self, target: str, query: str) -> Failure | None:
        """The failure of this call, if it is to fail. ``target`` is the path behind the version, or ``token``."""
        if not self._rules:
            return None
        call = f"{target}?{query}"
        self._calls[call] += 1
        for number, rule in enumerate(self._rules):
            matches = fnmatchcase(target, rule.at) and fnmatchcase(query, rule.query)
            if matches and (rule.at == "token" or target != "token"):
                self._matches[number] += 1
                if self._applies(number, rule, call):
                    self.fired.add(id(rule))
                    return rule
        return None

    def _applies(self, number: int, rule: Failure, call: str) -> bool:
        if rule.first is not None and self._calls[call] > rule.first:
            return False
        if rule.nth and self._matches[number] not in rule.nth:
            return False
        if self._matches[number] <= rule.after:
            return False
        return rule.rate >= 1.0 or self._chance("rate", number, call, self._calls[call]) < rule.rate

    def status(self, rule: Failure, call: str) -> int:
        """Which of the rule's statuses this call gets."""
        which = self._chance("status", call, self._calls[call]) if len(rule.statuses) > 1 else 0.0
        return rule.statuses[int(which * len(rule.statuses))]

    async def wait(self, rule: Failure | None, call: str) -> None:
        """The latency of this call."""
        faults = self.faults
        seconds = faults.latency
        if faults.latency_jitter:
            self._calls[call] += not self._rules
            seconds += faults.latency_jitter * self._chance("latency", call, self._calls[call])
        if rule is not None and rule.how is How.SLOW:
            seconds += rule.seconds
        if seconds > 0:
            await asyncio.sleep(seconds)

    def retry_after(self, rule: Failure) -> str | None:
        """The Retry-After header of a failure."""
        value = rule.retry_after
        if isinstance(value, str) and value.startswith("date:"):
            return formatdate(time() + self.faults.clock_skew + float(value[5:]), usegmt=True)
        return None if value is None else str(value)

    # -- answers that do not change ------------------------------------------------------------------------------

    def kept(self, key: tuple[Any, ...]) -> tuple[bytes, bytes | None] | None:
        """An answer that was given before: plain, and compressed if it is long enough for that."""
        found = self._cache.get(key)
        if found is not None:
            self._cache.move_to_end(key)
        return found

    def keep(self, key: tuple[Any, ...], plain: bytes, packed: bytes | None) -> None:
        """Remember an answer, and forget the oldest where it gets too much."""
        self._cache[key] = plain, packed
        self._cached += len(plain) + len(packed or b"")
        while self._cached > _CACHED_BYTES:
            _, (old, old_packed) = self._cache.popitem(last=False)
            self._cached -= len(old) + len(old_packed or b"")

    def bend(self, resource: str, body: Json) -> None:
        """Applies the field faults of a resource to a documented answer, in place."""
        wanted = [fault for fault in self.faults.fields if fault.resource in (resource, "*")]
        if not wanted:
            return
        items: list[Json] = [body]
        if isinstance(body, list):
            items = body
        else:
            items = next((body[name] for name in _LISTS if isinstance(body.get(name), list)), items)
        for fault in wanted:
            for item in items[:: fault.every]:
                if _bend_field(item, fault):
                    self.fired.add(id(fault))


def _bend_field(item: Object, fault: FieldFault) -> bool:
    """Whether there was something to change."""
    *path, last = fault.field.split(".")
    for name in path:
        inner = item.get(name) if isinstance(item, dict) else None
        if isinstance(inner, list):
            inner = inner[0] if inner else None
        if not isinstance(inner, dict):
            return False
        item = inner
    if fault.what == "missing":
        return item.pop(last, None) is not None
    item[last] = None if fault.what == "null" else fault.value
    return True

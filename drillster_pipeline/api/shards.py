"""Which shard of a capture reads which units.

A group belongs to one shard, with all that is read of it. Groups are given out by the number of their members, since
those make most of the requests; the results of a group that is too large for one shard are spread over all of them.
What belongs to no group is read by the first shard.
"""

from __future__ import annotations

import json
import logging
import secrets
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from drillster_pipeline.archive.captures import CaptureWriter, described
from drillster_pipeline.archive.storage import Storage
from drillster_pipeline.errors import ArchiveCorrupt
from drillster_pipeline.resources import GROUP_MEMBERS, GROUPS, RESULTS, Endpoint

Share = Callable[[Endpoint, Mapping[str, str]], bool]
"""Whether a process reads a unit: given its endpoint, and its parameters as the archive has them."""

PLAN = "plan.json"
_WALK = ".walk.json"
"""What a process has requested."""
_REQUESTS_OF_A_GROUP = 5
"""Itself, members, staff, drillables, objectives."""
_PARTS_OF_A_SHARD = 8
"""A group that makes more than such a part of a shard is spread over all of them."""
_LEAST_TO_SPREAD = 200
"""Members; to spread fewer gains nothing."""

logger = logging.getLogger(__name__)


def everything(_: Endpoint, __: Mapping[str, str]) -> bool:
    """The share of a process that captures alone."""
    return True


def only_groups(endpoint: Endpoint, _: Mapping[str, str]) -> bool:
    """The list of groups, by which the rest is planned."""
    return endpoint is GROUPS


@dataclass(frozen=True, kw_only=True)
class CapturePlan:
    """How the units of a capture are spread; kept in its folder until it is complete, and after."""

    run_id: str | None
    """Of the run that began the capture."""
    organization: str | None
    """The organization that Drillster answered for."""
    earlier_groups: tuple[str, ...]
    """Groups that are requested by their id where the list does not have them."""
    groups: tuple[frozenset[str], ...]
    """Those of each shard."""
    spread: frozenset[str] = field(default_factory=frozenset)
    """Groups whose results are read by all shards."""
    continues: bool = False
    """Whether there was something of other shards before this plan."""

    @property
    def shards(self) -> int:
        """How many there are."""
        return len(self.groups)

    def share(self, shard: int) -> Share:
        """What a shard reads."""
        own = self.groups[shard]

        def is_own(endpoint: Endpoint, params: Mapping[str, str]) -> bool:
            group = params.get("group_id")
            if group is None:
                return shard == 0
            if endpoint is RESULTS and group in self.spread:
                return _hash(params["account_id"]) % self.shards == shard
            return group in own

        return is_own

    def is_for_all(self, endpoint: Endpoint, params: Mapping[str, str]) -> bool:
        """The units that are read before the shards: the members of groups that are spread over all."""
        return endpoint is GROUP_MEMBERS and params["group_id"] in self.spread

    def write(self, storage: Storage, folder: str) -> None:
        """Put it into the folder of a capture."""
        described_as = asdict(self) | {"groups": [sorted(own) for own in self.groups], "spread": sorted(self.spread)}
        storage.write(f"{folder}/{PLAN}", json.dumps(described_as).encode())

    @classmethod
    def read(cls, storage: Storage, folder: str) -> CapturePlan | None:
        """The plan of a capture, if it has one that can be read: else the capture is planned anew, and goes on."""
        where = f"{folder}/{PLAN}"
        if PLAN not in storage.names(folder):
            return None
        try:
            found: dict[str, Any] = described(storage.read(where), where)
            return cls(
                **{
                    **found,
                    "earlier_groups": tuple(found["earlier_groups"]),
                    "groups": tuple(map(frozenset, found["groups"])),
                    "spread": frozenset(found["spread"]),
                }
            )
        except (ArchiveCorrupt, KeyError, TypeError):
            logger.warning("%s is damaged, or of another version, and is not considered.", where)
            return None


def distributed(sizes: Mapping[str, int], shards: int) -> tuple[frozenset[str], ...]:
    """The groups of each shard; ``sizes`` are the requests that follow from each group, less some for the group itself.

    The largest goes first, to the shard that has least so far.
    """
    own: list[set[str]] = [set() for _ in range(shards)]
    load = [0] * shards
    for group, size in sorted(sizes.items(), key=lambda each: (-each[1], each[0])):
        least = load.index(min(load))
        own[least].add(group)
        load[least] += _REQUESTS_OF_A_GROUP + size
    return tuple(map(frozenset, own))


def too_large(sizes: Mapping[str, int], shards: int) -> frozenset[str]:
    """The groups whose results are to be spread over all shards; ``sizes`` are the numbers of their members."""
    most = max(_LEAST_TO_SPREAD, sum(sizes.values()) / (shards * _PARTS_OF_A_SHARD))
    return frozenset(group for group, size in sizes.items() if size > most)


def _hash(text: str) -> int:
    """The same in every process, unlike that of Python."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def write_walk(writer: CaptureWriter, name: str, walk: Mapping[str, float]) -> None:
    """Keep what a process has requested for a capture, beside what others have, as a shard may be read twice."""
    if walk["requests"]:
        where = f"{writer.ref.folder}/{name}-{secrets.token_hex(4)}{_WALK}"
        writer.storage.write(where, json.dumps(walk).encode())


def complete_walk(writer: CaptureWriter, walk: Mapping[str, float]) -> dict[str, float]:
    """What all processes have requested; what one that was killed had requested is not known."""
    names = [name for name in writer.storage.names(writer.ref.folder) if name.endswith(_WALK)]
    total = Counter(walk)
    for name in names:
        total.update(described(writer.storage.read(f"{writer.ref.folder}/{name}"), name))
    return {name: round(number, 3) for name, number in total.items()}

"""How large the sandbox's organization is."""

from __future__ import annotations

from dataclasses import dataclass

from .calendar import DAY

_STAFF = 2
"""Accounts that do not learn: the service account and an application manager."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many of everything. What is None follows from the number of accounts.

    A benchmark that wants a given number of requests sets the others as well: a night costs about one request for
    each member of each group, and each of those answers holds ``drillables_per_group`` result rows.
    ``stable`` is an organization in which nobody joins or leaves and nothing is renamed, added or removed, so that
    every group has exactly ``members_per_group`` members, externals and invitees none: only people's learning moves.
    ``import_batch`` accounts of the first import share one millisecond of creation.
    ``pace`` is how many days of the organization's affairs pass in one day: people come and go, groups and objectives
    begin and end so much sooner. Learning takes its time all the same. At a pace above 1 some things happen as well
    that otherwise never do: accounts are taken from the list and come back, drills are renamed, catalogs come and go.
    """

    accounts: int = 60
    groups: int | None = None
    members_per_group: int | None = None
    drillables_per_group: int | None = None
    objectives_per_group: int = 4
    tests_per_group: int | None = None
    catalogs: int = 2
    playables_per_catalog: int = 16
    import_batch: int = 1
    stable: bool = False
    pace: int = 1

    def __post_init__(self) -> None:
        """Raises ValueError for sizes that cannot be."""
        if not 3 <= self.accounts <= 1_000_000:
            raise ValueError(f"accounts must be 3 to 1,000,000, not {self.accounts}")
        if not 1 <= self.pace <= 24:
            raise ValueError(f"pace must be 1 to 24, not {self.pace}")
        for name in ("groups", "members_per_group", "drillables_per_group"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if (self.members_per_group or 0) > self.chairs:
            raise ValueError(
                f"members_per_group is {self.members_per_group}, but only {self.chairs} accounts can learn"
            )
        if not 0 <= self.objectives_per_group <= 60:
            raise ValueError(f"objectives_per_group must be 0 to 60, not {self.objectives_per_group}")

    @property
    def day(self) -> int:
        """Milliseconds of a day in the organization's affairs."""
        return DAY // self.pace

    @property
    def chairs(self) -> int:
        """How many people at most learn at one time."""
        return self.accounts - _STAFF

    @property
    def group_slots(self) -> int:
        """How many groups at most exist at one time."""
        return self.groups if self.groups is not None else max(3, round(3 + self.accounts / 20))

    @property
    def departments(self) -> int:
        """How many of the groups are departments: everybody is in one of them. The others cut across."""
        return max(1, self.group_slots * 3 // 5)

    @property
    def administrators(self) -> int:
        """How many of the learners are administrators as well."""
        return min(self.chairs, 1 + self.accounts // 50)

    @property
    def library(self) -> int:
        """How many drills and courses the organization has."""
        return max(48, 3 * (self.drillables_per_group or 0))

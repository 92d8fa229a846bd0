"""How many there are of everything, and how many requests reading it takes, by the pages of a probe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drillster_pipeline import resources as api
from drillster_pipeline.api.crawler import count_in
from drillster_pipeline.api.paging import PAGE_SIZES
from drillster_pipeline.resources import Endpoint

from .amounts import Amount, scaled, total

if TYPE_CHECKING:
    from .pages import Observation
    from .probing import Probe


@dataclass(frozen=True, slots=True)
class _Group:
    """What is known of one group; None where it is not."""

    members: int | None
    drillables: int | None
    tests: int | None


class Counted:
    """How many there are of everything, by the pages of a probe."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        listed = [item for item in probe.of(api.GROUPS).items if isinstance(item, dict)]
        self.groups = _all_of(probe.of(api.GROUPS).pages)
        asked = probe.of(api.OBJECTIVES).pages
        known = {key: _group(item) for item in listed if (key := api.GROUPS.id_of(item))}
        self._complete(known)
        self.listed = [group for group in known.values() if group.members is not None]
        self.asked = len(asked)
        self.memberships = self._of_listed(lambda group: (group.members or 0) * self._answerable)
        self.objectives = scaled([_all_of([page]) for page in asked], self.groups)
        results = self._of_listed(lambda group: (group.members or 0) * (group.drillables or 0))
        evaluations = self._of_listed(lambda group: group.members or 0).by(self._objectives_each)
        self.snapshot_rows = total([results, evaluations])
        self.items = {
            "accounts": Amount(_all_of(probe.of(api.ACCOUNTS).pages)),
            "groups": Amount(2 * self.groups),  # once in the list, and once by itself
            "group_members": self._of_listed(lambda group: group.members or 0),
            "group_drillables": self._of_listed(lambda group: group.drillables or 0),
            "objectives": self.objectives,
            "objective_evaluations": evaluations,
            "results": results,
            "test_results": self._of_listed(lambda group: (group.tests or 0) * (group.members or 0)),
        }
        """Items in all lists of a resource together."""

    def _complete(self, known: dict[str, _Group]) -> None:
        """Where a group came without counts, those of its own lists stand in, if they were asked for."""
        seen: dict[str, dict[Endpoint, int]] = {}
        for endpoint in (api.GROUP_MEMBERS, api.GROUP_DRILLABLES):
            for page in self._probe.of(endpoint).pages:
                seen.setdefault(page.unit.params["group_id"], {})[endpoint] = _all_of([page])
        for key, lists in seen.items():
            if key in known:
                group = known[key]
                known[key] = _Group(
                    lists.get(api.GROUP_MEMBERS) if group.members is None else group.members,
                    lists.get(api.GROUP_DRILLABLES) if group.drillables is None else group.drillables,
                    group.tests,
                )

    @property
    def _objectives_each(self) -> Amount:
        """How many objectives a group has."""
        return self.objectives.times(1 / self.groups) if self.groups else Amount(0)

    @property
    def _answerable(self) -> float:
        """Of what the counts name as members, how many are asked for by id: invitees may have one, too."""
        ids = counts = 0
        for page in self._probe.of(api.GROUP_MEMBERS).pages:
            promised = page.unit.expected
            if promised and not page.more:
                ids += sum(api.GROUP_MEMBERS.id_of(item) is not None for item in page.items)
                counts += promised
        return ids / counts if counts else 1.0

    def _of_listed(self, measure: Any) -> Amount:
        return scaled([measure(group) for group in self.listed], self.groups)

    def pages(self, endpoint: Endpoint, items: int | None) -> int:
        """How many pages a list of so many items has; an empty one has one."""
        return max(1, math.ceil((items or 0) / self._size(endpoint)))

    def _size(self, endpoint: Endpoint) -> int:
        """Items on a full page: what was asked for, unless the server gave fewer although there were more."""
        pages = self._probe.of(endpoint).pages
        sizes = [len(page.items) if page.is_clamped else page.size for page in pages]
        return max(1, min((size for size in sizes if size), default=PAGE_SIZES[0]))

    def _list(self, endpoint: Endpoint) -> Amount:
        found = self._probe.of(endpoint)
        return Amount(self.pages(endpoint, _all_of(found.pages))) if found.pages else Amount(1)

    def requests(self, *, twice: bool) -> dict[str, Amount]:
        """Requests for each resource. ``twice``: accounts are read before anything else where names are hidden."""
        accounts = self._list(api.ACCOUNTS).times(2 if twice else 1)
        found = {"organization": Amount(1), "accounts": accounts, **self._catalogs()}
        if self._probe.of(api.GROUPS).outcome in {"closed", "missing"}:
            return found
        return {**found, "groups": total([self._list(api.GROUPS), Amount(self.groups)]), **self._in_groups()}

    def _catalogs(self) -> dict[str, Amount]:
        probe = self._probe
        catalogs = _all_of(probe.of(api.CATALOGS).pages)
        content = [self.pages(api.CATALOG_CONTENT, _all_of([page])) for page in probe.of(api.CATALOG_CONTENT).pages]
        return {
            "catalogs": total([self._list(api.CATALOGS), Amount(catalogs)]),
            "catalog_content": scaled(content or [1], catalogs),
        }

    def _in_groups(self) -> dict[str, Amount]:
        pages = self.pages

        def results(group: _Group) -> float:
            return (group.members or 0) * self._answerable * pages(api.RESULTS, group.drillables)

        return {
            "group_members": self._at_least_one_each(lambda group: pages(api.GROUP_MEMBERS, group.members)),
            "group_staff": Amount(self.groups),
            "group_drillables": self._at_least_one_each(lambda group: pages(api.GROUP_DRILLABLES, group.drillables)),
            "objectives": Amount(self.groups),
            "objective_evaluations": self._at_least_one_each(
                lambda group: pages(api.OBJECTIVE_EVALUATIONS, group.members)
            ).by(self._objectives_each),
            "results": self._of_listed(results),
            "test_results": self._of_listed(lambda group: (group.tests or 0) * pages(api.TEST_RESULTS, group.members)),
            "objective_events": self.objectives,
        }

    def _at_least_one_each(self, measure: Any) -> Amount:
        return self._of_listed(measure) if self.listed else Amount(self.groups)


def _all_of(pages: list[Observation]) -> int:
    """How many items lists have in all: their totals, or what is on their first page where they name none."""
    return sum(page.total if page.total is not None else len(page.items) for page in pages)


def _group(item: dict[str, Any]) -> _Group:
    counts = item.get("counts")
    return _Group(*(count_in(counts, name) for name in ("members", "drillables", "tests")))

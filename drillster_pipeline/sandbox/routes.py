"""Which handler answers which path."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from . import account_endpoints, group_endpoints, result_endpoints
from .question import Answer

Handler = Callable[..., Answer]


class Route(NamedTuple):
    """A path: its words, with None where a parameter stands, and what answers it."""

    words: tuple[str | None, ...]
    handler: Handler
    versions: frozenset[str]


CURRENT = frozenset({"2.1.1"})
PATHS: dict[str, Handler] = {
    "organization": account_endpoints.organization,
    "organization/*": account_endpoints.organization,
    "organization/*/staff": account_endpoints.organization_staff,
    "organization/*/license": account_endpoints.license_,
    "organization/*/catalogs": account_endpoints.catalogs,
    "organizations/*/accounts": account_endpoints.accounts,
    "user": account_endpoints.user,
    "user/*": account_endpoints.user,
    "user/*/third-party-ids": account_endpoints.third_party_ids,
    "catalog/*": account_endpoints.catalog,
    "catalog/*/content": account_endpoints.catalog_content,
    "groups": group_endpoints.groups,
    "group/*": group_endpoints.group,
    "group/*/members": group_endpoints.group_members,
    "group/*/staff": group_endpoints.group_staff,
    "group/*/drillables": group_endpoints.group_drillables,
    "group/*/objectives": result_endpoints.group_objectives,
    "group/*/objective/*/evaluations": result_endpoints.objective_evaluations,
    "group/*/member-results/*": result_endpoints.member_results,
    "group/*/test-results/*": result_endpoints.group_test_results,
    "objectives": result_endpoints.own_objectives,
    "objectives/*/events": result_endpoints.objective_events,
    "objective/*/events": result_endpoints.objective_events,
    "test-results/*": result_endpoints.user_test_results,
    "test-results/*/*": result_endpoints.user_test_results,
    "tests": result_endpoints.own_tests,
}
ROUTES: dict[tuple[str, int], list[Route]] = {}
for _path, _handler in PATHS.items():
    _words = tuple(None if word == "*" else word for word in _path.split("/"))
    _versions = CURRENT | {"3"} if _handler is account_endpoints.catalog_content else CURRENT
    ROUTES.setdefault((str(_words[0]), len(_words)), []).append(Route(_words, _handler, _versions))


def find(version: str, words: list[str]) -> tuple[Handler, list[str]] | None:
    """The handler of a path and its parameters; None where there is no such resource."""
    for route in ROUTES.get((words[0], len(words)), ()):
        if version in route.versions and all(
            mine is None or mine == theirs for mine, theirs in zip(route.words, words, strict=True)
        ):
            return route.handler, [theirs for mine, theirs in zip(route.words, words, strict=True) if mine is None]
    return None

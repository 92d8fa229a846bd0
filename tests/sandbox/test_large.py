"""A large organization is made lazily: what is asked for costs what it holds, not what the organization holds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from drillster_pipeline.sandbox.organization import Organization
from tests.drillster import Size

from .caller import NIGHT, Caller, Start


@pytest.fixture
def large(start: Start) -> Caller:
    return start(accounts=100_000)


def test_a_hundred_thousand_accounts_are_paged_from_anywhere(large: Caller) -> None:
    first = large.get("organizations/self/accounts", resultSize=100)
    total = first["pagination"]["total"]
    assert 90_000 < total <= 100_000
    middle = large.get("organizations/self/accounts", resultSize=100, resultFrom=str(first_of(large, total // 2)))
    assert len(middle["accounts"]) == 100
    last = large.get("organizations/self/accounts", resultSize=100, resultFrom=str(first_of(large, total - 6)))
    assert (len(last["accounts"]), last["pagination"]["moreAvailable"]) == (5, False)


def first_of(caller: Caller, index: int) -> str:
    return caller.sandbox.organization.at(NIGHT).accounts().cursor(index)


def test_one_page_of_one_group_builds_hardly_anything() -> None:
    organization = Organization(Size(accounts=100_000), 7)
    group = organization.groups.in_slot(4321, organization.at(NIGHT).moment)
    assert group is not None
    snapshot = organization.at(NIGHT)
    members = snapshot.members(group).items(0, 10)
    assert len(members) == 10
    made = organization._person.cache_info().currsize
    assert made == 10
    assert organization.people.roster.cache_info().currsize == 0
    assert organization.groups.present.cache_info().currsize == 0


def test_what_is_kept_is_bounded() -> None:
    organization = Organization(Size(accounts=100_000), 7)
    for day in range(30):
        organization.at(NIGHT + timedelta(days=day)).accounts()
    assert organization.people.roster.cache_info().currsize <= 8
    caches = (organization._person, organization.learning.practices, organization.groups.members)
    assert all(cache.cache_info().maxsize for cache in caches)


@pytest.mark.parametrize("accounts", [20, 1_000_000])
def test_starting_makes_nothing_whatever_the_size(start: Start, accounts: int) -> None:
    caller = start(accounts=accounts)
    assert caller.call("version").status_code == 200
    assert caller.get("organization")["groupMemberQuota"] == accounts * 5 // 4
    organization = caller.sandbox.organization
    caches = (organization.people.roster, organization.people.stints, organization.groups.present, organization._person)
    assert [cache.cache_info().currsize for cache in caches] == [0, 0, 0, 0]


def test_groups_of_a_large_organization_answer_like_any_other(large: Caller) -> None:
    page = large.get("groups", resultSize=3)
    assert page["pagination"]["total"] > 4000
    group = page["groups"][0]
    members = large.every(f"group/{group['id']}/members", "members")
    assert sum("joined" in member for member in members) == group["counts"]["members"]
    someone = next(member["member"] for member in members if "joined" in member)
    results = large.every(f"group/{group['id']}/member-results/{someone['id']}", "groupDrillableMemberResults")
    assert len(results) == group["counts"]["drillables"]
    assert large.get(f"user/{someone['id']}")["name"] == someone["name"] or "organization" in someone


def test_a_benchmark_gets_the_number_of_rows_that_it_asks_for(start: Start) -> None:
    size = Size(
        accounts=2_002, groups=4, members_per_group=500, drillables_per_group=500, objectives_per_group=0,
        tests_per_group=0, stable=True,
    )  # fmt: skip
    caller = start(size=size)
    groups = caller.groups()
    assert [group["counts"] for group in groups] == [{"members": 500, "drillables": 500, "tests": 0}] * 4
    member = caller.get(f"group/{groups[0]['id']}/members")["members"][0]["member"]["id"]
    path = f"group/{groups[0]['id']}/member-results/{member}"
    pages = list(caller.cursor_pages(path, "groupDrillableMemberResults", resultSize=100))
    assert [len(page) for page in pages] == [100] * 5
    assert len({item["drillable"]["id"] for page in pages for item in page}) == 500

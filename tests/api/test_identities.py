"""Items of a list are told apart, whatever they say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline import resources as api


@pytest.mark.parametrize(
    ("identify", "same", "other"),
    [
        (
            api.GROUP_MEMBERS.identity,
            [{"member": {"emailAddress": "a@x.example"}}, {"member": {"emailAddress": "A@X.example"}, "status": "x"}],
            {"member": {"emailAddress": "b@x.example"}},
        ),
        (
            api.GROUP_MEMBERS.identity,
            [{"member": {"id": "1", "name": "a"}}, {"member": {"id": "1"}, "joined": "2024-01-01T00:00:00Z"}],
            {"member": {"emailAddress": "1"}},
        ),
        (
            api.GROUP_MEMBERS.identity,
            [{"member": {"inviteeKey": "9"}}, {"user": {"inviteeKey": "9"}}],
            {"member": {"name": "somebody"}},
        ),
        (
            api.OBJECTIVE_EVENTS.identity,
            [{"eventId": "1", "type": "a"}, {"eventId": "1", "type": "b"}],
            {"type": "a", "user": {"id": "1"}},
        ),
        (
            api.TEST_RESULTS.identity,
            [{"user": {"id": "1"}, "testResults": []}, {"user": {"id": "1"}, "testResults": [{"id": "2"}]}],
            {"user": {"id": "1"}, "id": "1", "started": "2024-01-01T00:00:00Z"},
        ),
        (api.ACCOUNTS.identity, [{"account": {"id": "1"}}, {"id": "1"}], {"account": {"name": "1"}}),
    ],
    ids=["invitee", "member", "masked invitee", "event", "test result", "account"],
)
def test_items_are_told_apart(identify: Any, same: list[Any], other: Any) -> None:
    assert len({identify(item) for item in same}) == 1
    assert identify(other) not in {identify(item) for item in same}


@pytest.mark.parametrize("item", [None, "text", 7, [], {}, {"id": 5}, {"id": ""}, {"member": None}], ids=repr)
def test_an_item_that_says_nothing_of_itself_is_told_apart_by_all_that_it_says(item: Any) -> None:
    for endpoint in (api.ACCOUNTS, api.GROUP_MEMBERS, api.TEST_RESULTS, api.OBJECTIVE_EVENTS, api.RESULTS):
        assert endpoint.identity(item) == endpoint.identity(item)
        assert endpoint.identity(item) != endpoint.identity({"id": "something else", "user": {"id": "x"}})

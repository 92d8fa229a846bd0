"""What tells a group that was deleted from one that is closed, and a hole from what people do during a walk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from .conftest import NewHouse
from .forms import PLAIN, Forms
from .invariants import check
from .mutations import Mutation
from .nights import House, Night
from .server import Script, Tale
from .truth import NIGHT, Group, Objective, Person, Playable, Truth

SNAPSHOT = ("snapshot",)
ONE = frozenset({"g0"})
ALL = frozenset({"g0", "g1", "g2"})


def truth(members: int = 4, drillables: int = 2) -> Truth:
    people = [Person(f"p{n:02}", n, NIGHT + timedelta(seconds=n)) for n in range(members)]
    drills = [Playable(f"d{n:02}", "DRILL", "Drill") for n in range(drillables)]
    groups = [
        Group(
            f"g{n}",
            f"Group {n}",
            [(person, person.created) for person in people],
            [],
            people[:1],
            list(drills),
            [],
            [Objective(f"o{n}", "ONEOFF", 80, None, drills[:1])],
            {},
            {},
        )
        for n in range(3)
    ]
    return Truth(people, groups, [])


def night(house: House, days: int, **script: Any) -> Night:
    found = house.night(Script(truth(), **script), days=days, kinds=SNAPSHOT)
    assert found.errors == {}
    check(house, found)
    return found


def deleted(house: House) -> dict[str, int]:
    """Rows that are marked deleted, of tables that have any."""
    tables = ("groups", "group_members", "group_staff", "group_playables", "objectives", "objective_playables")
    counts = {table: house.rows(f"SELECT count(*) FROM {table} WHERE deleted_on IS NOT NULL")[0][0] for table in tables}
    return {table: count for table, count in counts.items() if count}


@pytest.mark.parametrize("closed", [ONE, ALL], ids=["one group", "all groups"])
def test_groups_that_are_taken_from_the_service_account_stay(new_house: NewHouse, closed: frozenset[str]) -> None:
    house = new_house()
    night(house, 0)
    for days in (1, 2):
        told = night(house, days, closed=closed)
        assert told.captures["snapshot"].manifest["groups"]["closed"] == sorted(closed)
    assert deleted(house) == {}
    night(house, 3)
    assert deleted(house) == {}
    assert house.rows("SELECT DISTINCT last_seen_on FROM group_members") == [("2026-03-03",)]


def test_a_list_that_leaves_groups_out_is_made_up_for(new_house: NewHouse) -> None:
    house = new_house()
    night(house, 0)
    night(house, 1, unlisted=ALL)
    assert deleted(house) == {}
    assert house.rows("SELECT DISTINCT last_seen_on FROM group_members") == [("2026-03-01",)]


def test_a_group_that_gave_no_answer_is_asked_for_again_the_night_after(new_house: NewHouse) -> None:
    house = new_house()
    night(house, 0)
    night(house, 1, unlisted=ONE, mutations=[Mutation("group", "500")])
    night(house, 2, closed=ONE)
    assert deleted(house) == {}


def test_a_new_archive_learns_from_the_warehouse_which_groups_there_are(new_house: NewHouse) -> None:
    house = new_house()
    night(house, 0)
    shutil.rmtree(house.folder / "archive")
    told = night(house, 1, closed=ONE)
    assert told.captures["snapshot"].manifest["groups"]["closed"] == ["g0"]
    assert deleted(house) == {}


def test_a_group_that_is_gone_is_deleted_with_all_that_is_in_it(new_house: NewHouse) -> None:
    house, fewer = new_house(), truth()
    night(house, 0)
    del fewer.groups[0]
    house.night(Script(fewer), days=1, kinds=SNAPSHOT)
    assert deleted(house) == {
        "groups": 1,
        "group_members": 4,
        "group_staff": 1,
        "group_playables": 2,
        "objectives": 1,
        "objective_playables": 1,
    }


BY_PLACE = Forms({**PLAIN.chosen, "members": "paged", "members_cursor": "index"})


@pytest.mark.parametrize(("what", "endpoint"), [("members", "group_members"), ("drillables", "group_drillables")])
def test_what_moves_across_a_page_while_the_list_shrinks_is_not_taken_for_deleted(
    new_house: NewHouse, monkeypatch: pytest.MonkeyPatch, what: str, endpoint: str
) -> None:
    """The list is paged by places; after the first page somebody at its beginning is removed."""
    house, one = new_house(), truth(members=25, drillables=25)
    house.night(Script(one, BY_PLACE), kinds=SNAPSHOT)
    play = house.server.play

    def played(script: Script) -> Tale:
        tale = play(script)
        speaker = house.server._speaker
        answer: Callable[..., Any] = getattr(speaker, f"_{endpoint}")

        def shrinking(query: Any, group_id: str) -> Any:
            body = answer(query, group_id)
            things = getattr(speaker.groups[group_id], what)
            if group_id == "g0" and len(things) == 25:
                del things[0]
            return body

        monkeypatch.setattr(speaker, f"_{endpoint}", shrinking)
        return tale

    monkeypatch.setattr(house.server, "play", played)
    found = house.night(Script(one, BY_PLACE), days=1, kinds=SNAPSHOT)
    assert found.errors == {}
    assert deleted(house) == {}


@pytest.mark.parametrize("listed", [0, 12])
def test_a_list_that_is_far_shorter_than_the_group_counts_deletes_nothing(new_house: NewHouse, listed: int) -> None:
    """The total of the list agrees with what is in it; the counts of the group do not."""
    house, one = new_house(), truth(members=25)
    house.night(Script(one), kinds=SNAPSHOT)
    short = replace(one)
    changes = [
        Mutation("group_members", "take", value=listed),
        Mutation("group_members", "total", value=listed),
    ]
    found = house.night(Script(short, mutations=changes), days=1, kinds=SNAPSHOT)
    assert found.errors == {}
    assert deleted(house) == {}
    told = found.captures["snapshot"].manifest["resources"]["group_members"]["short"]
    assert [(each["items"], each["expected"]) for each in told] == [(listed, 25)] * 3


def test_counts_that_say_nothing_is_there_do_not_hide_what_is(new_house: NewHouse) -> None:
    house = new_house()
    changes = [Mutation("groups", "counts"), Mutation("group", "counts")]
    night(house, 0, mutations=changes)
    assert house.rows("SELECT count(*) FROM group_members") == [(12,)]


def test_a_total_on_some_pages_only_is_a_total(new_house: NewHouse) -> None:
    form = Forms({**PLAIN.chosen, "members": "paged", "total": False})
    house, one = new_house(), truth(members=25)
    changes = [Mutation("group_members", "total", value=40, until=1)]
    found = house.night(Script(one, form, changes), kinds=SNAPSHOT)
    (short, *_) = found.captures["snapshot"].manifest["resources"]["group_members"]["short"]
    assert (short["items"], short["expected"]) == (25, 40)

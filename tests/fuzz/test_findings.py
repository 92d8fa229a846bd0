"""What the fuzzed answers brought to light, each by itself."""

from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline.archive import records
from drillster_pipeline.errors import AnswerError, ContractError
from drillster_pipeline.pipeline.capture import How, capture
from drillster_pipeline.pipeline.publish import publish

from .conftest import NewHouse
from .invariants import check, check_deletions
from .mutations import Mutation
from .nights import House, Night
from .server import Script
from .truth import DAY, NIGHT, Catalog, Group, Person, Playable, Truth

OUTSIDE = Person("outside", 1, NIGHT, listed=False)
LISTED = Person("listed", 2, NIGHT)
SNAPSHOT = ("snapshot",)


def truth() -> Truth:
    """Somebody whom only a group knows, and a drill that only a catalog knows."""
    group = Group("g", "Group", [(OUTSIDE, NIGHT), (LISTED, NIGHT)], [], [], [], [], [], {}, {})
    return Truth([LISTED], [group], [Catalog("c", "Catalog", [Playable("drill", "DRILL", "Drill")])])


def second_night(house: House, *changes: Mutation) -> Night:
    house.night(Script(truth()), kinds=SNAPSHOT)
    before = house.contents()
    night = house.night(Script(truth(), mutations=changes), days=1, kinds=SNAPSHOT)
    check(house, night, before)
    check_deletions(house, night)
    return night


def deleted(house: House, table: str) -> int:
    return int(house.rows(f"SELECT count(*) FROM {table} WHERE deleted_on IS NOT NULL")[0][0])


@pytest.mark.parametrize(
    ("endpoint", "total"), [("groups", "9" * 5_000), ("accounts", 10**400), ("group_members", "9" * 19)]
)
def test_a_total_that_no_list_can_have_deletes_nothing(new_house: NewHouse, endpoint: str, total: Any) -> None:
    house = new_house()
    night = second_night(house, Mutation(endpoint, "total", value=total), Mutation(endpoint, "the last one missing"))
    assert night.errors == {}
    assert deleted(house, endpoint) == 0
    (short,) = night.captures["snapshot"].manifest["resources"][endpoint]["short"]
    assert short["expected"] == 1 << 63


@pytest.mark.parametrize("group_id", ["\ud83d", "%2e%2e", "a\0b"])
def test_whatever_an_id_is_made_of_it_is_asked_for(new_house: NewHouse, group_id: str) -> None:
    house = new_house()
    night = second_night(house, Mutation("groups", "replace an id", value=group_id))
    assert night.errors == {}
    lost = night.captures["snapshot"].manifest["resources"]["group_members"]["lost"]
    assert {"unit": {"group_id": group_id}, "status": 404} in lost


def test_half_an_emoji_as_a_cursor_goes_back_as_it_came(new_house: NewHouse) -> None:
    night = second_night(new_house(), Mutation("accounts", "cursor", value="\ud83d"))
    assert any("resultFrom=%ED%A0%BD" in target for target in night.tale.requests)


def test_a_whole_number_as_an_id_is_asked_for_by_its_digits(new_house: NewHouse) -> None:
    house, one = new_house(), truth()
    one.groups[0].id = "7"
    night = house.night(Script(one, mutations=[Mutation("groups", "replace an id", value=7)]), kinds=SNAPSHOT)
    check(house, night)
    assert night.errors == {}
    assert {row[0] for row in house.rows("SELECT group_id FROM group_members")} == {"7"}


def test_an_id_that_no_address_can_hold_costs_its_group_and_no_other(new_house: NewHouse) -> None:
    house = new_house()
    night = second_night(house, Mutation("groups", "replace an id", value=".."))
    assert night.errors == {}
    lost = night.captures["snapshot"].manifest["resources"]["group_members"]["lost"]
    assert {"unit": {"group_id": ".."}, "status": 503} in lost
    assert deleted(house, "group_members") == 0


@pytest.mark.parametrize(
    ("endpoint", "tables"),
    [
        ("accounts", ("accounts", "account_external_ids")),
        ("catalogs", ("catalogs", "catalog_playables", "playables")),
        ("catalog_content", ("catalog_playables", "playables")),
        ("group_members", ("group_members", "accounts")),
    ],
)
def test_what_a_row_that_cannot_be_read_leads_to_is_not_taken_for_deleted(
    new_house: NewHouse, endpoint: str, tables: tuple[str, ...]
) -> None:
    house = new_house()
    place = 1 if endpoint == "catalog_content" else 0  # the first is the catalog's own
    night = second_night(house, Mutation(endpoint, "replace an id", place=place, value={}))
    assert night.errors == {}
    assert house.rows("SELECT count(*) FROM rejected_rows") == [(1,)]
    assert {table: deleted(house, table) for table in tables} == dict.fromkeys(tables, 0)


def test_a_row_that_leads_to_nothing_takes_nothing_along(new_house: NewHouse) -> None:
    house, one = new_house(), truth()
    house.night(Script(one), kinds=SNAPSHOT)
    one.groups[0].members = one.groups[0].members[1:]
    changes = [Mutation("accounts", "replace an id", value={})]
    house.night(Script(one, mutations=changes), days=1, kinds=SNAPSHOT)
    assert deleted(house, "group_members") == 1


@pytest.mark.parametrize(("endpoint", "depth"), [("accounts", 930), ("catalogs", 960), ("group_members", 975)])
def test_an_item_that_is_nested_ever_so_deep_is_loaded_or_told(
    new_house: NewHouse, monkeypatch: pytest.MonkeyPatch, endpoint: str, depth: int
) -> None:
    deep = Mutation(endpoint, "replace", place=1, value="DEEP")
    house = new_house()
    apply = Mutation.apply

    def applied(self: Mutation, reply: Any, query: Any) -> Any:
        found = apply(self, reply, query)
        nested = b"[" * depth + b"]" * depth
        return type(found)(body=found.body.replace(b'"DEEP"', b'{"name": ' + nested + b"}"))

    monkeypatch.setattr(Mutation, "apply", applied)
    check(house, house.night(Script(truth(), mutations=[deep]), kinds=SNAPSHOT))


def test_a_list_that_is_empty_under_a_name_of_its_own_is_known(new_house: NewHouse) -> None:
    one = truth()
    one.catalogs[0].playables.clear()
    change = Mutation("catalog_content", "rename", place=4, value="things")
    outcome = new_house().night(Script(one, mutations=[change]), kinds=SNAPSHOT).outcomes["snapshot"]
    assert outcome.unknown_fields.get("catalog_content", {}) == {}


def test_a_capture_that_cannot_be_published_is_made_anew(new_house: NewHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house = new_house()
    house.server.play(Script(truth()))
    session = house.session(NIGHT)
    capture(session, "snapshot", DAY)
    with monkeypatch.context() as patched:
        patched.setattr(records, "decoded", _too_deep)
        with pytest.raises(ContractError, match="nested far deeper"):
            publish(session, "snapshot", DAY, run_id="run")
    assert capture(session, "snapshot", DAY).how is How.CAPTURED
    session.warehouse.close()


def _too_deep(_text: bytes, **_: Any) -> Any:
    raise RecursionError


def test_an_item_too_deep_to_be_told_apart_is_an_answer_error() -> None:
    from drillster_pipeline.api.paging import Listing
    from drillster_pipeline.resources import ACCOUNTS

    deep: Any = []
    for _ in range(3_000):
        deep = [deep]
    with pytest.raises(AnswerError, match="nested far deeper"):
        Listing(ACCOUNTS).add_page({"accounts": [{"name": deep}]}, 100)

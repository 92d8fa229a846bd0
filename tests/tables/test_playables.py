from __future__ import annotations

from typing import Any

import pytest

from .pages import Asked, extract, page

COURSE = {"id": "x", "type": "COURSE", "name": "Safe medication"}
PLACES = {
    "a catalog": page("catalog_content", {"playables": [COURSE]}, catalog_id="c"),
    "a group": page("groups", {"id": "g", "drillables": [COURSE]}, group_id="g"),
    "a group's drillables": page("group_drillables", {"drillables": [COURSE]}, group_id="g"),
    "an objective": page("objectives", [{"id": "o", "playables": [COURSE]}], group_id="g"),
    "an objective's drills": page("objectives", [{"id": "o", "drills": [COURSE]}], group_id="g"),
    "a result": page("results", [{"drillable": COURSE}], group_id="g", account_id="a"),
    "an attempt": page("test_results", [{"id": "r", "drills": [{"drill": COURSE}]}], group_id="g", test_id="t"),
    "a test": page("groups", {"tests": [{"id": "t", "type": "TEST", "drills": [COURSE]}]}, group_id="g"),
}
DRILL = {"id": "x"}
UNTYPED = {
    "a group's drillables": page("group_drillables", {"drillables": [DRILL]}, group_id="g"),
    "an objective's drills": page("objectives", [{"id": "o", "drills": [DRILL]}], group_id="g"),
    "a result": page("results", [{"drillable": DRILL}], group_id="g", account_id="a"),
}


def known(*pages: Asked) -> dict[str, tuple[Any, Any]]:
    return {row["playable_id"]: (row["type"], row["name"]) for row in extract(*pages).rows("playables")}


@pytest.mark.parametrize("asked", PLACES.values(), ids=PLACES.keys())
def test_a_playable_is_known_from_wherever_it_is_met(asked: Asked) -> None:
    assert known(asked)["x"] == ("COURSE", "Safe medication")


@pytest.mark.parametrize("asked", UNTYPED.values(), ids=UNTYPED.keys())
def test_without_a_type_it_is_taken_for_a_drill(asked: Asked) -> None:
    assert known(asked)["x"] == ("DRILL", None)


@pytest.mark.parametrize("untyped", UNTYPED.values(), ids=UNTYPED.keys())
@pytest.mark.parametrize("typed", PLACES.values(), ids=PLACES.keys())
def test_a_type_that_is_said_wins_over_one_that_is_assumed(typed: Asked, untyped: Asked) -> None:
    assert known(typed, untyped)["x"] == known(untyped, typed)["x"] == ("COURSE", "Safe medication")


def test_a_group_says_course_of_a_playable_that_only_a_result_names_as_one() -> None:
    found = extract(UNTYPED["a group's drillables"], PLACES["a result"])
    assert found.row("group_playables")["type"] == "COURSE"


def test_a_catalog_does_not_guess_at_a_type() -> None:
    found = extract(page("catalog_content", {"playables": [DRILL]}, catalog_id="c"))
    assert found.row("catalog_playables")["type"] is None
    assert found.row("playables")["type"] is None


def test_a_catalog_has_the_type_that_is_known_from_elsewhere() -> None:
    found = extract(page("catalog_content", {"playables": [DRILL]}, catalog_id="c"), PLACES["a result"])
    assert found.row("catalog_playables")["type"] == "COURSE"


def test_types_in_lower_case_are_the_same_types() -> None:
    assert known(page("group_drillables", [{"id": "x", "type": "course"}], group_id="g"))["x"] == ("COURSE", None)


def test_the_content_of_an_objective_of_type_test_is_a_test() -> None:
    objective = {"id": "o", "type": "TEST", "playables": [{"id": "x"}]}
    assert known(page("objectives", [objective], group_id="g"))["x"] == ("TEST", None)


def test_the_test_of_the_path_is_known_even_if_nothing_names_it() -> None:
    assert known(page("test_results", [{"id": "r"}], group_id="g", test_id="x"))["x"] == ("TEST", None)
    named = page("test_results", [{"id": "r", "test": {"id": "x", "name": "Exam"}}], group_id="g", test_id="x")
    assert known(named)["x"] == ("TEST", "Exam")


def test_a_name_that_cannot_be_one_gives_way_to_a_good_one() -> None:
    found = extract(
        page("group_drillables", [{"id": "x", "type": "DRILL", "name": 5}], group_id="g"),
        page("results", [{"drillable": {"id": "x", "name": "Medicines"}}], group_id="g", account_id="a"),
    )
    assert found.row("playables")["name"] == "Medicines"
    assert found.rejects("playables") == []


def test_a_name_that_nowhere_is_a_good_one_rejects_the_playable() -> None:
    found = extract(page("group_drillables", [{"id": "x", "name": 5}], group_id="g"))
    assert found.reasons("playables") == ["name: expected text, found a number"]
    assert found.column("group_playables", "playable_id") == ["x"]

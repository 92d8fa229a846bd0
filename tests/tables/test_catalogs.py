from __future__ import annotations

from typing import Any

import pytest

from .pages import extract, page

CATALOG = {"id": "c", "name": "Care", "description": "Everything about care"}
DRILL = {"id": "d", "type": "DRILL", "name": "Medicines"}
CONTAINER = {
    "id": "c",
    "name": "Care",
    "organization": {"id": "org", "name": "Linde", "contract": {"type": "BUSINESS"}},
}


@pytest.mark.parametrize(
    "body",
    [{"catalogs": [CATALOG], "pagination": {"total": 1}}, {"playableContainers": [CATALOG]}, [CATALOG]],
    ids=["catalogs", "another name", "bare array"],
)
def test_a_catalog_loads_from_each_form_of_the_list(body: Any) -> None:
    assert extract(page("catalogs", body)).row("catalogs") == {
        "catalog_id": "c",
        "name": "Care",
        "description": "Everything about care",
        "organization_id": None,
        "playable_count": None,
    }


@pytest.mark.parametrize(
    "own",
    [
        {"id": "c", "name": "Care", "description": "New"},
        {"catalog": {"id": "c", "name": "Care", "description": "New"}, "subscriptionEnd": "2027-01-01"},
    ],
    ids=["plain", "wrapped"],
)
def test_a_catalog_is_put_together_from_the_list_its_own_answer_and_its_content(own: Any) -> None:
    found = extract(
        page("catalogs", [CATALOG]),
        page("catalogs", own, catalog_id="c"),
        page(
            "catalog_content",
            {"playableContainer": CONTAINER, "pagination": {"total": 7, "lastOnPage": "d"}, "playables": [DRILL]},
            catalog_id="c",
        ),
    )
    assert found.row("catalogs") == {
        "catalog_id": "c",
        "name": "Care",
        "description": "New",
        "organization_id": "org",
        "playable_count": 7,
    }
    assert found.row("catalog_playables") == {"catalog_id": "c", "playable_id": "d", "type": "DRILL"}
    assert found.rejects() == []


@pytest.mark.parametrize(
    "body",
    [
        {"playableContainer": CONTAINER, "playables": [DRILL]},
        {"playableContainer": CONTAINER, "content": [DRILL]},
        {"playableContainer": CONTAINER, "renditions": [DRILL], "pagination": {"total": 1, "moreAvailable": False}},
        [DRILL],
    ],
    ids=["playables", "content", "another name", "bare array"],
)
def test_content_loads_from_each_form(body: Any) -> None:
    found = extract(page("catalogs", [CATALOG]), page("catalog_content", body, catalog_id="c"))
    assert found.column("catalog_playables", "playable_id") == ["d"]


def test_a_count_that_drillster_does_not_give_is_not_made_up() -> None:
    found = extract(page("catalogs", [CATALOG]), page("catalog_content", {"playables": [DRILL]}, catalog_id="c"))
    assert found.row("catalogs")["playable_count"] is None


def test_the_newest_page_has_the_last_word_on_the_total() -> None:
    found = extract(
        *(
            page(
                "catalog_content", {"pagination": {"total": total}, "playables": [DRILL]}, number=number, catalog_id="c"
            )
            for number, total in ((1, 7), (2, 8))
        )
    )
    assert found.row("catalogs")["playable_count"] == 8


@pytest.mark.parametrize(
    ("catalog", "reason"),
    [
        ({"name": "Care"}, "catalog_id: missing"),
        ({"id": "c", "name": {}}, "name: expected text, found an object"),
        (["c"], "catalogs[]: expected an object, found a list"),
    ],
)
def test_a_catalog_that_does_not_fit_is_rejected_with_a_reason(catalog: Any, reason: str) -> None:
    found = extract(page("catalogs", [catalog, {"id": "next"}]))
    assert found.reasons() == [reason]
    assert found.column("catalogs", "catalog_id") == ["next"]

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.pipeline.quality import COUNTED_TABLES, LoadQuality, load_quality
from drillster_pipeline.tables import DATA_TABLES
from tests.drillster import Faults, FieldFault, PageFault

from .test_loads import DAY, Place, place_in


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place after one whole night."""
    with place_in(tmp_path_factory.mktemp("facts")) as made:
        made.night()
        yield made


@pytest.fixture(autouse=True)
def no_faults(place: Place) -> Iterator[None]:
    yield
    place.sandbox.faults = Faults()


def troubles(facts: LoadQuality) -> tuple[object, ...]:
    return (facts.differences, facts.not_compared, facts.reasons)


def test_a_whole_night_agrees_with_all_that_drillster_counts(place: Place) -> None:
    outcome = place.next_night()
    assert troubles(load_quality(place.session, outcome)) == ({}, {}, {})
    assert set(COUNTED_TABLES) == {name for name, table in DATA_TABLES.items() if table.counts}


def test_rows_that_are_fewer_than_counted_are_told_with_both_numbers(place: Place) -> None:
    place.sandbox.faults = Faults(pages=(PageFault(resource="results", what="total_off", n=5),))
    outcome = place.next_night()
    rows = outcome.report.tables["results"].rows_inserted
    named = outcome.capture.manifest["resources"]["results"]["named_total"]
    assert load_quality(place.session, outcome).differences == {
        "results": f"Drillster counts {named:,}, and {rows:,} rows are there"
    }


def test_what_comes_and_goes_during_a_walk_is_no_difference(place: Place) -> None:
    place.sandbox.faults = Faults(pages=(PageFault(resource="groups", what="total_off", n=1),))
    assert load_quality(place.session, place.next_night()).differences == {}


def test_counts_of_groups_are_compared_group_by_group(place: Place) -> None:
    place.sandbox.faults = Faults(
        fields=tuple(
            FieldFault(resource=name, field="counts.members", what="value", value=40) for name in ("groups", "group")
        )
    )
    told = load_quality(place.session, place.next_night()).differences["group_members"]
    assert "3 differ (" in told
    assert told.count(": Drillster counts 40, ") == 3


def test_a_replay_of_an_old_date_is_not_compared_with_the_entities_of_today(place: Place) -> None:
    newest = place.day
    outcome = publish(place.session, "snapshot", DAY, run_id="again")
    facts = load_quality(place.session, outcome)
    assert facts.differences == {}
    assert set(facts.not_compared) == set(COUNTED_TABLES) - {"results"}
    assert facts.not_compared["accounts"] == f"this table is as of {newest}, the newest date in the warehouse"


def test_a_table_that_is_loaded_without_its_counts_is_not_compared(place: Place) -> None:
    facts = load_quality(place.session, place.next_night(tables=["group_members", "results"]))
    assert facts.differences == {}
    assert facts.not_compared == {
        "accounts": "this load has not read accounts whole, but only added what was missing",
        "groups": "this load has not read groups whole, but only added what was missing",
        "group_members": "this load has not read groups whole, but only added what was missing",
    }


def test_rejects_are_told_by_reason_without_a_value(place: Place) -> None:
    wrong = FieldFault(resource="group_members", field="joined", what="value", value="a-private-value", every=50)
    place.sandbox.faults = Faults(fields=(wrong,))
    outcome = place.next_night()
    reasons = load_quality(place.session, outcome).reasons
    assert {name: sum(rows for _, rows in found) for name, found in reasons.items()} == {
        name: report.rows_rejected for name, report in outcome.report.tables.items() if report.rows_rejected
    }
    assert reasons == {"group_members": [(reasons["group_members"][0][0], 3)]}
    assert reasons["group_members"][0][0].startswith("joined_at: ")
    assert "private" not in str(reasons)


def test_a_load_of_events_has_nothing_to_compare(place: Place) -> None:
    capture(place.session, "events", place.day)
    outcome = publish(place.session, "events", place.day, run_id="events")
    assert troubles(load_quality(place.session, outcome)) == ({}, {}, {})


def test_a_night_from_which_a_person_was_erased_is_not_compared_with_what_drillster_counted(place: Place) -> None:
    outcome = place.next_night()
    with place.session.warehouse.reading() as (connection, table):
        results = table("results")
        person = connection.scalar(sa.select(results.c.account_id).limit(1))
    forget(place.session, person)
    facts = load_quality(place.session, publish(place.session, "snapshot", outcome.export_date, run_id="again"))
    assert facts.differences == {}
    assert set(facts.not_compared) == set(COUNTED_TABLES)
    assert "a person was erased" in facts.not_compared["results"]

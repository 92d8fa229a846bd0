"""What the warehouse has after a load: rows against Drillster's own counts, and why rows were rejected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.publish import LoadQuality, load_quality
from drillster_pipeline.tables import DATA_TABLES
from tests.drillster import Faults, FieldFault, PageFault, Sandbox, Size
from tests.support.installation import NOW, Installation

pytestmark = pytest.mark.slow
COUNTED = {name for name, table in DATA_TABLES.items() if table.counts}
SIZE = Size(accounts=14, groups=3, objectives_per_group=2, catalogs=1, playables_per_catalog=6)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One for all tests: each loads the next date, from a sandbox that does not change."""
    with (
        Sandbox(size=replace(SIZE, stable=True), seed=7, now=NOW) as sandbox,
        Installation(tmp_path_factory.mktemp("quality"), sandbox) as made,
    ):
        made.load()
        yield made


@pytest.fixture(autouse=True)
def no_faults(installation: Installation) -> Iterator[None]:
    yield
    assert installation.sandbox
    installation.sandbox.faults = Faults()


def next_quality(installation: Installation, faults: Faults, **options: object) -> LoadQuality:
    """Of a load of the next date."""
    assert installation.sandbox
    installation.sandbox.faults = faults
    return load_quality(installation.context, installation.load_next(**options))


def differences(quality: LoadQuality) -> dict[str, str]:
    return {name: each.words for name, each in quality.comparisons.items() if not each.agrees}


def not_compared(quality: LoadQuality) -> dict[str, str]:
    return {name: each.words for name, each in quality.comparisons.items() if each.words.startswith("Not compared")}


def test_a_complete_load_agrees_with_everything_that_drillster_counts(installation: Installation) -> None:
    quality = next_quality(installation, Faults())
    assert set(quality.comparisons) == COUNTED
    assert (differences(quality), not_compared(quality), quality.reject_reasons) == ({}, {}, {})
    assert quality.comparisons["results"].rows == quality.comparisons["results"].expected


def test_fewer_rows_than_counted_are_reported_with_both_numbers(installation: Installation) -> None:
    quality = next_quality(installation, Faults(pages=(PageFault(resource="results", what="total_off", n=5),)))
    _, words, rows, expected = quality.comparisons["results"]
    assert rows is not None
    assert expected is not None
    assert rows < expected
    assert (
        differences(quality)
        == {"results": f"Drillster counts {expected:,}, and there are {rows:,} rows"}
        == {"results": words}
    )


def test_changes_during_a_capture_are_no_difference(installation: Installation) -> None:
    quality = next_quality(installation, Faults(pages=(PageFault(resource="groups", what="total_off", n=1),)))
    assert differences(quality) == {}


def test_counts_of_groups_are_compared_group_by_group(installation: Installation) -> None:
    wrong = [FieldFault(resource=each, field="counts.members", what="value", value=40) for each in ("groups", "group")]
    words = differences(next_quality(installation, Faults(fields=tuple(wrong))))["group_members"]
    assert "3 differ (" in words
    assert words.count(": Drillster counts 40, ") == 3


def test_a_replay_of_an_old_date_is_not_compared_with_the_entities_of_today(installation: Installation) -> None:
    replayed = installation.load_next().export_date
    installation.load_next()
    quality = load_quality(installation.context, installation.publish(day=replayed))
    assert differences(quality) == {}
    assert set(not_compared(quality)) == COUNTED - {"results"}


def test_a_table_that_is_loaded_without_its_counts_is_not_compared(installation: Installation) -> None:
    quality = next_quality(installation, Faults(), tables=["group_members", "results"])
    assert differences(quality) == {}
    assert set(not_compared(quality)) == {"accounts", "groups", "group_members"}


def test_rejects_are_counted_by_reason_without_a_value(installation: Installation) -> None:
    wrong = FieldFault(resource="group_members", field="joined", what="value", value="a-private-value", every=50)
    reasons = next_quality(installation, Faults(fields=(wrong,))).reject_reasons
    ((reason, rows),) = reasons["group_members"]
    assert rows == 3
    assert reason.startswith("joined_at: ")
    assert "private" not in str(reasons)


def test_a_load_of_events_has_nothing_to_compare(installation: Installation) -> None:
    assert load_quality(installation.context, installation.load("events")).comparisons == {}


def test_a_capture_from_which_a_person_was_erased_is_not_compared(installation: Installation) -> None:
    next_quality(installation, Faults())
    ((person,),) = installation.query("SELECT account_id FROM results LIMIT 1")
    forget(installation.context, person)
    quality = load_quality(installation.context, installation.publish())
    assert set(not_compared(quality)) == COUNTED
    assert "a person was erased" in not_compared(quality)["results"]

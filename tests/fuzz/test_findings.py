"""What changed responses brought to light, each by itself."""

from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline.archive import records
from drillster_pipeline.errors import ContractError
from drillster_pipeline.resources import RESOURCES
from tests.drillster import Failure, Faults, PageFault, Shapes, closed

from .mutations import Mutation
from .runs import Fuzzed, Run, check, check_deletions

pytestmark = pytest.mark.slow

SNAPSHOT = ("snapshot",)
MEMBERS, ACCOUNTS = RESOURCES["group_members"].path, RESOURCES["accounts"].path


def second_run(fuzzed: Fuzzed, *changes: Mutation) -> Run:
    before = fuzzed.contents()
    run = fuzzed.run(*changes, days=1, kinds=SNAPSHOT)
    check(fuzzed, run, before)
    check_deletions(fuzzed, run)
    assert run.errors == {}
    return run


def entry(run: Run, resource: str) -> dict[str, Any]:
    found: dict[str, Any] = run.captures["snapshot"].manifest["resources"][resource]
    return found


@pytest.mark.parametrize(
    ("resource", "total"), [("groups", "9" * 5_000), ("accounts", 10**400), ("group_members", "9" * 19)]
)
def test_a_total_that_no_list_can_have_deletes_nothing(loaded: Fuzzed, resource: str, total: Any) -> None:
    path = RESOURCES[resource].path
    run = second_run(loaded, Mutation(path, "total", value=total), Mutation(path, "the last one missing"))
    assert loaded.deleted() == {}
    (short,) = entry(run, resource)["short"]
    assert short["expected"] == 1 << 63


@pytest.mark.parametrize("group_id", ["\ud83d", "%2e%2e", "a\0b", 7])
def test_whatever_an_id_is_made_of_it_is_requested(loaded: Fuzzed, group_id: Any) -> None:
    run = second_run(loaded, Mutation("groups", "replace an id", value=group_id))
    assert {"unit": {"group_id": str(group_id)}, "status": 404} in entry(run, "group_members")["lost"]


def test_half_an_emoji_as_a_cursor_is_sent_back_as_it_was_given(fuzzed: Fuzzed) -> None:
    fuzzed.run(Mutation(ACCOUNTS, "cursor", value="\ud83d"), kinds=SNAPSHOT)
    assert fuzzed.sandbox.count("GET", "*/accounts", query="*resultFrom=%ED%A0%BD*")


@pytest.mark.parametrize(
    ("path", "tables"),
    [
        (ACCOUNTS, {"accounts", "account_external_ids"}),
        ("groups", {"groups", "group_members", "group_staff", "group_playables", "objectives", "objective_playables"}),
        ("group/{group_id}/objectives", {"objectives", "objective_playables"}),
        ("catalog/{catalog_id}/content", {"catalog_playables", "playables"}),
        (MEMBERS, {"group_members", "accounts"}),
    ],
)
def test_a_row_that_cannot_be_read_deletes_nothing(loaded: Fuzzed, path: str, tables: set[str]) -> None:
    run = second_run(loaded, Mutation(path, "replace an id", place=2, value={}))
    assert tables <= run.outcomes["snapshot"].report.tables.keys()
    assert loaded.query("SELECT count(*) FROM rejected_rows") == [(1,)]
    assert not tables & loaded.deleted().keys()


@pytest.mark.parametrize(("path", "depth"), [(ACCOUNTS, 930), (MEMBERS, 975)])
def test_an_item_that_is_nested_very_deep_is_loaded_or_reported(fuzzed: Fuzzed, path: str, depth: int) -> None:
    deep: Any = []
    for _ in range(depth):
        deep = [deep]
    check(fuzzed, fuzzed.run(Mutation(path, "replace", place=2, value={"name": deep}), kinds=SNAPSHOT))


def test_a_capture_that_cannot_be_published_is_made_anew(fuzzed: Fuzzed, monkeypatch: pytest.MonkeyPatch) -> None:
    fuzzed.run(kinds=SNAPSHOT, publishes=False)
    with monkeypatch.context() as patched:
        patched.setattr(records, "decoded", _too_deep)
        error = fuzzed.run(kinds=SNAPSHOT).errors["snapshot"]
    assert isinstance(error, ContractError)
    assert "nested far deeper" in str(error)
    fuzzed.run(kinds=SNAPSHOT)
    assert fuzzed.sandbox.requests


def _too_deep(_text: bytes, **_: Any) -> Any:
    raise RecursionError


def test_a_group_that_gave_no_answer_is_requested_again_by_the_next_run(loaded: Fuzzed) -> None:
    ((group,),) = loaded.known["groups"]
    unlisted = frozenset({group})
    loaded.sandbox.faults = Faults(unlisted_groups=unlisted, failures=(Failure(at=f"group/{group}", statuses=(500,)),))
    loaded.run(days=1, kinds=SNAPSHOT)
    loaded.sandbox.faults = Faults(unlisted_groups=unlisted, failures=closed(group))
    run = loaded.run(days=2, kinds=SNAPSHOT)
    assert run.captures["snapshot"].manifest["groups"]["closed"] == [group]
    assert loaded.deleted() == {}


def test_with_a_new_archive_the_groups_of_the_warehouse_are_requested(loaded: Fuzzed) -> None:
    ((group,),) = loaded.known["groups"]
    loaded.remove_archive()
    loaded.sandbox.faults = Faults(unlisted_groups=frozenset({group}), failures=closed(group))
    run = loaded.run(days=1, kinds=SNAPSHOT)
    assert run.captures["snapshot"].manifest["groups"]["closed"] == [group]
    assert loaded.deleted() == {}


def test_items_that_move_to_another_page_while_the_list_shrinks_are_not_deleted(loaded: Fuzzed) -> None:
    loaded.sandbox.faults = Faults(
        shapes=Shapes(cursors="index"),
        clamped_sizes={"*": 10},
        pages=(PageFault(resource="group_members", what="shrink"),),
    )
    assert loaded.run(days=1, kinds=SNAPSHOT).errors == {}
    assert loaded.deleted() == {}


def test_counts_of_zero_do_not_hide_what_is_there(fuzzed: Fuzzed) -> None:
    run = fuzzed.run(Mutation("groups", "counts"), Mutation("group/{group_id}", "counts"), kinds=SNAPSHOT)
    assert run.errors == {}
    assert fuzzed.keys("group_members") == {"group_members": fuzzed.known["group_members"]}

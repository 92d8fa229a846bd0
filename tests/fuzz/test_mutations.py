"""Responses that are wrong in any way: an error that says so or a published load, and no row lost without a reject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from drillster_pipeline import resources as api
from tests.conftest import examples
from tests.drillster import Faults, Shapes
from tests.drillster.shapes import alternatives

from .mutations import BYTES, ENDPOINTS, Mutation, mutations
from .runs import Fuzzed, Run, check, check_deletions

pytestmark = pytest.mark.deep
UNLIKE = {"optional_fields", "without_pagination", "group_has_tests", "invitee_results"}
"""Forms that have less than the others, or that lead to no second page."""
FORMS: dict[str, list[Any]] = {}
for _, alternative in alternatives():
    for name, value in alternative.items():
        if name not in UNLIKE:
            FORMS.setdefault(name, [getattr(Shapes(), name)]).append(value)
forms = st.fixed_dictionaries({name: st.sampled_from(choices) for name, choices in FORMS.items()})
COVERING = [{name: choices[shift % len(choices)] for name, choices in FORMS.items()} for shift in range(4)]
"""Every form is in one of these."""
NEEDED = {api.GROUP_MEMBERS, api.RESULTS, api.OBJECTIVE_EVENTS}
FEW = settings(max_examples=examples(3))
"""A run takes long."""


def in_form(fuzzed: Fuzzed, form: dict[str, Any]) -> None:
    fuzzed.sandbox.faults = Faults(shapes=Shapes(**form), clamped_sizes={"results": 10, "groups": 10})


@settings(max_examples=examples(1))
@given(form=forms)
@example(COVERING[0])
@example(COVERING[1])
@example(COVERING[2])
@example(COVERING[3])
def test_every_form_gives_the_same_rows(installation: Fuzzed, form: dict[str, Any]) -> None:
    installation.restore("empty")
    in_form(installation, form)
    run = installation.run()
    assert run.errors == {}
    check(installation, run)
    assert installation.keys() == installation.known
    assert installation.query("SELECT * FROM rejected_rows") == []
    assert not any(entry["short"] for one in run.captures.values() for entry in one.manifest["resources"].values())
    assert not any(run.outcomes["snapshot"].unknown_fields.values())


@FEW
@given(form=forms, changes=mutations)
@example(COVERING[0], [Mutation("organizations/{organization_id}/accounts", "enlist")])
def test_whatever_is_answered_nothing_breaks_and_nothing_is_lost(
    installation: Fuzzed, form: dict[str, Any], changes: Sequence[Mutation]
) -> None:
    installation.restore("empty")
    in_form(installation, form)
    run = installation.run(*changes)
    count_outcomes(run)
    check(installation, run)


@FEW
@given(form=forms, changes=mutations)
def test_only_a_complete_read_deletes(installation: Fuzzed, form: dict[str, Any], changes: Sequence[Mutation]) -> None:
    installation.restore("loaded")
    in_form(installation, form)
    before = installation.contents()
    run = installation.run(*changes, days=1)
    count_outcomes(run)
    check(installation, run, before)
    check_deletions(installation, run)


def count_outcomes(run: Run) -> None:
    """What becomes of the runs: ``--hypothesis-show-statistics`` shows that."""
    for error in run.errors.values():
        event(type(error).__name__)
    for kind in run.outcomes:
        event(f"{kind} published")


def test_bytes_that_are_wrong_in_any_way_lose_nothing(loaded: Fuzzed) -> None:
    """Each kind once, at endpoints without which the others can still be read."""
    paths = sorted(path for path, endpoint in ENDPOINTS.items() if endpoint.unit and endpoint not in NEEDED)
    kinds = sorted(BYTES)
    before, published = loaded.contents(), 0
    for start in range(0, len(kinds), len(paths)):
        loaded.restore("loaded")
        changes = map(Mutation, paths, kinds[start : start + len(paths)])
        run = loaded.run(*changes, days=1, kinds=("snapshot",))
        published += len(run.outcomes)
        check(loaded, run, before)
        check_deletions(loaded, run)
    assert published > 1

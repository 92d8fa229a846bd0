"""What is not there, or not permitted, is refused in every form."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drillster import Faults, Shapes

from .caller import NIGHT, Caller
from .shaped import Paths


def test_results_of_an_invitee_can_be_missing(caller: Caller) -> None:
    seen = caller.sandbox.organization.at(NIGHT)
    group, invitee = next(
        (group, one)
        for group in seen.present_groups()
        for one in seen.memberships(group)
        if not seen.is_member(one) and seen.has_account(one)
    )
    path = f"group/{group.id}/member-results/{seen.model.member(invitee).id}"
    results = caller.get(path)["groupDrillableMemberResults"]
    assert all(one["proficiency"] == {"overall": 0} and "lastPracticed" not in one for one in results)
    caller.sandbox.faults = Faults(shapes=Shapes(invitee_results="missing"))
    assert caller.call(path).status_code == 404


ERROR_FORMS = {
    "object": lambda answer: set(answer.json()) == {"id", "description"},
    "oauth": lambda answer: set(answer.json()) == {"error", "error_description"},
    "html": lambda answer: answer.text.startswith("<!DOCTYPE html>"),
    "nothing": lambda answer: answer.content == b"",
}


@pytest.mark.parametrize("form", ERROR_FORMS)
def test_errors_come_in_every_form(caller: Caller, form: Any) -> None:
    caller.sandbox.faults = Faults(shapes=Shapes(errors=form))
    answer = caller.call("group/unknown/members")
    assert answer.status_code == 404
    assert ERROR_FORMS[form](answer)


def test_a_lack_of_permission_can_be_a_401(caller: Caller) -> None:
    caller.sandbox.faults = Faults(shapes=Shapes(permission_status=401))
    answer = caller.call("organizations/AAAAAAAAAAAAAAAAAAAAAA/accounts")
    assert (answer.status_code, answer.json()["id"]) == (401, "not_permitted")


@pytest.mark.parametrize(("version", "missing"), [("2.1.1", "3"), ("3", "2.1.1")])
def test_content_can_be_known_to_one_version_only(caller: Caller, paths: Paths, version: Any, missing: str) -> None:
    caller.sandbox.faults = Faults(shapes=Shapes(content_version=version))
    assert caller.call(paths.content, version=version).status_code == 200
    assert caller.call(paths.content, version=missing).status_code == 404

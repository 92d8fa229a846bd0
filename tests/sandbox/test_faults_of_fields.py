"""Fields that are missing, null, mistyped or unknown."""

from __future__ import annotations

from typing import Any

from tests.drillster import Faults, FieldFault

from .caller import Caller, a_group


def field_fault(**options: Any) -> Faults:
    return Faults(fields=(FieldFault(**options),))


def test_fields_can_be_missing_from_every_second_item(caller: Caller) -> None:
    caller.sandbox.faults = field_fault(resource="accounts", field="account.name", what="missing", every=2)
    items = caller.get("organizations/self/accounts")["accounts"]
    assert ["name" in item["account"] for item in items] == [False, True] * 5


def test_fields_can_be_null_mistyped_or_unknown(caller: Caller) -> None:
    group = a_group(caller)
    caller.sandbox.faults = field_fault(resource="groups", field="description", what="null")
    assert {one["description"] for one in caller.groups()} == {None}
    caller.sandbox.faults = field_fault(resource="groups", field="counts.members", what="value", value="many")
    assert {one["counts"]["members"] for one in caller.groups()} == {"many"}
    caller.sandbox.faults = field_fault(
        resource="group_members", field="member.nickname", what="value", value={"a": [1]}
    )
    members = caller.get(f"group/{group}/members")["members"]
    assert all(one["member"]["nickname"] == {"a": [1]} for one in members)


def test_fields_of_a_single_object_and_of_lists_within_can_be_wrong(caller: Caller) -> None:
    caller.sandbox.faults = field_fault(resource="organization", field="contract", what="missing")
    assert "contract" not in caller.get("organization")
    caller.sandbox.faults = field_fault(resource="objectives", field="playables.id", what="missing")
    objectives = caller.get(f"group/{a_group(caller)}/objectives")["objectives"]
    assert all("id" not in one["playables"][0] for one in objectives)
    caller.sandbox.faults = field_fault(resource="*", field="somethingNew", what="value", value=1)
    assert caller.get("organization")["somethingNew"] == 1
    assert all(one["somethingNew"] == 1 for one in caller.groups())


def test_without_faults_everything_is_as_before(caller: Caller) -> None:
    before = caller.groups()
    caller.sandbox.faults = field_fault(resource="groups", field="name", what="missing")
    caller.groups()
    caller.sandbox.faults = Faults()
    assert caller.groups() == before

"""Timestamps in every precision, and answers without any field that may be missing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.drillster import Faults

from .caller import Caller
from .shaped import Paths, shaped


@pytest.mark.parametrize("form", ["milliseconds", "minutes", "mixed"])
def test_timestamps_come_in_every_precision(caller: Caller, paths: Paths, form: Any) -> None:
    forms = {"milliseconds": r".*T\d\d:\d\d:\d\d\.\d{3}Z", "minutes": r".*T\d\d:\d\dZ"}
    for where in ("accounts", "members", "events", "results"):
        usual = caller.get(getattr(paths, where), resultSize=100)
        moments = stamps(shaped(caller, getattr(paths, where), timestamps=form))
        caller.sandbox.faults = Faults()
        assert len(moments) == len(stamps(usual)) > 0
        assert [moment[:16] for moment in moments] == [moment[:16] for moment in stamps(usual)]
        if form != "mixed":
            assert all(re.fullmatch(forms[form], moment) for moment in moments)
        else:
            assert where == "events" or len({len(moment) for moment in moments}) > 1


def stamps(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [one for name, item in value.items() if name != "lastOnPage" for one in stamps(item)]
    if isinstance(value, list):
        return [one for item in value for one in stamps(item)]
    return [value] if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value) else []


def test_optional_fields_can_all_be_missing(caller: Caller, paths: Paths) -> None:
    def bare(path: str) -> Any:
        return shaped(caller, path, optional_fields=False)

    assert {frozenset(one["account"]) for one in bare(paths.accounts)["accounts"]} == {
        frozenset({"type", "id", "name"})
    }
    assert {frozenset(one) for one in bare("groups")["groups"]} == {frozenset({"id", "name", "description"})}
    assert {frozenset(one) for one in bare(paths.evaluations)["evaluations"]} == {frozenset({"user", "met"})}
    results = {"drillable", "proficiency", "timeSpent", "expectedDuration"}
    assert {frozenset(one) for one in bare(paths.results)["groupDrillableMemberResults"]} == {frozenset(results)}
    assert all("name" not in one and "type" in one for one in bare(paths.objectives)["objectives"])
    members = {frozenset(one) for one in bare(paths.members)["members"]}
    assert members == {frozenset({"member"}), frozenset({"member", "joined"})}
    assert "tests" in bare(paths.group)

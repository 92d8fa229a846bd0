"""Documented answers, mutated: whatever Drillster may send, nothing breaks and no row is lost without a reject."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillster_pipeline.errors import ContractError
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from tests.conftest import examples

from .pages import Asked, Extracted, extract, page

SECRET = "Noor-the-secret"
SECRETS = {"name": SECRET, "emailAddress": f"{SECRET}@example.org", "yearOfBirth": "1984"}


def _user(number: int) -> dict[str, Any]:
    return {"type": "USER", "id": f"account-{number}", **SECRETS, "created": "2023-04-12T08:15:30Z"}


def _drill(number: int) -> dict[str, Any]:
    return {"id": f"drill-{number}", "type": "DRILL", "name": "Medicines", "icon": {"url": "https://example.org"}}


def _attempt(number: int) -> dict[str, Any]:
    transformations = [{"id": "seventy", "result": "Passed", "passed": True}]
    return {
        "id": f"attempt-{number}",
        "user": _user(number),
        "started": "2026-02-09T11:45:21Z",
        "completed": "2026-02-09T12:15:21Z",
        "duration": 30,
        "progress": 1.0,
        "score": {"percentage": 64, "transformations": transformations},
        "drills": [{"drill": _drill(number), "score": {"percentage": 57}}],
    }


THREE = range(3)
UNIT = {"group_id": "g", "account_id": "account-0", "objective_id": "o", "test_id": "t", "catalog_id": "c"}
PRACTICE = {"proficiency": {"overall": 61, "receptive": 60}, "timeSpent": 1800, "lastPracticed": "2026-03-13T19:02Z"}
DOCUMENTED: dict[str, tuple[str, tuple[str, ...], Any]] = {
    "accounts": (
        "accounts",
        (),
        {
            "accounts": [
                {
                    "account": {**_user(n), "thirdPartyIds": [{"thirdParty": "HR", "id": f"{SECRET}-{n}"}]},
                    "relationTypes": ["ACCOUNT"],
                }
                for n in THREE
            ],
            "pagination": {"total": 3, "lastOnPage": "1681287330123", "moreAvailable": False},
        },
    ),
    "catalog_content": (
        "catalog_playables",
        ("catalog_id",),
        {"playableContainer": {"id": "c", "organization": {"id": "org"}}, "playables": [_drill(n) for n in THREE]},
    ),
    "groups": (
        "groups",
        (),
        {
            "groups": [
                {"id": f"group-{n}", "name": "Surgery", "counts": {"members": 4}, "created": "2023-04-12T08:15Z"}
                for n in THREE
            ]
        },
    ),
    "group_members": (
        "group_members",
        ("group_id",),
        {
            "members": [
                {"member": _user(0), "joined": "2024-02-01T09:00:00Z"},
                {"member": _user(1), "status": "invited", "invited": "2024-02-01T09:00:00Z"},
                {"member": {"emailAddress": f"{SECRET}@example.com"}},
            ],
            "counts": {"members": 1, "invitees": 2},
        },
    ),
    "group_staff": (
        "group_staff",
        ("group_id",),
        {"count": 3, "groupStaffUsers": [{"user": _user(n), "permission": "MANAGE"} for n in THREE]},
    ),
    "group_drillables": (
        "group_playables",
        ("group_id",),
        {"id": "g", "name": "Surgery", "drillables": [_drill(n) for n in THREE]},
    ),
    "objectives": (
        "objectives",
        ("group_id",),
        [
            {
                "id": f"objective-{n}",
                "type": "ONEOFF",
                "reviewDate": "2026-08-01T00:00:00Z",
                "minimumProficiency": "80",
                "estimatedStudyDuration": "PT48H",
                "playables": [_drill(n)],
            }
            for n in THREE
        ],
    ),
    "objective_evaluations": (
        "objective_evaluations",
        ("group_id", "objective_id"),
        {
            "evaluations": [
                {"user": _user(n), "met": True, "proficiency": 91, "evaluationDate": "2026-03-14T02:00:00Z"}
                for n in THREE
            ]
        },
    ),
    "results": (
        "results",
        ("group_id", "account_id"),
        {
            "member": _user(0),
            "groupDrillableMemberResults": [
                {"drillable": _drill(0), "practice": PRACTICE},
                {"drillable": {**_drill(1), "practice": PRACTICE}},
                {"drillable": _drill(2), **PRACTICE},
            ],
        },
    ),
    "test_results": (
        "test_results",
        ("group_id", "test_id"),
        {"test": {"id": "t", "type": "TEST"}, "memberTestResults": [_attempt(n) for n in THREE]},
    ),
    "objective_events": (
        "objective_events",
        ("group_id", "objective_id"),
        {
            "events": [
                {
                    "eventType": "OBJECTIVE_BECAME_OK",
                    "timestamp": "2026-03-14T09:26:53Z",
                    "evaluation": {"user": _user(n), "proficiency": 91, "evaluationDate": "2026-03-14T09:26:53Z"},
                }
                for n in THREE
            ]
        },
    ),
}
"""By resource: the table that has a row for each item, the path parameters, and an answer."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["", "\0", "\ud800", "2026-02-30T00:00Z", "now", "NaN", "-1", "9" * 30, "x" * 10_001])
)
replacements = st.recursive(
    scalars, lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(max_size=6), inside, max_size=2)
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inside:
        yield (*path, name)
        yield from _places(one, (*path, name))


@st.composite
def mutations(draw: st.DrawFn, body: Any, most: int) -> Any:
    """The answer with some of its parts replaced, left out, or called otherwise."""
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, most))):
        places = list(_places(body))
        if not places:
            break
        *path, last = draw(st.sampled_from(places))
        holder = body
        for name in path:
            holder = holder[name]
        change = draw(st.sampled_from(["replace", "leave out", "rename"]))
        if change == "replace":
            holder[last] = draw(replacements)
        elif isinstance(holder, dict):
            value = holder.pop(last)
            if change == "rename":
                holder[draw(st.text(max_size=6))] = value
        else:
            del holder[last]
    return body


def _read(resource: str, body: Any) -> Extracted:
    _, parameters, _ = DOCUMENTED[resource]
    asked: Asked = page(resource, body, **{name: UNIT[name] for name in parameters})
    return extract(asked, tables=[*DATA_TABLES])


@pytest.mark.parametrize("resource", DOCUMENTED)
def test_a_documented_answer_loads_without_a_reject(resource: str) -> None:
    found = _read(resource, DOCUMENTED[resource][2])
    assert found.rejects() == []
    assert len(found.rows(DOCUMENTED[resource][0])) == 3
    assert found.unknown_fields == {}


@pytest.mark.parametrize("resource", DOCUMENTED)
@settings(max_examples=examples(40))
@given(data=st.data())
def test_no_row_is_lost_without_a_reject(resource: str, data: st.DataObject) -> None:
    table, _, documented = DOCUMENTED[resource]
    body = data.draw(mutations(documented, most=1))
    try:
        expected = len(RESOURCES[resource].items(body))
    except ContractError:
        with pytest.raises(ContractError):
            _read(resource, body)
        return
    found = _read(resource, body)
    told = len(found.rows(table)) + len(found.rejects(table))
    assert told == expected or (told > expected and resource == "test_results")  # whose entries may hold several


@pytest.mark.parametrize("resource", DOCUMENTED)
@settings(max_examples=examples(40))
@given(data=st.data())
def test_nothing_breaks_and_no_reject_shows_who_a_person_is(resource: str, data: st.DataObject) -> None:
    body = data.draw(mutations(DOCUMENTED[resource][2], most=6))
    try:
        found = _read(resource, body)
    except ContractError as error:
        assert SECRET not in str(error)  # noqa: PT017 (it may be raised or not; what it says is the point)
        return
    for batch in found.batches:
        assert batch.rows_read == len(batch.frame) + len(batch.rejects)
        for column in batch.table.columns:
            assert column.nullable or not batch.frame[column.name].isna().any()
    for reject in found.rejects():
        assert reject.reason
        assert SECRET not in json.dumps([reject.reason, reject.record], allow_nan=False)
    assert SECRET not in json.dumps(found.unknown_fields)


def test_every_resource_with_a_list_is_among_the_documented() -> None:
    assert set(DOCUMENTED) == set(RESOURCES) - {"organization", "catalogs"}

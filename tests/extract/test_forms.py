"""Each resource in every form that the documentation leaves open, and the rows that come of it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from .pages import CAPTURED_AT, EXPORT_DATE, Asked, Extracted, extract, page, utc

PAGINATION = {"total": 1, "lastOnPage": "1681287330123", "moreAvailable": False}
ORGANIZATION = {
    "type": "ORGANIZATION",
    "id": "org",
    "name": "Zorggroep De Linde",
    "contract": {"type": "BUSINESS", "created": "2020-01-01T00:00:00Z", "expires": "2027-01-01T00:00Z"},
    "groupMemberQuota": 5000,
    "privacyLocation": "EU",
}
NOOR = {
    "type": "USER",
    "id": "noor",
    "name": "Noor de Wit",
    "emailAddress": "noor@example.org",
    "timeZone": "Europe/Amsterdam",
    "yearOfBirth": "1984",
    "repertoireSize": 12,
    "organization": {"type": "ORGANIZATION", "id": "org", "name": "Linde"},
    "created": "2023-04-12T08:15:30Z",
    "lastLogin": 1_746_168_060_500,
    "thirdPartyIds": [{"thirdParty": "HRCO", "id": "E10077"}],
}
NOORS_ROW = {
    "account_id": "noor",
    "name": "Noor de Wit",
    "email_address": "noor@example.org",
    "time_zone": "Europe/Amsterdam",
    "year_of_birth": 1984,
    "is_managed": True,
    "is_admin": False,
    "repertoire_size": 12,
    "organization_id": "org",
    "created_at": utc(2023, 4, 12, 8, 15, 30),
    "last_login_at": utc(2025, 5, 2, 6, 41, 0, 500_000),
}
EXTERNAL_ID = {"account_id": "noor", "third_party": "HRCO", "external_id": "E10077"}
ACCOUNT = {"account": NOOR, "relationTypes": ["ACCOUNT"]}
CATALOG = {"id": "c", "name": "Basics", "description": "For all", "organization": {"id": "org"}}
CATALOG_ROW = {"catalog_id": "c", "name": "Basics", "description": "For all", "organization_id": "org"}
GROUP = {
    "id": "g",
    "name": "Surgery",
    "customReference": "OK-1",
    "counts": {"members": 41, "drillables": 7, "tests": 1},
    "sensitiveContent": False,
    "created": "2023-04-12T08:15Z",
    "lastEdited": "2026-01-02T08:00:00.5Z",
}
GROUP_ROW = {
    "group_id": "g",
    "name": "Surgery",
    "custom_reference": "OK-1",
    "member_count": 41,
    "drillable_count": 7,
    "test_count": 1,
    "is_sensitive": False,
    "created_at": utc(2023, 4, 12, 8, 15),
    "last_edited_at": utc(2026, 1, 2, 8, 0, 0, 500_000),
}
DRILL = {"id": "d", "type": "DRILL", "name": "Medicines"}
DRILL_ROW = {"playable_id": "d", "type": "DRILL", "name": "Medicines"}
JOINED = {"joined": "2024-02-01T09:00:00Z"}
MEMBER_ROW = {
    "group_id": "g",
    "member_key": "noor",
    "account_id": "noor",
    "name": "Noor de Wit",
    "email_address": "noor@example.org",
    "status": "MEMBER",
    "joined_at": utc(2024, 2, 1, 9),
}
STAFF = {"group": {"id": "g"}, "user": NOOR, "permission": "manage"}
OBJECTIVE = {
    "id": "o",
    "name": "Safe medication",
    "type": "oneoff",
    "reviewDate": "2026-08-01T00:00:00Z",
    "minimumProficiency": "80",
    "estimatedStudyDuration": "PT48H",
    "playables": [DRILL],
}
OBJECTIVE_ROW = {
    "objective_id": "o",
    "group_id": "g",
    "name": "Safe medication",
    "type": "ONEOFF",
    "review_at": utc(2026, 8, 1),
    "minimum_proficiency": 80,
    "falling_minimum_proficiency": 80,
    "estimated_study_seconds": 172_800,
}
WHEN = "2026-03-14T09:26:53Z"
EVALUATION = {"user": NOOR, "met": True, "proficiency": {"overall": 91, "receptive": 90}, "evaluationDate": WHEN}
EVALUATION_ROW = {
    "export_date": EXPORT_DATE,
    "objective_id": "o",
    "account_id": "noor",
    "group_id": "g",
    "met": True,
    "proficiency": 91,
    "evaluated_at": utc(2026, 3, 14, 9, 26, 53),
    "captured_at": CAPTURED_AT,
}
PRACTICE = {
    "proficiency": {"overall": 61, "receptive": 60, "productive": 62},
    "highestProficiency": {"overall": 95},
    "eventualProficiency": {"overall": 40},
    "timeSpent": 1800,
    "expectedDuration": 3600,
    "lastPracticed": "2026-03-13T19:02:11Z",
    "added": "2026-01-02T08:00Z",
    "autoAdvancement": True,
}
RESULT_ROW = {
    "export_date": EXPORT_DATE,
    "group_id": "g",
    "account_id": "noor",
    "playable_id": "d",
    "proficiency": 61,
    "receptive_proficiency": 60,
    "productive_proficiency": 62,
    "highest_proficiency": 95,
    "eventual_proficiency": 40,
    "time_spent_seconds": 1800,
    "expected_duration_seconds": 3600,
    "last_practiced_at": utc(2026, 3, 13, 19, 2, 11),
    "added_at": utc(2026, 1, 2, 8),
    "captured_at": CAPTURED_AT,
}
RESULT = {"drillable": DRILL, "practice": PRACTICE}
PLACES = [{"drillable": DRILL, **PRACTICE}, RESULT, {"drillable": {**DRILL, "practice": PRACTICE}}]
GRADE = {"id": "grade-points", "result": "6.4", "percentage": 64}
PASSED = {"id": "seventy-percent", "result": "Passed", "passed": True}
ATTEMPT = {
    "id": "r",
    "started": "2026-02-09T11:45:21Z",
    "completed": "2026-02-09T12:15:21Z",
    "duration": 30,
    "size": 25,
    "correctlyAnswered": 16,
    "progress": 1.0,
    "score": {"percentage": 64, "transformations": [GRADE, PASSED]},
    "drills": [{"drill": DRILL, "score": {"percentage": 57}}],
}
ATTEMPT_ROW = {
    "test_result_id": "r",
    "test_id": "t",
    "group_id": "g",
    "account_id": "noor",
    "started_at": utc(2026, 2, 9, 11, 45, 21),
    "completed_at": utc(2026, 2, 9, 12, 15, 21),
    "duration_minutes": 30,
    "question_count": 25,
    "correctly_answered": 16,
    "progress": 1.0,
    "score_percentage": 64,
    "passed": True,
}
SCORE_ROWS = [
    {"test_result_id": "r", "transformation_id": "grade-points", "result": "6.4", "percentage": 64},
    {"test_result_id": "r", "transformation_id": "seventy-percent", "result": "Passed", "passed": True},
]
ENTRIES = [
    {"user": NOOR, "testResults": [ATTEMPT]},
    {"member": NOOR, "testResults": [ATTEMPT]},
    {"user": NOOR, "attempts": [ATTEMPT]},
    {**ATTEMPT, "user": NOOR},
]
INSIDE = {"user": NOOR, "evaluationDate": WHEN, "proficiency": 91, "met": True}
EVENTS = [
    {"eventType": "OBJECTIVE_BECAME_OK", "timestamp": WHEN, "evaluation": INSIDE},
    {"type": "objective_became_ok", "date": WHEN, "objectiveEvaluation": INSIDE},
    {"eventType": "OBJECTIVE_BECAME_OK", "type": "OBJECTIVE_MET", "evaluation": INSIDE},
    {"eventType": "OBJECTIVE_BECAME_OK", "timestamp": WHEN, "user": NOOR, "proficiency": 91},
    {"eventType": "OBJECTIVE_BECAME_OK", "timestamp": "2026-03-14T10:26:53.000+01:00", "evaluation": INSIDE},
]
EVENT_ROW = {
    "event_id": hashlib.sha256(b"o|noor|OBJECTIVE_BECAME_OK|2026-03-14T09:26:53.000000Z").hexdigest()[:32],
    "objective_id": "o",
    "account_id": "noor",
    "group_id": "g",
    "event_type": "OBJECTIVE_BECAME_OK",
    "occurred_at": utc(2026, 3, 14, 9, 26, 53),
    "proficiency": 91,
}

UNITS: dict[str, tuple[str, ...]] = {
    "catalog_content": ("catalog_id",),
    "group_members": ("group_id",),
    "group_staff": ("group_id",),
    "group_drillables": ("group_id",),
    "objectives": ("group_id",),
    "objective_evaluations": ("group_id", "objective_id"),
    "results": ("group_id", "account_id"),
    "test_results": ("group_id", "test_id"),
    "objective_events": ("group_id", "objective_id"),
}
"""By resource, the parameters of its requests."""
PARAMETERS = {"catalog_id": "c", "group_id": "g", "account_id": "noor", "objective_id": "o", "test_id": "t"}


def ask(resource: str, body: Any, **others: Any) -> Asked:
    """An answer of a resource, asked for the parameters that it has."""
    return page(resource, body, **{name: PARAMETERS[name] for name in UNITS.get(resource, ())}, **others)


def read(resource: str, body: Any) -> Extracted:
    """All that one answer gives."""
    return extract(ask(resource, body), tables=None if resource != "objective_events" else (resource, "accounts"))


def given(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


LISTS = {
    "accounts": ("accounts", "organizationAccounts", "people"),
    "catalogs": ("catalogs", "things"),
    "catalog_content": ("playables", "content", "things"),
    "groups": ("groups", "things"),
    "group_members": ("members", "groupMembers"),
    "group_staff": ("groupStaffUsers", "staff"),
    "group_drillables": ("drillables", "playables"),
    "objectives": ("objectives", "groupObjectives"),
    "objective_evaluations": ("evaluations", "objectiveEvaluations", "things"),
    "results": ("groupDrillableMemberResults", "results"),
    "test_results": ("memberTestResults", "testResults", "groupTestResults", "results"),
    "objective_events": ("events", "objectiveEvaluationEvents"),
}
"""Documented names of the list of a resource, and one that nobody documents."""
FORMS: list[tuple[str, list[Any], dict[str, Any]]] = [
    (
        "accounts",
        [ACCOUNT, {**NOOR, "relationTypes": ["ACCOUNT"]}],
        {"accounts": NOORS_ROW, "account_external_ids": EXTERNAL_ID},
    ),
    ("catalogs", [CATALOG, {"catalog": CATALOG}], {"catalogs": CATALOG_ROW}),
    (
        "catalog_content",
        [DRILL],
        {"catalog_playables": {"catalog_id": "c", "playable_id": "d", "type": "DRILL"}, "playables": DRILL_ROW},
    ),
    ("groups", [GROUP], {"groups": GROUP_ROW}),
    ("group_members", [{"member": NOOR, **JOINED}, {**NOOR, **JOINED}], {"group_members": MEMBER_ROW}),
    ("group_staff", [STAFF], {"group_staff": {"group_id": "g", "account_id": "noor", "permission": "MANAGE"}}),
    (
        "group_drillables",
        [DRILL],
        {"group_playables": {"group_id": "g", "playable_id": "d", "type": "DRILL"}, "playables": DRILL_ROW},
    ),
    (
        "objectives",
        [OBJECTIVE, {**OBJECTIVE, "playables": None, "drills": [DRILL]}],
        {"objectives": OBJECTIVE_ROW, "objective_playables": {"objective_id": "o", "playable_id": "d"}},
    ),
    (
        "objective_evaluations",
        [EVALUATION, {**EVALUATION, "proficiency": 91}],
        {"objective_evaluations": EVALUATION_ROW},
    ),
    ("results", PLACES, {"results": RESULT_ROW, "playables": DRILL_ROW}),
    (
        "test_results",
        ENTRIES,
        {
            "test_results": ATTEMPT_ROW,
            "test_result_scores": SCORE_ROWS,
            "test_result_drills": {"test_result_id": "r", "drill_id": "d", "score_percentage": 57},
        },
    ),
    ("objective_events", EVENTS, {"objective_events": EVENT_ROW}),
]


@pytest.mark.parametrize(("resource", "items", "expected"), FORMS, ids=[resource for resource, *_ in FORMS])
def test_an_item_loads_the_same_in_every_form_and_under_any_name_of_its_list(
    resource: str, items: list[Any], expected: dict[str, Any]
) -> None:
    for item in items:
        bodies = [[item], *({name: [item], "pagination": PAGINATION} for name in LISTS[resource])]
        for body in bodies:
            found = read(resource, body)
            for table, rows in expected.items():
                assert list(map(given, found.rows(table))) == (rows if isinstance(rows, list) else [rows]), body
            assert found.rejects() == []


def test_the_organization_is_one_row_of_which_only_the_id_is_needed() -> None:
    assert given(read("organization", ORGANIZATION).row("organizations")) == {
        "organization_id": "org",
        "name": "Zorggroep De Linde",
        "contract_type": "BUSINESS",
        "contract_created_at": utc(2020, 1, 1),
        "contract_expires_at": utc(2027, 1, 1),
        "group_member_quota": 5000,
        "privacy_location": "EU",
    }
    assert given(read("organization", {"id": "org", "contract": None}).row("organizations")) == {
        "organization_id": "org"
    }


@pytest.mark.parametrize(
    ("relation_types", "is_admin"), [(["ADMIN"], True), (["ACCOUNT", "ADMIN"], True), ([], False), (None, None)]
)
def test_whoever_has_the_relation_admin_is_one(relation_types: Any, is_admin: bool | None) -> None:
    row = read("accounts", [{"account": {"id": "a"}, "relationTypes": relation_types}]).row("accounts")
    assert (row["is_managed"], row["is_admin"]) == (True, is_admin)


@pytest.mark.parametrize(
    ("account", "column", "expected"),
    [
        ({"id": 17}, "account_id", "17"),
        ({"id": "a", "name": ""}, "name", ""),
        ({"id": "a", "realName": "Noor"}, "name", "Noor"),
        ({"id": "a", "lastLogin": "2025-05-02T06:41:00Z"}, "last_login_at", utc(2025, 5, 2, 6, 41)),
    ],
)
def test_a_field_of_an_account_loads_however_it_is_written(account: Any, column: str, expected: Any) -> None:
    assert read("accounts", [account]).row("accounts")[column] == expected


def test_a_things_own_answer_adds_to_the_list_and_is_known_by_its_path() -> None:
    found = extract(
        page("catalogs", [{"id": "c", "name": "Old"}]),
        page("catalogs", {"name": "Basics"}, catalog_id="c"),
        ask("catalog_content", {"playables": [], "playableContainer": CATALOG, "pagination": {"total": 7}}),
        page("groups", [{"id": "g", "name": "Old", "description": "All"}, {"id": "closed", "name": "Closed"}]),
        page("groups", {"name": "New", "tests": [{"id": "t"}], "drillables": [DRILL]}, group_id="g"),
        ask("group_drillables", {"drillables": [DRILL], "tests": [{"id": "u"}]}),
    )
    assert given(found.row("catalogs")) == {**CATALOG_ROW, "playable_count": 7}
    groups = {row["group_id"]: (row["name"], row["description"]) for row in found.rows("groups")}
    assert groups == {"g": ("New", "All"), "closed": ("Closed", None)}
    playables = {row["playable_id"]: row["type"] for row in found.rows("group_playables")}
    assert playables == {"t": "TEST", "d": "DRILL", "u": "TEST"}


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ({"emailAddress": "Kim@Example.org"}, "invitee:" + hashlib.sha256(b"kim@example.org").hexdigest()[:32]),
        ({"emailAddress": "9f2c@pseudonym.invalid", "inviteeKey": "0123" * 8}, "invitee:" + "0123" * 8),
        ({"inviteeKey": "0123" * 8}, "invitee:" + "0123" * 8),
    ],
)
def test_an_invitee_without_an_account_is_known_by_a_digest_of_the_address(member: Any, expected: str) -> None:
    found = read("group_members", [{"member": member, "invited": "2024-02-01", "status": "invited"}])
    row = found.row("group_members")
    assert (row["member_key"], row["account_id"], row["status"]) == (expected, None, "INVITED")
    assert found.rows("accounts") == []


KIM = {"emailAddress": "kim@example.org"}


@pytest.mark.parametrize(
    ("item", "counts", "status"),
    [
        ({"member": NOOR, **JOINED, "status": "accepted"}, None, "ACCEPTED"),
        ({"member": NOOR, "status": ""}, None, ""),
        ({"member": NOOR}, None, "INVITED"),
        ({"member": NOOR}, {"members": 4, "invitees": 1}, "INVITED"),
        ({"member": NOOR}, {"members": 5, "invitees": 0}, "MEMBER"),
        ({"member": KIM}, {"members": 5, "invitees": 0}, "INVITED"),
        ({"member": KIM, **JOINED}, None, "MEMBER"),
    ],
)
def test_a_status_is_as_stated_or_follows_from_a_date_of_joining(item: Any, counts: Any, status: str) -> None:
    assert read("group_members", {"members": [item], "counts": counts}).row("group_members")["status"] == status


@pytest.mark.parametrize(
    ("item", "minimum", "falling"),
    [
        ({"minimumProficiency": 90.0, "fallingMinimumProficiency": 0}, 90, 0),
        ({"fallingMinimumProficiency": 60}, None, 60),
        ({}, None, None),
    ],
)
def test_a_falling_minimum_that_is_left_out_is_the_minimum(item: Any, minimum: Any, falling: Any) -> None:
    row = read("objectives", [{"id": "o", **item}]).row("objectives")
    assert (row["minimum_proficiency"], row["falling_minimum_proficiency"]) == (minimum, falling)


def test_the_norm_of_an_evaluation_is_its_own_else_that_of_its_objective() -> None:
    own = {**EVALUATION, "user": {"id": "a"}, "reviewDate": "2026-05-01", "objective": {"minimumProficiency": 70}}
    found = extract(ask("objectives", [OBJECTIVE]), ask("objective_evaluations", [EVALUATION, own]))
    norms = {
        row["account_id"]: (row["review_at"], row["minimum_proficiency"]) for row in found.rows("objective_evaluations")
    }
    assert norms == {"noor": (utc(2026, 8, 1), 80), "a": (utc(2026, 5, 1), 70)}
    unread = page("objective_evaluations", [EVALUATION], group_id="g", objective_id="unread")
    assert extract(ask("objectives", [OBJECTIVE]), unread).row("objective_evaluations")["minimum_proficiency"] is None


def test_a_norm_that_does_not_fit_costs_the_objective_but_nobodys_evaluation() -> None:
    objectives = [
        {"id": "o", "minimumProficiency": "much", "reviewDate": "2026-05-01"},
        {"id": "p", "reviewDate": "soon"},
    ]
    found = extract(ask("objectives", objectives), ask("objective_evaluations", [{"user": {"id": "a"}}]))
    assert [reject.key for reject in found.rejects()] == [("o",), ("p",)]
    row = found.row("objective_evaluations")
    assert (row["minimum_proficiency"], row["review_at"]) == (None, utc(2026, 5, 1))


def test_a_proficiency_that_is_a_number_has_no_parts_and_the_measures_of_practice_win() -> None:
    practice = {**PRACTICE, "proficiency": 61, "highestProficiency": 95, "eventualProficiency": "40"}
    row = read("results", [{"drillable": {**DRILL, "practice": {"timeSpent": 2}}, "practice": practice}]).row("results")
    assert row == {**RESULT_ROW, "receptive_proficiency": None, "productive_proficiency": None}


def test_an_event_keeps_the_id_that_drillster_gives() -> None:
    assert read("objective_events", [{**EVENTS[0], "eventId": "e-1"}]).row("objective_events")["event_id"] == "e-1"


@pytest.mark.parametrize(
    ("resource", "item"),
    [("accounts", ACCOUNT), ("results", RESULT), ("objective_events", EVENTS[0]), ("test_results", ENTRIES[0])],
)
def test_an_item_that_pages_repeat_is_given_once_as_last_read(resource: str, item: Any) -> None:
    pages = [ask(resource, [item, item]), ask(resource, [item], number=2, at=utc(2026, 3, 15, 2))]
    found = extract(*pages, tables=(resource,))
    assert len(found.rows(resource)) == 1
    assert found.row(resource).get("captured_at") in {None, utc(2026, 3, 15, 2)}


@pytest.mark.parametrize("entry", [{"user": NOOR}, {"user": NOOR, "testResults": []}, {"member": NOOR, "attempts": []}])
def test_a_member_without_attempts_is_no_attempt(entry: Any) -> None:
    found = read("test_results", {"memberTestResults": [entry]})
    assert (found.rows("test_results"), found.rejects()) == ([], [])
    assert found.column("accounts", "account_id") == ["noor"]


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        ({"completed": None, "progress": 0, "score": None}, (0.0, None, None)),
        ({"score": 64}, (1.0, 64, None)),
        ({"score": {"transformations": [GRADE]}}, (1.0, None, None)),
        ({"score": {"transformations": [{**PASSED, "passed": False}, PASSED]}}, (1.0, None, False)),
        ({"score": {"transformations": [{**PASSED, "passed": None}, PASSED]}}, (1.0, None, True)),
    ],
)
def test_an_attempt_is_passed_by_the_first_transformation_that_says_so(attempt: Any, expected: Any) -> None:
    row = read("test_results", [{"user": NOOR, "testResults": [{**ATTEMPT, **attempt}]}]).row("test_results")
    assert (row["progress"], row["score_percentage"], row["passed"]) == expected


def test_attempts_by_nobody_known_and_scores_that_are_numbers_load_too() -> None:
    found = read("test_results", [{**ATTEMPT, "ticket": {"id": "x"}, "drills": [{"drill": DRILL, "score": 57}]}])
    assert found.row("test_results")["account_id"] is None
    assert found.column("test_result_drills", "score_percentage") == [57]

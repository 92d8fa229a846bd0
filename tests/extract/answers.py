"""Answers of each resource in every form that the documentation leaves open, and the rows that come of them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .pages import CAPTURED_AT, EXPORT_DATE, Extracted, ResourcePage, extract, page, utc

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
    "locale": "nl",
    "domicile": "NL",
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
    "locale": "nl",
    "domicile": "NL",
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


def respond(resource: str, body: Any, **others: Any) -> ResourcePage:
    """The response of a resource to a request with its parameters."""
    return page(resource, body, **{name: PARAMETERS[name] for name in UNITS.get(resource, ())}, **others)


def read(resource: str, body: Any) -> Extracted:
    """All that one answer gives."""
    return extract(respond(resource, body), tables=None if resource != "objective_events" else (resource, "accounts"))


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


def _three(item: Any) -> list[Any]:
    """Three of an item, which differ in every id."""
    return [json.loads(json.dumps(item).replace('"id": "', f'"id": "{number}-')) for number in range(3)]


_FORM = {"results": 1}
DOCUMENTED: dict[str, tuple[str, Any]] = {
    resource: (next(iter(rows)), {LISTS[resource][0]: _three(items[_FORM.get(resource, 0)]), "pagination": PAGINATION})
    for resource, items, rows in FORMS
}
"""By resource: the table that has a row for each item, and an answer of three items."""

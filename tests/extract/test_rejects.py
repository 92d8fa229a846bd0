"""What does not fit is rejected with a reason, and costs neither its neighbours nor what it belongs to."""

from __future__ import annotations

import pytest

from drillster_pipeline.response_shapes import Json

from .test_forms import ATTEMPT, DRILL, EVALUATION, GROUP, NOOR, PRACTICE, WHEN, read

ITEMS: dict[str, list[tuple[Json, str]]] = {
    "accounts": [
        ("Noor", "accounts[]: expected an object"),
        ({"account": "Noor"}, "account_id, name, email_address and 9 more: expected an object"),
        ({"account": {}}, "account_id: missing"),
        ({"account": {"id": ""}}, "account_id: missing"),
        ({"account": {"id": ["a"]}}, "account_id: expected an id"),
        ({"account": {"id": "a", "name": 5}}, "name: expected text"),
        ({"account": {"id": "a", "lastLogin": 1_746_168_060}}, "last_login_at: expected a timestamp"),
        ({"account": {"id": "a", "yearOfBirth": "long ago"}}, "year_of_birth: expected an integer"),
        ({"account": {"id": "a", "organization": "Linde"}}, "organization_id: expected an object"),
        ({"account": {"id": "a"}, "relationTypes": "ADMIN"}, "is_admin: expected a list"),
    ],
    "catalogs": [
        ({"name": "x"}, "catalog_id: missing"),
        ({"id": "c", "description": ["x"]}, "description: expected text"),
        ({"id": "c", "organization": "?"}, "organization_id: expected an object"),
    ],
    "catalog_content": [({"type": "DRILL"}, "playable_id: missing"), ("d", "playables[]: expected an object")],
    "groups": [
        ({"name": "x"}, "group_id: missing"),
        ({**GROUP, "counts": 41}, "member_count, drillable_count, test_count: expected an object"),
        ({**GROUP, "counts": {"members": "many"}}, "member_count: expected an integer"),
        ({**GROUP, "sensitiveContent": "no"}, "is_sensitive: expected true or false"),
        (17, "groups[]: expected an object"),
    ],
    "group_members": [
        ({"member": {"name": "Kim"}}, "member_key: missing: the entry has neither an id nor an e-mail address"),
        ({"member": {"id": [1], "emailAddress": "kim@example.org"}}, "member_key, account_id: expected an id"),
        ({"member": {"id": "a", "name": 5}}, "name: expected text"),
        ({"member": {"id": "a"}, "joined": "yesterday"}, "joined_at: expected a timestamp"),
        ({"member": {"id": "a"}, "status": 1}, "status: expected text"),
        (None, "members[]: expected an object, found nothing"),
    ],
    "group_staff": [
        ({"permission": "MANAGE"}, "account_id: missing"),
        ({"user": "boss"}, "account_id: expected an object"),
        ({"user": {"id": "boss"}, "permission": ["MANAGE"]}, "permission: expected text"),
    ],
    "group_drillables": [
        ({"type": "DRILL"}, "playable_id: missing"),
        ({"id": "d", "type": 3}, "type: expected text"),
        ("d", "drillables[]: expected an object"),
    ],
    "objectives": [
        ({"name": "x"}, "objective_id: missing"),
        ({"id": "o", "minimumProficiency": "high"}, "minimum_proficiency, falling_minimum_proficiency: expected an "),
        ({"id": "o", "minimumProficiency": 101, "fallingMinimumProficiency": 9}, "minimum_proficiency: out of range"),
        ({"id": "o", "reviewDate": "PER_USER"}, "review_at: expected a timestamp"),
        ({"id": "o", "estimatedStudyDuration": 48}, "estimated_study_seconds: expected an ISO 8601 duration"),
        ({"id": "o", "estimatedStudyDuration": "P1Y"}, "estimated_study_seconds: expected an ISO 8601 duration"),
        ("o", "objectives[]: expected an object"),
    ],
    "objective_evaluations": [
        ({"met": True}, "account_id: missing"),
        ({"user": "noor"}, "account_id: expected an object"),
        ({**EVALUATION, "met": "yes"}, "met: expected true or false"),
        ({**EVALUATION, "proficiency": "91.5"}, "proficiency: expected an integer"),
        ({**EVALUATION, "objective": "o"}, "review_at, minimum_proficiency: expected an object"),
        (True, "evaluations[]: expected an object, found a boolean"),
    ],
    "results": [
        ({"practice": PRACTICE}, "playable_id: missing"),
        ({"drillable": "d"}, "playable_id"),
        ({"drillable": DRILL, "practice": "none"}, "proficiency, highest_proficiency, eventual_proficiency and 4 "),
        ({"drillable": DRILL, "proficiency": {"overall": 101}}, "proficiency: out of range"),
        ({"drillable": DRILL, "proficiency": {"overall": "?"}}, "proficiency: expected an integer"),
        ({"drillable": DRILL, "proficiency": [61]}, "proficiency: expected an integer"),
        ({"drillable": DRILL, "timeSpent": -1}, "time_spent_seconds: out of range"),
        ({"drillable": DRILL, "timeSpent": 1 << 64}, "time_spent_seconds: a number beyond 64 bits"),
        ({"drillable": DRILL, "lastPracticed": 1_700_000_000_000}, "last_practiced_at: expected a timestamp"),
        ("d", "groupDrillableMemberResults[]: expected an object"),
    ],
    "test_results": [
        ({"user": NOOR, "testResults": [{**ATTEMPT, "id": None}]}, "test_result_id: missing"),
        ({"user": NOOR, "testResults": [{**ATTEMPT, "progress": 1.5}]}, "progress: out of range"),
        ({"user": NOOR, "testResults": [{**ATTEMPT, "score": "good"}]}, "score_percentage: expected"),
        ({"user": NOOR, "testResults": [{**ATTEMPT, "score": {"percentage": 640}}]}, "score_percentage: out of range"),
        ({"user": NOOR, "testResults": [{**ATTEMPT, "started": "today"}]}, "started_at: expected a timestamp"),
        ({"user": NOOR, "unknown": 1}, "test_result_id: missing"),
        ({"attempts": []}, "test_result_id: missing"),
        ({}, "test_result_id: missing"),
    ],
    "objective_events": [
        ({"timestamp": WHEN, "user": NOOR}, "event_id, event_type: missing"),
        ({"eventType": "X", "user": NOOR}, "event_id, occurred_at: missing"),
        ({"eventType": "X", "timestamp": WHEN}, "event_id, account_id: missing"),
        ({"eventType": "X", "timestamp": "now", "user": NOOR}, "event_id: missing; occurred_at: expected a timestamp"),
        ({"eventType": 3, "timestamp": WHEN, "user": NOOR}, "event_id: missing; event_type: expected text"),
        ({"eventType": "X", "timestamp": WHEN, "user": NOOR, "evaluation": 3}, "proficiency: expected an object"),
        (3, "events[]: expected an object"),
    ],
}
NEXT: dict[str, tuple[str, Json, str, str]] = {
    "accounts": ("accounts", {"account": {"id": "next"}}, "account_id", "next"),
    "catalogs": ("catalogs", {"id": "next"}, "catalog_id", "next"),
    "catalog_content": ("catalog_playables", {"id": "next"}, "playable_id", "next"),
    "groups": ("groups", {"id": "next"}, "group_id", "next"),
    "group_members": ("group_members", {"member": {"id": "next"}}, "member_key", "next"),
    "group_staff": ("group_staff", {"user": {"id": "next"}}, "account_id", "next"),
    "group_drillables": ("group_playables", {"id": "next"}, "playable_id", "next"),
    "objectives": ("objectives", {"id": "next"}, "objective_id", "next"),
    "objective_evaluations": ("objective_evaluations", {"user": {"id": "next"}}, "account_id", "next"),
    "results": ("results", {"drillable": {"id": "next"}}, "playable_id", "next"),
    "test_results": ("test_results", {"id": "next", "user": NOOR}, "test_result_id", "next"),
    "objective_events": ("objective_events", {"eventType": "Y", "timestamp": WHEN, "user": NOOR}, "event_type", "Y"),
}
"""By resource, its table, an item that fits, and the column by which it is known."""


@pytest.mark.parametrize("resource", ITEMS)
def test_an_item_that_does_not_fit_is_rejected_with_a_reason_and_the_next_one_loads(resource: str) -> None:
    table, fits, column, value = NEXT[resource]
    for item, reason in ITEMS[resource]:
        found = read(resource, [item, fits])
        (reject,) = found.rejects(table)
        assert reject.reason.startswith(reason), item
        assert found.column(table, column) == [value], item


@pytest.mark.parametrize(
    ("resource", "body", "table", "reason"),
    [
        ("organization", {}, "organizations", "organization_id: missing"),
        ("organization", [], "organizations", "organization[]: expected an object"),
        ("organization", {"id": "o", "groupMemberQuota": "none"}, "organizations", "group_member_quota: expected an"),
        ("accounts", [{"id": "a", "thirdPartyIds": "E1"}], "account_external_ids", "thirdPartyIds: expected a list"),
        ("accounts", [{"id": "a", "thirdPartyIds": [{"id": "E1"}]}], "account_external_ids", "third_party: missing"),
        ("objectives", [{"id": "o", "playables": ["d"]}], "objective_playables", "playables[]: expected an object"),
        ("objectives", [{"id": "o", "drills": [{}]}], "objective_playables", "playable_id: missing"),
        ("test_results", [{**ATTEMPT, "drills": [{"score": 5}]}], "test_result_drills", "drill_id: missing"),
        ("test_results", [{**ATTEMPT, "drills": "d"}], "test_result_drills", "drills: expected a list"),
        (
            "test_results",
            [{**ATTEMPT, "score": {"transformations": ["?"]}}],
            "test_result_scores",
            "transformations[]: expected an object",
        ),
        (
            "test_results",
            [{**ATTEMPT, "score": {"transformations": [{"id": "x", "result": 6}]}}],
            "test_result_scores",
            "result: expected text",
        ),
        ("group_drillables", [{"id": "d", "name": 5}], "playables", "name: expected text"),
    ],
)
def test_a_part_that_does_not_fit_does_not_take_the_whole_along(
    resource: str, body: Json, table: str, reason: str
) -> None:
    found = read(resource, body)
    (reject,) = found.rejects()
    assert (reject.table, reject.reason.startswith(reason)) == (table, True), reject
    assert resource == "organization" or found.rows(NEXT[resource][0])


def test_a_rejected_attempt_does_not_take_its_scores_along() -> None:
    found = read("test_results", [{**ATTEMPT, "progress": 2}])
    assert (len(found.rows("test_results")), len(found.rows("test_result_scores"))) == (0, 2)

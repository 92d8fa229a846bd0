"""The peer's rows: the documented form of each answer as flat rows of the same tables, and nothing more.

This is what somebody who writes a dlt source for this API would write. It reads only the one form that the sandbox
gives by default, looks for no unknown fields, types nothing and rejects nothing: all of that favours the peer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Rows = list[dict[str, Any]]
Told = Iterator[tuple[str, Rows]]
Reader = Callable[[Mapping[str, str], str, Rows, str], Told]
"""Of the unit, when it was captured, the items of a page, and the export date."""

LISTS = {
    "accounts": "accounts",
    "catalogs": "catalogs",
    "catalog_content": "playables",
    "groups": "groups",
    "group_members": "members",
    "group_staff": "groupStaffUsers",
    "group_drillables": "drillables",
    "objectives": "objectives",
    "objective_evaluations": "evaluations",
    "results": "groupDrillableMemberResults",
    "test_results": "memberTestResults",
    "objective_events": "events",
}
"""Where the list of a resource is."""


def _playables(items: Rows) -> tuple[str, Rows]:
    return "playables", [{"playable_id": one["id"], "type": one["type"], "name": one.get("name")} for one in items]


def _organization(_unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    yield (
        "organizations",
        [
            {
                "organization_id": one["id"],
                "name": one.get("name"),
                "email_address": one.get("emailAddress"),
                "locale": one.get("locale"),
                "domicile": one.get("domicile"),
                "contract_type": one["contract"]["type"],
                "contract_created_at": one["contract"].get("created"),
                "contract_expires_at": one["contract"].get("expires"),
                "group_member_quota": one.get("groupMemberQuota"),
                "privacy_location": one.get("privacyLocation"),
            }
            for one in items
        ],
    )


def _accounts(_unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    rows, external_ids = [], []
    for item in items:
        user = item["account"]
        rows.append(
            {
                "account_id": user["id"],
                "name": user.get("name"),
                "email_address": user.get("emailAddress"),
                "locale": user.get("locale"),
                "domicile": user.get("domicile"),
                "time_zone": user.get("timeZone"),
                "year_of_birth": int(user["yearOfBirth"]) if "yearOfBirth" in user else None,
                "status": user.get("status"),
                "is_managed": True,
                "is_admin": "ADMIN" in item["relationTypes"],
                "repertoire_size": user.get("repertoireSize"),
                "organization_id": user.get("organization", {}).get("id"),
                "created_at": user.get("created"),
                "last_login_at": user.get("lastLogin"),
            }
        )
        external_ids += [
            {"account_id": user["id"], "third_party": one["thirdParty"], "external_id": one["id"]}
            for one in user.get("thirdPartyIds", ())
        ]
    yield "accounts", rows
    yield "account_external_ids", external_ids


def _catalogs(unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    if unit:
        yield (
            "catalogs",
            [
                {
                    "catalog_id": one["id"],
                    "name": one.get("name"),
                    "description": one.get("description"),
                    "organization_id": one.get("organization", {}).get("id"),
                }
                for one in items
            ],
        )


def _catalog_content(unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    yield _playables(items)
    catalog = unit["catalog_id"]
    yield (
        "catalog_playables",
        [{"catalog_id": catalog, "playable_id": one["id"], "type": one["type"]} for one in items],
    )


def _groups(unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    if not unit:
        return  # each group tells more of itself
    for one in items:
        counts = one["counts"]
        row = {
            "group_id": one["id"],
            "name": one.get("name"),
            "description": one.get("description"),
            "custom_reference": one.get("customReference"),
            "member_count": counts.get("members"),
            "drillable_count": counts.get("drillables"),
            "test_count": counts.get("tests"),
            "is_sensitive": one.get("sensitiveContent"),
            "created_at": one.get("created"),
            "last_edited_at": one.get("lastEdited"),
        }
        yield "groups", [row]
        yield from _group_playables(one["id"], one.get("tests", []))


def _group_playables(group: str, items: Rows) -> Told:
    yield _playables(items)
    yield "group_playables", [{"group_id": group, "playable_id": one["id"], "type": one["type"]} for one in items]


def _group_drillables(unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    yield from _group_playables(unit["group_id"], items)


def _group_members(unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    group = unit["group_id"]
    yield (
        "group_members",
        [
            {
                "group_id": group,
                "member_key": one["member"]["id"],
                "account_id": one["member"]["id"],
                "name": one["member"].get("name"),
                "email_address": one["member"].get("emailAddress"),
                "status": "MEMBER",
                "joined_at": one.get("joined"),
            }
            for one in items
        ],
    )


def _group_staff(unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    group = unit["group_id"]
    yield (
        "group_staff",
        [{"group_id": group, "account_id": one["user"]["id"], "permission": one["permission"]} for one in items],
    )


def _objectives(unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    group = unit["group_id"]
    rows, playables = [], []
    for one in items:
        minimum = one.get("minimumProficiency")
        rows.append(
            {
                "objective_id": one["id"],
                "group_id": group,
                "name": one.get("name"),
                "type": one["type"],
                "review_at": one.get("reviewDate"),
                "minimum_proficiency": minimum,
                "falling_minimum_proficiency": one.get("fallingMinimumProficiency", minimum),
                "estimated_study_seconds": _seconds(one.get("estimatedStudyDuration")),
            }
        )
        playables += [{"objective_id": one["id"], "playable_id": each["id"]} for each in one["playables"]]
    yield "objectives", rows
    yield "objective_playables", playables
    yield _playables([each for one in items for each in one["playables"]])


_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")


def _seconds(duration: str | None) -> int | None:
    """Of a duration such as PT1H30M."""
    if duration is None:
        return None
    match = _DURATION.fullmatch(duration)
    assert match is not None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _evaluations(unit: Mapping[str, str], at: str, items: Rows, day: str) -> Told:
    group, objective = unit["group_id"], unit["objective_id"]
    yield (
        "objective_evaluations",
        [
            {
                "export_date": day,
                "objective_id": objective,
                "account_id": one["user"]["id"],
                "group_id": group,
                "met": one.get("met"),
                "proficiency": one.get("proficiency"),
                "evaluated_at": one.get("evaluationDate"),
                "review_at": one.get("reviewDate"),
                "captured_at": at,
            }
            for one in items
        ],
    )


def _results(unit: Mapping[str, str], at: str, items: Rows, day: str) -> Told:
    group, account = unit["group_id"], unit["account_id"]
    rows = []
    for one in items:
        proficiency = one.get("proficiency") or _NOTHING
        rows.append(
            {
                "export_date": day,
                "group_id": group,
                "account_id": account,
                "playable_id": one["drillable"]["id"],
                "proficiency": proficiency.get("overall"),
                "receptive_proficiency": proficiency.get("receptive"),
                "productive_proficiency": proficiency.get("productive"),
                "highest_proficiency": (one.get("highestProficiency") or _NOTHING).get("overall"),
                "eventual_proficiency": (one.get("eventualProficiency") or _NOTHING).get("overall"),
                "time_spent_seconds": one.get("timeSpent"),
                "expected_duration_seconds": one.get("expectedDuration"),
                "last_practiced_at": one.get("lastPracticed"),
                "added_at": one.get("added"),
                "captured_at": at,
            }
        )
    yield "results", rows


_NOTHING: dict[str, Any] = {}


def _test_results(unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    rows, scores, drills = [], [], []
    for person in items:
        for one in person["testResults"]:
            score = one.get("score") or _NOTHING
            transformations = score.get("transformations", ())
            rows.append(
                {
                    "test_result_id": one["id"],
                    "test_id": unit["test_id"],
                    "group_id": unit["group_id"],
                    "account_id": person["user"]["id"],
                    "started_at": one.get("started"),
                    "completed_at": one.get("completed"),
                    "duration_minutes": one.get("duration"),
                    "question_count": one.get("size"),
                    "correctly_answered": one.get("correctlyAnswered"),
                    "progress": one.get("progress"),
                    "score_percentage": score.get("percentage"),
                    "passed": next((each["passed"] for each in transformations if "passed" in each), None),
                }
            )
            scores += [
                {
                    "test_result_id": one["id"],
                    "transformation_id": each["id"],
                    "result": each.get("result"),
                    "passed": each.get("passed"),
                    "percentage": each.get("percentage"),
                }
                for each in transformations
            ]
            drills += [
                {
                    "test_result_id": one["id"],
                    "drill_id": each["drill"]["id"],
                    "score_percentage": (each.get("score") or _NOTHING).get("percentage"),
                }
                for each in one.get("drills", ())
            ]
    yield "test_results", rows
    yield "test_result_scores", scores
    yield "test_result_drills", drills
    yield _playables(
        [each["drill"] for person in items for one in person["testResults"] for each in one.get("drills", ())]
    )


def _events(unit: Mapping[str, str], _at: str, items: Rows, _day: str) -> Told:
    yield (
        "objective_events",
        [
            {
                "event_id": one["eventId"],
                "objective_id": unit["objective_id"],
                "account_id": one["evaluation"]["user"]["id"] if "user" not in one else one["user"]["id"],
                "group_id": unit["group_id"],
                "event_type": one["eventType"],
                "occurred_at": one.get("timestamp"),
                "proficiency": one["evaluation"].get("proficiency"),
            }
            for one in items
        ],
    )


READERS: dict[str, Reader] = {
    "organization": _organization,
    "accounts": _accounts,
    "catalogs": _catalogs,
    "catalog_content": _catalog_content,
    "groups": _groups,
    "group_members": _group_members,
    "group_staff": _group_staff,
    "group_drillables": _group_drillables,
    "objectives": _objectives,
    "objective_evaluations": _evaluations,
    "results": _results,
    "test_results": _test_results,
    "objective_events": _events,
}
"""In the order of the walk."""

"""Every field that Drillster's documentation names, per resource: whatever else is met is news.

A dictionary is an object, a dictionary in a list a list of objects, None a plain value (or something whose inside
does not matter here). Sources are the object pages of API 2.1.1, with what older pages and examples add.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Fields: TypeAlias = Mapping[str, Any]


def _plain(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names)


MEDIA = _plain("type", "url", "width", "height")
PAGINATION = _plain("total", "lastOnPage", "moreAvailable")
CONTRACT = _plain("id", "type", "created", "expires")
LICENSE = {**_plain("type", "text", "link"), "icon": MEDIA}
ORGANIZATION: Fields = {
    **_plain("type", "id", "name", "emailAddress", "locale", "domicile", "groupMemberQuota"),
    **_plain("thirdParties", "mayCreateGroupMemberAccounts", "privacyLocation", "catalogs"),
    "avatar": MEDIA,
    "contract": CONTRACT,
    "license": LICENSE,
}
USER: Fields = {
    **_plain("type", "id", "name", "realName", "emailAddress", "locale", "domicile", "lastLogin"),
    **_plain("yearOfBirth", "description", "biography", "timeZone", "repertoireSize", "created"),
    **_plain("memberSince", "status", "quota"),
    # What our own privacy settings put on an invitee whose address they hide.
    **_plain("inviteeKey"),
    "avatar": MEDIA,
    "organization": ORGANIZATION,
    "thirdPartyIds": [_plain("thirdParty", "id")],
}
PROFICIENCY = _plain("overall", "receptive", "productive")
PRACTICE: Fields = {
    **_plain("timeSpent", "expectedDuration", "lastPracticed", "added", "autoAdvancement"),
    "proficiency": PROFICIENCY,
    "highestProficiency": PROFICIENCY,
    "eventualProficiency": PROFICIENCY,
}
_PLAYABLE: dict[str, Any] = {
    **_plain("type", "id", "name", "description", "created", "locale", "reception", "subject", "size"),
    **_plain("columns", "restrictions", "affordances", "creator", "owner", "version", "progress"),
    "icon": MEDIA,
    "cover": MEDIA,
    "compatibility": _plain("compatible", "unsupportedFeatures"),
    "license": LICENSE,
    "practice": PRACTICE,
}
_TEST: dict[str, Any] = {
    **_plain("title", "tags", "direction", "style", "instructions", "group", "testType", "disclosure"),
    **_plain("questions", "reviewDate", "startable", "testResults"),
}
PLAYABLE: Fields = {**_PLAYABLE, **_TEST, "drills": [_PLAYABLE]}
GROUP: Fields = {
    **_plain("id", "type", "name", "description", "customReference", "created", "lastEdited", "affordances"),
    **_plain("forcedMembershipNotification", "catalogRestriction", "sensitiveContent", "permission"),
    **_plain("communicationConfig", "subscriptionTermination", "members"),
    "organization": ORGANIZATION,
    "icon": MEDIA,
    "counts": _plain("members", "drillables", "tests"),
    "drillables": [PLAYABLE],
    "tests": [PLAYABLE],
}
PLAYABLE_EVALUATION: Fields = {
    "playable": PLAYABLE,
    "playableResultStatus": _plain("type", "proficiency"),
    "status": None,
}
_OBJECTIVE: dict[str, Any] = {
    **_plain("id", "name", "type", "reviewDate", "reviewDuration", "minimumProficiency"),
    **_plain("fallingMinimumProficiency", "estimatedStudyDuration", "messageConfig", "usersLink"),
    "icon": MEDIA,
    "playables": [PLAYABLE],
    "drills": [PLAYABLE],
}
EVALUATION: Fields = {
    **_plain("evaluationDate", "met", "reviewDate", "minimumProficiency"),
    "proficiency": PROFICIENCY,
    "user": USER,
    "objective": _OBJECTIVE,
    "playableEvaluations": [PLAYABLE_EVALUATION],
}
OBJECTIVE: Fields = {**_OBJECTIVE, "evaluation": EVALUATION}
EVENT: Fields = {
    **_plain("eventId", "eventType", "type", "timestamp", "date", "evaluationDate", "proficiency"),
    "user": USER,
    "evaluation": EVALUATION,
    "objectiveEvaluation": EVALUATION,
}
SCORE: Fields = {"percentage": None, "transformations": [_plain("id", "result", "passed", "percentage")]}
TEST_RESULT: Fields = {
    **_plain("id", "started", "completed", "duration", "size", "correctlyAnswered", "progress"),
    **_plain("reference", "questions", "ticket"),
    "score": SCORE,
    "user": USER,
    "test": PLAYABLE,
    "drills": [{"drill": PLAYABLE, "score": SCORE}],
}
CATALOG: Fields = {
    **_plain("id", "type", "name", "description", "created", "counts", "permission", "subscription"),
    **_plain("subscriptionEnd", "subscriptionEndYear", "subscriptionEndMonth", "subscriptionEndDay"),
    **_plain("subscriptionEndTime", "subscriptionEndTimeZone", "subscriptionEndDuration"),
    "icon": MEDIA,
    "organization": ORGANIZATION,
}

_PAGED: dict[str, Any] = {"pagination": PAGINATION, "total": None, "count": None}

ITEMS: Mapping[str, Fields] = {
    "accounts": {**USER, "account": USER, "relationTypes": None},
    "catalogs": {**CATALOG, "catalog": CATALOG},
    "catalog_content": PLAYABLE,
    "groups": GROUP,
    "group_members": {**USER, "member": USER, **_plain("joined", "invited", "status")},
    "group_staff": {"group": GROUP, "user": USER, "permission": None},
    "group_drillables": PLAYABLE,
    "objectives": OBJECTIVE,
    "objective_evaluations": EVALUATION,
    "results": {**PRACTICE, "drillable": PLAYABLE, "practice": PRACTICE, "evaluation": EVALUATION},
    "test_results": {**TEST_RESULT, "member": USER, "testResults": [TEST_RESULT]},
    "objective_events": EVENT,
}
"""What one item of a resource's list may hold."""

ANSWERS: Mapping[str, Fields] = {
    "organization": ORGANIZATION,
    "accounts": _PAGED,
    "catalogs": {**CATALOG, **_PAGED, "catalog": CATALOG},
    "catalog_content": {**_PAGED, "playableContainer": CATALOG},
    "groups": {**GROUP, **_PAGED},
    "group_members": {**_PAGED, "counts": _plain("members", "invitees")},
    "group_staff": {**_PAGED, "group": GROUP},
    "group_drillables": {**GROUP, **_PAGED},
    "objectives": _PAGED,
    "objective_evaluations": {**_PAGED, "objective": OBJECTIVE, "group": GROUP},
    "results": {**_PAGED, "group": GROUP, "member": USER},
    "test_results": {**_PAGED, "group": GROUP, "test": PLAYABLE},
    "objective_events": {**_PAGED, "objective": OBJECTIVE},
}
"""What an answer may hold besides its list."""

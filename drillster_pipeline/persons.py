"""Where people are in Drillster's answers, and which of their fields say who they are.

Drillster's documentation is known in part and its answers may grow, so people are found by their shape and their
place rather than by a list of paths; and of a person only the fields that are known to be harmless are kept.
Sources: API 2.1.1, objects User, Actor, ThirdPartyId, TestResult; notes on the API, sections 3.2 to 6.4 and 14.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = frozenset({"name", "realName"})
EMAIL = "emailAddress"
THIRD_PARTY_IDS = "thirdPartyIds"
ORGANIZATION = "organization"

KEPT = frozenset(
    {
        "type",
        "id",
        "status",
        "created",
        "lastLogin",
        "memberSince",
        "joined",
        "invited",
        "permission",
        "relationTypes",
        "repertoireSize",
        "quota",
        "maxRenditionsPerUser",
    }
)
"""Fields of a person that stay in every mode: opaque keys, states, and what was done when: what the export is for."""

COARSE = frozenset({"locale", "timeZone", "domicile"})
"""Language, time zone and country: shared by thousands, and kept under a pseudonym; not wanted where all goes."""

REFERENCE = "reference"
"""Of an attempt at a test by someone without an account: whatever that person was asked to fill in."""

WITHOUT_PSEUDONYM = frozenset({"avatar", "yearOfBirth", "biography", "description"})
"""What no pseudonym can stand for (a picture, a number of four digits, free text): left out in both modes."""

CONTAINERS = frozenset(
    {
        "organization",
        "group",
        "groups",
        "results",
        "testResults",
        "memberTestResults",
        "groupDrillableMemberResults",
        "practice",
        "score",
        "evaluation",
        "evaluations",
        "objectiveEvaluation",
        "objectiveEvaluations",
        "objective",
        "objectives",
        "playables",
        "drillables",
        "drills",
        "tests",
        "test",
        "license",
        "contract",
        "counts",
        "pagination",
    }
)
"""Fields that may hang on a person and hold things rather than traits; they are gone through like all else."""

OPAQUE = (
    KEPT | COARSE | frozenset({"thirdParty", "lastOnPage", "lastEdited", "reviewDate", "evaluationDate", "eventType"})
)
"""Fields that hold no prose, in which a name is not looked for."""

_PLACES = frozenset(
    {
        "account",
        "actor",
        "admin",
        "administrator",
        "author",
        "coach",
        "contact",
        "createdBy",
        "creator",
        "editor",
        "invitedBy",
        "invitee",
        "lastEditedBy",
        "learner",
        "manager",
        "member",
        "owner",
        "participant",
        "person",
        "recipient",
        "reviewer",
        "sender",
        "teacher",
        "ticket",
        "trainer",
        "user",
    }
)
_LISTS = frozenset({f"{place}s" for place in _PLACES} | {"organizationAccounts", "groupStaffUsers", "people", "staff"})
_RESOURCES = frozenset({"accounts", "group_members", "group_staff"})
"""Resources whose answers list people."""
_TRAITS = frozenset({EMAIL, "realName", "yearOfBirth", "biography", "lastLogin", THIRD_PARTY_IDS})
"""Fields that only people have (and organizations, of which the first)."""
_OTHER_PLACES = frozenset(
    {"organization", "group", "catalog", "playable", "drillable", "drill", "course", "test", "objective"}
)
_OTHER_TYPES = frozenset(
    {"ORGANIZATION", "GROUP", "CATALOG", "DRILL", "COURSE", "TEST", "STORY", "ONEOFF", "PERMANENT", "RECURRING"}
)
_OPAQUE_ID = re.compile(r"[A-Za-z0-9_.-]{16,}|[0-9]+")


def is_person(value: Mapping[str, Any], place: str) -> bool:
    """Whether an object is a person; ``place`` is the name of the field that it, or the list around it, is in."""
    if value.get("type") == "USER":
        return True
    if is_thing(value) or place in _OTHER_PLACES:
        return False
    if place in _PLACES or not _TRAITS.isdisjoint(value):
        return True
    # An item of a list of people is one itself, unless it only wraps one: {"account": {…}, "relationTypes": […]}.
    return place in _LISTS and not any(isinstance(value.get(inner), dict) for inner in _PLACES)


def place_of_items(resource: str, place: str) -> str:
    """The place of the items of a list that an answer of ``resource`` holds at its top."""
    return "people" if resource in _RESOURCES else place


def names_a_person(value: str, place: str) -> bool:
    """Whether a bare text stands for a person by name: it is where a person belongs, and is not an id."""
    return (place in _PLACES or place in _LISTS) and _OPAQUE_ID.fullmatch(value) is None


def is_thing(value: Mapping[str, Any]) -> bool:
    """Whether an object says of itself that it is something else than a person: a group, a drill, an objective."""
    kind = value.get("type")
    return isinstance(kind, str) and kind in _OTHER_TYPES


def is_third_party_id(value: Mapping[str, Any]) -> bool:
    """Whether an object is a ThirdPartyId: a person's key in an HR system or the like."""
    return "thirdParty" in value and "id" in value

"""Where people are in Drillster's responses, and which of their fields say who they are.

Drillster's documentation is known in part and its responses may grow, so people are found by their shape and their
place rather than by a list of paths; and of a person only the fields that are known to be harmless are kept.
They do not follow from the personal columns of tables: what is hidden before it is archived is every field of a person
but a few, whether a table has it or not.
Sources: API 2.1.1, objects User, Actor, ThirdPartyId, TestResult; notes on the API, sections 3.2 to 6.4 and 14.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from drillster_pipeline.response_shapes import Json, id_text


def _names(*texts: str) -> frozenset[str]:
    return frozenset(" ".join(texts).split())


NAMES = _names("name realName")
EMAIL = "emailAddress"
THIRD_PARTY_IDS = "thirdPartyIds"
ORGANIZATION = "organization"

KEPT = _names(
    "type id status created lastLogin memberSince joined invited permission relationTypes repertoireSize quota",
    "maxRenditionsPerUser",
)
"""Fields of a person that stay in every mode: opaque keys, states, and what was done when: what the export is for."""

COARSE = _names("locale timeZone domicile")
"""Language, time zone and country: shared by thousands, and kept under a pseudonym; not wanted where all goes."""

REFERENCE = "reference"
"""Of an attempt at a test by someone without an account: whatever that person was asked to fill in."""

WITHOUT_PSEUDONYM = _names("avatar yearOfBirth biography description")
"""What no pseudonym can stand for (a picture, a number of four digits, free text): left out in both modes."""

CONTAINERS = _names(
    "organization group groups results testResults memberTestResults groupDrillableMemberResults practice",
    "score evaluation evaluations objectiveEvaluation objectiveEvaluations objective objectives playables",
    "drillables drills tests test license contract counts pagination",
)
"""Fields that may hang on a person and hold things rather than traits; they are gone through like all else."""

OPAQUE = (
    KEPT
    | COARSE
    | _names(
        "thirdParty thirdParties lastOnPage privacyLocation inviteeKey eventId eventType lastEdited reviewDate",
        "evaluationDate timestamp date started completed expires lastPracticed added reviewDuration",
        "estimatedStudyDuration subscriptionEnd direction style testType disclosure restrictions affordances",
        "unsupportedFeatures minimumProficiency fallingMinimumProficiency proficiency subscriptionEndTimeZone",
        "subscriptionEndTime subscriptionEndDuration version",
    )
)
"""Fields that hold ids, codes, moments and numbers, never prose: no name is looked for in them."""

CURSOR = "lastOnPage"
"""May hold the id of the last item of a page; see ``SUBJECT_PATHS``."""
TICKET = "ticket"
"""The place of somebody who took a test without an account: its id is that of the ticket."""

SUBJECT_PATHS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "accounts": (("account",),),
    "group_members": (("member",),),
    "group_staff": (("user",),),
    "objective_evaluations": (("user",),),
    "test_results": (("user",), ("member",)),
    "objective_events": (("user",), ("objectiveEvaluation", "user"), ("evaluation", "user")),
}
"""Resources whose lists are of people, and the places where an item names the one whom it is about.

An item of accounts or members may also be the person itself.
"""
UNIT_OF_PERSON = "account_id"
"""The path parameter that says whom a response is about."""

_PLACES = _names(
    "account actor admin administrator author coach contact createdBy creator editor invitedBy invitee",
    "lastEditedBy learner manager member owner participant person recipient reviewer sender teacher ticket",
    "trainer user",
)
_LISTS = frozenset({f"{place}s" for place in _PLACES} | {"organizationAccounts", "groupStaffUsers", "people", "staff"})
_RESOURCES = frozenset({"accounts", "group_members", "group_staff"})
"""Resources whose responses list people."""
_TRAITS = frozenset({EMAIL, "realName", "yearOfBirth", "biography", "lastLogin", THIRD_PARTY_IDS})
"""Fields that only people have (and organizations, of which the first)."""
_OTHER_PLACES = _names("organization group catalog playable drillable drill course test objective")
_OTHER_TYPES = _names("ORGANIZATION GROUP CATALOG DRILL COURSE TEST STORY ONEOFF PERMANENT RECURRING")
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


def place_of_body(resource: str) -> str:
    """The place of a complete response."""
    return ORGANIZATION if resource == ORGANIZATION else ""


def place_of_items(resource: str, place: str, depth: int) -> str:
    """The place of the items of a list in a response of ``resource``, ``depth`` levels below its top."""
    return "people" if resource in _RESOURCES and depth <= 1 else place


def subject_of(resource: str, item: Json) -> tuple[Json, str]:
    """Whom an item of a list is about, an object or a bare id, and its place; None where it does not say."""
    for path in SUBJECT_PATHS.get(resource, ()) if isinstance(item, Mapping) and not is_thing(item) else ():
        found = item
        for place in path:
            found = found.get(place) if isinstance(found, Mapping) else None
        if found is not None:
            return found, path[-1]
    return None, ""


def account_of(person: Mapping[str, Any], place: str) -> str | None:
    """The account id of a person; None for an invitee, or the holder of a ticket."""
    return None if place == TICKET else id_text(person.get("id"))


def holds_account_id(place: str) -> bool:
    """Whether a bare value in a place is the id of an account."""
    return place != TICKET and (place.removesuffix("Id") in _PLACES or place.removesuffix("Ids") in _PLACES | _LISTS)


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

"""Drillster's objects (User, Group, Objective, …) as JSON values, in the forms that the API's documentation shows.

Optional fields that do not apply are left out, never null (drillster-api.md, section 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from .calendar import DAY, iso, iso_milliseconds
from .names import OTHER_ORGANIZATIONS
from .person import SERVICE_NUMBER

if TYPE_CHECKING:
    from .attempts import Attempt
    from .content import Playable
    from .learning import Knowledge
    from .objective import Change, Evaluation, Objective
    from .person import Person

Json: TypeAlias = Any
Object: TypeAlias = dict[str, Any]

ICONS = "https://media.sandbox.example/icons"


def icon(kind: str) -> Object:
    """A Media object."""
    return {"type": "image/png", "url": f"{ICONS}/{kind.lower()}.png", "width": 128, "height": 128}


def account_user(person: Person, moment: int, *, organization: Object) -> Object:
    """The User of the accounts list. A service account has a type, an id and a name, and nothing else."""
    user: Object = {"type": "USER", "id": person.id, "name": person.name(moment)}
    if person.reference.kind.name == "STAFF" and person.reference.first == SERVICE_NUMBER:
        return user
    if person.email:
        user["emailAddress"] = person.email
    if person.locale:
        user["locale"] = person.locale
    if person.time_zone:
        user["timeZone"] = person.time_zone
        user["domicile"] = "NL"
    user["created"] = iso(person.start)
    login = person.last_login(moment)
    if login is not None:
        user["lastLogin"] = iso(login)
    if person.year_of_birth:
        user["yearOfBirth"] = person.year_of_birth
    user["repertoireSize"] = 3 + person.key % 20 + (moment - person.start) // (90 * DAY)
    user["organization"] = organization
    if person.external_ids:
        user["thirdPartyIds"] = [{"thirdParty": party, "id": id_} for party, id_ in person.external_ids]
    user["status"] = person.status(moment)
    return user


def member_user(person: Person, moment: int, *, with_id: bool = True) -> Object:
    """The User in a list of members. Someone who has no account yet has an address, and perhaps a name."""
    if not with_id:
        user: Object = {"type": "USER"}
        if person.key % 3:
            user["name"] = person.name(moment)
        user["emailAddress"] = person.email or f"gast.{person.reference.first:x}@{OTHER_ORGANIZATIONS[0][1]}"
        return user
    name = person.name(moment)
    user = {"type": "USER", "id": person.id, "name": name}
    if person.key % 5 == 0:
        user["avatar"] = {"type": "image/jpeg", "url": f"{ICONS}/avatar-{person.key % 97}.jpg"}
    if person.email:
        user["emailAddress"] = person.email
    user["realName"] = name
    return user


def brief_user(person: Person, moment: int) -> Object:
    """The User inside results and evaluations: id and name, and the address where there is one."""
    user: Object = {"type": "USER", "id": person.id, "name": person.name(moment)}
    if person.email:
        user["emailAddress"] = person.email
    return user


def playable(thing: Playable) -> Object:
    """A Playable as lists have it."""
    return {"id": thing.id, "type": thing.type, "name": thing.name, "icon": icon(thing.type)}


def practice(knowledge: Knowledge, *, course: bool, split: int) -> Object:
    """The fields of a Practice. ``split`` above 0 tells receptive and productive proficiency that far apart."""
    value = knowledge.proficiency
    proficiency = {"overall": value}
    if split and knowledge.last is not None:
        apart = min(split, value, 100 - value)
        proficiency = {"overall": value, "receptive": value + apart, "productive": value - apart}
    found: Object = {"proficiency": proficiency}
    if knowledge.last is not None:
        if not course:
            found["highestProficiency"] = {"overall": knowledge.highest}
        found["eventualProficiency"] = {"overall": knowledge.eventual}
    found["timeSpent"] = knowledge.seconds
    found["expectedDuration"] = knowledge.expected_seconds
    if knowledge.last is not None:
        found["lastPracticed"] = iso(knowledge.last)
    if knowledge.added is not None:
        found["added"] = iso(knowledge.added)
    return found


def objective(thing: Objective, moment: int, playables: list[Playable]) -> Object:
    """An Objective. Without ``reviewDate`` each member has their own; a TEST has no minimum."""
    names = ", ".join(playable.name for playable in playables)
    found: Object = {"id": thing.id, "name": f"{thing.type.capitalize()}: {names}", "type": thing.type}
    review = thing.review_at(moment)
    if review is not None:
        found["reviewDate"] = iso(review)
    if thing.type != "TEST":
        norm = thing.norm(moment)
        found["minimumProficiency"] = norm.minimum
        if norm.falling is not None:
            found["fallingMinimumProficiency"] = norm.falling
        if thing.key % 3 == 0:
            found["estimatedStudyDuration"] = f"PT{1 + thing.key % 6}H"
    found["playables"] = [playable(thing) for thing in playables]
    return found


def evaluation(standing: Evaluation, user: Object, playables: list[Playable], minimum: int) -> Object:
    """An ObjectiveEvaluation, with the newer ``playableEvaluations`` of the push object."""
    found: Object = {"user": user, "met": standing.met, "evaluationDate": iso(standing.at)}
    if standing.proficiency is not None:
        found["proficiency"] = standing.proficiency
    if standing.review is not None:
        found["reviewDate"] = iso(standing.review)
    if standing.levels:
        found["playableEvaluations"] = [
            {
                "playable": {"id": thing.id, "type": thing.type, "name": thing.name},
                "playableResultStatus": {"type": "DRILLABLE_RESULT_STATUS", "proficiency": level},
                "status": "OK" if level >= minimum else "NOT_OK",
            }
            for thing, level in zip(playables, standing.levels, strict=True)
        ]
    return found


def event(change: Change, id_: str, user: Object, objective_id: str) -> Object:
    """One item of the events of an objective, modelled on the push event."""
    inner: Object = {"objective": {"id": objective_id}, "met": change.ok, "evaluationDate": iso_milliseconds(change.at)}
    if change.proficiency is not None:
        inner["proficiency"] = change.proficiency
    return {
        "eventId": id_,
        "eventType": "OBJECTIVE_BECAME_OK" if change.ok else "OBJECTIVE_BECAME_NOK",
        "timestamp": iso_milliseconds(change.at),
        "user": user,
        "evaluation": inner,
    }


def attempt(thing: Attempt, moment: int, drills: list[Playable]) -> Object:
    """A TestResult: under way until it is completed; pass or fail is in the transformation that says so."""
    finished = thing.completed is not None and thing.completed <= moment
    found: Object = {"id": thing.id, "started": iso(thing.started)}
    if not finished or thing.completed is None:
        return found | {
            "size": thing.questions,
            "correctlyAnswered": thing.correct // 2,
            "progress": min(thing.progress, 0.9),
        }
    found["completed"] = iso(thing.completed)
    found |= {"duration": thing.minutes, "size": thing.questions, "correctlyAnswered": thing.correct, "progress": 1.0}
    if thing.percentage is not None:
        found["score"] = {
            "percentage": thing.percentage,
            "transformations": [
                {"id": "seventy-percent-grade-points", "result": f"{max(1.0, thing.percentage / 10):.1f}"},
                {
                    "id": "seventy-percent-pass-fail",
                    "result": "Geslaagd" if thing.passed else "Niet geslaagd",
                    "passed": thing.passed,
                },
            ],
        }
        found["drills"] = [
            {"drill": {"id": drill.id, "type": drill.type, "name": drill.name}, "score": {"percentage": part}}
            for drill, part in zip(drills, _parts(thing.percentage, len(drills)), strict=True)
        ]
    return found


def _parts(percentage: int, count: int) -> list[int]:
    """Percentages per drill that have the given mean, about."""
    return [max(0, min(100, percentage + 7 * (number - count // 2))) for number in range(count)]

"""What Drillster answers about the organization at one moment: its objects (User, Group, …) as JSON values.

Optional fields that do not apply are left out, never null.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import Any, TypeAlias

from .draws import DAY, FOUNDING, draw, iso, make_id, names, parse_iso, step_of
from .learning import NO_PRACTICE, SECONDS_TO_MASTER, Attempt, Change, Learning, Objective, percent
from .model import Catalog, Group, Membership, Playable, Size
from .people import Person, Stay

Json: TypeAlias = Any
Object: TypeAlias = dict[str, Any]

ICONS = "https://media.sandbox.example/icons"


@dataclass(frozen=True, slots=True)
class Listing:
    """The list of a resource, of which only the requested pages are rendered.

    ``cursor`` is what the next page starts after when a thing is the last of this one. ``read`` is for lists in the
    order of their cursors: what these are compared by. Such a cursor remains valid when its item is gone.
    """

    resource: str
    things: Sequence[Any]
    render: Callable[[Any], Json]
    cursor: Callable[[Any], str]
    read: Callable[[str], Any] | None = None

    def all(self) -> list[Json]:
        """Every item."""
        return [self.render(thing) for thing in self.things]

    def position(self, cursor: str) -> int:
        """Where the page that follows a cursor begins. Raises ValueError for a cursor of another list."""
        if self.read is None:
            return [self.cursor(thing) for thing in self.things].index(cursor) + 1
        read, wanted = self.read, self.read(cursor)
        return bisect_right(self.things, wanted, key=lambda thing: read(self.cursor(thing)))


class Snapshot:
    """The organization at ``moment`` (milliseconds since 1970)."""

    def __init__(self, model: Learning, moment: int) -> None:
        self.model, self.moment = model, moment
        self._groups = {group.id: group for group in model.groups(moment)}
        self.accounts = cache(self._accounts)
        self.memberships = lru_cache(maxsize=128)(self._memberships)

    # -- the organization and its accounts -----------------------------------------------------------------------

    def organization(self) -> Object:
        """The Organization object."""
        return {
            "type": "ORGANIZATION",
            "id": self.model.id,
            "name": names.organization,
            "emailAddress": f"info@{names.domain}",
            "locale": "nl",
            "domicile": "NL",
            "contract": {
                "type": "BUSINESS",
                "created": iso(FOUNDING - 30 * DAY),
                "expires": iso(FOUNDING + 3652 * DAY),
            },
            "groupMemberQuota": self.model.size.accounts * 5 // 4,
            "thirdParties": ["HRCO", "LMS"],
            "mayCreateGroupMemberAccounts": True,
            "privacyLocation": "EU",
        }

    def _accounts(self) -> Listing:
        """OrganizationAccount objects, by creation; the cursor is the millisecond of that."""
        return Listing("accounts", self.model.listed(self.moment), self._account, lambda stay: str(stay.start), int)

    def account(self, account_id: str) -> Object | None:
        """The OrganizationAccount object of an id; None where the organization does not list it."""
        found = (stay for stay in self.accounts().things if stay.id == account_id)
        return next(map(self._account, found), None)

    def _account(self, stay: Stay) -> Object:
        person = self.model.person(stay)
        relations = (["ADMIN"] if self.model.is_administrator(stay) else []) + (["ACCOUNT"] if stay.chair >= 0 else [])
        user: Object = {"type": "USER", "id": stay.id, "name": person.name(self.moment)}
        if stay.id == self.model.service_account_id:
            return {"account": user | {"name": names.service_account}, "relationTypes": relations}
        login = person.last_login(self.moment)
        external = [{"thirdParty": party, "id": id_} for party, id_ in person.external_ids]
        optional = {
            "emailAddress": person.email,
            "locale": person.locale,
            "timeZone": person.time_zone,
            "domicile": person.time_zone and "NL",
            "created": iso(stay.start),
            "lastLogin": None if login is None else iso(login),
            "yearOfBirth": person.year_of_birth,
            "repertoireSize": person.repertoire + (self.moment - stay.start) // (90 * DAY),
            "organization": {"type": "ORGANIZATION", "id": self.model.id, "name": names.organization},
            "thirdPartyIds": external or None,
            "status": person.status(self.moment),
        }
        if stay.chair < 0:
            user["name"] = names.application_manager
            optional |= {"emailAddress": f"leren@{names.domain}", "thirdPartyIds": None}
        return {"account": user | _present(optional), "relationTypes": relations}

    # -- catalogs ------------------------------------------------------------------------------------------------

    def catalogs(self) -> list[Catalog]:
        """The catalogs that the organization can publish to."""
        return self.model.catalogs(self.moment)

    def catalog_content(self, catalog: Catalog) -> list[Playable]:
        """The playables of a catalog, by name."""
        size = self.model.size
        return sorted(
            self._placed(catalog.id, min(size.playables_per_catalog, size.library)),
            key=lambda thing: (thing.name, thing.id),
        )

    def _placed(self, container: str, places: int) -> list[Playable]:
        placed = self.model.placed(container, places, self.moment)
        return [self.model.drillable(one.number, self.moment) for one in placed]

    # -- groups --------------------------------------------------------------------------------------------------

    def present_groups(self) -> tuple[Group, ...]:
        """The groups that exist, by id."""
        return tuple(self._groups.values())

    def find_group(self, group_id: str) -> Group | None:
        """A group by its id."""
        return self._groups.get(group_id)

    def _memberships(self, group: Group) -> list[Membership]:
        """Members and invitees, by the time they joined or were invited."""
        moment = self.moment
        here = [one for one in self.model.memberships(group) if one.stamp(moment) <= moment < one.ends]
        return sorted(here, key=lambda one: (one.stamp(moment), one.stay.id))

    def is_member(self, membership: Membership) -> bool:
        """Whether they have joined; if not, they are invited."""
        return membership.joined <= self.moment

    def learners(self, group: Group) -> list[Membership]:
        """Members who have joined: those that evaluations and test results are about."""
        return [one for one in self.memberships(group) if self.is_member(one)]

    def with_account(self, group: Group, account_id: str) -> Membership | None:
        """The member (or invitee with an account) of that id."""
        found = (one for one in self.memberships(group) if one.stay.id == account_id)
        return next((one for one in found if one.stay.start <= self.moment), None)

    def brief_group(self, group: Group) -> Object:
        """A Group as results have it."""
        return {
            "id": group.id,
            "name": group.name(self.moment),
            "description": group.description,
            "icon": icon("group"),
        }

    def group(self, group: Group) -> Object:
        """A Group as the list of groups has it."""
        found = self.brief_group(group) | {
            "counts": {"members": len(self.learners(group)), "drillables": group.drillables, "tests": len(group.tests)},
            "created": iso(group.created),
            "lastEdited": iso(group.edited(self.moment)),
        }
        if group.number % 2:
            found["customReference"] = f"KP-{1000 + group.number}/{group.life}"
        return found

    def group_detail(self, group: Group) -> Object:
        """A Group as ``group/{id}`` has it: with its tests."""
        found = self.group(group) | {
            "organization": {"type": "ORGANIZATION", "id": self.model.id, "mayCreateGroupMemberAccounts": True},
            "affordances": ["VIEW", "MANAGE"] if group.manageable else ["VIEW"],
            "forcedMembershipNotification": False,
            "sensitiveContent": group.number % 7 == 0,
        }
        if group.tests:
            found["tests"] = [playable(test) for test in group.tests]
        return found

    def members(self, group: Group) -> Listing:
        """GroupMember objects; the cursor is the time when they joined or were invited."""

        def cursor(membership: Membership) -> str:
            return iso(membership.stamp(self.moment), "milliseconds")

        return Listing("group_members", self.memberships(group), self.member, cursor, parse_iso)

    def member(self, membership: Membership) -> Object:
        """A GroupMember: who, and since when. An invitee has not joined, and may have no account yet."""
        user = self.member_user(membership.stay)
        if self.is_member(membership):
            return {"member": user, "joined": iso(membership.joined)}
        return {"member": user, "status": "invited", "invited": iso(membership.stamp(self.moment))}

    def member_user(self, stay: Stay) -> Object:
        """The User in a list of members."""
        person = self.model.person(stay)
        name, address = person.name(self.moment), _present({"emailAddress": person.email})
        if stay.start > self.moment:
            return {"type": "USER"} | ({"name": name} if person.repertoire % 3 else {}) | address
        user: Object = {"type": "USER", "id": stay.id, "name": name, "realName": name} | address
        if person.avatar is not None:
            user["avatar"] = {"type": "image/jpeg", "url": f"{ICONS}/avatar-{person.avatar}.jpg"}
        if stay.guest_of is not None:
            name, id_ = names.other_organizations[stay.guest_of][0], self.model.others[stay.guest_of]
            user["organization"] = {"type": "ORGANIZATION", "id": id_, "name": name}
        return user

    def group_staff(self, group: Group) -> list[Object]:
        """GroupStaffUser objects: an administrator, and up to two of the people of the group's chairs."""
        manager = group.number % self.model.size.administrators
        places = [(manager, "MANAGE"), *((chair, "VIEW") for chair in group.chairs[: group.number % 3])]
        found: dict[str, Object] = {}
        for chair, permission in places:
            stay = self.model.occupant(chair, self.moment)
            if stay is not None and (chair == manager or stay.left > self.moment):
                person = self.model.person(stay)
                user = self.member_user(stay) | _present({"locale": person.locale})
                del user["realName"]
                found.setdefault(stay.id, {"group": {"id": group.id}, "user": user, "permission": permission})
        return list(found.values())

    def drillables(self, group: Group) -> list[Playable]:
        """Drills and courses of the group."""
        return self._placed(group.id, group.drillables)

    # -- results -------------------------------------------------------------------------------------------------

    def results(self, group: Group, membership: Membership) -> Listing:
        """GroupDrillableMemberResult objects of one member, by drillable; the cursor is its id."""
        person = self.model.person(membership.stay)
        moment = self.moment if self.is_member(membership) else 0
        return Listing("results", self.drillables(group), lambda thing: self._result(person, thing, moment), by_id)

    def _result(self, person: Person, thing: Playable, moment: int) -> Object:
        practices = self.model.practices(person, thing.id, moment)
        latest = practices.latest(moment)
        level = latest.level_at(moment)
        value = percent(level)
        found: Object = {"drillable": playable(thing), "proficiency": {"overall": value}}
        if latest is not NO_PRACTICE:
            apart = min(thing.number % 9, value, 100 - value) if thing.number % 3 == 0 else 0
            if apart:
                found["proficiency"] |= {"receptive": value + apart, "productive": value - apart}
            if thing.type != "COURSE":
                found["highestProficiency"] = {"overall": percent(max(one.level for one in practices.done))}
            found["eventualProficiency"] = {"overall": percent(latest.lasting)}
            found["lastPracticed"] = iso(latest.at)
        found |= {"timeSpent": latest.seconds, "expectedDuration": int(SECONDS_TO_MASTER * (1.0 - level))}
        return found | ({"added": iso(practices.added)} if practices.added <= moment else {})

    def test_results(self, group: Group, test: Playable) -> list[Object]:
        """Per member the attempts at a test, with what each drill of the group contributed to the score."""
        drills = [thing for thing in self.drillables(group) if thing.type == "DRILL"][:3]
        brief = [{"id": drill.id, "type": drill.type, "name": drill.name} for drill in drills]

        def result(attempt: Attempt) -> Object:
            if attempt.percentage is None:
                return attempt.fields
            first = attempt.percentage - 7 * (len(drills) // 2)
            scores = ({"percentage": max(0, min(100, first + 7 * number))} for number in range(len(drills)))
            parts = [{"drill": drill, "score": score} for drill, score in zip(brief, scores, strict=True)]
            return attempt.fields | {"drills": parts}

        return [
            {
                "user": self._brief_user(one.stay),
                "testResults": [result(attempt) for attempt in self.model.attempts(one, test, self.moment)],
            }
            for one in self.learners(group)
        ]

    def _brief_user(self, stay: Stay) -> Object:
        """The User in results and evaluations."""
        person = self.model.person(stay)
        user = {"type": "USER", "id": stay.id, "name": person.name(self.moment)}
        return user | _present({"emailAddress": person.email})

    # -- objectives ----------------------------------------------------------------------------------------------

    def objectives(self, group: Group) -> list[Objective]:
        """The objectives of the group."""
        return [one for one in self.model.objectives(group) if one.created <= self.moment < one.removed]

    def playables(self, objective: Objective) -> list[Playable]:
        """What an objective is about."""
        if objective.type == "TEST":
            return [objective.group.tests[index] for index in objective.playables]
        return [self.model.drillable(index, self.moment) for index in objective.playables]

    def objective(self, objective: Objective) -> Object:
        """The Objective object. Without ``reviewDate`` each member has their own; a TEST has no minimum."""
        playables = self.playables(objective)
        name = ", ".join(thing.name for thing in playables)
        found: Object = {"id": objective.id, "name": f"{objective.type.capitalize()}: {name}", "type": objective.type}
        review = objective.review_at(self.moment)
        if review is not None:
            found["reviewDate"] = iso(review)
        if objective.type != "TEST":
            norm = objective.norm(self.moment)
            found["minimumProficiency"] = norm.minimum
            found |= _present({"fallingMinimumProficiency": norm.falling})
            if objective.study_hours is not None:
                found["estimatedStudyDuration"] = f"PT{objective.study_hours}H"
        return found | {"playables": [playable(thing) for thing in playables]}

    def evaluations(self, objective: Objective) -> Listing:
        """ObjectiveEvaluation objects of all members who have joined; the cursor is the id of the user."""
        playables, minimum = self.playables(objective), objective.norm(self.moment).minimum

        def evaluation(membership: Membership) -> Object:
            start = objective.start(membership)
            own, at = objective.own_review(start), self.moment
            if objective.type == "ONEOFF":
                at = max(start, min(at, own or objective.review or at))
            met = len(self.model.changes(membership, objective, self.moment)) % 2 == 1
            body: Object = {"user": self._brief_user(membership.stay), "met": met, "evaluationDate": iso(at)}
            if own is not None:
                body["reviewDate"] = iso(own)
            if objective.type != "TEST":
                practices = self.model.practices_of(membership, objective, at)
                levels = [percent(one.latest(at).level_at(at)) for one in practices]
                body["proficiency"] = min(levels)
                body["playableEvaluations"] = [
                    {
                        "playable": {"id": thing.id, "type": thing.type, "name": thing.name},
                        "playableResultStatus": {"type": "DRILLABLE_RESULT_STATUS", "proficiency": level},
                        "status": "OK" if level >= minimum else "NOT_OK",
                    }
                    for thing, level in zip(playables, levels, strict=True)
                ]
            return body

        learners = self.learners(objective.group)
        return Listing("objective_evaluations", learners, evaluation, lambda membership: membership.stay.id)

    def events(self, objective: Objective, since: int, until: int) -> Listing:
        """What changed in an objective from ``since`` up to ``until`` (excluded) and not after the moment."""
        until = min(until, self.moment + 1)
        found: list[tuple[int, str, Change, Stay]] = []
        for membership in self.model.memberships(objective.group):
            if membership.joined >= until or membership.ends <= since:
                continue
            for change in self.model.changes(membership, objective, self.moment):
                if since <= change.at < until:
                    id_ = make_id(draw(objective.id, membership.stay.id, change.at, change.ok))
                    found.append((change.at, id_, change, membership.stay))
        found.sort(key=lambda one: one[:2])

        def event(one: tuple[int, str, Change, Stay]) -> Object:
            at, id_, change, stay = one
            inner: Object = {
                "objective": {"id": objective.id},
                "met": change.ok,
                "evaluationDate": iso(at, "milliseconds"),
            }
            return {
                "eventId": id_,
                "eventType": "OBJECTIVE_BECAME_OK" if change.ok else "OBJECTIVE_BECAME_NOK",
                "timestamp": iso(at, "milliseconds"),
                "user": self._brief_user(stay),
                "evaluation": inner | _present({"proficiency": change.proficiency}),
            }

        return Listing("objective_events", found, event, lambda one: one[1])


class Organization(Learning):
    """Everything that the sandbox answers about; :meth:`at` gives it as it is at a moment."""

    def __init__(self, size: Size, seed: int) -> None:
        super().__init__(size, seed)
        self.snapshot = lru_cache(maxsize=8)(partial(Snapshot, self))

    def at(self, moment: datetime) -> Snapshot:
        """The organization as it is at an aware moment (rounded down to a quarter of an hour)."""
        return self.snapshot(step_of(moment))


def _present(fields: Object) -> Object:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def icon(kind: str) -> Object:
    """A Media object."""
    return {"type": "image/png", "url": f"{ICONS}/{kind.lower()}.png", "width": 128, "height": 128}


def by_id(thing: Playable | Group | Catalog) -> str:
    """The cursor of a list of things with ids."""
    return thing.id


def playable(thing: Playable) -> Object:
    """A Playable as lists have it."""
    return {"id": thing.id, "type": thing.type, "name": thing.name, "icon": icon(thing.type)}

"""Organizations with hostile names, as archives of two export dates, for tests of what `forget` leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from drillster_pipeline.archive import CaptureWriter, UnitFooter
from drillster_pipeline.pipeline.context import PipelineContext

DAYS = (date(2026, 6, 8), date(2026, 6, 9))
ROLE = {"relationTypes": ["ACCOUNT"]}
NAMES = (
    *("Admin", "Course", "Group", "2026", "de", "a", "ACTIVE", "DRILL", "O'Brien", "e-mail", "jan@example.org"),
    *("Jan Jansen", "Anna de Wit", "Group Admin", "Zoë Ångström", "Team 2026", "jan jansen smit", "[forgotten]"),
)
IDS = (
    *("Qm3vX0sTTeG1rJ8nB5yL2w", "2026", "1", "Admin", "ACTIVE", "DRILL", "MANAGE", "MEMBER", "g1", "d1", "o1"),
    *("jan@example.org", "id", "user", "Jan Jansen", "HR", "2026-06-09T00:00:00Z", "events", "-x", "é"),
)
EMAILS = (None, "jan@example.org", "JAN@Example.org", "course@example.org", "de.wit@example.org")
TEXTS = (
    *("{name}", "Team {name}", "Ask {name} <{email}>!", "{name}s and {name}", "x{name}", "{name}2026", "{id}"),
    *("", "Course de Group Admin a 2026-06-09", "mailto:{email}", "not.{email}", "{upper}, ({name})"),
)


@dataclass(frozen=True)
class Organization:
    """People as Drillster describes them, and what else there is on each of ``DAYS``."""

    people: list[dict[str, Any]]
    managed: list[bool]
    texts: list[list[str]]
    """By day: texts to name and describe things by."""
    broken: list[bool]
    """Of whose results one has a value that does not fit."""
    lost: list[bool]
    """Whose results could not be read."""
    forms: list[int]
    """In which of the forms that the documentation leaves open a person stands."""

    @property
    def ids(self) -> list[str]:
        return [str(person["id"]) for person in self.people]


@st.composite
def organizations(draw: st.DrawFn) -> Organization:
    ids = draw(st.lists(st.sampled_from(IDS), min_size=2, max_size=5, unique=True))
    people = []
    for account_id in ids:
        name, email = draw(st.sampled_from(NAMES)), draw(st.sampled_from(EMAILS))
        number = account_id.isdigit() and draw(st.booleans())
        people.append({"type": "USER", "id": int(account_id) if number else account_id, "name": name})
        if email:
            people[-1]["emailAddress"] = email
        if draw(st.booleans()):
            people[-1] |= {
                "realName": draw(st.sampled_from(NAMES)),
                "thirdPartyIds": [{"thirdParty": "HR", "id": name}],
            }
    said = [
        text.format(
            name=person["name"],
            upper=person["name"].upper(),
            email=person.get("emailAddress", "nobody@example.org"),
            id=person["id"],
        )
        for text in TEXTS
        for person in people
    ]
    each = {"min_size": len(people), "max_size": len(people)}
    return Organization(
        people=people,
        managed=draw(st.lists(st.booleans(), **each)),
        texts=[draw(st.lists(st.sampled_from(said), min_size=14, max_size=14)) for _ in DAYS],
        broken=draw(st.lists(st.booleans(), **each)),
        lost=draw(st.lists(st.booleans(), **each)),
        forms=draw(st.lists(st.integers(0, 1), **each)),
    )


def put(session: PipelineContext, organization: Organization) -> None:
    """Put a snapshot of each day and the events of the last one into the archive."""
    for number in range(len(DAYS)):
        _Snapshot(session, organization, number).put()
    writer = _begun(session, DAYS[-1], "events")
    events = [
        {
            **({"eventId": f"event-{place}"} if place % 2 else {}),
            "eventType": "OBJECTIVE_BECAME_OK",
            "timestamp": "2026-06-09T10:00:00Z",
            **({"user": person} if form else {"objectiveEvaluation": {"user": person, "met": True, "proficiency": 70}}),
        }
        for place, (person, form) in enumerate(zip(organization.people, organization.forms, strict=True))
    ]
    _add(writer, "objective_events", {"group_id": "g1", "objective_id": "o1"}, {"events": events}, len(events))
    _seal(writer, DAYS[-1], "events", {"objective_events": []})


def _begun(session: PipelineContext, day: date, kind: str) -> CaptureWriter:
    return session.archive.begin(day, kind, {"kind": kind}, _moment(day))


def _moment(day: date) -> datetime:
    return datetime(day.year, day.month, day.day + 1, 1, tzinfo=UTC)


def _add(writer: CaptureWriter, resource: str, unit: dict[str, str], body: Any, items: int) -> None:
    content = json.dumps(body, ensure_ascii=False).encode()
    writer.append(resource, unit, 1, datetime(2026, 6, 10, 1, tzinfo=UTC), content, footer=UnitFooter(items, items))


def _seal(writer: CaptureWriter, day: date, kind: str, lost: dict[str, list[Any]]) -> None:
    entry = {"status": "captured", "units": 1, "pages": 1, "items": 1, "named_total": None, "absent": 0, "short": []}
    moment = _moment(day).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    writer.seal(
        {
            "export_date": str(day),
            "kind": kind,
            "timezone": "UTC",
            "captured_from": moment,
            "captured_until": moment,
            "groups": {"listed": ["g1", "g2"], "closed": [], "gone": []},
            "resources": {name: {**entry, "lost": units} for name, units in lost.items()},
        }
    )


class _Snapshot:
    """One capture of an organization."""

    def __init__(self, session: PipelineContext, organization: Organization, number: int) -> None:
        self.org = organization
        self.day = DAYS[number]
        self.texts = iter(organization.texts[number])
        self.writer = _begun(session, self.day, "snapshot")
        self.lost: dict[str, list[Any]] = {}
        self.drills = [{"id": f"d{place}", "type": "DRILL", "name": next(self.texts)} for place in (1, 2)]
        self.test = {"id": "t1", "type": "TEST", "name": next(self.texts), "creator": organization.people[-1]}

    def add(self, resource: str, unit: dict[str, str], body: Any, items: int = 1) -> None:
        self.lost.setdefault(resource, [])
        _add(self.writer, resource, unit, body, items)

    def put(self) -> None:
        people = self.org.people
        email = people[0].get("emailAddress", "info@example.org")
        self.add(
            "organization", {}, {"type": "ORGANIZATION", "id": "org", "name": next(self.texts), "emailAddress": email}
        )
        listed = [
            {**person, "status": "ACTIVE", "created": "2023-04-12T08:15:30Z", "lastLogin": "2025-05-02T06:41:00Z"}
            for person, managed in zip(people, self.org.managed, strict=True)
            if managed
        ]
        items = [{"account": person, **ROLE} if place % 2 else person for place, person in enumerate(listed)]
        self.add(
            "accounts", {}, {"accounts": items, "pagination": {"total": len(items), "lastOnPage": self.org.ids[-1]}}
        )
        self.add(
            "catalogs", {}, {"catalogs": [{"id": "c1", "name": next(self.texts), "description": next(self.texts)}]}
        )
        self.add("catalog_content", {"catalog_id": "c1"}, {"playables": self.drills, "pagination": {"total": 2}})
        groups = [
            {
                "id": key,
                "name": next(self.texts),
                "description": next(self.texts),
                "customReference": next(self.texts),
                "counts": {"members": len(people) + 1, "drillables": 2, "tests": 1},
                "created": "2026-06-09T00:00:00Z",
                "lastEditedBy": people[0],
                "owner": self.org.ids[0],
            }
            for key in ("g1", "g2")
        ]
        self.add("groups", {}, {"groups": groups, "pagination": {"total": 2}}, 2)
        for group in groups:
            self.group(group)
        _seal(self.writer, self.day, "snapshot", self.lost)

    def group(self, group: dict[str, Any]) -> None:
        key, people = group["id"], self.org.people
        unit = {"group_id": key}
        self.add("groups", unit, {**group, "tests": [self.test]})
        members: list[Any] = [{"member": person, "joined": "2024-02-01T09:00:00Z"} for person in people]
        if email := people[-1].get("emailAddress"):
            members.append({"member": {"type": "USER", "name": people[-1]["name"], "emailAddress": email}})
        self.add("group_members", unit, {"members": members, "counts": {"members": len(members), "invitees": 1}})
        staff = [{"group": {"id": key}, "user": person, "permission": "MANAGE"} for person in people[:2]]
        self.add("group_staff", unit, {"group": {"id": key}, "groupStaffUsers": staff})
        self.add("group_drillables", unit, {"id": key, "name": group["name"], "drillables": self.drills})
        objective = f"o{key[1]}"
        self.add(
            "objectives",
            unit,
            [{"id": objective, "name": next(self.texts, "-"), "type": "ONEOFF", "playables": self.drills}],
        )
        evaluations = [{"user": person, "met": True, "evaluationDate": "2026-06-09T00:00:00Z"} for person in people]
        self.add("objective_evaluations", {**unit, "objective_id": objective}, {"evaluations": evaluations})
        for place, person in enumerate(people):
            self.results({**unit, "account_id": self.org.ids[place]}, group, place, person)
        attempts = [self.attempt(f"{key}-{place}", person) for place, person in enumerate(people)]
        self.add(
            "test_results",
            {**unit, "test_id": "t1"},
            {"group": group, "test": self.test, "total": len(people), "memberTestResults": attempts},
        )

    def results(self, unit: dict[str, str], group: dict[str, Any], place: int, person: dict[str, Any]) -> None:
        if self.org.lost[place]:
            self.lost.setdefault("results", []).append({"unit": unit, "status": 500})
            self.writer.append("results", unit, 0, _moment(self.day), b"null", footer=UnitFooter(0, None, status=500))
            return
        # One of two, as no load is published of which nothing fits.
        proficiencies = (300 if self.org.broken[place] else 70, 70)
        results = [
            {"drillable": drill, "practice": {"proficiency": proficiency, "timeSpent": 5, "expectedDuration": 9}}
            for drill, proficiency in zip(self.drills, proficiencies, strict=True)
        ]
        self.add("results", unit, {"group": group, "member": person, "groupDrillableMemberResults": results}, 2)

    def attempt(self, key: str, person: dict[str, Any]) -> dict[str, Any]:
        attempt = {
            "id": key,
            "completed": "2026-06-09T00:00:00Z",
            "score": {"percentage": 50, "transformations": [{"id": "pass", "result": "Group Admin", "passed": True}]},
            "drills": [{"drill": self.drills[0], "score": {"percentage": 20}}],
        }
        form = self.org.forms[self.org.people.index(person)]
        return {**attempt, "user": person} if form else {"user": person, "testResults": [attempt]}

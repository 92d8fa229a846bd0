"""Organizations with hostile names, as archives of two export dates, for tests of what `forget` leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from drillster_pipeline.archive.records import UnitFooter
from drillster_pipeline.pipeline.context import PipelineContext

DAYS = (date(2026, 6, 8), date(2026, 6, 9))
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
    sentences = [
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
        texts=[draw(st.lists(st.sampled_from(sentences), min_size=14, max_size=14)) for _ in DAYS],
        broken=draw(st.lists(st.booleans(), **each)),
        lost=draw(st.lists(st.booleans(), **each)),
        forms=draw(st.lists(st.integers(0, 1), **each)),
    )


Page = tuple[str, dict[str, str], Any]
"""A resource, the parameters of a unit, and the body; None: it could not be read."""


def put(context: PipelineContext, organization: Organization) -> None:
    """Put a snapshot of each day and the events of the last one into the archive."""
    for number, day in enumerate(DAYS):
        _seal(context, day, "snapshot", _Snapshot(organization, number).pages())
    events = [
        {
            **({"eventId": f"event-{place}"} if place % 2 else {}),
            "eventType": "OBJECTIVE_BECAME_OK",
            "timestamp": "2026-06-09T10:00:00Z",
            **({"user": person} if form else {"objectiveEvaluation": {"user": person, "met": True, "proficiency": 70}}),
        }
        for place, (person, form) in enumerate(zip(organization.people, organization.forms, strict=True))
    ]
    unit = {"group_id": "g1", "objective_id": "o1"}
    _seal(context, DAYS[-1], "events", iter([("objective_events", unit, {"events": events})]))


def _seal(context: PipelineContext, day: date, kind: str, pages: Iterator[Page]) -> None:
    moment = datetime(day.year, day.month, day.day + 1, 1, tzinfo=UTC)
    writer = context.archive.begin(day, kind, {"kind": kind}, moment)
    lost: dict[str, list[Any]] = {}
    for resource, unit, body in pages:
        lost.setdefault(resource, [])
        if body is None:
            lost[resource].append({"unit": unit, "status": 500})
            writer.append(resource, unit, 0, moment, b"null", footer=UnitFooter(0, None, status=500))
        else:
            writer.append(
                resource, unit, 1, moment, json.dumps(body, ensure_ascii=False).encode(), footer=UnitFooter(1, 1)
            )
    entry = {"status": "captured", "units": 1, "pages": 1, "items": 1, "named_total": None, "absent": 0, "short": []}
    writer.seal(
        {
            "timezone": "UTC",
            "captured_from": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "captured_until": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "groups": {"listed": ["g1", "g2"], "closed": [], "gone": []},
            "resources": {name: {**entry, "lost": units} for name, units in lost.items()},
        }
    )


class _Snapshot:
    """What Drillster answers about an organization on one day."""

    def __init__(self, organization: Organization, number: int) -> None:
        self.org = organization
        self.texts = iter(organization.texts[number])
        self.drills = [{"id": f"d{place}", "type": "DRILL", "name": next(self.texts)} for place in (1, 2)]
        self.test = {"id": "t1", "type": "TEST", "name": next(self.texts), "creator": organization.people[-1]}

    def pages(self) -> Iterator[Page]:
        people, text = self.org.people, self.texts
        email = people[0].get("emailAddress", "info@example.org")
        yield "organization", {}, {"type": "ORGANIZATION", "id": "org", "name": next(text), "emailAddress": email}
        listed = [
            {**person, "status": "ACTIVE", "created": "2023-04-12T08:15:30Z", "lastLogin": "2025-05-02T06:41:00Z"}
            for person, managed in zip(people, self.org.managed, strict=True)
            if managed
        ]
        items = [
            {"account": person, "relationTypes": ["ACCOUNT"]} if place % 2 else person
            for place, person in enumerate(listed)
        ]
        pagination = {"total": len(items), "lastOnPage": self.org.ids[-1]}
        yield "accounts", {}, {"accounts": items, "pagination": pagination}
        yield "catalogs", {}, {"catalogs": [{"id": "c1", "name": next(text), "description": next(text)}]}
        yield "catalog_content", {"catalog_id": "c1"}, {"playables": self.drills, "pagination": {"total": 2}}
        groups = [
            {
                "id": key,
                "name": next(text),
                "description": next(text),
                "customReference": next(text),
                "counts": {"members": len(people) + 1, "drillables": 2, "tests": 1},
                "created": "2026-06-09T00:00:00Z",
                "lastEditedBy": people[0],
                "owner": self.org.ids[0],
            }
            for key in ("g1", "g2")
        ]
        yield "groups", {}, {"groups": groups, "pagination": {"total": 2}}
        for group in groups:
            yield from self.pages_of(group)

    def pages_of(self, group: dict[str, Any]) -> Iterator[Page]:
        people, unit, objective = self.org.people, {"group_id": group["id"]}, f"o{group['id'][1]}"
        yield "groups", unit, {**group, "tests": [self.test]}
        members: list[Any] = [{"member": person, "joined": "2024-02-01T09:00:00Z"} for person in people]
        if email := people[-1].get("emailAddress"):
            members.append({"member": {"type": "USER", "name": people[-1]["name"], "emailAddress": email}})
        yield "group_members", unit, {"members": members, "counts": {"members": len(members), "invitees": 1}}
        staff = [{"group": {"id": group["id"]}, "user": person, "permission": "MANAGE"} for person in people[:2]]
        yield "group_staff", unit, {"group": {"id": group["id"]}, "groupStaffUsers": staff}
        yield "group_drillables", unit, {"id": group["id"], "name": group["name"], "drillables": self.drills}
        drills = {"name": next(self.texts, "-"), "type": "ONEOFF", "playables": self.drills}
        yield "objectives", unit, [{"id": objective, **drills}]
        evaluations = [{"user": person, "met": True, "evaluationDate": "2026-06-09T00:00:00Z"} for person in people]
        yield "objective_evaluations", {**unit, "objective_id": objective}, {"evaluations": evaluations}
        for place, person in enumerate(people):
            # One of two has a value that does not fit, as no load is published of which nothing fits.
            practice = [
                {"proficiency": proficiency, "timeSpent": 5, "expectedDuration": 9}
                for proficiency in (300 if self.org.broken[place] else 70, 70)
            ]
            results = [{"drillable": drill, "practice": of} for drill, of in zip(self.drills, practice, strict=True)]
            body = {"group": group, "member": person, "groupDrillableMemberResults": results}
            yield "results", {**unit, "account_id": self.org.ids[place]}, None if self.org.lost[place] else body
        attempts = [self.attempt(f"{group['id']}-{place}", place) for place in range(len(people))]
        body = {"group": group, "test": self.test, "total": len(people), "memberTestResults": attempts}
        yield "test_results", {**unit, "test_id": "t1"}, body

    def attempt(self, key: str, place: int) -> dict[str, Any]:
        attempt = {
            "id": key,
            "completed": "2026-06-09T00:00:00Z",
            "score": {"percentage": 50, "transformations": [{"id": "pass", "result": "Group Admin", "passed": True}]},
            "drills": [{"drill": self.drills[0], "score": {"percentage": 20}}],
        }
        person = self.org.people[place]
        return {**attempt, "user": person} if self.org.forms[place] else {"user": person, "testResults": [attempt]}

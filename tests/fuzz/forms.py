"""Every form of an answer that the documentation leaves open (API notes, section 14), and a server's pages in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from .truth import Attempt, Catalog, Group, Objective, Person, Playable, Truth

FORMS: Mapping[str, tuple[Any, ...]] = {
    "accounts_list": ("accounts", "organizationAccounts", "people"),
    "wrapped": (True, False),
    "cursor": ("exclusive", "inclusive"),
    "groups": ("pagination", "total"),
    "members": ("whole", "paged"),
    "members_cursor": ("moment", "id", "index"),
    "invitee_says": ("nothing", "status"),
    "invitee_results": (404, 200),
    "objectives_list": ("array", "object"),
    "content": ("playables", "drills"),
    "numbers": (int, str),
    "evaluations_list": ("array", "evaluations", "objectiveEvaluations"),
    "evaluations_paged": (True, False),
    "events_list": ("events", "changes"),
    "event_type": ("eventType", "type"),
    "event_time": ("timestamp", "date", "evaluationDate"),
    "event_evaluation": ("evaluation", "objectiveEvaluation"),
    "event_user": ("item", "evaluation"),
    "event_id": (True, False),
    "measures": ("inline", "practice", "drillable"),
    "proficiency": ("object", "number"),
    "tests": ("people", "attempts"),
    "content_list": ("playables", "content", "things"),
    "more": (True, False),
    "total": (True, False),
    "errors": ("drillster", "oauth", "html", "nothing"),
    "seconds": ("%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ", "milliseconds"),
    "smallest_page": (10, 11, 100),
}


@dataclass(frozen=True)
class Forms:
    """One choice of each."""

    chosen: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.chosen[name]


forms = st.fixed_dictionaries({name: st.sampled_from(choices) for name, choices in FORMS.items()}).map(Forms)
COVERING = [
    Forms({name: choices[(shift + place) % len(choices)] for place, (name, choices) in enumerate(FORMS.items())})
    for shift in range(max(map(len, FORMS.values())))
]
"""In these together, every choice of everything is there at least once."""
PLAIN = Forms({name: choices[0] for name, choices in FORMS.items()})


class Refusal(Exception):
    """The answer is an error."""

    def __init__(self, status: int, identifier: str) -> None:
        super().__init__(identifier)
        self.status, self.identifier = status, identifier


class Speaker:
    """Answers for an organization, in one form: plain values, and nothing of HTTP."""

    def __init__(self, truth: Truth, form: Forms) -> None:
        self.truth, self.form = truth, form
        self.groups = {group.id: group for group in truth.groups}
        self.objectives = {o.id: (g, o) for g in truth.groups for o in g.objectives}
        self.catalogs = {catalog.id: catalog for catalog in truth.catalogs}

    def answer(self, resource: str, ids: list[str], query: Mapping[str, str]) -> Any:
        """The body of an answer. Raises Refusal."""
        handler: Callable[..., Any] = getattr(self, f"_{resource}")
        return handler(query, *ids)

    # the organization

    def _organization(self, _query: Any) -> Any:
        return {"type": "ORGANIZATION", "id": "org", "name": "House", "contract": {"type": "BUSINESS"}}

    def _accounts(self, query: Mapping[str, str]) -> Any:
        name = self.form.accounts_list
        stamps = [round(person.created.timestamp() * 1000) for person in self.truth.accounts]
        since = self._number(query, "resultFrom")
        after = since - (self.form.cursor == "inclusive")
        start = next((n for n, stamp in enumerate(stamps) if stamp > after), len(stamps))
        size = self._size(query)
        part = self.truth.accounts[start : start + size]
        pagination: dict[str, Any] = {"moreAvailable": start + size < len(stamps)}
        if part:
            pagination["lastOnPage"] = str(round(part[-1].created.timestamp() * 1000))
        if self.form.total:
            pagination["total"] = len(stamps)
        return {name: [self._account(person) for person in part], "pagination": pagination}

    def _account(self, person: Person) -> Any:
        user = {
            **self._user(person),
            "locale": "nl",
            "created": self._text(person.created),
            "yearOfBirth": "1984",
            "thirdPartyIds": [{"thirdParty": "HR", "id": f"{person.name}-{person.number}"}],
        }
        return {"account": user, "relationTypes": ["ACCOUNT"]} if self.form.wrapped else user

    def _catalogs(self, query: Mapping[str, str]) -> Any:
        things = [{"id": catalog.id, "name": catalog.name} for catalog in self.truth.catalogs]
        return self._by_cursor("catalogs", things, [catalog.id for catalog in self.truth.catalogs], query)

    def _catalog(self, _query: Any, catalog_id: str) -> Any:
        catalog = self._found(self.catalogs, catalog_id)
        return {"id": catalog.id, "name": catalog.name, "description": ""}

    def _catalog_content(self, query: Mapping[str, str], catalog_id: str) -> Any:
        catalog: Catalog = self._found(self.catalogs, catalog_id)
        ids = [playable.id for playable in catalog.playables]
        things = [self._playable(playable) for playable in catalog.playables]
        body = self._by_cursor(self.form.content_list, things, ids, query)
        return {"playableContainer": {"id": catalog.id, "organization": {"id": "org"}}, **body}

    # groups

    def _groups(self, query: Mapping[str, str]) -> Any:
        things = [self._group_object(group) for group in self.truth.groups]
        ids = [group.id for group in self.truth.groups]
        if self.form.groups == "total":
            start = ids.index(query["resultFrom"]) + 1 if query.get("resultFrom") in ids else self._start(query)
            return {"total": len(things), "groups": things[start : start + self._size(query)]}
        return self._by_cursor("groups", things, ids, query)

    def _group_object(self, group: Group) -> dict[str, Any]:
        counts = {"members": len(group.members), "drillables": len(group.drillables), "tests": len(group.tests)}
        return {"id": group.id, "name": group.name, "description": "", "counts": counts}

    def _group(self, _query: Any, group_id: str) -> Any:
        group: Group = self._found(self.groups, group_id)
        return {**self._group_object(group), "tests": [self._playable(test) for test in group.tests]}

    def _group_members(self, query: Mapping[str, str], group_id: str) -> Any:
        group: Group = self._found(self.groups, group_id)
        things: list[Any] = [
            {"member": self._user(person), "joined": self._text(joined)} for person, joined in group.members
        ]
        cursors = [self._text(joined) for _, joined in group.members]
        for person in group.invitees:
            entry: dict[str, Any] = {"member": {"emailAddress": person.email}}
            if self.form.invitee_says == "status":
                entry |= {"status": "invited", "invited": self._text(person.created)}
            things.append(entry)
            cursors.append(f"invitee {person.number}")
        counts = {"members": len(group.members), "invitees": len(group.invitees)}
        if self.form.members == "whole":
            return {"members": things, "counts": counts}
        if self.form.members_cursor == "index":
            cursors = [str(n + 1) for n in range(len(things))]
        elif self.form.members_cursor == "id":
            cursors = [f"entry {n}" for n in range(len(things))]
        else:
            cursors = [f"{cursor} {n:06}" for n, cursor in enumerate(cursors)]
        return {**self._by_cursor("members", things, cursors, query), "counts": counts}

    def _group_staff(self, query: Mapping[str, str], group_id: str) -> Any:
        group: Group = self._found(self.groups, group_id)
        things = [{"group": {"id": group.id}, "user": self._user(p), "permission": "MANAGE"} for p in group.staff]
        return {"group": {"id": group.id}, "count": len(things), "groupStaffUsers": things[self._start(query) :]}

    def _group_drillables(self, query: Mapping[str, str], group_id: str) -> Any:
        group: Group = self._found(self.groups, group_id)
        start = self._start(query)
        things = [self._playable(playable) for playable in group.drillables][start : start + self._size(query)]
        return {"id": group.id, "name": group.name, "drillables": things}

    def _objectives(self, _query: Any, group_id: str) -> Any:
        things = [self._objective(objective) for objective in self._found(self.groups, group_id).objectives]
        return things if self.form.objectives_list == "array" else {"total": len(things), "objectives": things}

    def _objective(self, objective: Objective) -> Any:
        said: dict[str, Any] = {"id": objective.id, "type": objective.type, "name": "Practice"}
        if objective.review is not None:
            said["reviewDate"] = self._text(objective.review)
        if objective.minimum is not None:
            said["minimumProficiency"] = self.form.numbers(objective.minimum)
        if self.form.content == "playables":
            return {**said, "playables": [self._playable(playable) for playable in objective.playables]}
        return {**said, "drills": [{"id": one.id, "name": one.name} for one in objective.playables]}

    def _objective_evaluations(self, query: Mapping[str, str], _group_id: str, objective_id: str) -> Any:
        _, objective = self._found(self.objectives, objective_id)
        things = []
        for person, met, proficiency in objective.evaluations:
            said = {"user": self._user(person), "met": met, "evaluationDate": "2026-02-28T20:00:00Z"}
            things.append(said if proficiency is None else {**said, "proficiency": proficiency})
        if self.form.evaluations_list == "array":
            return things
        if not self.form.evaluations_paged:
            return {self.form.evaluations_list: things}
        ids = [person.id for person, *_ in objective.evaluations]
        return self._by_cursor(self.form.evaluations_list, things, ids, query)

    def _objective_events(self, query: Mapping[str, str], objective_id: str) -> Any:
        _, objective = self._found(self.objectives, objective_id)
        things, ids = [], []
        for number, (person, kind, moment) in enumerate(objective.events):
            evaluation: dict[str, Any] = {"met": kind == "OBJECTIVE_BECAME_OK", "proficiency": 50}
            item: dict[str, Any] = {self.form.event_type: kind, self.form.event_evaluation: evaluation}
            (item if self.form.event_user == "item" else evaluation)["user"] = self._user(person)
            (evaluation if self.form.event_time == "evaluationDate" else item)[self.form.event_time] = self._text(
                moment
            )
            if self.form.event_id:
                item["eventId"] = f"event {objective.id} {number}"
            things.append(item)
            ids.append(str(number))
        return self._by_cursor(self.form.events_list, things, ids, query)

    def _results(self, query: Mapping[str, str], group_id: str, account_id: str) -> Any:
        group: Group = self._found(self.groups, group_id)
        person = next((person for person, _ in group.members if person.id == account_id), None)
        if person is None:
            raise Refusal(404, "not_found")
        things, ids = [], []
        for playable in group.drillables:
            if (account_id, playable.id) not in group.results:
                continue
            value = group.results[account_id, playable.id]
            proficiency = {"overall": value} if self.form.proficiency == "object" else value
            practice = {"proficiency": proficiency, "timeSpent": 1800, "lastPracticed": "2026-02-27T08:00Z"}
            drillable = self._playable(playable)
            if self.form.measures == "inline":
                things.append({"drillable": drillable, **practice})
            elif self.form.measures == "practice":
                things.append({"drillable": drillable, "practice": practice})
            else:
                things.append({"drillable": {**drillable, "practice": practice}})
            ids.append(playable.id)
        body = self._by_cursor("groupDrillableMemberResults", things, ids, query)
        return {"group": {"id": group.id}, "member": self._user(person), **body}

    def _test_results(self, query: Mapping[str, str], group_id: str, test_id: str) -> Any:
        group: Group = self._found(self.groups, group_id)
        attempts: list[Attempt] = self._found(group.attempts, test_id)
        test = {"id": test_id, "type": "TEST", "name": "Test"}
        if self.form.tests == "attempts":
            things = [{**self._attempt(attempt), "user": self._user(attempt.person)} for attempt in attempts]
        else:
            people = list({attempt.person.id: attempt.person for attempt in attempts}.values())
            things = [
                {
                    "user": self._user(person),
                    "testResults": [self._attempt(each) for each in attempts if each.person is person],
                }
                for person in people
            ]
        start = self._start(query)
        total = {"total": len(things)} if self.form.total else {}
        return {"test": test, "memberTestResults": things[start : start + self._size(query)], **total}

    def _attempt(self, attempt: Attempt) -> dict[str, Any]:
        said: dict[str, Any] = {"id": attempt.id, "started": "2026-02-01T10:00:00Z", "progress": 1.0, "duration": 30}
        if attempt.completed:
            said["completed"] = "2026-02-01T10:30:00Z"
        if attempt.percentage is not None:
            said["score"] = {
                "percentage": attempt.percentage,
                "transformations": [{"id": "seventy", "result": "so", "passed": attempt.percentage > 70}],
            }
        return said

    # pieces

    def _user(self, person: Person) -> dict[str, Any]:
        return {"type": "USER", "id": person.id, "name": person.name, "emailAddress": person.email}

    @staticmethod
    def _playable(playable: Playable) -> dict[str, Any]:
        return {"id": playable.id, "type": playable.type, "name": playable.name, "icon": {"url": "https://x.example"}}

    def _text(self, moment: datetime) -> str:
        if self.form.seconds == "milliseconds":
            return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
        return moment.strftime(self.form.seconds)

    @staticmethod
    def _found(things: Mapping[str, Any], key: str) -> Any:
        if key not in things:
            raise Refusal(404, "not_found")
        return things[key]

    def _size(self, query: Mapping[str, str]) -> int:
        return min(int(query.get("resultSize", 10)), self.form.smallest_page)

    def _start(self, query: Mapping[str, str]) -> int:
        return self._number(query, "resultStart")

    @staticmethod
    def _number(query: Mapping[str, str], name: str) -> int:
        text = query.get(name, "0")
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise Refusal(400, f"invalid_{name}")
        return int(text)

    def _by_cursor(self, name: str, things: list[Any], cursors: list[str], query: Mapping[str, str]) -> Any:
        """A page of a list; the cursor of its last item leads on."""
        at = query.get("resultFrom")
        if at is not None and at not in cursors:
            raise Refusal(400, "invalid_result_from")
        start = 0 if at is None else cursors.index(at) + 1
        end = start + self._size(query)
        pagination: dict[str, Any] = {}
        if self.form.more:
            pagination["moreAvailable"] = end < len(things)
        if self.form.total or not self.form.more:
            pagination["total"] = len(things)
        if cursors[start:end]:
            pagination["lastOnPage"] = cursors[start:end][-1]
        return {name: things[start:end], "pagination": pagination}

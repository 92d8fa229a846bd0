"""Reads the responses of each resource: where their items are, and what paths of columns cannot say.

That is people and playables that are referred to, keys that are made here, and lists inside of items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from drillster_pipeline.resources import RESOURCES, unit_of
from drillster_pipeline.response_shapes import Json, named_total
from drillster_pipeline.tables import DATA_TABLES

from .batches import Page
from .parsing import ParseError, as_code, as_id, as_object, cast, timestamps, type_error
from .row_reader import RowReader, row_reader
from .state import ExtractionState

_HEX_DIGITS = 32
_BIND = {
    name: row_reader(DATA_TABLES[name], *given.split())
    for name, given in {
        "accounts": "is_managed is_admin",
        "account_external_ids": "account_id",
        "catalogs": "playable_count",
        "catalog_playables": "playable_id",
        "groups": "",
        "group_members": "member_key account_id status",
        "group_staff": "account_id",
        "group_playables": "playable_id",
        "objectives": "",
        "objective_playables": "objective_id playable_id",
        "objective_evaluations": "account_id",
        "objective_events": "account_id",
        "results": "",
        "test_results": "account_id passed",
        "test_result_scores": "test_result_id",
        "test_result_drills": "test_result_id drill_id",
    }.items()
}
"""What reads rows of a table that has a reader below, which gives these columns, in this order."""
_EVENTS, _OBJECTIVES, _RESULTS = (DATA_TABLES[name] for name in ("objective_events", "objectives", "results"))
_PLAYABLE_OF_RESULT = _RESULTS.position("playable_id")


def _reader(table: str, state: ExtractionState) -> RowReader:
    """What reads rows of a table from the page that is being read."""
    return _BIND[table](state.context)


def _items(table: str, resource: str, page: Page, state: ExtractionState, where: str) -> Iterator[dict[str, Any]]:
    return state.objects(table, state.items(resource, page), where)


def read_accounts(page: Page, state: ExtractionState) -> None:
    """Items are ``{account, relationTypes}`` or bare Users; a service account has type, id and name only."""
    read_account, read_external_id = _reader("accounts", state), _reader("account_external_ids", state)
    state.is_list_read = True
    items = state.items("accounts", page)
    read = 0
    for item in state.objects("accounts", items, "accounts"):
        state.rows["accounts"].append(read_account(item, True, _is_admin(item.get("relationTypes"))))
        user = item if item.get("account") is None else as_object(item["account"])
        account_id = as_id(user.get("id"))
        if type(account_id) is not str:
            continue
        read += 1
        state.listed.add(account_id)
        external_ids = state.objects("account_external_ids", user.get("thirdPartyIds"), "thirdPartyIds")
        state.rows["account_external_ids"].extend(read_external_id(one, account_id) for one in external_ids)
    state.is_list_complete = state.is_list_complete and read == len(items)


def _is_admin(relation_types: Json) -> Any:
    if relation_types is None:
        return None
    return "ADMIN" in relation_types if type(relation_types) is list else type_error("a list", relation_types)


def read_catalogs(page: Page, state: ExtractionState) -> None:
    """Pages of the list, and for each catalog its own response (UserCatalog, of which no example was seen)."""
    is_own = "catalog_id" in page.unit
    read_catalog = _reader("catalogs", state)
    for item in state.objects("catalogs", [page.body] if is_own else state.items("catalogs", page), "catalogs"):
        row = read_catalog(item, None)
        if type(row[0]) is str:
            state.catalogs.add(row[0], row)
        else:
            state.rows["catalogs"].append(row)


def read_catalog_content(page: Page, state: ExtractionState) -> None:
    """Playables of a catalog; ``pagination.total`` is Drillster's own count of them."""
    catalog_id = page.unit.get("catalog_id")
    if catalog_id and isinstance(page.body, dict):
        container = as_object(page.body.get("playableContainer"))
        state.catalogs.add(catalog_id, _reader("catalogs", state)(container, named_total(page.body)))
    read_link = _reader("catalog_playables", state)
    for item in _items("catalog_playables", "catalog_content", page, state, "playables"):
        playable_id = state.add_playable(item, None)
        state.add_link("catalog_playables", read_link(item, playable_id), playable_id)


def read_groups(page: Page, state: ExtractionState) -> None:
    """Pages of the list, and for each group its own response, which also has its tests and drillables."""
    is_own = "group_id" in page.unit
    read_group = _reader("groups", state)
    for group in state.objects("groups", [page.body] if is_own else state.items("groups", page), "groups"):
        row = read_group(group)
        if type(row[0]) is str:
            state.groups.add(row[0], row)
            _read_group_playables(row[0], group, state)
        else:
            state.rows["groups"].append(row)


def read_group_drillables(page: Page, state: ExtractionState) -> None:
    """A Group object with its drillables, perhaps with its tests as well; or the bare list."""
    tests = page.body.get("tests") if isinstance(page.body, dict) else None
    group = {"drillables": state.items("group_drillables", page), "tests": tests}
    _read_group_playables(page.unit.get("group_id"), group, state)


def _read_group_playables(group_id: str | None, group: dict[str, Any], state: ExtractionState) -> None:
    read_link = _BIND["group_playables"]({**state.context, "group_id": group_id})
    for place, assumed in (("drillables", "DRILL"), ("tests", "TEST")):
        for playable in state.objects("group_playables", group.get(place), place):
            playable_id = state.add_playable(playable, assumed)
            state.add_link("group_playables", read_link(playable, playable_id), playable_id)


def read_group_members(page: Page, state: ExtractionState) -> None:
    """Members, and invitees: no ``joined``, often no id, perhaps ``status`` and ``invited``."""
    counts = page.body.get("counts") if isinstance(page.body, dict) else None
    no_invitees = isinstance(counts, dict) and counts.get("invitees") == 0
    read_member, rows = _reader("group_members", state), state.rows["group_members"]
    for item in _items("group_members", "group_members", page, state, "members"):
        member = item if item.get("member") is None else as_object(item["member"])
        account_id = state.add_person(member)
        is_member = item.get("joined") is not None or (no_invitees and account_id is not None)
        # An entry without a date of joining is an invitee, unless the response counts none: the date was left out.
        status = ("MEMBER" if is_member else "INVITED") if item.get("status") is None else as_code(item["status"])
        rows.append(read_member(item, _member_key(account_id, member), account_id, status))


def _member_key(account_id: Any, member: dict[str, Any]) -> Any:
    """The account; else the e-mail address, digested, or the digest that was made before that was hidden."""
    if account_id is not None:
        return account_id
    digest, email_address = member.get("inviteeKey"), member.get("emailAddress")
    if type(digest) is str and digest:
        return f"invitee:{digest}"
    if type(email_address) is str and email_address:
        return invitee_key(email_address)
    return ParseError("missing: the entry has neither an id nor an e-mail address")


def invitee_key(email_address: str) -> str:
    """The ``member_key`` of an invitee without an account."""
    return "invitee:" + sha256(email_address.lower().encode("utf-8", "replace")).hexdigest()[:_HEX_DIGITS]


def read_group_staff(page: Page, state: ExtractionState) -> None:
    """Items ``{group, user, permission}``."""
    read_staff, rows = _reader("group_staff", state), state.rows["group_staff"]
    for item in _items("group_staff", "group_staff", page, state, "groupStaffUsers"):
        rows.append(read_staff(item, state.add_person(item.get("user"))))


def read_objectives(page: Page, state: ExtractionState) -> None:
    """A bare array or ``{total, objectives}``; content under ``playables``, or under ``drills`` without a type."""
    read_objective, read_playable = _reader("objectives", state), _reader("objective_playables", state)
    rows = []
    for item in _items("objectives", "objectives", page, state, "objectives"):
        row = read_objective(item)
        rows.append(row)
        if type(row[0]) is str:
            assumed = "TEST" if row[_OBJECTIVES.position("type")] == "TEST" else "DRILL"
            for place, kind in (("playables", assumed), ("drills", "DRILL")):
                for playable in state.objects("objective_playables", item.get(place), place):
                    link = read_playable(playable, row[0], state.add_playable(playable, kind))
                    state.rows["objective_playables"].append(link)
    state.rows["objectives"].extend(rows)
    _add_norms(page.unit.get("group_id"), rows, state)


def _add_norms(group_id: str | None, rows: list[tuple[Any, ...]], state: ExtractionState) -> None:
    """Review dates and minimums, without those that do not fit.

    The objective itself is rejected for them. Everybody's evaluation would be, too, if it took them over.
    """
    norms = []
    for name in ("review_at", "minimum_proficiency"):
        values = [row[_OBJECTIVES.position(name)] for row in rows]
        wrong = cast(_OBJECTIVES.column(name), values).wrong
        norms.append([None if place in wrong else value for place, value in enumerate(values)])
    for row, *norm in zip(rows, *norms, strict=True):
        if type(row[0]) is str:
            state.norms.add((group_id, row[0]), norm)


def read_objective_evaluations(page: Page, state: ExtractionState) -> None:
    """Items are objects ObjectiveEvaluation; the norm is the objective's, unless the evaluation has its own."""
    objective = (page.unit.get("group_id"), page.unit.get("objective_id"))
    review_at, minimum = state.norms.rows.get(objective, (None, None))
    norm = {"review_at": review_at, "minimum_proficiency": minimum}
    read_evaluation = _BIND["objective_evaluations"](state.context | norm)
    rows = state.rows["objective_evaluations"]
    for item in _items("objective_evaluations", "objective_evaluations", page, state, "evaluations"):
        rows.append(read_evaluation(item, state.add_person(item.get("user"))))


def read_objective_events(page: Page, state: ExtractionState) -> None:
    """Events of one objective, modelled on the push event: only the path and the two types are documented."""
    read_event = _reader("objective_events", state)
    rows = []
    for item in _items("objective_events", "objective_events", page, state, "events"):
        evaluation = item.get("objectiveEvaluation")
        evaluation = as_object(item.get("evaluation") if evaluation is None else evaluation)
        user = item.get("user")
        rows.append(list(read_event(item, state.add_person(evaluation.get("user") if user is None else user))))
    event_id, *parts = map(_EVENTS.position, ("event_id", "objective_id", "account_id", "event_type", "occurred_at"))
    occurred, unreadable = timestamps([row[parts[-1]] for row in rows])
    for place, row in enumerate(rows):
        if row[event_id] is None and place not in unreadable:
            # Without one of its parts there is no id, and the row says why.
            made_of = [*(row[part] for part in parts[:-1]), occurred[place].item()]
            if None not in made_of and all(type(one) is str for one in made_of[:-1]):
                row[event_id] = event_key(*made_of)
        state.rows["objective_events"].append(tuple(row))


def event_key(objective_id: str, account_id: str, event_type: str, occurred_at: datetime) -> str:
    """The ``event_id`` of an event to which Drillster gives none; a time without a zone is UTC."""
    utc = occurred_at.astimezone(UTC).replace(tzinfo=None) if occurred_at.tzinfo else occurred_at
    content = f"{objective_id}|{account_id}|{event_type}|{utc.isoformat(timespec='microseconds')}Z"
    return sha256(content.encode("utf-8", "replace")).hexdigest()[:_HEX_DIGITS]


def read_results(page: Page, state: ExtractionState) -> None:
    """Results of one member: measures (object Practice) under ``practice``, ``drillable.practice``, or inline.

    By far the most rows come from here, so that a playable is only added until all is known of it.
    """
    account_id = page.unit.get("account_id")
    member = as_object(page.body.get("member") if type(page.body) is dict else None)
    if state.add_person(member) != account_id:
        state.add_person({"id": account_id})
    read_result, complete, rows = _reader("results", state), state.complete_playables, state.rows["results"]
    for item in _items("results", "results", page, state, "groupDrillableMemberResults"):
        row = read_result(item)
        if row[_PLAYABLE_OF_RESULT] not in complete:
            state.add_playable(as_object(item.get("drillable")), "DRILL")
        rows.append(row)


def read_test_results(page: Page, state: ExtractionState) -> None:
    """Results of all members for one test: an entry per member with ``testResults``, or one per attempt."""
    test_id = page.unit.get("test_id")
    read_attempt, read_score, read_drill = (
        _reader(name, state) for name in ("test_results", "test_result_scores", "test_result_drills")
    )
    test = page.body.get("test") if isinstance(page.body, dict) else None
    state.add_playable(as_object(test), "TEST", test_id)
    for person, attempt in _attempts(page, state):
        state.add_playable(as_object(attempt.get("test")), "TEST", test_id)
        score = attempt.get("score")
        transformations = score.get("transformations") if type(score) is dict else None
        passed, given = _passed(transformations), {}
        if score is not None and type(score) not in {dict, int, float}:  # neither an object nor its percentage alone
            passed = given["score"] = type_error("an object", score)
        row = read_attempt({**attempt, **given} if given else attempt, state.add_person(person), passed)
        state.rows["test_results"].append(row)
        if type(row[0]) is not str:
            continue
        for one in state.objects("test_result_scores", transformations, "transformations"):
            state.rows["test_result_scores"].append(read_score(one, row[0]))
        for one in state.objects("test_result_drills", attempt.get("drills"), "drills"):
            drill_id = state.add_playable(as_object(one.get("drill")), "DRILL")
            state.rows["test_result_drills"].append(read_drill(one, row[0], drill_id))


_OF_A_PERSON = frozenset({"user", "member", "testResults"})
_OF_AN_ATTEMPT = frozenset({"id", "started", "completed", "score", "progress"})


def _attempts(page: Page, state: ExtractionState) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each attempt and who made it. An entry with a person and nothing else is of somebody who made none."""
    for entry in _items("test_results", "test_results", page, state, "memberTestResults"):
        person = entry.get("member") if entry.get("user") is None else entry["user"]
        state.add_person(person)
        attempts = _attempts_of(entry)
        if attempts is not None:
            for attempt in state.objects("test_results", attempts, "testResults"):
                own = attempt.get("user")
                yield person if own is None else own, attempt
        elif type(person) is not dict or not entry.keys() <= _OF_A_PERSON:
            yield person, entry


def _attempts_of(entry: dict[str, Any]) -> Any:
    """The list of attempts: ``testResults``, or the only list of objects of an entry that is no attempt itself.

    An empty list of another name is that of a person who made none; of nobody, it says nothing.
    """
    named = entry.get("testResults")
    if named is not None or entry.keys() & _OF_AN_ATTEMPT:
        return named
    lists = [value for value in entry.values() if type(value) is list and all(type(one) is dict for one in value)]
    return lists[0] if len(lists) == 1 and (lists[0] or entry.keys() & _OF_A_PERSON) else None


def _passed(transformations: Json) -> Any:
    """Of the first transformation that says whether the test was passed (only binary ones do)."""
    for one in transformations if type(transformations) is list else ():
        if type(one) is dict and one.get("passed") is not None:
            return one["passed"]
    return None


def _read_all(table: str) -> Callable[[Page, ExtractionState], None]:
    """The reader of a table of which each item is a row and refers to nothing: its first source lists them."""
    declared = DATA_TABLES[table]
    bind, (resource, *_) = row_reader(declared), declared.sources

    def read(page: Page, state: ExtractionState) -> None:
        items = state.items(resource, page) if unit_of(resource, page.unit).endpoint.is_list else [page.body]
        read_row = bind(state.context)
        state.rows[table].extend(map(read_row, state.objects(table, items, resource)))

    return read


_READERS: Mapping[str, Callable[[Page, ExtractionState], None]] = {
    name: globals()[f"read_{name}"] for name in RESOURCES if f"read_{name}" in globals()
}
"""A reader has the name of its resource."""
_OTHERS = {name: _read_all(name) for name in DATA_TABLES if name not in _BIND and name != "playables"}


def read_page(resource: str, page: Page, state: ExtractionState) -> None:
    """Add all rows that a page gives."""
    if resource in _READERS:
        _READERS[resource](page, state)
    for table, read in _OTHERS.items():
        if resource == DATA_TABLES[table].sources[0]:
            read(page, state)

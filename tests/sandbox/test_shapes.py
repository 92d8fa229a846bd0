"""Each alternative form of an answer, at least once: it is another one, and what it has of the usual one is equal."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.drillster import Faults, Shapes, Size

from .caller import Caller, Paths, Start

EVERYTHING = frozenset({"*"})
ALTERNATIVES: list[tuple[str, str, Any, str]] = [
    # the resource, the field of Shapes and its value, and a pattern of what its answer now has
    ("accounts", "accounts_list", "people", r'^\{"people":\[\{"account"'),
    ("accounts", "accounts_items", "bare", r'^\{"accounts":\[\{"type"'),
    ("accounts", "optional_fields", False, r'"account":\{"type":"USER","id":"[^"]*","name":"[^"]*"\}'),
    ("groups", "groups_total", "top", r'^(?!.*pagination).*"total":\d'),
    ("groups", "groups_total", "both", r'^\{"total":\d.*"pagination"'),
    ("group", "group_has_tests", False, r'^(?!.*"tests":\[)'),
    ("group", "group_has_members", True, r'"members":\[\]'),
    ("group_drillables", "group_has_members", True, r'"members":\[\]'),
    ("group_members", "members_default", 1, r'^\{"members":\[\{[^]]*"joined":"[^"]*"\}\]'),
    ("group_members", "without_total", EVERYTHING, r'^(?!.*"total")'),
    ("group_members", "without_more_available", EVERYTHING, r'^(?!.*"moreAvailable")'),
    ("group_members", "without_pagination", EVERYTHING, r'^(?!.*"pagination")'),
    ("objectives", "objectives_list", "array", r"^\["),
    ("objectives", "objectives_content", "drills", r'"drills":\[\{"id"'),
    ("objectives", "objectives_numbers", "string", r'"minimumProficiency":"\d'),
    ("objectives", "objectives_named", False, r'\{"id":"[^"]*","type":"(ONEOFF|PERMANENT|TEST|RECURRING)"'),
    ("objective_evaluations", "evaluations_list", "array", r"^\["),
    ("objective_evaluations", "evaluations_list", "objectiveEvaluations", r'^\{"objectiveEvaluations"'),
    (
        "objective_evaluations",
        "evaluations_leave_out",
        frozenset({"proficiency"}),
        r'^(?!.*"met":[a-z]*,"proficiency")',
    ),
    ("objective_events", "events_list", "changes", r'^\{"changes"'),
    ("objective_events", "events_type", "type", r'"type":"OBJECTIVE_BECAME'),
    ("objective_events", "events_time", "date", r'^(?!.*evaluationDate).*"date":"2'),
    ("objective_events", "events_time", "evaluationDate", r'^(?!.*"timestamp")'),
    ("objective_events", "events_evaluation", "objectiveEvaluation", r'"objectiveEvaluation":\{'),
    ("objective_events", "events_user", "evaluation", r'"evaluation":\{[^}]*\}[^}]*"user"'),
    ("objective_events", "events_have_id", False, r'^(?!.*"eventId")'),
    ("results", "practice", "practice", r'"practice":\{"proficiency"'),
    ("results", "practice", "drillable", r'"drillable":\{.*"practice":\{'),
    ("results", "proficiency", "number", r'"proficiency":\d'),
    ("test_results", "test_results_list", "attempts", r'"attempts":\['),
    ("test_results", "test_results_items", "flat", r'"memberTestResults":\[\{"id"'),
    ("test_results", "attempts_leave_out", frozenset({"score"}), r'"progress":1.0,"drills"'),
    ("catalogs", "catalogs_list", "things", r'^\{"things"'),
    ("catalog_content", "content_list", "things", r'"things":\['),
    ("groups", "timestamps", "milliseconds", r'"created":"[^"]*:\d\d:\d\d\.\d{3}Z"'),
    ("groups", "timestamps", "minutes", r'"created":"[^"]*T\d\d:\d\dZ"'),
    ("accounts", "timestamps", "mixed", r'"lastLogin":"[^"]*T\d\d:\d\dZ"'),
]


@pytest.mark.parametrize(("resource", "name", "value", "pattern"), ALTERNATIVES)
def test_an_answer_can_have_another_form(
    caller: Caller, paths: Paths, resource: str, name: str, value: Any, pattern: str
) -> None:
    usual = caller.call(paths.paths[resource]).text
    caller.sandbox.faults = Faults(shapes=Shapes(**{name: value}))
    other = caller.call(paths.paths[resource])
    assert other.status_code == 200
    assert other.text != usual
    assert re.search(pattern, other.text), other.text[:500]


def test_invitees_can_have_less_and_no_results(caller: Caller, paths: Paths) -> None:
    path, key = paths.lists["group_members"]
    usual = {one["member"].get("emailAddress"): one for one in caller.every(path, key) if "joined" not in one}
    invitee = next(one["member"]["id"] for one in usual.values() if "id" in one["member"])
    results = f"group/{paths.group}/member-results/{invitee}"
    assert caller.call(results).status_code == 200
    caller.sandbox.faults = Faults(
        shapes=Shapes(invitee_status=False, invitee_invited=False, invitee_id=False, invitee_results="missing")
    )
    invitees = [one for one in caller.every(path, key) if "joined" not in one]
    assert len(invitees) == len(usual)
    assert {(frozenset(one), "id" in one["member"]) for one in invitees} == {(frozenset({"member"}), False)}
    assert caller.call(results).status_code == 404


@pytest.mark.parametrize("version", ["2.1.1", "3"])
def test_content_can_be_under_one_version_only(caller: Caller, paths: Paths, version: Any) -> None:
    caller.sandbox.faults = Faults(shapes=Shapes(content_version=version))
    path = paths.paths["catalog_content"]
    statuses = {one: caller.call(path, version=one).status_code for one in ("2.1.1", "3")}
    assert statuses == {one: 200 if one == version else 404 for one in ("2.1.1", "3")}


@pytest.mark.parametrize(
    ("form", "fields"), [("object", {"id", "description"}), ("oauth", {"error", "error_description"})]
)
def test_errors_can_have_another_form(caller: Caller, form: Any, fields: set[str]) -> None:
    caller.sandbox.faults = Faults(shapes=Shapes(errors=form, grant_errors=form, permission_status=401))
    for answer, status in ((caller.call("organization/x"), 401), (caller.grant(client_secret="wrong"), 401)):
        assert (answer.status_code, set(answer.json())) == (status, fields)


@pytest.mark.parametrize(("form", "content"), [("html", "<"), ("nothing", "")])
def test_errors_can_be_no_json(caller: Caller, form: Any, content: str) -> None:
    caller.sandbox.faults = Faults(shapes=Shapes(errors=form, grant_errors=form))
    for answer, status in ((caller.call("group/x"), 404), (caller.grant(client_secret="wrong"), 401)):
        assert (answer.status_code, answer.text[:1]) == (status, content)


# -- cursors

CURSORS = {"id": r"[A-Za-z0-9_-]{22}", "index": r"\d+", "timestamp": r"\d{4}-.*\.\d{3}Z"}


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        *((name, "index") for name in ("accounts", "group_members", "objective_evaluations", "results")),
        *((name, "id") for name in ("accounts", "group_members")),
        *((name, "timestamp") for name in ("objective_evaluations", "objective_events")),
    ],
)
@pytest.mark.parametrize("inclusive", [frozenset(), EVERYTHING], ids=["exclusive", "inclusive"])
def test_a_cursor_can_be_of_another_kind(
    caller: Caller, paths: Paths, resource: str, kind: Any, inclusive: frozenset[str]
) -> None:
    path, key = paths.lists[resource]
    everything = caller.every(path, key)
    caller.sandbox.faults = Faults(shapes=Shapes(cursors=kind, inclusive=inclusive))
    first = caller.get(path, resultSize=7)
    assert re.fullmatch(CURSORS[kind], first["pagination"]["lastOnPage"])
    second = caller.get(path, resultSize=7, resultFrom=first["pagination"]["lastOnPage"])
    at = everything.index(second[key][0])
    assert (at <= 6) if inclusive else (at == 7 or kind == "timestamp")


@pytest.mark.parametrize("inclusive", [frozenset(), EVERYTHING], ids=["exclusive", "inclusive"])
def test_accounts_can_come_newest_first(caller: Caller, inclusive: frozenset[str]) -> None:
    oldest_first = caller.every("organizations/self/accounts", "accounts")
    caller.sandbox.faults = Faults(shapes=Shapes(accounts_order="newest_first", inclusive=inclusive))
    pages = caller.cursor_pages("organizations/self/accounts", "accounts", resultSize=7)
    found = {one["account"]["id"]: one for page in pages for one in page}
    assert list(found.values()) == oldest_first[::-1]


def test_members_can_come_all_at_once(caller: Caller, paths: Paths) -> None:
    path, key = paths.lists["group_members"]
    everyone = caller.every(path, key)
    for shapes, size in (({"members_paging": "all"}, 3), ({"members_default": None}, None)):
        caller.sandbox.faults = Faults(shapes=Shapes(**shapes))
        assert caller.get(path, **({"resultSize": size} if size else {}))[key] == everyone


def test_an_inclusive_cursor_loses_no_account_of_an_import(start: Start) -> None:
    size = Size(accounts=102, import_batch=25, stable=True)
    caller = start(size=size, faults=Faults(shapes=Shapes(inclusive=frozenset({"accounts"}))))
    pages = caller.cursor_pages("organizations/self/accounts", "accounts", resultSize=60)
    assert len({one["account"]["id"] for page in pages for one in page}) == 102


def test_the_cursor_of_an_empty_page_is_missing_or_null(caller: Caller, paths: Paths) -> None:
    empty = f"objectives/{paths.busiest.id}/events?fromDate=2024-01-01&toDate=2024-01-01"
    assert caller.get(empty)["pagination"] == {"total": 0, "moreAvailable": False}
    caller.sandbox.faults = Faults(shapes=Shapes(null_cursor_on_empty=True))
    assert caller.get(empty)["pagination"]["lastOnPage"] is None

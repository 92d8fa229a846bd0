"""Which forms, fields and page sizes this Drillster has, and which groups it lets one see."""

from __future__ import annotations

from drillster_pipeline import resources as api
from drillster_pipeline.diagnostics import Status
from tests.drillster import FieldFault, Sandbox, Shapes, closed

from .examined import Examine, forms, step

ALTERNATIVES = Shapes(
    accounts_list="organizationAccounts",
    accounts_items="bare",
    groups_total="top",
    without_total=frozenset({"group_members"}),
    objectives_list="array",
    objectives_content="drills",
    objectives_numbers="string",
    evaluations_list="objectiveEvaluations",
    events_list="things",
    events_type="type",
    events_have_id=False,
    practice="drillable",
    proficiency="number",
    test_results_items="flat",
    content_version="3",
    timestamps="milliseconds",
)


def test_every_form_is_named_as_what_it_is(examine: Examine, sandbox: Sandbox) -> None:
    usual = forms(examine())
    usual["objective_evaluations"].pop("reviewDate", None)  # of objectives with a date for each member
    assert {standing for aspects in usual.values() for _, standing in aspects.values()} == {"documented"}
    sandbox.change(shapes=ALTERNATIVES)
    report = examine()
    met = forms(report)
    assert met["accounts"]["items"] == ("under `organizationAccounts`", "alternative")
    assert met["accounts"]["an item"] == ("a bare User", "alternative")
    assert met["groups"]["total"] == ("`total`", "documented")
    assert met["groups"]["paging"][0] == "by place (`resultStart`)"
    assert met["group_members"]["total"][0] == "not named"
    assert met["objectives"]["items"][0] == "a bare list"
    assert "`drills`" in met["objectives"]["content"][0]
    assert met["objectives"]["numbers"] == ("as text", "alternative")
    assert met["objective_evaluations"]["items"] == ("under `objectiveEvaluations`", "alternative")
    assert met["objective_events"]["items"] == ("under `things`", "unknown")
    assert met["objective_events"]["type"] == ("under `type`", "alternative")
    assert met["objective_events"]["eventId"][1] == "alternative"
    assert met["results"]["measures"] == ("inside `drillable.practice`", "alternative")
    assert met["results"]["proficiency"] == ("a number", "alternative")
    assert met["test_results"]["an item"] == ("an attempt", "alternative")
    assert "fractions" in met["accounts"]["timestamps"][0]
    content = next(each for each in report.endpoints if each.endpoint is api.CATALOG_CONTENT)
    assert content.version == "3"
    assert any("things" in each.found for each in report.findings if each.status is Status.WARNING)


def test_unknown_fields_are_told_by_path_and_type_and_never_by_a_key_that_is_data(
    examine: Examine, sandbox: Sandbox
) -> None:
    (name, *_) = [account["account"]["name"] for account in _accounts(examine)]
    first = name.split()[0].lower()
    people = {first: {"since": 3}, name: 1, f"{first}@example.org": 2}
    sandbox.change(
        fields=(
            FieldFault(resource="groups", field="contacts", what="value", value=people),
            FieldFault(resource="accounts", field="account.nickname", what="value", value=name, every=2),
            FieldFault(resource="results", field="byDay", what="value", value={f"day{n}": n for n in range(40)}),
        )
    )
    report = examine()
    unknown = {path: kind for probed in report.endpoints for path, kind in probed.unknown.items()}
    assert unknown["accounts[].account.nickname"] == "text"
    assert unknown["groups[].contacts"] == "object"
    assert unknown["groupDrillableMemberResults[].byDay"] == "object"
    assert not any(first in path or "day1" in path for path in unknown), unknown
    assert step(report, "unknown fields").status is Status.WARNING


def _accounts(examine: Examine) -> list[dict[str, dict[str, str]]]:
    return next(probed.items for probed in examine().endpoints if probed.endpoint is api.ACCOUNTS)


def test_page_sizes_are_those_that_are_granted(examine: Examine, sandbox: Sandbox) -> None:
    sandbox.change(refused_sizes={"groups": 50, "group_members": 10}, clamped_sizes={"accounts": 10})
    report = examine()
    told = {probed.path: probed.notes for probed in report.endpoints}
    assert told["groups"] == ["pages of 50: larger ones are refused"]
    assert told["group/{group_id}/members"] == ["pages of 10: larger ones are refused"]
    assert told["organizations/{organization_id}/accounts"] == ["pages of 10, though 100 were asked for"]
    assert report.night is not None
    assert report.night.by_resource["accounts"].likely == 4


def test_a_group_that_is_closed_does_not_hide_what_another_one_has(examine: Examine, sandbox: Sandbox) -> None:
    groups = sorted(_groups(examine), key=lambda group: -group["counts"]["members"])
    sandbox.change(failures=closed(groups[0]["id"]), empty_groups=frozenset(group["id"] for group in groups[1:-1]))
    report = examine()
    members = next(probed for probed in report.endpoints if probed.endpoint is api.GROUP_MEMBERS)
    assert members.items
    assert members.refusals
    assert step(report, "groups").status is Status.WARNING
    assert "group_members" in step(report, "groups").found
    assert report.exit_code == 0


def _groups(examine: Examine) -> list[dict[str, dict[str, int]]]:
    return next(probed.items for probed in examine().endpoints if probed.endpoint is api.GROUPS)


def test_no_group_at_all_is_worth_a_look(examine: Examine, sandbox: Sandbox) -> None:
    hidden = frozenset(str(group["id"]) for group in _groups(examine))
    sandbox.change(hidden_groups=hidden)
    report = examine()
    assert step(report, "groups").status is Status.WARNING
    assert "Groups administrator" in step(report, "groups").advice
    assert step(report, "GET group/{group_id}/members").status is Status.SKIPPED
    assert report.exit_code == 0

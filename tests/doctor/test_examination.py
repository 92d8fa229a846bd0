"""A first connection, on real sockets: every step says what it found, and none hides another."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import fsspec
import pytest

from drillster_pipeline.api import endpoints as api
from drillster_pipeline.doctor import Examination, Report, Status
from drillster_pipeline.doctor.findings import Notes
from drillster_pipeline.doctor.operating import examine_daemon
from drillster_pipeline.doctor.probing import MOST_REQUESTS, ORDER
from drillster_pipeline.export import Session, capture
from drillster_pipeline.orchestration.home import describe_home
from drillster_pipeline.sandbox import Failure, Faults, FieldFault, How, Sandbox, Shapes, Size, closed
from drillster_pipeline.settings import load_settings
from drillster_pipeline.warehouse import CONTRACT
from tests.archive.object_store import object_store
from tests.webhooks import running_webhook

from .conftest import Examine, forms, step, steps


def test_all_is_well(examine: Examine) -> None:
    report = examine()
    assert {finding.status for finding in report.findings} == {Status.OK}, report.findings
    assert report.exit_code == 0
    assert report.is_complete
    assert [probed.outcome for probed in report.endpoints] == ["answers"] * len(ORDER)
    assert "MANAGE" in step(report, "groups").found


def test_nothing_is_left_behind(examine: Examine, tmp_path: Path) -> None:
    for warehouse in ("sqlite:///data/deeper/warehouse.sqlite", "sqlite:///warehouse.sqlite"):
        examine(DRILLSTER_WAREHOUSE_URL=warehouse, DRILLSTER_ARCHIVE_URL="a/b/archive")
    assert list(tmp_path.rglob("*")) == []


def test_a_warehouse_and_an_archive_that_are_there_stay_as_they_are(
    examine: Examine, sandbox: Sandbox, tmp_path: Path
) -> None:
    with Session(settings=load_settings(sandbox.environment())) as session:
        day = session.newest_complete
        capture(session, "events", day)
        assert session.warehouse.latest_loads() == {}
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report = examine()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert f"all {len(CONTRACT)} are there" in step(report, "tables").found
    assert str(day) in step(report, "archive").found


def test_the_estimate_is_what_a_night_then_asks_for() -> None:
    with Sandbox(size=Size(accounts=80, pace=3), seed=11) as sandbox:
        report = Examination(environ=sandbox.environment()).run()
        night = report.night
        assert night is not None
        sandbox.clear()
        with Session(
            settings=load_settings({**sandbox.environment(), "DRILLSTER_ARCHIVE_URL": "memory://n"})
        ) as session:
            captures = [capture(session, kind, session.newest_complete) for kind in ("snapshot", "events")]
        asked = sandbox.count("GET")
    assert night.requests.low * 0.97 <= asked <= night.requests.high * 1.03
    assert 0.9 * asked <= night.requests.likely <= 1.1 * asked
    received = sum(outcome.capture.manifest["walk"]["received_bytes"] for outcome in captures)
    assert 0.7 * received <= night.received_bytes.likely <= 1.4 * received
    assert night.tokens == sandbox.grants == 1


def test_it_asks_for_one_page_of_each_endpoint_and_for_little_else(examine: Examine, sandbox: Sandbox) -> None:
    report = examine()
    assert report.requests <= 45
    assert sandbox.count("GET", "*/accounts") == 1
    assert sandbox.count("GET", "*/member-results/*") == 1
    assert sandbox.grants == 1


def test_where_nothing_is_to_be_found_it_ends_all_the_same(examine: Examine, sandbox: Sandbox) -> None:
    sandbox.change(failures=(Failure(at="group/*/*", statuses=(404,), error="not_found"),))
    report = examine()
    assert report.requests <= MOST_REQUESTS
    assert step(report, "GET group/{group_id}/members").status is Status.WARNING


WRONG: dict[str, tuple[dict[str, str], Faults, int, str]] = {
    "a wrong secret": ({"DRILLSTER_CLIENT_SECRET": "f" * 32}, Faults(), 2, "access token"),
    "the key of another account": ({"DRILLSTER_SERVICE_ACCOUNT_ID": "x" * 22}, Faults(), 2, "access token"),
    "nothing may be read": ({}, Faults(failures=(Failure(statuses=(403,), error="no_permission"),)), 3, "permissions"),
    "groups are closed": ({}, Faults(failures=(Failure(at="groups", statuses=(403,)),)), 3, "GET groups"),
    "it is down": ({}, Faults(failures=(Failure(how=How.HTML, statuses=(502,)),)), 4, "connection"),
    "the page of a proxy": ({}, Faults(failures=(Failure(how=How.HTML, statuses=(200,)),)), 4, "GET organization"),
    "connections are reset": ({}, Faults(failures=(Failure(how=How.RESET),)), 4, "connection"),
    "a redirect": ({}, Faults(failures=(Failure(how=How.REDIRECT),)), 2, "connection"),
    "tokens that are refused": (
        {},
        Faults(failures=(Failure(at="organizations/*", how=How.REVOKE),)),
        2,
        "GET organizations/{organization_id}/accounts",
    ),
    "an answer without its list": (
        {},
        Faults(shapes=Shapes(accounts_list="pagination")),
        6,
        "GET organizations/{organization_id}/accounts",
    ),
    "rows that do not fit": (
        {},
        Faults(fields=(FieldFault(resource="accounts", field="account.created", what="value", value=17),)),
        6,
        "rows",
    ),
    "no such database": ({"DRILLSTER_WAREHOUSE_URL": "postgresql://a:b@127.0.0.1:9/c"}, Faults(), 4, "warehouse"),
    "an archive that can't be": ({"DRILLSTER_ARCHIVE_URL": "/proc/archive"}, Faults(), 4, "archive"),
    "a store without a driver": ({"DRILLSTER_ARCHIVE_URL": "nosuch://x"}, Faults(), 2, "archive"),
    "a wrong setting": ({"DRILLSTER_CONCURRENCY": "many"}, Faults(), 2, "DRILLSTER_CONCURRENCY"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named_and_all_else_is_tried(examine: Examine, sandbox: Sandbox, what: str) -> None:
    settings, faults, code, where = WRONG[what]
    sandbox.faults = faults
    report = examine(**settings)
    assert report.exit_code == code
    failed = [finding for finding in report.findings if finding.status is Status.FAILED]
    assert failed[0].exit_code == code
    assert where in {finding.step for finding in failed}
    assert all(finding.found and (finding.tried or finding.status is Status.SKIPPED) for finding in report.findings)
    found = steps(report)
    for name in ("warehouse", "archive", "reports", "next night", "alerts"):
        assert found[name].status is (Status.FAILED if name == where else Status.OK)
    assert "Traceback" not in repr(report.findings)


def test_every_wrong_setting_is_a_finding_and_what_does_not_need_it_is_tried(sandbox: Sandbox) -> None:
    environ = {"DRILLSTER_BASE_URL": sandbox.base_url, "DRILLSTER_TIMEZONE": "Mars", "DRILLSTER_CONCURENCY": "3"}
    report = Examination(environ=environ).run()
    found = steps(report)
    assert report.exit_code == 2
    for name in ("DRILLSTER_CLIENT_ID", "DRILLSTER_PRIVATE_KEY", "DRILLSTER_TIMEZONE"):
        assert found[name].status is Status.FAILED
    assert "DRILLSTER_CONCURRENCY?" in found["DRILLSTER_CONCURENCY"].advice
    assert found["connection"].status is found["clock"].status is found["warehouse"].status is Status.OK
    assert found["access token"].status is Status.SKIPPED
    assert "next night" not in found


@pytest.mark.parametrize(
    ("skew", "status", "words"),
    [
        (0, Status.OK, "the same"),
        (-20, Status.OK, "ahead of"),
        (45, Status.WARNING, "behind"),
        (-400, Status.FAILED, "from the future"),
        (400, Status.FAILED, "have ended"),
    ],
)
def test_a_clock_is_told_by_how_much_it_is_off_and_what_that_does(
    examine: Examine, sandbox: Sandbox, skew: float, status: Status, words: str
) -> None:
    sandbox.change(clock_skew=skew)
    report = examine()
    clock = step(report, "clock")
    assert clock.status is status
    assert words in clock.found
    assert report.exit_code == (2 if status is Status.FAILED else 0)
    if skew:
        assert abs(float(clock.found.split(" s ")[0]) - abs(skew)) < 2


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


def test_a_lifetime_that_is_not_named_is_said_to_be_assumed(examine: Examine, sandbox: Sandbox) -> None:
    sandbox.change(stated_lifetime=None)
    assert "10 min is assumed" in step(examine(), "access token").found


def test_the_alert_is_sent_only_when_asked_for(sandbox: Sandbox) -> None:
    with running_webhook() as hook:
        environ = {**sandbox.environment(), "DRILLSTER_ALERT_WEBHOOK": hook.url}
        Examination(environ=environ).run()
        assert hook.asked == 0
        assert step(Examination(environ=environ, send_alert=True).run(), "alerts").status is Status.OK
        assert len(hook.got) == 1
        hook.status = 404
        report = Examination(environ=environ, send_alert=True).run()
    assert step(report, "alerts").status is Status.FAILED
    assert report.exit_code == 4


def test_an_examination_that_is_broken_off_keeps_what_it_found(sandbox: Sandbox) -> None:
    def breaks_off(what: str) -> None:
        if what.endswith("/staff"):
            raise KeyboardInterrupt

    examination = Examination(environ=sandbox.environment())
    with pytest.raises(KeyboardInterrupt):
        examination.run(breaks_off)
    report = examination.report
    assert not report.is_complete
    assert step(report, "access token").status is Status.OK
    assert len(report.endpoints) == 8
    assert report.as_json()["is_complete"] is False


def test_a_mistake_of_ours_in_one_step_does_not_hide_the_others(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a value of somebody")

    monkeypatch.setattr("drillster_pipeline.doctor.keeping._try_storage", broken)
    report = examine()
    assert step(report, "archive").status is Status.FAILED
    assert "KeyError at test_examination.py" in step(report, "archive").found
    assert "somebody" not in repr(report.findings)
    assert step(report, "reports").status is Status.OK
    assert report.exit_code == 1


def test_the_next_night_is_told_in_the_zone_of_the_schedule(sandbox: Sandbox) -> None:
    moment = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)
    report = Examination(environ=sandbox.environment(), now=lambda: moment).run()
    told = step(report, "next night").found
    assert told.startswith("2026-03-29 02:30 Europe/Amsterdam")
    assert "for 2026-03-28" in told


def test_a_first_export_date_that_lies_ahead_is_worth_a_look(examine: Examine) -> None:
    first = datetime.now(UTC).date() + timedelta(days=9)
    assert step(examine(DRILLSTER_FIRST_EXPORT_DATE=str(first)), "next night").status is Status.WARNING


def test_privacy_and_a_limit_cost_what_they_cost(examine: Examine) -> None:
    usual, slow = examine().night, examine(DRILLSTER_REQUESTS_PER_SECOND="20", DRILLSTER_PERSONAL_DATA="drop").night
    assert usual is not None
    assert slow is not None
    assert slow.requests.likely == usual.requests.likely + 1
    assert slow.minutes.likely == pytest.approx(slow.requests.likely / 20 / 60, abs=0.1)
    assert slow.minutes.likely > usual.minutes.likely


def test_an_archive_in_an_object_store_is_tried_and_left_as_it_was(examine: Examine) -> None:
    with object_store() as store:
        bucket = store.bucket()
        report = examine(DRILLSTER_ARCHIVE_URL=f"s3://{bucket}/nights")
        assert step(report, "archive").status is Status.OK
        assert "names no limit" in next(each.found for each in report.findings if each.step == "room")
        assert fsspec.filesystem("s3").find(bucket) == []
        report = examine(DRILLSTER_ARCHIVE_URL="s3://no-such-bucket-of-ours/nights")
        assert step(report, "archive").status is Status.FAILED
        assert report.exit_code == 4


@pytest.mark.parametrize(
    ("exists", "silent", "status", "words"),
    [
        (False, None, Status.OK, "nothing has run there yet"),
        (True, None, Status.OK, "no daemon has run there"),
        (True, 20.0, Status.OK, "the daemon runs"),
        (True, 7200.0, Status.WARNING, "no sign of life for 2 h"),
    ],
)
def test_a_daemon_that_is_silent_is_noticed(exists: bool, silent: float | None, status: Status, words: str) -> None:
    report = Report(datetime.now(UTC))
    told = {"home": "set", "exists": exists, "storage": {"runs": "SqliteRunStorage"}, "silent_seconds": silent}
    examine_daemon(Notes(report), lambda: told)
    assert step(report, "Dagster").status is status
    assert words in step(report, "Dagster").found


def test_a_storage_of_dagster_that_is_down_is_told_without_its_words() -> None:
    def down() -> dict[str, object]:
        raise OSError("user noor of the database oak")

    report = Report(datetime.now(UTC))
    examine_daemon(Notes(report), down)
    assert report.exit_code == 4
    assert "noor" not in repr(report.findings)


def test_dagster_is_asked_without_making_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert describe_home()["exists"] is False
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    assert describe_home()["exists"] is False
    assert [path.name for path in tmp_path.iterdir()] == ["dagster.yaml"]
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.get_runs()
    told = describe_home()
    assert (told["exists"], told["storage"]["runs"], told["silent_seconds"]) == (True, "SqliteRunStorage", None)


@pytest.mark.skipif(not hasattr(os, "chown"), reason="no owners of files here")
def test_a_file_with_secrets_that_everybody_may_read_is_noticed(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.touch()
    file.chmod(0o644)
    somebody = os.getuid() or 4711
    if os.getuid() == 0:
        os.chown(file, somebody, -1)
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    assert step(examine(), ".env").advice == "chmod 600 .env"
    file.chmod(0o600)
    assert ".env" not in steps(examine())

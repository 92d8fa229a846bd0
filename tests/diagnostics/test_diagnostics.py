"""The diagnostics, on real sockets: every step says what it found, none hides another, and nothing is left."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from drillster_pipeline.diagnostics import Diagnostics, DiagnosticsReport, Item, Status
from drillster_pipeline.diagnostics.endpoints import MOST_REQUESTS, ORDER
from drillster_pipeline.diagnostics.scheduling import check_daemon
from drillster_pipeline.formatting import count, duration, size
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import load_settings
from drillster_pipeline.warehouse import CONTRACT
from tests.drillster import Failure, Faults, FieldFault, How, Sandbox, Shapes, Size, closed
from tests.support.object_store import object_store
from tests.support.timestamp_authority import Authority, authority
from tests.support.webhooks import Webhook

from .conftest import Check, by_step


def test_a_healthy_installation_passes_with_few_requests_and_nothing_is_left(
    check: Check, sandbox: Sandbox, tmp_path: Path
) -> None:
    report = check(DRILLSTER_WAREHOUSE_URL="sqlite:///data/deeper/w.sqlite", DRILLSTER_ARCHIVE_URL="a/b/archive")
    assert {item.status for item in report.items} == {Status.OK}, report.items
    assert (report.exit_code, report.is_complete) == (0, True)
    assert {f"GET {endpoint.path}" for endpoint in ORDER} <= by_step(report).keys()
    assert "MANAGE" in by_step(report)["GET groups"].found
    assert list(tmp_path.rglob("*")) == []
    assert report.requests <= 45
    assert (sandbox.count("GET", "*/accounts"), sandbox.count("GET", "*/member-results/*"), sandbox.grants) == (1, 1, 1)


def test_an_existing_warehouse_and_archive_are_described_and_not_changed(
    check: Check, sandbox: Sandbox, tmp_path: Path
) -> None:
    with PipelineContext(settings=load_settings(sandbox.environment())) as context:
        day = context.newest_complete
        capture(context, "events", day)
        assert context.warehouse.ledger.latest_loads() == {}
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report = check()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert f"all {len(CONTRACT)} exist" in by_step(report)["tables"].found
    assert str(day) in by_step(report)["archive"].found


def test_a_defect_in_one_step_hides_neither_the_others_nor_shows_a_value(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a value of somebody")

    monkeypatch.setattr("drillster_pipeline.archive.archive.Archive.dates", broken)
    report = check()
    assert "KeyError at test_diagnostics.py" in by_step(report)["archive"].found
    assert "somebody" not in repr(report)
    assert by_step(report)["reports"].status is Status.OK
    assert report.exit_code == 1


ACCOUNTS = "GET organizations/{organization_id}/accounts"
CREATED = FieldFault(resource="accounts", field="account.created", what="value", value=17)
ELSEWHERE = "https://noor@example.org/secret?token=x"
MISTAKES: dict[str, tuple[dict[str, str], Faults, int, str]] = {
    "a wrong secret": ({"DRILLSTER_CLIENT_SECRET": "f" * 32}, Faults(), 2, "access token"),
    "the key of another account": ({"DRILLSTER_SERVICE_ACCOUNT_ID": "x" * 22}, Faults(), 2, "access token"),
    "nothing may be read": ({}, Faults(failures=(Failure(statuses=(403,), error="no_permission"),)), 3, "GET groups"),
    "groups are closed": ({}, Faults(failures=(Failure(at="groups", statuses=(403,)),)), 3, "GET groups"),
    "it is down": ({}, Faults(failures=(Failure(how=How.HTML, statuses=(502,)),)), 4, "connection"),
    "the page of a proxy": ({}, Faults(failures=(Failure(how=How.HTML, statuses=(200,)),)), 4, "GET organization"),
    "connections are reset": ({}, Faults(failures=(Failure(how=How.RESET),)), 4, "connection"),
    "a redirect": ({}, Faults(failures=(Failure(how=How.REDIRECT, location=ELSEWHERE),)), 2, "connection"),
    "an answer without its list": ({}, Faults(shapes=Shapes(accounts_list="pagination")), 6, ACCOUNTS),
    "rows that do not fit": ({}, Faults(fields=(CREATED,)), 6, "rows"),
    "no such database": ({"DRILLSTER_WAREHOUSE_URL": "postgresql://a:b@127.0.0.1:9/c"}, Faults(), 4, "warehouse"),
    "an archive that can't be": ({"DRILLSTER_ARCHIVE_URL": "/proc/archive"}, Faults(), 4, "archive"),
    "a store without a driver": ({"DRILLSTER_ARCHIVE_URL": "nosuch://x"}, Faults(), 2, "archive"),
    "reports without a driver": ({"DRILLSTER_REPORTS_FOLDER": "nosuch://x"}, Faults(), 2, "reports"),
    "a wrong setting": ({"DRILLSTER_CONCURRENCY": "many"}, Faults(), 2, "DRILLSTER_CONCURRENCY"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_what_is_wrong_is_named_and_all_else_is_tried(check: Check, sandbox: Sandbox, what: str) -> None:
    settings, sandbox.faults, code, where = MISTAKES[what]
    report = check(**settings)
    failed = [item for item in report.items if item.status is Status.FAILED]
    assert report.exit_code == failed[0].exit_code == code
    assert where in {item.step for item in failed}
    assert all(item.found and (item.tried or item.status is Status.SKIPPED) for item in report.items)
    for name in ("warehouse", "archive", "reports", "next run", "alerts"):
        assert by_step(report)[name].status is (Status.FAILED if name == where else Status.OK)


def test_every_wrong_setting_is_an_item_and_what_does_not_need_it_is_tried(sandbox: Sandbox) -> None:
    environ = {"DRILLSTER_BASE_URL": sandbox.base_url, "DRILLSTER_TIMEZONE": "Mars", "DRILLSTER_CONCURENCY": "3"}
    report = Diagnostics(environ=environ).run()
    found = by_step(report)
    assert report.exit_code == 2
    for name in ("DRILLSTER_CLIENT_ID", "DRILLSTER_PRIVATE_KEY", "DRILLSTER_TIMEZONE"):
        assert found[name].status is Status.FAILED
    assert "DRILLSTER_CONCURRENCY?" in str(found["DRILLSTER_CONCURENCY"].advice)
    assert found["connection"].status is found["clock"].status is found["warehouse"].status is Status.OK
    assert found["access token"].status is Status.SKIPPED
    assert "next run" not in found


@pytest.mark.parametrize(
    ("skew", "status", "words"),
    [
        (0, Status.OK, "the same"),
        (-20, Status.OK, "ahead of"),
        (45, Status.WARNING, "behind"),
        (-400, Status.FAILED, "in the future"),
        (400, Status.FAILED, "expired"),
    ],
)
def test_a_clock_that_is_off_is_reported_with_its_consequence(
    check: Check, sandbox: Sandbox, skew: float, status: Status, words: str
) -> None:
    sandbox.change(clock_skew=skew)
    report = check()
    clock = by_step(report)["clock"]
    assert clock.status is status
    assert words in clock.found
    assert report.exit_code == (2 if status is Status.FAILED else 0)
    assert not skew or abs(float(clock.found.split(" s ")[0]) - abs(skew)) < 2


def test_a_token_without_a_lifetime_is_noted(check: Check, sandbox: Sandbox) -> None:
    sandbox.change(stated_lifetime=None)
    assert "10 min is assumed" in by_step(check())["access token"].found


def test_rights_that_are_missing_are_warnings_and_the_rest_is_tried(check: Check, sandbox: Sandbox) -> None:
    groups = [str(group["id"]) for group in check().pages["groups"][0]["groups"]]
    sandbox.change(failures=(Failure(at="organization/*/catalogs", statuses=(403,)), *closed(groups[0])))
    report = check()
    assert by_step(report)["GET organization/{organization_id}/catalogs"].status is Status.WARNING
    assert report.exit_code == 0
    sandbox.change(failures=tuple(failure for group in groups for failure in closed(group)))
    report = check()
    assert by_step(report)["GET group/{group_id}/members"].status is Status.WARNING
    assert report.requests <= MOST_REQUESTS
    sandbox.change(failures=(), hidden_groups=frozenset(groups))
    report = check()
    assert "Groups administrator" in str(by_step(report)["GET groups"].advice)
    assert by_step(report)["GET group/{group_id}/members"].status is Status.SKIPPED
    assert report.exit_code == 0


@pytest.mark.slow
def test_the_estimate_is_close_to_what_a_run_then_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Sandbox(size=Size(accounts=80, pace=3), seed=11) as sandbox:
        estimate = Diagnostics(environ=sandbox.environment()).run().estimate
        assert estimate is not None
        sandbox.clear()
        settings = load_settings({**sandbox.environment(), "DRILLSTER_ARCHIVE_URL": "memory://n"})
        with PipelineContext(settings=settings) as context:
            captures = [capture(context, kind, context.newest_complete) for kind in ("snapshot", "events")]
        requested = sandbox.count("GET")
    assert 0.9 * requested <= estimate.requests <= 1.1 * requested
    received = sum(outcome.capture.manifest["walk"]["received_bytes"] for outcome in captures)
    assert 0.5 * received <= estimate.received_bytes <= 2 * received


def test_privacy_and_a_limit_of_the_rate_are_part_of_the_estimate(check: Check) -> None:
    usual = check().estimate
    slow = check(DRILLSTER_REQUESTS_PER_SECOND="20", DRILLSTER_PERSONAL_DATA="drop").estimate
    assert usual is not None
    assert slow is not None
    assert slow.requests == usual.requests + 1
    assert slow.minutes == pytest.approx(slow.requests / 20 / 60, abs=0.1)


def test_the_next_run_is_in_the_time_zone_of_the_schedule(sandbox: Sandbox) -> None:
    moment = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)
    first = str(moment.date() + timedelta(days=9))
    for environ, status in (
        (sandbox.environment(), Status.OK),
        ({"DRILLSTER_FIRST_EXPORT_DATE": first}, Status.WARNING),
    ):
        item = by_step(Diagnostics(environ=environ, now=lambda: moment).run())["next run"]
        assert item.found.startswith("2026-03-29 02:30 Europe/Amsterdam")
        assert "for 2026-03-28" in item.found
        assert item.status is status


def test_alert_urls_and_the_heartbeat_are_tried_only_on_request(sandbox: Sandbox) -> None:
    def found(report: DiagnosticsReport) -> list[str]:
        return [each.found for each in report.items if each.step in {"alerts", "heartbeat"}]

    with Webhook() as hook:
        mail = "mailto://u:very-secret@127.0.0.1:9?smtp=127.0.0.1&from=a@example.org&to=b@example.org"
        environ = {
            **sandbox.environment(),
            "DRILLSTER_ALERT_WEBHOOK": hook.url,
            "DRILLSTER_ALERT_URLS": f"{hook.url.replace('http', 'json', 1)} {mail}",
            "DRILLSTER_HEARTBEAT_URL": hook.url,
        }
        assert len(found(Diagnostics(environ=environ).run())) == 4
        assert (hook.asked, hook.pings) == (0, 0)
        report = Diagnostics(environ=environ, send_alert=True).run()
        assert ["failed: ConnectionRefusedError" in each for each in found(report)] == [False, False, True, False]
        assert (len(hook.got), hook.pings, report.exit_code) == (2, 1, 4)
        hook.status = 404
        assert found(Diagnostics(environ=environ, send_alert=True).run())[3].endswith("failed: status 404.")
    assert "very-secret" not in repr(report)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to be a time-stamping authority with")
def test_one_time_stamp_is_requested_and_none_is_a_warning(check: Check, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    with authority(tmp_path / "tsa") as tsa:

        def found(certificate: Path) -> Item:
            report = check(DRILLSTER_TIMESTAMP_URL=tsa.url, DRILLSTER_TIMESTAMP_CERTIFICATE=str(certificate))
            assert report.exit_code == 0
            assert "secret" not in repr(report)
            return by_step(report)["time stamp"]

        assert (found(tsa.certificate).status, tsa.requests) == (Status.OK, 1)
        item = found(other.certificate)
        assert item.status is Status.WARNING
        assert "not of an authority of these certificates" in item.found
        item = found(tmp_path / "none.pem")
        assert item.status is Status.WARNING
        assert "The file of DRILLSTER_TIMESTAMP_CERTIFICATE can't be read (No such file" in item.found
        tsa.status = 404
        item = found(tsa.certificate)
        assert (item.status, item.found) == (Status.WARNING, "the authority gave none: status 404.")


@pytest.mark.slow
def test_an_object_store_for_archive_and_reports_is_tried_and_left_as_it_was(check: Check) -> None:
    with object_store() as store:
        bucket = store.bucket()
        for name, status in ((bucket, Status.OK), ("no-such-bucket-of-ours", Status.FAILED)):
            report = check(DRILLSTER_ARCHIVE_URL=f"s3://{name}/a", DRILLSTER_REPORTS_FOLDER=f"s3://{name}/r")
            assert [by_step(report)[step].status for step in ("archive", "reports")] == [status, status]
        assert "DRILLSTER_REPORTS_FOLDER" in by_step(report)["reports"].found
        assert report.exit_code == 4
        assert fsspec.filesystem("s3").find(bucket) == []


@pytest.mark.parametrize(
    ("exists", "silent", "status", "words"),
    [
        (False, None, Status.OK, "nothing has run there yet"),
        (True, None, Status.OK, "no daemon has run there"),
        (True, 20.0, Status.OK, "the daemon runs"),
        (True, 7200.0, Status.WARNING, "heartbeat is 2 h old"),
    ],
)
def test_a_daemon_without_a_heartbeat_is_a_warning(
    exists: bool, silent: float | None, status: Status, words: str
) -> None:
    report = DiagnosticsReport(datetime.now(UTC))
    check_daemon(report, lambda: {"home": "set", "exists": exists, "storage": "sqlite", "silent_seconds": silent})
    (item,) = report.items
    assert item.status is status
    assert words in item.found


def test_a_storage_of_dagster_that_is_down_is_reported_without_its_message() -> None:
    def down() -> dict[str, object]:
        raise OSError("user noor of the database oak")

    report = DiagnosticsReport(datetime.now(UTC))
    check_daemon(report, down)
    assert report.exit_code == 4
    assert "noor" not in repr(report.items)


@pytest.mark.skipif(not hasattr(os, "chown"), reason="no owners of files here")
def test_a_file_with_secrets_that_everybody_may_read_is_a_warning(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.touch()
    file.chmod(0o644)
    somebody = os.getuid() or 4711
    if os.getuid() == 0:
        os.chown(file, somebody, -1)
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    assert by_step(check())[".env"].advice == "chmod 600 .env"
    file.chmod(0o600)
    assert ".env" not in by_step(check())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (duration(0.34), "340 ms"), (duration(4.25), "4.2 s"), (duration(59), "59 s"), (duration(92), "1 min 32 s"),
        (duration(600), "10 min"), (duration(9000), "2 h 30 min"), (duration(3e5), "3 days"),
        (size(12), "12 bytes"), (size(1400), "1.4 kB"), (size(357_000), "357 kB"), (size(8.03e10), "80.3 GB"),
        (size(5e12), "5.0 TB"), (count(1234), "1,234"), (count(1, "row"), "1 row"), (count(1234, "row"), "1,234 rows"),
    ],
)  # fmt: skip
def test_durations_sizes_and_counts_are_for_people(words: str, text: str) -> None:
    assert words == text

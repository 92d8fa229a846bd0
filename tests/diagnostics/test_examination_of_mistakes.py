"""Whatever is wrong is named, with its exit code, and all else is tried."""

from __future__ import annotations

import pytest

from drillster_pipeline.diagnostics import Examination, Status
from tests.drillster import Failure, Faults, FieldFault, How, Sandbox, Shapes

from .examined import Examine, step, steps

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
    "reports without a driver": ({"DRILLSTER_REPORTS_FOLDER": "nosuch://x"}, Faults(), 2, "reports"),
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


def test_a_lifetime_that_is_not_named_is_said_to_be_assumed(examine: Examine, sandbox: Sandbox) -> None:
    sandbox.change(stated_lifetime=None)
    assert "10 min is assumed" in step(examine(), "access token").found

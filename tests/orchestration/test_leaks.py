"""All that runs of every kind leave behind, read byte by byte: no secret anywhere, no person where none may be."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.drillster import Failure, Faults, How, PageFault, closed
from tests.support.installation import DAY, Installation, night_after
from tests.support.leaks import DATABASE_PASSWORD, PSEUDONYM_KEY, found_in, mentions, people_of, secrets_of, value
from tests.support.webhooks import Webhook

from .runs import evaluate, launch

pytestmark = pytest.mark.slow
OURS = ["very-secret", PSEUDONYM_KEY, DATABASE_PASSWORD, "another-secret-that-is-wrong"]


PRIVATE = (
    value("accounts", "account.name", {"private": "Private Person"}),
    value("accounts", "account.emailAddress", ["private.person@example.org"]),
    value("accounts", "account.yearOfBirth", "private.person@example.org"),
    value("accounts", "account.private_person@example", "x"),
)
"""Personal fields of a wrong type, and a field that is named like a person."""
MISFORTUNES: dict[str, tuple[Faults, dict[str, str]]] = {
    "errors of a proxy": (Faults(failures=(Failure(at="organizations/*", how=How.HTML, statuses=(502,)),)), {}),
    "a redirect": (Faults(failures=(Failure(at="groups", how=How.REDIRECT),)), {}),
    "no token": (Faults(failures=(Failure(at="token", statuses=(401,), error="invalid_client"),)), {}),
    "revoked tokens": (Faults(failures=(Failure(at="organizations/*", how=How.REVOKE),)), {}),
    "nothing may be read": (Faults(failures=(Failure(statuses=(403,), error="no_permission"),)), {}),
    "a cursor that stands still": (
        Faults(clamped_sizes={"accounts": 4}, pages=(PageFault(resource="accounts", what="stuck"),)),
        {},
    ),
    "too many rejects": (Faults(fields=PRIVATE), {}),
    "no database": (
        Faults(),
        {"DRILLSTER_WAREHOUSE_URL": f"postgresql://loader:{DATABASE_PASSWORD}@127.0.0.1:9/warehouse"},
    ),
    "no driver": (Faults(), {"DRILLSTER_ARCHIVE_URL": f"nosuchstore://loader:{DATABASE_PASSWORD}@host/archive"}),
    "a wrong setting": (Faults(), {"DRILLSTER_CONCURRENCY": "many"}),
    "a wrong secret": (Faults(), {"DRILLSTER_CLIENT_SECRET": "another-secret-that-is-wrong"}),
}


@pytest.fixture(autouse=True)
def logs_and_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Temporary files are read as well, everything is logged, and nothing waits for what is down."""
    (tmp_path / "temporary").mkdir()
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, logger="urllib3")  # at DEBUG it logs paths
    caplog.set_level(logging.WARNING, logger="uvicorn")  # the sandbox's own
    monkeypatch.setattr("drillster_pipeline.api.retry.RetryState.add_failure", lambda *_, **__: None)
    monkeypatch.setattr("drillster_pipeline.pipeline.publish.PAUSES", ())


@pytest.fixture
def hook(loaded: Installation) -> Iterator[Webhook]:
    with Webhook() as running:
        loaded.set(DRILLSTER_ALERT_WEBHOOK=running.url, DRILLSTER_PSEUDONYM_KEY=PSEUDONYM_KEY)
        yield running


def emptied(installation: Installation) -> list[str]:
    """Remove warehouse and archive, which have everyone; returns who was there."""
    people = people_of(installation)
    installation.close()
    for path in [*installation.folder.glob("warehouse.sqlite*"), *installation.folder.glob("archive/*/*/*/*.gz")]:
        path.unlink()
    return people


@pytest.mark.deep
def test_runs_that_fail_in_every_way_show_nobody_and_no_secret(
    loaded: Installation,
    hook: Webhook,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    people = emptied(loaded)
    shown: list[object] = []
    with loaded.on_disk() as instance:
        evaluate(loaded)
        for number, (faults, settings) in enumerate(MISFORTUNES.values()):
            before = dict(loaded.environment)
            loaded.sandbox.faults = faults
            loaded.set(DRILLSTER_ARCHIVE_URL=str(loaded.folder / f"archive-{number}"))  # nothing to resume from
            loaded.set(**settings)
            result = launch(loaded, ["drillster/accounts", "warehouse/accounts"])
            assert not result.success
            evaluate(loaded)
            loaded.set(**{name: before[name] for name in {*settings} & {*before}})
            if "DRILLSTER_CONCURRENCY" in settings:
                loaded.set(DRILLSTER_CONCURRENCY="4")
        loaded.at(night_after(DAY + timedelta(days=2)))
        refused = loaded.run(DAY)
        assert refused.exit_code == 5
        evaluate(loaded)
        shown += [refused, *refused.errors]
        shown += [instance.all_logs(run.run_id) for run in instance.get_runs()]
    context = loaded.context
    shown += [context, context.settings, context.tokens, context.privacy, vars(context), context.settings.model_dump()]
    assert len(hook.got) > 5
    shown += [hook.got, capfd.readouterr(), caplog.text]
    files = [path for path in loaded.folder.rglob("*") if path.is_file()]
    outside = [
        path
        for path in files
        if path.suffix == ".json" or not path.relative_to(loaded.folder).parts[0].startswith(("archive", "warehouse"))
    ]
    written = b"".join(path.read_bytes() for path in outside) + repr(shown).encode()
    assert str(DAY).encode() in written
    secrets = [*secrets_of(loaded.sandbox), *OURS]
    assert found_in(written, [*secrets, *people, "Private Person", "person@example"]) == []
    assert loaded.files_with(*secrets) == []


@pytest.mark.deep
def test_a_run_that_succeeds_gives_dagster_no_name_of_a_person_or_a_thing(
    loaded: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """Groups, drills, objectives and unknown fields may be named after people, and `forget` does not reach Dagster."""
    people = people_of(loaded)
    query = "SELECT name, email_address FROM accounts WHERE email_address LIKE '%@%' ORDER BY 1 LIMIT 1"
    ((name, email),) = loaded.query(query)
    loaded.sandbox.faults = Faults(fields=(*mentions(name, email), value("group", "name", f"Team {name}")))
    with loaded.on_disk():
        result = loaded.run(DAY, capture_again=True)
        assert result.success, result.errors
    tables = ("groups", "playables", "objectives", "catalogs")
    names = [str(thing) for table in tables for (thing,) in loaded.query(f"SELECT DISTINCT name FROM {table}")]
    assert [thing for thing in names if name in thing]
    home = b"".join(path.read_bytes() for path in loaded.home.rglob("*") if path.is_file())
    written = home + caplog.text.encode() + repr(result).encode()
    assert b"spread_of_proficiency" in written
    assert found_in(written, [*people, *names]) == []


# The first capture reads only a part of what the faults are about.
@pytest.mark.idle_faults
@pytest.mark.parametrize("mode", ["pseudonymize", "drop"])
def test_where_people_are_hidden_nobody_is_anywhere(
    loaded: Installation, hook: Webhook, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    del hook
    query = "SELECT name, email_address FROM accounts WHERE email_address LIKE '%@%' ORDER BY 1 LIMIT 1"
    ((name, email),) = loaded.query(query)
    ((group,),) = loaded.query("SELECT group_id FROM groups ORDER BY 1 LIMIT 1")
    people = emptied(loaded)
    loaded.set(DRILLSTER_PERSONAL_DATA=mode, DRILLSTER_ARCHIVE_URL=str(loaded.folder / "archive-of-others"))
    failures = (*closed(group, what="staff"), Failure(at="catalog/*", statuses=(404,)))
    loaded.sandbox.faults = faults = Faults(fields=mentions(name, email), failures=failures)
    loaded.interrupt()  # what it has captured stays, unsealed
    loaded.load_next()
    loaded.load("events")
    loaded.sandbox.faults = replace(faults, failures=())
    with loaded.on_disk():
        assert launch(loaded, ["drillster/groups", "warehouse/groups"], day=loaded.day).success
        evaluate(loaded)
    assert loaded.files_with("Ask ")
    assert found_in(caplog.text.encode(), people) == []
    hidden = [*secrets_of(loaded.sandbox), *OURS, *people, quote(name), quote(email)]
    assert loaded.files_with(*hidden) == []
    assert loaded.query("SELECT count(*) FROM accounts WHERE is_managed") >= [(10,)]

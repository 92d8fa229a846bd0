"""All that nights of every kind leave behind, read byte by byte: no secret anywhere, no person where none may be."""

from __future__ import annotations

import gzip
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.drillster import Failure, Faults, FieldFault, How, PageFault, closed
from tests.support.webhooks import running_webhook

from .alerted import look
from .houses import DAY, SMALL, House, found_in, night_after, people_of, secrets_of

KEY = "the-key-of-all-pseudonyms-9f3a"
DATABASE_PASSWORD = "a-password-of-the-database"


NAMED = ("groups", "playables", "objectives", "catalogs")
"""Tables of things that have names."""


def said(resource: str, field: str, value: object, every: int = 1) -> FieldFault:
    return FieldFault(resource=resource, field=field, what="value", value=value, every=every)


def gossip(name: str, email: str) -> tuple[FieldFault, ...]:
    """A person of the organization, where nobody looks for one."""
    text = f"Ask {name} <{email}>, or https://x.example/?who={quote(name)}&mail={quote(email)}"
    nested = {"notes": [{"by": text, name: {"value": email}}], email: 1}
    return (
        said("groups", "description", text),
        said("groups", "name", f"Team {name}", 2),
        said("groups", "contacts", nested),
        said("group_members", "member.remarks", nested),
        said("group_members", "remarks", nested),
        said("group_drillables", "name", text),
        said("catalogs", "description", text),
        said("objectives", "name", text),
        said("objective_evaluations", "remarks", text),
        said("results", "remarks", nested),
        said("accounts", "pagination", nested),
    )


def failing(*failures: Failure) -> Faults:
    return Faults(failures=failures)


MISFORTUNES: dict[str, tuple[int, Faults]] = {
    "errors of a proxy": (4, failing(Failure(at="organizations/*", how=How.HTML, statuses=(502,)))),
    "a redirect": (2, failing(Failure(at="groups", how=How.REDIRECT))),
    "no token": (2, failing(Failure(at="token", statuses=(401,), error="invalid_client"))),
    "revoked tokens": (2, failing(Failure(at="organizations/*", how=How.REVOKE))),
    "nothing may be read": (3, failing(Failure(statuses=(403,), error="no_permission"))),
    "a cursor that stands still": (
        6,
        Faults(clamped_sizes={"accounts": 4}, pages=(PageFault(resource="accounts", what="stuck"),)),
    ),
    "too many rejects": (5, Faults(fields=(said("accounts", "account.name", {"of": "Private Person"}),))),
}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, which is scanned as well."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def told(lived_in: House) -> Iterator[list[dict[str, str]]]:
    """What the webhook got."""
    with running_webhook() as hook:
        lived_in.set(DRILLSTER_ALERT_WEBHOOK=hook.url, DRILLSTER_PSEUDONYM_KEY=KEY)
        look(lived_in)
        yield hook.got


def bytes_of(folder: Path, *, but: tuple[str, ...] = ()) -> bytes:
    """All files below a folder, decompressed."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(str(path.relative_to(folder)).startswith(name) for name in but):
            content = path.read_bytes()
            found.append(gzip.decompress(content) if path.suffix == ".gz" else content)
    return b"\n".join(found)


def hidden(house: House) -> list[str]:
    """Every secret there is: also any long piece of the key, and all tokens that were ever given."""
    lines = secrets_of(house)
    pieces = [line[start : start + 40] for line in lines for start in range(0, len(line) - 39, 8)]
    tokens = list(house.sandbox.app.grants.tokens)
    assert tokens
    return [*lines, *pieces, *tokens, KEY, "very-secret", DATABASE_PASSWORD]


def everyone(house: House) -> list[str]:
    """Who is in the organization, by a first night that hid nobody, of which nothing is left then."""
    people = people_of(house)
    assert len(people) > 40
    for path in [*house.folder.glob("warehouse.sqlite*"), *house.folder.glob("archive/*/*/*/*.gz")]:
        path.unlink()
    return people


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.INFO)  # when asked for it, it logs paths
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the sandbox's own


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits minutes for a Drillster or a database that is down."""

    def at_once(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("drillster_pipeline.api.retry.RetryState.add_failure", at_once)
    monkeypatch.setattr("drillster_pipeline.pipeline.publish.PAUSES", ())


def test_nights_that_fail_in_every_way_show_nobody_and_no_secret(
    lived_in: House,
    told: list[dict[str, str]],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    house = lived_in
    people = everyone(house)
    shown: list[object] = []

    def fails(code: int) -> None:
        night = house.night()
        look(house)
        assert night.exit_code == code, night
        shown.extend([night, *night.errors])

    for number, (code, faults) in enumerate(MISFORTUNES.values()):
        house.sandbox.faults = faults
        house.set(DRILLSTER_ARCHIVE_URL=str(house.folder / f"archive-{number}"))  # nothing to go on with
        fails(code)
    house.sandbox.faults = Faults()
    for setting, (code, value) in {
        "DRILLSTER_WAREHOUSE_URL": (4, f"postgresql://loader:{DATABASE_PASSWORD}@127.0.0.1:9/warehouse"),
        "DRILLSTER_ARCHIVE_URL": (2, f"nosuchstore://loader:{DATABASE_PASSWORD}@host/archive"),
        "DRILLSTER_CONCURRENCY": (2, "many"),
    }.items():
        before = house.environment.get(setting, "4")
        house.set(**{setting: value})
        fails(code)
        house.set(**{setting: before})
    house.set(DRILLSTER_ARCHIVE_URL=str(house.folder / "archive-without-a-night"))
    house.at(night_after(DAY + timedelta(days=2)))
    shown.append([house.instance.all_logs(run.run_id) for run in house.instance.get_runs()])
    with house.on_disk():
        fails(5)
    with house.session() as session:
        shown += [session, session.settings, session.tokens, session.privacy, session.warehouse, vars(session)]
        shown.append(session.settings.model_dump())
    assert len(told) > 2
    out = "".join(capfd.readouterr()) + caplog.text + repr(shown) + repr(told)
    outside = bytes_of(house.folder, but=("archive-", "warehouse.sqlite"))
    alerts = b"".join(path.read_bytes() for path in house.folder.rglob("*.json"))
    assert found_in(outside + alerts + out.encode(), [*hidden(house), *people, "Private Person"]) == []
    assert found_in(bytes_of(house.folder), hidden(house)) == []


def test_a_run_that_goes_well_gives_dagster_no_name_of_a_person_or_a_thing(
    lived_in: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Groups, drills, objectives and unknown fields are called after people, and `forget` does not reach Dagster."""
    house = lived_in
    people = people_of(house)
    (row,) = house.rows("SELECT name, email_address FROM accounts WHERE email_address LIKE '%@%' ORDER BY 1 LIMIT 1")
    called = (said("groups", "name", f"Team {row[0]}"), said("group", "name", f"Team {row[0]}"))
    house.sandbox.faults = Faults(fields=(*gossip(str(row[0]), str(row[1])), *called))
    house.set(DRILLSTER_REPORTS_FOLDER=str(house.folder / "reports"))
    caplog.clear()
    with house.on_disk():
        night = house.night()
        assert night.success, night.errors
    names = [str(name) for table in NAMED for (name,) in house.rows(f"SELECT DISTINCT name FROM {table}")]
    assert [name for name in names if str(row[0]) in name]
    written = bytes_of(house.home) + caplog.text.encode() + repr(night).encode()
    assert b"spread_of_proficiency" in written
    assert b"least_met" in written
    assert found_in(written, [*people, *names]) == []


# The first run and the last read only a part of what the faults are about.
@pytest.mark.idle_faults
@pytest.mark.parametrize("mode", ["pseudonymize", "drop"])
def test_where_people_are_hidden_nothing_holds_one(
    lived_in: House, told: list[dict[str, str]], caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    house = lived_in
    (row,) = house.rows("SELECT name, email_address FROM accounts WHERE email_address LIKE '%@%' ORDER BY 1 LIMIT 1")
    (group, *_) = (str(key) for (key,) in house.rows("SELECT group_id FROM groups ORDER BY 1"))
    people = everyone(house)
    caplog.clear()
    house.set(DRILLSTER_PERSONAL_DATA=mode, DRILLSTER_ARCHIVE_URL=str(house.folder / "archive-of-others"))
    faults = Faults(
        fields=gossip(str(row[0]), str(row[1])),
        failures=(*closed(group, what="staff"), Failure(at="catalog/*", statuses=(404,))),
    )
    house.sandbox.faults = replace(faults, failures=(Failure(at="group/*/member-results/*", statuses=(502,)),))
    assert not house.night().success  # what it has captured stays, unsealed
    house.sandbox.faults = faults
    house.at(night_after(DAY + timedelta(days=1)))
    with house.on_disk():
        assert house.night(DAY + timedelta(days=1)).success
        look(house)
    house.at(night_after(DAY + timedelta(days=2)))
    house.sandbox.faults = Faults(fields=faults.fields)
    assert house.night().exit_code == 5  # its events alone are fetched
    look(house)
    written = bytes_of(house.folder) + caplog.text.encode() + repr(told).encode()
    assert len(written) > 1_000_000
    assert b"Ask " in written
    assert found_in(written, [*hidden(house), *people, quote(str(row[0])), quote(str(row[1]))]) == []
    assert house.rows("SELECT count(*) FROM accounts WHERE is_managed") >= [(SMALL.accounts // 2,)]

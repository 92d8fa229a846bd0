"""The bundle and the screen, byte by byte: no secret, no name of a person, and no id, whatever goes wrong."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from rich.console import Console

from drillster_pipeline.cli.check import print_report
from drillster_pipeline.diagnostics import Diagnostics, write_bundle
from drillster_pipeline.diagnostics.bundle import KeyFilter, Scrubber, shape_of
from drillster_pipeline.settings import read_settings
from tests.drillster import Failure, Faults, How, Sandbox
from tests.support.leaks import DATABASE_PASSWORD, PSEUDONYM_KEY, found_in, mentions, secrets_of, value

from .test_diagnostics import MISTAKES

DATABASE_USER = "noor.of.the.loaders"
WEBHOOK = "https://hooks.example.org/services/T0/very-secret"
APPRISE = "jsons://hooks.example.org/very-secret"
ANOTHER_ACCOUNT = "aNotherAccountOf22Sign"

PERSONAL = {"name", "realName", "emailAddress", "id", "description", "lastOnPage"}


FAULTS: dict[str, Faults] = {
    "none": Faults(),
    "a wrong key": Faults(),
    "no token": Faults(failures=(Failure(at="token", statuses=(401,), error="invalid_client"),)),
    "refused tokens": Faults(failures=(Failure(at="groups", how=How.REVOKE),)),
    **{what: faults for what, (_, faults, *_) in MISTAKES.items() if faults != Faults()},
}


@pytest.fixture
def environ(sandbox: Sandbox) -> dict[str, str]:
    return {
        **sandbox.environment(),
        "DRILLSTER_PSEUDONYM_KEY": PSEUDONYM_KEY,
        "DRILLSTER_ALERT_WEBHOOK": WEBHOOK,
        "DRILLSTER_ALERT_URLS": f"mailtos://noor.of.the.loaders:very-secret@oak.example.org {APPRISE}",
        "DRILLSTER_HEARTBEAT_URL": "https://beats.example.org/very-secret",
        "DRILLSTER_WAREHOUSE_URL": f"postgresql://{DATABASE_USER}:{DATABASE_PASSWORD}@127.0.0.1:9/people-of-oak",
        "DRILLSTER_WAREHOUSE_SCHEMA": "schema_of_oak",
    }


@pytest.fixture(scope="module")
def people(running: Sandbox) -> list[str]:
    """Names, addresses, keys and ids of everyone and everything on the first pages of this Drillster."""
    running.faults = Faults()
    report = Diagnostics(environ=running.environment()).run()
    values = {value for bodies in report.pages.values() for body in bodies for value in _values(body, "")}
    assert len(values) > 200
    return sorted(values)


def _values(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _values(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner, place)
    elif isinstance(value, str) and place in PERSONAL and len(value) > 5:
        yield value


def leaked(sandbox: Sandbox, written: str, people: list[str], *hidden: str) -> list[str]:
    """What stands in a text that must not: secrets, ids, people, and anything like a token or an e-mail address."""
    credentials = sandbox.credentials
    ids = [credentials.client_id, credentials.service_account_id, ANOTHER_ACCOUNT]
    ours = [DATABASE_PASSWORD, DATABASE_USER, PSEUDONYM_KEY, WEBHOOK, "very-secret"]
    found = found_in(written.encode(), [*secrets_of(sandbox), *ids, *ours, *people, *hidden])
    return found + re.findall(r"[\w.]+@[\w.]+\.\w+", written)


def screen(diagnostics: Diagnostics) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    print_report(console, diagnostics.report)
    return console.export_text()


def bundle(diagnostics: Diagnostics, path: Path) -> str:
    write_bundle(path, diagnostics.report, diagnostics.environ, diagnostics.settings)
    assert path.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            if name.endswith(".json"):
                json.loads(archive.read(name))
        return "\n".join(f"{name}\n{archive.read(name).decode()}" for name in archive.namelist())


@pytest.mark.parametrize("what", FAULTS)
def test_nothing_shows_a_secret_or_a_person(
    sandbox: Sandbox, environ: dict[str, str], people: list[str], tmp_path: Path, what: str
) -> None:
    sandbox.faults = FAULTS[what]
    if what == "a wrong key":
        environ["DRILLSTER_SERVICE_ACCOUNT_ID"] = ANOTHER_ACCOUNT
    diagnostics = Diagnostics(environ=environ)
    report = diagnostics.run()
    shown = screen(diagnostics) + json.dumps(report.as_json())
    assert leaked(sandbox, shown, people) == []
    attached = bundle(diagnostics, tmp_path / "bundle.zip")
    hidden = [
        "people-of-oak",
        "schema_of_oak",
        "hooks.example.org",
        "beats.example.org",
        "oak.example.org",
        str(tmp_path),
        str(Path.home()) + "/",
    ]
    assert leaked(sandbox, attached, people, *hidden) == []
    assert len(attached) > 3_000


def test_what_an_operator_must_read_stays_out_of_what_others_read(
    sandbox: Sandbox, environ: dict[str, str], tmp_path: Path
) -> None:
    """An error names the path that is wrong: on the screen it has to, in the bundle it must not."""
    (tmp_path / "notes-of-noor").write_text("a file, where a folder should be")
    environ |= {
        "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{tmp_path}/notes-of-noor/x.sqlite",
        "DRILLSTER_WAREHOUSE_SCHEMA": "",
    }
    diagnostics = Diagnostics(environ=environ)
    assert diagnostics.run().exit_code == 2
    assert "notes-of-noor" in screen(diagnostics).replace("\n", "").replace(" ", "")
    attached = bundle(diagnostics, tmp_path / "bundle.zip")
    assert "No file can be made in the folder of the warehouse" in attached
    assert leaked(sandbox, attached, [], "notes-of-noor", str(tmp_path)) == []


def test_a_person_in_every_answer_shows_by_type_only(
    sandbox: Sandbox, environ: dict[str, str], people: list[str], tmp_path: Path
) -> None:
    (page,) = Diagnostics(environ=sandbox.environment()).run().pages["organizations/{organization_id}/accounts"]
    account = next(item["account"] for item in page["accounts"] if "emailAddress" in item["account"])
    name, email = account["name"], account["emailAddress"]
    first = name.split(maxsplit=1)[0]
    odd = (
        value("group_staff", "permission", name),
        value("objectives", "name", {first: [email]}),
        value("objectives", first.lower(), email),
        value("objective_evaluations", "met", name),
        value("accounts", "account.created", email),
    )
    sandbox.change(fields=(*mentions(name, email), *odd))
    diagnostics = Diagnostics(environ=environ)
    report = diagnostics.run()
    written = screen(diagnostics) + json.dumps(report.as_json()) + bundle(diagnostics, tmp_path / "bundle.zip")
    assert "contacts" in written
    assert "remarks" in written
    assert leaked(sandbox, written, people, quote(name), quote(email)) == []
    assert not re.search(rf"\b{re.escape(first)}\b", written, re.IGNORECASE)


def test_the_bundle_has_what_is_needed(sandbox: Sandbox, environ: dict[str, str], tmp_path: Path) -> None:
    diagnostics = Diagnostics(environ=environ)
    diagnostics.run()
    bundle(diagnostics, tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        content = {name: json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")}
    settings = content["settings.json"]
    assert settings["DRILLSTER_WAREHOUSE_URL"].startswith("postgresql://… (")
    assert settings["DRILLSTER_CLIENT_SECRET"] == "… (32 characters)"
    assert (settings["DRILLSTER_CONCURRENCY"], settings["DRILLSTER_PERSONAL_DATA"]) == ("default (8)", "default (keep)")
    assert content["versions.json"]["packages"]["pandas"]
    accounts = content["shapes.json"]["organizations/{organization_id}/accounts"]
    assert accounts["accounts"][0]["account"]["name"] == "text"
    assert len(content["shapes.json"]) == 15
    assert content["report.json"]["format"] == 2


def test_a_text_loses_what_points_to_a_machine_and_keeps_its_words(environ: dict[str, str], tmp_path: Path) -> None:
    environ |= {
        "DRILLSTER_ARCHIVE_URL": "s3://key-of-oak:secret-of-oak@bucket-of-oak/captures",
        "DRILLSTER_REPORTS_FOLDER": "s3://key-of-elm:secret-of-elm@bucket-of-elm/reports",
    }
    settings, _ = read_settings(environ)
    text = (
        f"No file in {tmp_path}/x of {DATABASE_USER} on bucket-of-oak by a.b@example.org with secret-of-elm of reports"
    )
    assert Scrubber(environ, settings).scrubbed([{"found": text}]) == [
        {"found": "No file in <hidden>/x of <hidden> on <hidden> by <hidden> with <hidden> of reports"}
    ]


def test_a_shape_has_types_in_place_of_values_and_no_key_that_is_data() -> None:
    bodies = [
        {
            "name": "Oak",
            "count": 3,
            "newField": 1.5,
            "list": [{"a": None}, {"a": "x", "b": True}],
            "when": ["2026-01-02T03:04Z"],
        },
        {"name": "", "count": "17", "oak": 2, "list": [], "seen": {f"someone{n}": n for n in range(13)}},
    ]
    assert shape_of(bodies, KeyFilter(bodies)) == {
        "*?": "integer",
        "count": "integer | text of digits",
        "list": [{"a": "null | text", "b?": "true or false"}],
        "name": "empty text | text",
        "newField?": "number",
        "seen?": {"*": "integer"},
        "when?": ["timestamp"],
    }

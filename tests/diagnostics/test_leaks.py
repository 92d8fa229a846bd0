"""The bundle and the screen, read byte by byte: no secret, nobody's name, and no id, whatever goes wrong."""

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

from drillster_pipeline.cli.rendering import show
from drillster_pipeline.diagnostics import Examination, write_bundle
from drillster_pipeline.diagnostics.bundle import Scrubber
from drillster_pipeline.diagnostics.shapes import Names, shape_of
from drillster_pipeline.settings import read_settings
from tests.drillster import Failure, Faults, FieldFault, How, Sandbox, Shapes

DATABASE_PASSWORD = "a-password-of-the-database"
DATABASE_USER = "noor.of.the.loaders"
WEBHOOK = "https://hooks.example.org/services/T0/very-secret"
APPRISE = "jsons://hooks.example.org/very-secret"
ANOTHER_ACCOUNT = "aNotherAccountOf22Sign"
PSEUDONYM_KEY = "the-key-of-all-pseudonyms-9f3a"


PERSONAL = {"name", "realName", "emailAddress", "id", "description", "lastOnPage"}


def said(resource: str, field: str, value: object) -> FieldFault:
    return FieldFault(resource=resource, field=field, what="value", value=value)


def gossip(name: str, email: str) -> tuple[FieldFault, ...]:
    """A person of the organization, where nobody looks for one: in texts, in unknown fields, and as a key."""
    text = f"Ask {name} <{email}>, or https://x.example/?who={quote(name)}&mail={quote(email)}"
    first = name.split(maxsplit=1)[0]
    nested = {"notes": [{"by": text, name: {"value": email}}], email: 1, first.lower(): {first: [name]}}
    return (
        said("groups", "description", text),
        said("groups", "contacts", nested),
        said("group_members", "member.remarks", nested),
        said("group_staff", "permission", text),
        said("group_drillables", "name", text),
        said("objectives", "name", nested),
        said("objectives", first.lower(), text),
        said("objective_evaluations", "met", text),
        said("results", "remarks", nested),
        said("accounts", "account.created", text),
    )


FAULTS: dict[str, Faults] = {
    "none": Faults(),
    "a wrong key": Faults(),
    "no token": Faults(failures=(Failure(at="token", statuses=(401,), error="invalid_client"),)),
    "nothing may be read": Faults(failures=(Failure(statuses=(403,), error="no_permission"),)),
    "an error page": Faults(failures=(Failure(how=How.HTML, statuses=(502,)),)),
    "the page of a proxy": Faults(failures=(Failure(how=How.HTML, statuses=(200,)),)),
    "a redirect": Faults(failures=(Failure(how=How.REDIRECT, location="https://noor@example.org/secret?token=x"),)),
    "refused tokens": Faults(failures=(Failure(at="groups", how=How.REVOKE),)),
    "an answer without its list": Faults(shapes=Shapes(accounts_list="pagination")),
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


@pytest.fixture
def people(sandbox: Sandbox) -> list[str]:
    """Names, addresses, keys and ids of everyone and everything that the first pages of this Drillster hold."""
    report = Examination(environ=sandbox.environment()).run()
    values = {value for probed in report.endpoints for page in probed.pages for value in _values(page.body, "")}
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


def secrets_of(sandbox: Sandbox) -> list[str]:
    credentials = sandbox.credentials
    lines = [line for line in credentials.private_key.splitlines() if len(line) > 40]
    pieces = [line[start : start + 30] for line in lines for start in range(0, len(line) - 29, 8)]
    return [
        credentials.client_id,
        credentials.client_secret,
        credentials.service_account_id,
        *pieces,
        *sandbox._grants._tokens,
        DATABASE_PASSWORD,
        DATABASE_USER,
        PSEUDONYM_KEY,
        WEBHOOK,
        "very-secret",
        ANOTHER_ACCOUNT,
    ]


def found_in(written: str, forbidden: list[str]) -> list[str]:
    words = [word for word in forbidden if word in written]
    return words + re.findall(r"eyJ[\w-]{8,}", written) + re.findall(r"[\w.]+@[\w.]+\.\w+", written)


def screen(examination: Examination) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    show(console, examination.report)
    return console.export_text()


def bundle(examination: Examination, path: Path) -> str:
    write_bundle(path, examination, {"home": "set"})
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
    examination = Examination(environ=environ)
    report = examination.run()
    shown = screen(examination) + json.dumps(report.as_json())
    assert found_in(shown, [*secrets_of(sandbox), *people]) == []
    attached = bundle(examination, tmp_path / "bundle.zip")
    hidden = [
        "people-of-oak",
        "schema_of_oak",
        "hooks.example.org",
        "beats.example.org",
        "oak.example.org",
        str(tmp_path),
        str(Path.home()) + "/",
    ]
    assert found_in(attached, [*secrets_of(sandbox), *people, *hidden]) == []
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
    examination = Examination(environ=environ)
    assert examination.run().exit_code == 2
    assert "notes-of-noor" in screen(examination).replace("\n", "").replace(" ", "")
    attached = bundle(examination, tmp_path / "bundle.zip")
    assert "No file can be made in the folder of the warehouse" in attached
    assert found_in(attached, ["notes-of-noor", str(tmp_path)]) == []


def test_gossip_in_every_answer_is_told_by_types_alone(
    sandbox: Sandbox, environ: dict[str, str], people: list[str], tmp_path: Path
) -> None:
    account = next(
        item["account"]
        for probed in Examination(environ=sandbox.environment()).run().endpoints
        if probed.path.endswith("/accounts")
        for item in probed.items
        if "emailAddress" in item["account"]
    )
    name, email = account["name"], account["emailAddress"]
    sandbox.change(fields=gossip(name, email))
    examination = Examination(environ=environ)
    report = examination.run()
    written = screen(examination) + json.dumps(report.as_json()) + bundle(examination, tmp_path / "bundle.zip")
    first = name.split(maxsplit=1)[0]
    assert "contacts" in written
    assert "remarks" in written
    assert found_in(written, [*secrets_of(sandbox), *people, quote(name), quote(email)]) == []
    assert not re.search(rf"\b{re.escape(first)}\b", written, re.IGNORECASE)


def test_the_bundle_tells_what_is_needed(sandbox: Sandbox, environ: dict[str, str], tmp_path: Path) -> None:
    examination = Examination(environ=environ)
    examination.run()
    bundle(examination, tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        content = {name: json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")}
    assert content["settings.json"]["DRILLSTER_WAREHOUSE_URL"] == (
        "postgresql at a loopback address; username, password"
    )
    assert content["settings.json"]["DRILLSTER_CLIENT_SECRET"] == "set (32 characters)"
    assert content["settings.json"]["DRILLSTER_CONCURRENCY"] == "default (8)"
    assert content["versions.json"]["packages"]["pandas"]
    assert (
        content["shapes.json"]["organizations/{organization_id}/accounts"]["accounts"][0]["account"]["name"] == "text"
    )
    assert len(content["shapes.json"]) == 15
    assert content["findings.json"]["format"] == 1


def test_a_text_loses_what_points_to_a_machine_and_keeps_its_words(environ: dict[str, str], tmp_path: Path) -> None:
    environ |= {
        "DRILLSTER_ARCHIVE_URL": "s3://key-of-oak:secret-of-oak@bucket-of-oak/nights",
        "DRILLSTER_REPORTS_FOLDER": "s3://key-of-elm:secret-of-elm@bucket-of-elm/reports",
    }
    settings, _ = read_settings(environ)
    scrub = Scrubber(environ, settings)
    told = f"No file in {tmp_path}/x of {DATABASE_USER} on bucket-of-oak by a.b@example.org: the warehouse is at nights"
    assert scrub.scrubbed([{"found": told}]) == [
        {
            "found": "No file in <a path>/x of <an address> on <an address> by <an e-mail address>: the warehouse is "
            "at nights"
        }
    ]
    assert (
        scrub.scrubbed("secret-of-elm of the reports in bucket-of-elm") == "<an address> of the reports in <an address>"
    )


def test_a_shape_has_types_in_place_of_values() -> None:
    names = Names()
    bodies = [
        {
            "name": "Oak",
            "count": 3,
            "newField": 1.5,
            "list": [{"a": None}, {"a": "x", "b": True}],
            "when": ["2026-01-02T03:04Z"],
        },
        {"name": "", "count": "17", "oak": 2, "list": []},
    ]
    for body in bodies:
        names.learn(body)
    assert shape_of(bodies, names).as_json() == {
        "*?": "whole number",
        "count": "text of digits | whole number",
        "list": [{"a": "null | text", "b?": "true or false"}],
        "name": "empty text | text",
        "newField?": "number",
        "when?": ["timestamp in minutes"],
    }


def test_an_object_of_many_unknown_keys_is_a_map() -> None:
    body = {"total": 1, "seen": {f"someone{n}": n for n in range(10)} | {"x": 1, "y": 2, "z": 3}}
    assert shape_of([body], Names()).as_json() == {"seen": {"*": "whole number"}, "total": "whole number"}

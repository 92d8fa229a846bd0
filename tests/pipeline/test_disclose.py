"""What a person is given: all that `forget` would erase, and nothing of anybody else."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections import Counter
from typing import Any

import pytest
from click.testing import CliRunner

from drillster_pipeline.archive.records import UnitFooter
from drillster_pipeline.cli.main import commands
from drillster_pipeline.errors import SettingsError
from drillster_pipeline.language import Language
from drillster_pipeline.pipeline.disclose import as_zip, disclose
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.report.disclosure import render
from drillster_pipeline.warehouse import CONTRACT
from tests.support.installation import DAY, NOW, Installation
from tests.translations.bracketed import bracketed, untranslated


@pytest.fixture
def person(loaded: Installation) -> str:
    """An account that every kind of table has; a report names the person."""
    ((account_id, name),) = loaded.query(
        "SELECT account_id, name FROM accounts WHERE account_id IN (SELECT account_id FROM results) "
        "AND account_id IN (SELECT account_id FROM test_results) AND is_managed ORDER BY account_id LIMIT 1"
    )
    (loaded.folder / "reports").mkdir()
    (loaded.folder / "reports" / "2026-06-09-names.html").write_text(f"<td>{name}</td>")
    loaded.query("UPDATE groups SET description = :text", text=f"Ask {name}, not another one")
    loaded.query("INSERT INTO reader_logins VALUES ('reader', :id, 0)", id=account_id)
    ((load,),) = loaded.query("SELECT MAX(load_id) FROM loads")
    record = json.dumps({"group_id": "g", "account_id": account_id})
    loaded.query("INSERT INTO rejected_rows VALUES (:load, 'results', 1, 'why', :record)", load=load, record=record)
    key = f"g\x1f{account_id}"
    loaded.query("INSERT INTO load_exceptions VALUES (:load, 'group_staff', 1, 'row', :key)", load=load, key=key)
    return str(account_id)


def test_it_has_what_forget_erases_and_no_name_of_another(loaded: Installation, person: str) -> None:
    names = dict(loaded.query("SELECT account_id, name FROM accounts WHERE name LIKE '% %'"))
    emails = dict(loaded.query("SELECT account_id, email_address FROM accounts"))
    found = disclose(loaded.context, person)
    written = json.dumps(found, ensure_ascii=False)
    assert names[person] in written
    assert emails[person] in written
    others = {text for texts in (names, emails) for owner, text in texts.items() if text and owner != person}
    others -= {names[person], emails[person]}
    assert sorted(text for text in others if text in written) == []
    outcome = forget(loaded.context, person)
    assert sizes(found) == outcome.rows
    assert len(found["responses"]) == outcome.lines
    assert len({each["capture"] for each in found["responses"]}) == outcome.captures
    assert found["reports"] == [*outcome.reports]
    assert disclosed_again(loaded, person) == "Neither the warehouse nor the archive has an account of that id"


def test_every_word_of_the_page_is_translated_but_for_names_and_ids(loaded: Installation, person: str) -> None:
    found = disclose(loaded.context, person)
    empty = {**found, "tables": {}, "texts": {}, "responses": [], "reports": []}
    for shown in (found, empty):
        page = render(shown, CONTRACT, bracketed("nl"))
        assert untranslated(page, *found["unfinished_captures"]) == ""
    for attempt in found["tables"]["test_results"]:
        attempt["progress"] = 0.5
    (row,) = found["tables"]["accounts_history"]
    found["tables"]["accounts_history"].append({**row, "valid_until": "2026-06-09"})
    page = render(found, CONTRACT, Language("nl"))
    for text in (">Wat er over u bewaard wordt<", "<bdi>0,5</bdi>", "<td>heden</td>"):
        assert text in page


def disclosed_again(installation: Installation, person: str) -> str:
    with pytest.raises(SettingsError) as caught:
        disclose(installation.context, person)
    return str(caught.value).split(" (")[0]


def sizes(found: dict[str, Any]) -> Counter[str]:
    """How many rows are disclosed, by table."""
    return Counter(name for part in ("tables", "texts") for name, rows in found[part].items() for _ in rows)


def test_the_file_is_for_its_reader_alone(loaded: Installation, person: str) -> None:
    output = loaded.folder / "disclosure.zip"
    output.touch(mode=0o644)
    command = ["disclose", person, "--output", str(output)]
    ended = CliRunner().invoke(commands, command, env=loaded.environment, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    ((name,),) = loaded.query("SELECT name FROM accounts WHERE account_id = :id", id=person)
    assert name not in ended.output
    assert person not in ended.output
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    with zipfile.ZipFile(output) as archive:
        assert archive.namelist() == ["disclosure.html", "disclosure.json"]
        assert json.loads(archive.read("disclosure.json"))["account_id"] == person
        assert name in archive.read("disclosure.html").decode()


def test_a_page_of_hostile_texts_is_text(loaded: Installation, person: str) -> None:
    loaded.query("UPDATE accounts SET name = :name WHERE account_id = :id", name="<script>alert(1)</script>", id=person)
    with zipfile.ZipFile(io.BytesIO(as_zip(disclose(loaded.context, person), loaded.context.language))) as archive:
        assert "<script>" not in archive.read("disclosure.html").decode()


def test_a_name_that_drillster_cut_in_the_middle_of_a_sign_is_given_as_it_is(loaded: Installation) -> None:
    writer = loaded.context.archive.begin(DAY, "snapshot", {"kind": "snapshot"}, NOW)
    account = rb'{"accounts": [{"account": {"type": "USER", "id": "cut", "name": "Jo \ud83d"}}]}'
    writer.append("accounts", {}, 1, NOW, account, footer=UnitFooter(1, 1))
    writer.seal({"resources": {"accounts": {"lost": [], "short": []}}})
    content = as_zip(disclose(loaded.context, "cut"), loaded.context.language)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert json.loads(archive.read("disclosure.json"))["names"] == ["Jo \ud83d"]
        assert "Jo ?" in archive.read("disclosure.html").decode()


def test_whose_response_it_was_that_names_the_person_is_not_said(loaded: Installation, person: str) -> None:
    ((name,),) = loaded.query("SELECT name FROM accounts WHERE account_id = :id", id=person)
    writer = loaded.context.archive.begin(DAY, "snapshot", {"kind": "snapshot"}, NOW)
    for account_id in (person, "another"):
        unit = {"group_id": "g", "account_id": account_id}
        body = json.dumps({"results": [{"drill": {"type": "DRILL", "id": "d", "name": f"By {name}"}}]}).encode()
        writer.append("results", unit, 1, NOW, body, footer=UnitFooter(1, 1))
    folder = writer.seal({"resources": {"results": {"lost": [], "short": []}}}).ref.folder
    found = [each for each in disclose(loaded.context, person)["responses"] if each["capture"] == folder]
    assert [each["unit"]["account_id"] for each in found] == [person, "[another person]"]
    assert found[1]["found"] == [f"By {name}"]

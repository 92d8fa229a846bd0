from __future__ import annotations

import json
import logging
import os
import pty
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest

from drillster_pipeline.cli.token import WIDGETS
from tests.cli.conftest import Command
from tests.drillster import Sandbox

PROGRAM = Path(sys.executable).with_name("drillster-pipeline")
EXPIRY = r"The token is valid for 2 h, until \d{4}-\d\d-\d\dT[\d:]{8}Z\.\n"


@pytest.fixture
def account_id(sandbox: Sandbox) -> str:
    """An end user whom the organization manages."""
    accounts = sandbox.organization.at(datetime.now(UTC)).accounts().all()
    return next(str(one["account"]["id"]) for one in accounts if one["relationTypes"] == ["ACCOUNT"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("line", ["{token} --header | curl -sS -H @- {url}", 'curl -sS -H "$({token} --header)" {url}'])
def test_curl_takes_the_header(sandbox: Sandbox, account_id: str, tmp_path: Path, line: str) -> None:
    for options, whom in (("", sandbox.credentials.service_account_id), (f"--account {account_id}", account_id)):
        command = line.format(token=f"{PROGRAM} token {options}", url=f"{sandbox.base_url}/api/2.1.1/user")
        ended = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert json.loads(ended.stdout)["id"] == whom
        assert re.fullmatch(EXPIRY, ended.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_terminal_gets_a_token_only_if_it_is_to_be_shown(sandbox: Sandbox, tmp_path: Path) -> None:
    leader, terminal = pty.openpty()
    command = [str(PROGRAM), "token"]
    refused = subprocess.run(command, cwd=tmp_path, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False)
    assert (refused.returncode, sandbox.grants) == (2, 0)
    assert "Pipe it into the program that needs it, or add --show" in refused.stderr
    subprocess.run([*command, "--show"], cwd=tmp_path, stdout=terminal, check=True)
    assert os.read(leader, 10_000).decode().strip() in sandbox.app.grants.tokens


def test_the_element_of_a_widget_has_the_token_escaped(
    command: Command, sandbox: Sandbox, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = """a"b'c<d>&amp;"""
    monkeypatch.setattr(sandbox.app, "token", lambda *_: {"access_token": token, "expires_in": 7200})
    ended = command("token", "--widget", "access-code", "--account", account_id)
    element = re.fullmatch(r'<div class="drl-widget drl-access-code" drl-token="([^"<>]+)"></div>\n', ended.out)
    assert element is not None
    assert unescape(element[1]) == token
    assert re.fullmatch(EXPIRY, ended.err)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--widget", "board", "--account", "Qm3vX0sTTeG1rJ8nB5yL2w"), WIDGETS),
        (("--widget", "player"), ("end user's --account",)),
        (("--widget", "player", "--account", "{service}"), ("end user's --account",)),
        (("--widget", "player", "--header", "--account", "Qm3vX0sTTeG1rJ8nB5yL2w"), ("exclude each other",)),
        (("--account", ""), ("--account is empty",)),
        (("--account", "-m3vX0sTTeG1rJ8nB5yL2w"), ("invalid_grant", "end user's account", "PRIVATE_KEY")),
    ],
)
def test_what_can_not_be_had_is_refused_without_the_account_in_a_message(
    command: Command, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, options: tuple[str, ...], words: tuple[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    ended = command("token", *(each.format(service=sandbox.credentials.service_account_id) for each in options))
    assert (ended.code, ended.out, sandbox.grants) == (2, "", 0)
    assert all(word in ended.err for word in words)
    assert "m3vX0sTTeG1rJ8nB5yL2w" not in ended.err + caplog.text

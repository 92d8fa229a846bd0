"""The sandbox's page that starts widgets, with the element that the command prints."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.drillster import Sandbox

from . import chromium

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(chromium.BINARY is None, reason="no chromium: tests/browser/install installs Debian's"),
]


def test_a_widget_receives_the_token_of_the_end_user(tmp_path: Path) -> None:
    with Sandbox(accounts=20, seed=7) as sandbox, chromium.running(tmp_path) as browser:
        accounts = sandbox.organization.at(datetime.now(UTC)).accounts().all()
        user = next(one["account"] for one in accounts if one["relationTypes"] == ["ACCOUNT"])
        program = [Path(sys.executable).with_name("drillster-pipeline"), "token"]
        program += ["--widget", "player", "--account", user["id"]]
        environment = {**os.environ, **sandbox.environment()}
        element = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        for pasted, received in (
            (element.stdout, f"Received a token of {user['name']}."),
            ('<div class="drl-widget drl-tile" drl-token="abc"></div>', "refused (401 invalid_token)"),
        ):
            page = browser.page(width=800, height=700)
            page.go(f"{sandbox.base_url}/widgets/", "Start a widget")
            page.click(None, "textarea")
            page.write(pasted)
            page.click("Start")
            page.until(f"frames[0]?.document.body?.innerText.includes({received!r})")
            assert [problem for problem in page.problems if "401" not in problem] == []

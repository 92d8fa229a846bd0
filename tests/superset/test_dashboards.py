"""The dashboards in a real Superset, on PostgreSQL: imported, looked at in a browser, and asked as a team lead.

``PICTURES=docs/pictures python -m pytest tests/superset`` makes the pictures of docs/dashboards.md as well, of more
people and dates.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from drillster_pipeline.cli.main import commands
from drillster_pipeline.dashboards import DASHBOARDS, archive, connection_url
from drillster_pipeline.dates import newest_complete
from drillster_pipeline.language import Language
from tests.browser import chromium
from tests.documents.questions import blocks
from tests.drillster import Sandbox, Size
from tests.support.databases import execute
from tests.support.installation import AMSTERDAM, Installation, night_after

from .server import IS_INSTALLED, User, running

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(not IS_INSTALLED, reason="no Superset to test with: make superset-environment"),
    pytest.mark.skipif(chromium.BINARY is None, reason="no chromium: tests/browser/install installs Debian's"),
    pytest.mark.timeout(900),
]
PICTURES = Path(os.environ["PICTURES"]).absolute() if os.environ.get("PICTURES") else None
DATES, SIZE = (10, Size(accounts=60)) if PICTURES else (3, Size(accounts=30))
SCHEMA = "drillster"
LISTEN = """
window.answers = [];
const ask = window.fetch;
window.fetch = async (...given) => {
  const answer = await ask(...given);
  if (String(given[0].url || given[0]).includes('/api/v1/chart/data')) {
    const text = await answer.clone().text();
    window.answers.push({status: answer.status, asked: given[1].body, text});
  }
  return answer;
};
"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory, postgresql_url: str) -> Iterator[str]:
    """The URL of a database with some dates, and with logins of two roles: ``superset`` and ``team_lead``."""
    url = postgresql_url.replace("/postgres?", "/superset?")
    execute(postgresql_url, "CREATE DATABASE superset")
    newest = newest_complete(datetime.now(UTC), AMSTERDAM)
    settings = {"DRILLSTER_WAREHOUSE_URL": url, "DRILLSTER_WAREHOUSE_SCHEMA": SCHEMA}
    with (
        Sandbox(size=SIZE, seed=7) as sandbox,
        Installation(tmp_path_factory.mktemp("warehouse"), sandbox, **settings) as made,
    ):
        for back in reversed(range(DATES)):
            day = newest - timedelta(days=back)
            made.at(night_after(day))
            for kind in ("snapshot", "events"):
                made.capture(kind, day)
                made.publish(kind, day)
    granted = CliRunner().invoke(commands, ["grants", "--apply"], env=settings, catch_exceptions=False)
    assert granted.exit_code == 0, granted.output
    execute(
        url,
        f"CREATE ROLE superset LOGIN IN ROLE {SCHEMA}_analyst",
        f"ALTER ROLE superset SET search_path = {SCHEMA}",
        f"CREATE ROLE of_a_lead LOGIN IN ROLE {SCHEMA}_team_lead",
        f"ALTER ROLE of_a_lead SET search_path = {SCHEMA}_team_lead, {SCHEMA}",
        f"INSERT INTO {SCHEMA}.reader_logins SELECT 'of_a_lead', account_id, false FROM {SCHEMA}.group_staff"
        " GROUP BY account_id ORDER BY count(*), account_id LIMIT 1",
    )
    yield url
    execute(postgresql_url, "DROP DATABASE superset WITH (FORCE)", "DROP ROLE superset", "DROP ROLE of_a_lead")


@pytest.fixture(scope="module")
def superset(warehouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """An administrator of a Superset that has imported the dashboards, configured as docs/dashboards.md says."""
    _, configured = blocks("dashboards.md", "python")
    logins = 'LOGINS = {"lead": "of_a_lead"}\n'
    with running(tmp_path_factory.mktemp("superset"), configured + logins) as base:
        user = User(base, "admin")
        user.bring(archive(connection_url(warehouse).set(username="superset")), drillster="unused")
        yield user


@pytest.fixture(scope="module")
def shown(superset: User, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What each dashboard asks for in a browser, and what it is given."""
    return {name: answers for name, answers, _ in in_browser(superset, tmp_path_factory.mktemp("chromium"))}


def in_browser(superset: User, folder: Path, ending: str = "") -> Iterator[tuple[str, list[dict[str, Any]], str]]:
    """Each dashboard: its name, what it asks for and is given, and its text; ``ending``: of the name of its picture."""
    with chromium.running(folder) as browser:
        page = browser.page(width=1440, height=1700)
        page.ask("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
        for name, value in superset.cookies().items():
            page.ask("Network.setCookie", name=name, value=value, url=superset.base)
        for name in DASHBOARDS:
            page.go(f"{superset.base}/superset/dashboard/drillster-{name}/")
            number = len(charts_of(superset, name))
            page.until(f"window.answers && window.answers.filter(one => {IS_CHART}).length >= {number}")
            page.until("!document.querySelector('.loading, [aria-label=Loading]')")
            page.settle(2)
            assert "Error" not in page.text(), page.text()
            if PICTURES and (not ending or name == "compliance"):
                height = page.run(
                    "Math.max(...[...document.querySelectorAll('.dashboard-component-chart-holder')]"
                    ".map(one => one.getBoundingClientRect().bottom))"
                )
                page.picture(PICTURES / f"{name}{ending}.webp", clip=(0, 0, 1440, round(height) + 16))
            yield name, page.run("window.answers"), page.text()


IS_CHART = "JSON.parse(one.asked).form_data?.slice_id"


def charts_of(user: User, name: str) -> dict[int, str]:
    """The charts of a dashboard, by their number."""
    answer = user.session.get(f"{user.base}/api/v1/dashboard/drillster-{name}/charts", timeout=60)
    return {chart["id"]: chart["slice_name"] for chart in answer.json()["result"]}


def test_a_second_import_changes_nothing(superset: User, warehouse: str) -> None:
    """It comes before the browser, by which Superset keeps the colors that it has given."""
    before = superset.export()
    superset.bring(archive(connection_url(warehouse).set(username="superset")))
    assert superset.export() == before
    assert sum(name.startswith("dashboards/") for name in before) == len(DASHBOARDS)


def test_every_chart_of_every_dashboard_shows_rows(superset: User, shown: dict[str, list[dict[str, Any]]]) -> None:
    for name, answers in shown.items():
        rows = {}
        for answer in answers:
            assert answer["status"] == 200, answer["text"]
            for result in json.loads(answer["text"])["result"]:
                assert not result["error"], result["error"]
                number = json.loads(answer["asked"])["form_data"].get("slice_id")
                rows[number] = max(rows.get(number, 0), result["rowcount"])
        expected = charts_of(superset, name)
        assert {expected[number]: count for number, count in rows.items() if number in expected and not count} == {}
        assert expected.keys() <= rows.keys()


def test_a_team_lead_reads_nothing_of_other_groups(
    superset: User, warehouse: str, shown: dict[str, list[dict[str, Any]]]
) -> None:
    """An administrator has asked the same before: the cache is each person's own."""
    own = f"(SELECT group_id FROM {SCHEMA}.group_staff JOIN {SCHEMA}.reader_logins USING (account_id))"
    members = f"SELECT DISTINCT name FROM {SCHEMA}.group_members WHERE group_id"
    (mine, others) = (
        {name for (name,) in execute(warehouse, f"SELECT name FROM {SCHEMA}.groups WHERE group_id {operator} {own}")}
        for operator in ("IN", "NOT IN")
    )
    people = {name for (name,) in execute(warehouse, f"{members} NOT IN {own} EXCEPT {members} IN {own}")}
    assert mine
    assert others
    assert people
    lead = User(superset.base, "lead")
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    for answer in (each for answers in shown.values() for each in answers):
        found = lead.data(answer["asked"])
        assert found.status_code == 200, found.text
        for is_lead, text in ((True, found.text), (False, answer["text"])):
            values = {
                value for result in json.loads(text)["result"] for row in result["data"] for value in row.values()
            }
            seen[is_lead] |= {*filter(None, map(str, values))}
    assert seen[False] >= mine | others
    assert seen[False] & people
    assert seen[True] & (mine | others) == mine
    assert not seen[True] & people


def test_in_dutch_titles_dates_and_numbers_are_dutch(warehouse: str, tmp_path: Path) -> None:
    dutch, _ = blocks("dashboards.md", "python")
    with running(tmp_path / "superset", dutch) as base:
        user = User(base, "admin")
        url = connection_url(warehouse).set(username="superset")
        user.bring(archive(url, language=Language("nl")), drillster="unused")
        shown = {name: text for name, _, text in in_browser(user, tmp_path, "-nl")}
    assert "Doelstellingen behaald per groep" in shown["compliance"]
    assert re.search(r"\b\d\d-\d\d-20\d\d\b", shown["compliance"])
    assert "Geoefend in 7 dagen (%)" in shown["practice"]
    assert re.search(r"\b\d+,\d\b", shown["practice"])

"""The Dagster UI, the report and a disclosure, as people see them: in a real browser, by clicking.

``PICTURES=docs/pictures python -m pytest tests/browser`` makes the pictures of docs/ui.md and docs/privacy.md as
well, of a larger organization and a week.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.dates import newest_complete
from drillster_pipeline.pipeline.disclose import as_zip, disclose
from drillster_pipeline.pipeline.report import write_report
from tests.drillster import Sandbox, Size
from tests.orchestration.services import daemon_of, make_pool, webserver_of
from tests.support.installation import AMSTERDAM, Installation, night_after

from . import chromium
from .chromium import Browser, Page

AXE = Path(__file__).with_name("axe.min.js")
PICTURES = Path(os.environ["PICTURES"]).absolute() if os.environ.get("PICTURES") else None
DATES = 7 if PICTURES else 3
WORDS = {"en": ("At a glance", "About this data"), "nl": ("In één oogopslag", "Over deze gegevens")}
"""What the report begins and ends with."""
KEPT = {"en": ("What is kept about you", "In reports"), "nl": ("Wat er over u bewaard wordt", "In rapporten")}
"""What a disclosure begins and ends with."""
NOISE: dict[str, str] = {}
"""What Dagster's own page says on the console, as a pattern, and why that is nothing to us."""

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(chromium.BINARY is None, reason="no chromium: tests/browser/install installs Debian's"),
    pytest.mark.timeout(900 if PICTURES else 600),
]
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="no axe-core: tests/browser/install fetches it from npm")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with some dates that end yesterday."""
    newest = newest_complete(datetime.now(UTC), AMSTERDAM)
    days = [newest - timedelta(days=back) for back in reversed(range(DATES))]
    size = Size(accounts=60) if PICTURES else Size(accounts=20)
    folder = tmp_path_factory.mktemp("browser")
    with (
        Sandbox(size=size, seed=7) as sandbox,
        pytest.MonkeyPatch.context() as monkeypatch,
        Installation(folder, sandbox, monkeypatch=monkeypatch) as made,
    ):
        with made.on_disk() as instance:
            make_pool(instance)
            for day in days:
                made.at(night_after(day))
                assert made.run(day).success
        made.at(datetime.now(UTC))
        made.set(DRILLSTER_FIRST_EXPORT_DATE=str(days[0]))  # of the UI; this process has loaded its definitions
        yield made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium.running(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def newest(installation: Installation) -> date:
    return newest_complete(installation.now, AMSTERDAM)


def test_a_backfill_is_launched_and_looked_at_by_clicking(
    installation: Installation, browser: Browser, newest: date
) -> None:
    before = installation.context.warehouse.row_counts()
    installation.sandbox.clear()
    past = [str(newest - timedelta(days=back)) for back in (2, 1)]
    page = browser.page()
    with webserver_of(installation) as services, ExitStack() as later:
        base = f"http://127.0.0.1:{services.port}"
        if PICTURES:
            later.enter_context(daemon_of(installation, services))
            page.settle(60)  # by then it has looked whether the tables are fresh

        page.go(f"{base}/assets/warehouse/results", "Row count", "summary", "last_dates", "sample_rows")
        assert "None rejected." in page.text()
        page.until("[...document.images].some(one => one.src.startsWith('data:') && one.naturalWidth > 0)")
        page.run("[...document.querySelectorAll('div')].find(one => one.innerText === 'Metadata').scrollIntoView()")
        page.settle()
        taken(page, "table", clip=(240, 0, 1200, 900))

        page.go(f"{base}/asset-groups", "drillster", "warehouse", "report")
        page.click("Materialize all…")
        page.click(None, 'input[placeholder="No matching partitions"]')
        page.write(f"[{past[0]}...{past[1]}]")
        page.press("Enter", 13)
        page.wait_for("2 partitions")
        taken(page, "backfill", clip=(370, 100, 700, 590))
        number = len(services.runs())
        page.click("Launch backfill")
        page.wait_for("Created backfill")
        if not PICTURES:  # a daemon looks for backfills when it starts, then only twice a minute
            later.enter_context(daemon_of(installation, services))
        for _ in range(150):
            runs = services.runs()
            if len(runs) >= number + 2 and all(run["status"] in ("SUCCESS", "FAILURE") for run in runs):
                break
            page.settle(1)
        assert {(run["tags"]["drillster/export_date"], run["status"]) for run in runs[-2:]} == {
            (day, "SUCCESS") for day in past
        }
        assert installation.context.warehouse.row_counts() == before
        assert installation.sandbox.requests == []  # it was replayed

        page.go(f"{base}/assets/warehouse/results", "Row count", past[1])
        page.go(f"{base}/assets/report/nightly", "objectives_met_percentage", "people_overdue")
        assert str(installation.folder / "reports") in page.text()
    assert wrong(page) == []


@pytest.mark.parametrize("language", WORDS)
def test_the_report_is_read_on_every_screen(
    installation: Installation, browser: Browser, newest: date, tmp_path: Path, language: str
) -> None:
    page = browser.page(width=1100, height=800)
    installation.set(DRILLSTER_LANGUAGE=language)
    written = Path(write_report(installation.context, newest, output=tmp_path / "report.html").location)
    page.go(written.as_uri(), *WORDS[language])
    taken(page, "report" if language == "en" else f"report-{language}", clip=(0, 0, 1100, 1500), full=True)
    page.resize(360, 740, mobile=True)
    assert page.run("document.documentElement.scrollWidth") <= 360  # wide tables scroll by themselves
    page.resize(1100, 800)
    page.prefer(forced_colors="active", prefers_contrast="more")
    assert page.run("matchMedia('(forced-colors: active)').matches")
    assert seen_bars(page) > 0
    page.prefer()
    assert len(re.findall(rb"/Type\s*/Page\b", page.printed())) <= 12
    assert page.problems == []


@pytest.mark.parametrize("language", KEPT)
def test_a_disclosure_is_read_on_every_screen(
    installation: Installation, browser: Browser, tmp_path: Path, language: str
) -> None:
    page = browser.page(width=1100, height=800)
    installation.set(DRILLSTER_LANGUAGE=language)
    query = "SELECT account_id, COUNT(*) FROM test_results GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
    ((account_id, _),) = installation.query(query)
    content = as_zip(disclose(installation.context, account_id), installation.context.language)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    page.go((tmp_path / "disclosure.html").as_uri(), *KEPT[language])
    if language == "en":
        taken(page, "disclosure", clip=(0, 0, 1100, 1100), full=True)
    if AXE.exists():
        assert violations(page) == []
    page.resize(360, 740, mobile=True)
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert page.problems == []


@needs_axe
@pytest.mark.parametrize(("width", "language"), [(360, "en"), (1100, "nl")])
def test_axe_finds_nothing_that_keeps_people_from_reading_it(
    installation: Installation, browser: Browser, newest: date, tmp_path: Path, width: int, language: str
) -> None:
    page = browser.page(width=width, height=900)
    installation.set(DRILLSTER_LANGUAGE=language)
    for names in (False, True):
        written = write_report(installation.context, newest, names=names, output=tmp_path / f"{names}.html")
        page.go(Path(written.location).as_uri(), *WORDS[language])
        assert violations(page) == []
        assert page.run("axe.run(document).then(found => found.passes.length)") > 10


def violations(page: Page) -> list[Any]:
    """What axe finds in a page of which everything is opened."""
    page.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.run(f"{AXE.read_text()};0")
    found: list[Any] = page.run("axe.run(document).then(found => found.violations)")
    return [(one["id"], one["help"], [node["target"] for node in one["nodes"]][:3]) for one in found]


def seen_bars(page: Page) -> int:
    """Bars of shares that differ from their ground, as they are computed."""
    return int(
        page.run(
            "[...document.querySelectorAll('.bar span')].filter(one =>"
            " getComputedStyle(one).backgroundColor !== getComputedStyle(one.parentElement).backgroundColor).length"
        )
    )


def wrong(page: Page) -> list[str]:
    """What the console says, but for what is known to be Dagster's own."""
    return [problem for problem in page.problems if not any(re.search(known, problem) for known in NOISE)]


def taken(page: Page, name: str, *, clip: tuple[int, int, int, int], full: bool = False) -> None:
    """A picture for docs/ui.md, where these are wanted."""
    if PICTURES:
        PICTURES.mkdir(exist_ok=True, parents=True)
        page.settle(1)
        page.picture(PICTURES / f"{name}.webp", clip=clip, full=full)

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from drillster_pipeline.errors import Refused, Unavailable
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.pipeline.report import write_report
from drillster_pipeline.report.figures import Figures, Practice, figures_of
from drillster_pipeline.report.page import render
from drillster_pipeline.settings import load_settings
from tests.drillster import Sandbox
from tests.support.databases import postgresql_server

NOW = datetime(2026, 6, 20, 1, 0, tzinfo=UTC)
NIGHTS = (NOW - timedelta(days=9), NOW - timedelta(days=4), NOW)
VOID = {"meta", "br", "path", "use", "rect", "img", "link", "hr", "input"}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineContext]:
    """A session whose warehouse holds three nights."""
    folder = tmp_path_factory.mktemp("report")
    clock = [NIGHTS[0]]
    with Sandbox(accounts=60, seed=11, now=NIGHTS[0]) as sandbox:
        settings = load_settings(
            {
                **sandbox.environment(),
                "DRILLSTER_ARCHIVE_URL": str(folder / "archive"),
                "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/warehouse.sqlite",
                "DRILLSTER_REPORTS_FOLDER": str(folder / "reports"),
            }
        )
        with PipelineContext(settings=settings, now=lambda: clock[0]) as opened:
            for night in NIGHTS:
                clock[0] = sandbox.now = night
                for kind in ("snapshot", "events"):
                    capture(opened, kind, opened.newest_complete)
                    publish(opened, kind, opened.newest_complete, run_id="test")
            yield opened


@pytest.fixture(scope="module")
def figures(session: PipelineContext) -> Figures:
    return figures_of(session.warehouse, session.newest_complete)


def ask(session: PipelineContext, sql: str) -> list[Any]:
    connection = sqlite3.connect(session.settings.warehouse_url.get_secret_value().removeprefix("sqlite:///"))
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


class Page(HTMLParser):
    """Holds a page to what a browser needs: every element closed, nothing fetched, no script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "iframe", "img"}
        for name, value in attrs:
            assert name not in {"src", "onload", "onclick"}, (tag, name)
            assert name not in {"href", "xlink:href"} or (value or "").startswith("#"), (tag, name, value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_figures_are_those_of_the_analysts_views(session: PipelineContext, figures: Figures) -> None:
    day = figures.export_date
    compliance = ask(
        session, f"SELECT group_id, evaluated, met FROM group_compliance WHERE export_date = '{day}' ORDER BY 1, 2, 3"
    )
    assert sorted((one.group_id, one.evaluated, one.met) for one in figures.objectives) == compliance
    trend = ask(session, f"SELECT * FROM proficiency_trend WHERE export_date = '{day}' ORDER BY group_id")
    mine = sorted(figures.groups, key=lambda group: group.group_id)
    for group, row in zip([one for one in mine if one.practice.learners], trend, strict=True):
        practice = group.practice
        assert (group.group_id, practice.learners, practice.practicing) == (row[1], row[3], row[5])
        assert practice.proficiency == pytest.approx(row[4])
        assert practice.stopped + practice.never == row[6]
    ((overdue, people),) = ask(session, "SELECT COUNT(*), COUNT(DISTINCT account_id) FROM overdue_objectives")
    assert (figures.overdue, figures.overdue_people) == (overdue, people)
    assert sum(one.overdue for one in figures.objectives) == overdue
    ((results,),) = ask(session, f"SELECT COUNT(proficiency) FROM results WHERE export_date = '{day}'")
    assert sum(figures.spread) == results


def test_attempts_that_were_not_judged_are_no_part_of_the_pass_rate(session: PipelineContext, figures: Figures) -> None:
    connection = sqlite3.connect(session.settings.warehouse_url.get_secret_value().removeprefix("sqlite:///"))
    failed = connection.execute("SELECT test_result_id FROM test_results WHERE passed = 0").fetchall()
    try:
        with connection:
            connection.executemany("UPDATE test_results SET passed = NULL WHERE test_result_id = ?", failed)
        found = figures_of(session.warehouse, figures.export_date).tests
    finally:
        with connection:
            connection.executemany("UPDATE test_results SET passed = 0 WHERE test_result_id = ?", failed)
        connection.close()
    assert [attempts for _, attempts, *_ in found] == [attempts for _, attempts, *_ in figures.tests]
    assert any(judged > passed > 0 for _, _, judged, passed, _ in figures.tests)
    assert all(judged == passed for _, _, judged, passed, _ in found)


def test_trends_run_over_the_loaded_dates_up_to_the_export_date(session: PipelineContext, figures: Figures) -> None:
    assert [str(day) for day in figures.dates] == [
        row[0] for row in ask(session, "SELECT DISTINCT export_date FROM results ORDER BY 1")
    ]
    for place, day in enumerate(figures.dates):
        ((share,),) = ask(
            session, f"SELECT 100.0 * SUM(met) / COUNT(met) FROM objective_evaluations WHERE export_date = '{day}'"
        )
        assert figures.compliance[place] == pytest.approx(share)
    earlier = figures_of(session.warehouse, figures.dates[1])
    assert earlier.dates == figures.dates[:2]
    assert earlier.data.newest == figures.export_date


def test_the_page_stands_by_itself_and_names_nobody(session: PipelineContext) -> None:
    written = write_report(session, session.newest_complete)
    text = Path(written.location).read_text()
    shown = " ".join(Page(text).text)
    for words in ("At a glance", "Compliance by group", "overdue", "Who practices", "fades", "Tests of the last"):
        assert words in shown
    assert "url(" not in text.replace("url(#", "")
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    for name, email in ask(session, "SELECT name, email_address FROM accounts"):
        assert name not in text
        assert email is None or email not in text


def test_names_are_shown_when_asked_for_in_a_file_for_its_owner_alone(session: PipelineContext) -> None:
    written = write_report(session, session.newest_complete, names=True)
    text = Path(written.location).read_text()
    Page(text)
    from html import escape

    for (name,) in ask(session, "SELECT DISTINCT account_name FROM overdue_objectives"):
        assert escape(name).replace("&#x27;", "&#39;") in text
    assert Path(written.location).stat().st_mode & 0o077 == 0


def test_the_same_numbers_give_the_same_page(session: PipelineContext) -> None:
    first = Path(write_report(session, session.newest_complete).location).read_bytes()
    assert Path(write_report(session, session.newest_complete).location).read_bytes() == first


def test_a_name_cannot_bring_its_own_markup(session: PipelineContext, tmp_path: Path) -> None:
    connection = sqlite3.connect(session.settings.warehouse_url.get_secret_value().removeprefix("sqlite:///"))
    ((group, name),) = connection.execute("SELECT group_id, name FROM groups WHERE deleted_on IS NULL LIMIT 1")
    try:
        with connection:
            connection.execute("UPDATE groups SET name = ? WHERE group_id = ?", ("<script>alert(1)</script>", group))
        written = write_report(session, session.newest_complete, output=tmp_path / "page.html")
        Page(Path(written.location).read_text())
        assert "&lt;script&gt;" in Path(written.location).read_text()
    finally:
        with connection:
            connection.execute("UPDATE groups SET name = ? WHERE group_id = ?", (name, group))
        connection.close()


def test_what_was_not_read_is_not_said_to_be_nothing(figures: Figures) -> None:
    missing = ("objective_evaluations", "results", "test_results")
    unread = replace(
        figures,
        data=replace(figures.data, missing=missing),
        objectives=(),
        groups=(),
        tests=(),
        overdue=0,
        overdue_people=0,
        practice=Practice(),
        became_met=None,
        became_unmet=None,
    )
    shown = " ".join(" ".join(Page(render(unread, now=NOW)).text).split())
    for words in ("Nobody", "0 people", "0 times", "No test was completed", "There are no results"):
        assert words not in shown
    for words in ("who is overdue is not known", "events of that day were not read", "Tests were not read"):
        assert words in shown


def test_events_that_were_not_loaded_are_no_zero(session: PipelineContext, figures: Figures) -> None:
    assert figures.became_met is not None
    snapshot, events = sorted(
        ask(session, f"SELECT kind, load_id FROM loads WHERE export_date = '{figures.export_date}'")
    )[::-1]
    connection = sqlite3.connect(session.settings.warehouse_url.get_secret_value().removeprefix("sqlite:///"))
    try:
        with connection:
            connection.execute("UPDATE loads SET export_date = '2026-01-01' WHERE load_id = ?", (events[1],))
        assert figures_of(session.warehouse, figures.export_date).became_met is None
    finally:
        with connection:
            connection.execute(
                "UPDATE loads SET export_date = ? WHERE load_id = ?", (str(figures.export_date), events[1])
            )
        connection.close()
    assert snapshot[0] == "snapshot"


def test_who_practiced_on_a_date_without_results_is_not_known(session: PipelineContext, figures: Figures) -> None:
    day = figures.export_date
    move = "UPDATE results SET export_date = :to WHERE export_date = :day"
    with session.warehouse.engine.begin() as connection:
        connection.exec_driver_sql(move, {"to": "2025-01-01", "day": str(day)})
    try:
        assert figures_of(session.warehouse, day).activity == (*figures.activity[:-1], None)
    finally:
        with session.warehouse.engine.begin() as connection:
            connection.exec_driver_sql(move, {"to": str(day), "day": "2025-01-01"})


def test_a_name_that_runs_from_right_to_left_turns_no_number_around(figures: Figures) -> None:
    """A name may begin an override that nothing in it ends: each stands in an isolate of its own."""
    turned = "\N{RIGHT-TO-LEFT OVERRIDE}name"
    named = replace(
        figures,
        organization=turned,
        groups=tuple(replace(group, name=turned) for group in figures.groups),
        objectives=tuple(replace(one, group=turned, name=turned, overdue=1) for one in figures.objectives),
        tests=tuple((turned, *rest) for _, *rest in figures.tests),
        fading_playables=tuple((turned, *rest) for _, *rest in figures.fading_playables),
        names=((turned, turned, turned, 1, 2, 3),),
    )
    body = render(named, now=NOW).partition("<body>")[2]
    assert body.count(turned) > 10
    assert body.count(turned) == body.count(f"<bdi>{turned}</bdi>")


def test_a_date_without_a_snapshot_is_refused(session: PipelineContext) -> None:
    with pytest.raises(Refused, match="no snapshot of 2026-06-01"):
        write_report(session, datetime(2026, 6, 1, tzinfo=UTC).date())


def test_a_folder_that_cannot_be_written_to_is_told(session: PipelineContext, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="--output"):
        write_report(session, session.newest_complete, output=tmp_path / "file" / "page.html")
    settings = session.settings.model_copy(update={"reports_folder": SecretStr(str(tmp_path / "file"))})
    with (
        PipelineContext(settings=settings, now=session.now) as elsewhere,
        pytest.raises(Unavailable, match="DRILLSTER_REPORTS_FOLDER"),
    ):
        write_report(elsewhere, session.newest_complete)


def test_postgresql_tells_the_same_figures(session: PipelineContext, figures: Figures, tmp_path: Path) -> None:
    with postgresql_server() as url:
        settings = session.settings.model_copy(
            update={"warehouse_url": SecretStr(url), "warehouse_schema": "drillster"}
        )
        with PipelineContext(settings=settings, now=session.now) as other:
            for day in figures.dates:
                for kind in ("snapshot", "events"):
                    publish(other, kind, day, run_id="replay")
            told = figures_of(other.warehouse, figures.export_date)
            page = write_report(other, figures.export_date, names=True, output=tmp_path / "page.html")
    Page(Path(page.location).read_text())
    for name in ("objectives", "groups", "spread", "overdue", "names", "became_met", "became_unmet", "activity"):
        assert getattr(told, name) == getattr(figures, name), name
    for name in ("proficiency", "compliance"):
        assert getattr(told, name) == pytest.approx(getattr(figures, name)), name

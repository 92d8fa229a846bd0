from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.errors import Refused, Unavailable
from drillster_pipeline.language import Language
from drillster_pipeline.pipeline.report import write_report
from drillster_pipeline.report.figures import Figures, Practice, figures_of
from drillster_pipeline.report.page import render
from tests.drillster import Sandbox
from tests.support.databases import postgresql_server
from tests.support.installation import DAY, NOW, Installation
from tests.translations.bracketed import bracketed, untranslated

pytestmark = pytest.mark.slow

VOID = {"meta", "br", "path", "use", "rect", "img", "link", "hr", "input"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """With three dates in the warehouse; it is not changed."""
    moments = (NOW - timedelta(days=9), NOW - timedelta(days=4), NOW)
    with (
        Sandbox(accounts=60, seed=11, now=moments[0]) as sandbox,
        Installation(tmp_path_factory.mktemp("report"), sandbox) as made,
    ):
        for moment in moments:
            made.at(moment)
            made.load_both()
        yield made


@pytest.fixture
def installation(template: Installation, tmp_path: Path) -> Iterator[Installation]:
    """A copy of it, to be changed."""
    template.close()
    shutil.copytree(template.folder, tmp_path, dirs_exist_ok=True)
    with Installation(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def figures(template: Installation) -> Figures:
    return figures_now(template)


def figures_now(installation: Installation, day: date = DAY) -> Figures:
    return figures_of(installation.context.warehouse, day)


def written(installation: Installation, **options: Any) -> Path:
    return Path(write_report(installation.context, DAY, **options).location)


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


def shown(figures: Figures) -> str:
    return " ".join(" ".join(Page(render(figures, Language(), now=NOW)).text).split())


def test_the_figures_are_those_of_the_analysts_views(template: Installation, figures: Figures) -> None:
    of_date = f"WHERE export_date = '{DAY}' ORDER BY group_id, 2, 3"
    compliance = template.query(f"SELECT group_id, evaluated, met FROM group_compliance {of_date}")
    assert sorted((one.group_id, one.evaluated, one.met) for one in figures.objectives) == compliance
    trend = template.query(f"SELECT * FROM proficiency_trend {of_date}")
    mine = sorted(figures.groups, key=lambda group: group.group_id)
    for group, row in zip([one for one in mine if one.practice.learners], trend, strict=True):
        practice = group.practice
        assert (group.group_id, practice.learners, practice.practicing) == (row[1], row[3], row[5])
        assert practice.proficiency == pytest.approx(row[4])
        assert practice.stopped + practice.never == row[6]
    ((overdue, people),) = template.query("SELECT COUNT(*), COUNT(DISTINCT account_id) FROM overdue_objectives")
    assert (figures.overdue, figures.overdue_people) == (overdue, people)
    assert sum(one.overdue for one in figures.objectives) == overdue
    ((results,),) = template.query(f"SELECT COUNT(proficiency) FROM results WHERE export_date = '{DAY}'")
    assert sum(figures.spread) == results


def test_attempts_without_a_verdict_are_no_part_of_the_pass_rate(installation: Installation, figures: Figures) -> None:
    installation.query("UPDATE test_results SET passed = NULL WHERE passed = 0")
    found = figures_now(installation).tests
    assert [attempts for _, attempts, *_ in found] == [attempts for _, attempts, *_ in figures.tests]
    assert any(judged > passed > 0 for _, _, judged, passed, _ in figures.tests)
    assert all(judged == passed for _, _, judged, passed, _ in found)


def test_trends_run_over_the_loaded_dates_up_to_the_export_date(template: Installation, figures: Figures) -> None:
    shares = template.query(
        "SELECT export_date, 100.0 * SUM(met) / COUNT(met) FROM objective_evaluations GROUP BY 1 ORDER BY 1"
    )
    assert [str(day) for day in figures.dates] == [day for day, _ in shares]
    assert figures.compliance == pytest.approx([share for _, share in shares])
    earlier = figures_now(template, figures.dates[1])
    assert (earlier.dates, earlier.data.newest) == (figures.dates[:2], DAY)


def test_the_page_stands_by_itself_and_names_nobody(template: Installation) -> None:
    path = written(template)
    text = path.read_text()
    words = " ".join(Page(text).text)
    for part in ("At a glance", "Compliance by group", "overdue", "Who practices", "fades", "Tests of the last"):
        assert part in words
    assert "url(" not in text.replace("url(#", "")
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    for name, email in template.query("SELECT name, email_address FROM accounts"):
        assert name not in text
        assert email is None or email not in text
    assert written(template).read_text() == text, "the same numbers give the same page"


def test_names_are_shown_on_request_in_a_file_for_its_owner_alone(template: Installation) -> None:
    path = written(template, names=True)
    text = path.read_text()
    Page(text)
    for (name,) in template.query("SELECT DISTINCT account_name FROM overdue_objectives"):
        assert escape(name).replace("&#x27;", "&#39;") in text
    assert path.stat().st_mode & 0o077 == 0


def test_a_name_cannot_bring_its_own_markup_or_direction(figures: Figures) -> None:
    """It may begin an override that nothing in it ends: each stands in an isolate of its own."""
    name = "\N{RIGHT-TO-LEFT OVERRIDE}<script>alert(1)</script>"
    named = replace(
        figures,
        organization=name,
        groups=tuple(replace(group, name=name) for group in figures.groups),
        objectives=tuple(replace(one, group=name, name=name, overdue=1) for one in figures.objectives),
        tests=tuple((name, *rest) for _, *rest in figures.tests),
        fading_playables=tuple((name, *rest) for _, *rest in figures.fading_playables),
        names=((name, name, name, 1, 2, 3),),
    )
    page = render(named, Language(), now=NOW)
    Page(page)
    body = page.partition("<body>")[2]
    assert body.count(escape(name)) > 10
    assert body.count(escape(name)) == body.count(f"<bdi>{escape(name)}</bdi>")


def test_every_word_of_the_page_is_translated(figures: Figures) -> None:
    """But for the names of people, groups and objectives, each in a ``<bdi>``."""
    dutch = bracketed("nl")
    person = ("a group", "an objective", "a person", 40, 70, 3)
    unknown = replace(
        figures,
        data=replace(figures.data, missing=("results",), incomplete=("objective_evaluations",), rejected=1),
        organization="",
        dates=figures.dates[-1:],
        objectives=(),
        groups=(),
        tests=(),
        overdue=0,
        became_met=None,
    )
    for shown_figures in (figures, replace(figures, names=(person,), overdue=1_000), unknown):
        page = render(shown_figures, dutch, now=NOW)
        days = (dutch.day(figures.export_date), *map(dutch.short_day, figures.dates))
        assert untranslated(page, *days) == ""


def test_the_report_is_in_the_language_of_its_organization(template: Installation, tmp_path: Path) -> None:
    english = written(template).read_text()
    with Installation(tmp_path, **template.environment | {"DRILLSTER_LANGUAGE": "nl"}) as dutch:
        text = written(dutch, output=tmp_path / "dutch.html").read_text()
    assert written(template).read_text() == english
    words = " ".join(Page(text).text)
    assert '<html lang="nl">' in text
    for part in (
        "In één oogopslag",
        "aan het eind van 9 juni 2026",
        "doelstellingen behaald",
        "1 tot 2 weken",
        "9 jun",
    ):
        assert part in words
    assert not re.search(r"\d %", words)


def test_what_was_not_read_is_not_shown_as_nothing(figures: Figures) -> None:
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
    for words in ("Nobody", "0 people", "0 times", "No test was completed", "There are no results"):
        assert words not in shown(unread)
    for words in ("who is overdue is not known", "events of that day were not read", "Tests were not read"):
        assert words in shown(unread)


def test_what_was_not_loaded_is_no_zero(installation: Installation, figures: Figures) -> None:
    assert figures.became_met is not None
    installation.query(
        "UPDATE loads SET export_date = '2026-01-01' WHERE kind = 'events' AND export_date = :day", day=str(DAY)
    )
    for name in ("results", "group_daily", "organization_daily"):
        installation.query(f"UPDATE {name} SET export_date = '2025-01-01' WHERE export_date = :day", day=str(DAY))
    found = figures_now(installation)
    assert found.became_met is None
    assert found.activity == (*figures.activity[:-1], None)


def test_what_cannot_be_written_is_refused(template: Installation, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no snapshot of 2026-05-01"):
        write_report(template.context, date(2026, 5, 1))
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="--output"):
        written(template, output=tmp_path / "file" / "page.html")
    settings = template.environment | {"DRILLSTER_REPORTS_FOLDER": str(tmp_path / "file")}
    with Installation(tmp_path, **settings) as elsewhere, pytest.raises(Unavailable, match="DRILLSTER_REPORTS_FOLDER"):
        written(elsewhere)


@pytest.mark.deep
def test_postgresql_gives_the_same_figures(installation: Installation, figures: Figures) -> None:
    with postgresql_server() as url:
        installation.set(DRILLSTER_WAREHOUSE_URL=url, DRILLSTER_WAREHOUSE_SCHEMA="drillster")
        for day in figures.dates:
            for kind in ("snapshot", "events"):
                installation.publish(kind, day)
        found = figures_now(installation)
        Page(written(installation, names=True).read_text())
        installation.close()
    for name in ("objectives", "groups", "spread", "overdue", "names", "became_met", "became_unmet", "activity"):
        assert getattr(found, name) == getattr(figures, name), name
    for name in ("proficiency", "compliance"):
        assert getattr(found, name) == pytest.approx(getattr(figures, name)), name

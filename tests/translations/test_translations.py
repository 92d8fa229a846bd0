"""Each text that is marked has its translation, which fits it; and what is installed is what was translated."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from babel.messages.mofile import read_mo

from drillster_pipeline.language import CATALOGS, Language

from . import FILES, catalog, marked_texts

EACH = pytest.mark.parametrize("file", FILES, ids=lambda file: file.parts[-3])


@EACH
def test_every_marked_text_has_a_translation_with_the_same_placeholders(file: Path) -> None:
    found = catalog(file)
    texts = {text.id for text in marked_texts() if text.id}
    assert {text.id for text in found if text.id} == texts, "run: make docs"
    assert [text.id for text in found if text.id and (text.fuzzy or not text.string)] == []
    assert [(text.id, problems) for text, problems in found.check()] == []


@EACH
def test_the_compiled_catalog_is_that_of_the_text(file: Path) -> None:
    with file.with_suffix(".mo").open("rb") as compiled:
        found = {text.id: text.string for text in read_mo(compiled) if text.id}
    assert found == {text.id: text.string for text in catalog(file) if text.id}, "run: make docs"


def test_no_text_is_put_together_before_it_is_translated() -> None:
    """As an f-string or a sum it would have no translation."""
    for path in CATALOGS.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"translated", "marked"}:
                assert not isinstance(node.args[0], (ast.JoinedStr, ast.BinOp)), f"{path}:{node.lineno}"


def test_dates_and_numbers_are_those_of_the_language() -> None:
    dutch, english, day = Language("nl"), Language(), date(2026, 3, 9)
    assert [each.day(day) for each in (dutch, english)] == ["9 maart 2026", "9 March 2026"]
    assert [each.short_day(day) for each in (dutch, english)] == ["9 mrt", "9 Mar"]
    assert [each.numeric_day(day) for each in (dutch, english)] == ["09-03-2026", "2026-03-09"]
    assert [each.number(1234567.8) for each in (dutch, english)] == ["1.234.568", "1,234,568"]
    assert [each.percent(74.6) for each in (dutch, english)] == ["75%", "75 %"]
    assert dutch.moment(datetime(2026, 3, 9, 2, 30, tzinfo=UTC)) == "09-03-2026 02:30 UTC"
    assert (dutch.moment(None), dutch.number(None), dutch.translated("")) == ("onbekend", "-", "")

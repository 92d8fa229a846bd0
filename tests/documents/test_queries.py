"""Every question of docs/queries, on each database, and the page that shows the answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from drillster_pipeline.warehouse import Warehouse
from tests.warehouse import mariadb
from tests.warehouse.place import Place

from .month import SCHEMA, copied
from .questions import AUDIENCES, DOCS, Answer, Question, ask, page, questions

QUESTIONS = questions()
each_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.file)


@pytest.fixture(scope="module")
def answers(nights: Place) -> dict[int, Answer]:
    """What SQLite answers."""
    with nights.opened() as warehouse, warehouse.engine.connect() as connection:
        return {question.number: ask(connection, question) for question in QUESTIONS}


@contextmanager
def _session(warehouse: Warehouse, *begins_with: str) -> Iterator[sa.Connection]:
    with warehouse.engine.connect() as connection:
        for statement in begins_with:
            connection.exec_driver_sql(statement)
        yield connection


@pytest.fixture(scope="module")
def on_postgresql(nights_on_postgresql: Warehouse) -> Iterator[sa.Connection]:
    with _session(nights_on_postgresql, f"SET search_path TO {SCHEMA}", "SET TIME ZONE 'UTC'") as connection:
        yield connection


@pytest.fixture(scope="module")
def on_mariadb(nights: Place) -> Iterator[sa.Connection]:
    with mariadb.server() as url:
        if url is None:
            pytest.skip(mariadb.MISSING)
        with copied(nights, url) as warehouse, _session(warehouse, f"USE {SCHEMA}") as connection:
            yield connection


def test_there_are_twenty_questions_with_numbers_in_order() -> None:
    assert [question.number for question in QUESTIONS] == list(range(1, 21))
    assert {question.audience for question in QUESTIONS} == set(AUDIENCES)


@each_question
def test_an_answer_has_rows_and_says_something_in_every_column(answers: dict[int, Answer], question: Question) -> None:
    answer = answers[question.number]
    assert len(answer.rows) > 1
    for name, column in zip(answer.columns, zip(*answer.rows, strict=True), strict=True):
        assert any(value is not None for value in column), name
    assert len(set(answer.rows)) == len(answer.rows)


def _in_any_order(answer: Answer) -> list[tuple[object, ...]]:
    """Databases sort names by other rules."""
    return sorted(answer.rows, key=repr)


@each_question
def test_postgresql_gives_the_same_answer(
    answers: dict[int, Answer], on_postgresql: sa.Connection, question: Question
) -> None:
    answer = ask(on_postgresql, question)
    assert answer.columns == answers[question.number].columns
    assert _in_any_order(answer) == _in_any_order(answers[question.number])


@each_question
def test_mariadb_gives_the_same_answer(
    answers: dict[int, Answer], on_mariadb: sa.Connection, question: Question
) -> None:
    answer = ask(on_mariadb, question)
    assert answer.columns == answers[question.number].columns
    assert _in_any_order(answer) == _in_any_order(answers[question.number])


def test_the_page_shows_what_comes_out(answers: dict[int, Answer]) -> None:
    assert (DOCS / "queries.md").read_text() == page(QUESTIONS, answers), "run: make docs"

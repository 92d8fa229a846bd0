"""Every question of docs/queries, on each database, and the page that shows the answers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.support.databases import Place

from .month import SCHEMA, copied, write_dates
from .questions import AUDIENCES, DOCS, Answer, ask, page, questions

pytestmark = pytest.mark.deep
SESSIONS = {"postgresql": (f"SET search_path TO {SCHEMA}", "SET TIME ZONE 'UTC'"), "mariadb": (f"USE {SCHEMA}",)}


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return write_dates(tmp_path_factory.mktemp("month"))


@pytest.fixture(scope="module")
def answers(month: Place) -> Mapping[int, Answer]:
    """By number of the question, the answer of SQLite."""
    with month.opened() as warehouse, warehouse.engine.connect() as connection:
        return {question.number: ask(connection, question) for question in questions()}


def test_each_of_the_twenty_questions_has_an_answer_with_a_value_in_every_column(answers: Mapping[int, Answer]) -> None:
    assert list(answers) == list(range(1, 21))
    assert {question.audience for question in questions()} == set(AUDIENCES)
    for number, answer in answers.items():
        assert len(set(answer.rows)) == len(answer.rows) > 1, number
        for name, column in zip(answer.columns, zip(*answer.rows, strict=True), strict=True):
            assert any(value is not None for value in column), (number, name)


@pytest.mark.parametrize("database", SESSIONS)
def test_other_databases_give_the_same_answers_in_their_order_of_texts(
    month: Place, answers: Mapping[int, Answer], request: pytest.FixtureRequest, database: str
) -> None:
    url = request.getfixturevalue(f"{database}_url")
    with copied(month, url) as warehouse, warehouse.engine.connect() as connection:
        for statement in SESSIONS[database]:
            connection.exec_driver_sql(statement)
        for question in questions():
            answer, expected = ask(connection, question), answers[question.number]
            assert answer.columns == expected.columns
            assert sorted(answer.rows, key=repr) == sorted(expected.rows, key=repr), question.file


def test_the_page_shows_the_answers(answers: Mapping[int, Answer]) -> None:
    assert (DOCS / "queries.md").read_text() == page(questions(), answers), "run: make docs"

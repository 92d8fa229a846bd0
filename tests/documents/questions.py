"""The questions of docs/queries: files of SQL that begin with what they are for, and the page that is made of them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from .month import ACCOUNTS, FIRST, LAST, MISSED, SEED

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = 8
"""Rows of an answer that the page shows at most."""
AUDIENCES = {
    "managers": "Questions of managers",
    "analysts": "Questions of analysts",
    "auditors": "Questions of auditors and stewards",
}


@dataclass(frozen=True, slots=True)
class Question:
    """One file: the question, for whom, what it is good for, what the answer can't say, and the SQL."""

    number: int
    file: str
    title: str
    audience: str
    why: str
    beware: str
    sql: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns and rows; values are plain: numbers, texts, dates as ISO 8601, None."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def blocks(document: str, language: str) -> list[str]:
    """The blocks of a page of docs/ in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / document).read_text(), re.MULTILINE | re.DOTALL)


def questions() -> list[Question]:
    """All of them, in the order of their numbers."""
    return [_question(path) for path in sorted((DOCS / "queries").glob("*.sql"))]


def _question(path: Path) -> Question:
    text = path.read_text()
    comments = re.match(r"(?:--.*\n)+", text)
    assert comments is not None, f"{path.name} begins with no comment"
    title, *rest = (line.removeprefix("--").strip() for line in comments[0].splitlines())
    given: dict[str, str] = {}
    name = ""
    for line in rest:
        begun = re.match(r"(for|why|beware): (.*)", line)
        name, words = (begun[1], begun[2]) if begun else (name, line)
        given[name] = f"{given.get(name, '')} {words}".strip()
    sql = text[comments.end() :].strip()
    return Question(int(path.name[:2]), path.name, title, given["for"], given["why"], given["beware"], sql)


def ask(connection: sa.Connection, question: Question) -> Answer:
    """What the database answers."""
    result = connection.exec_driver_sql(question.sql.removesuffix(";"))
    return Answer(tuple(result.keys()), [tuple(_plain(value) for value in row) for row in result])


def _plain(value: Any) -> Any:
    """The value without the differences between drivers: 1, 1.0 and Decimal(1) are one."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (Decimal, float)):
        number = round(float(value), 6)
        return int(number) if number.is_integer() else number
    return value


def page(questions: Sequence[Question], answers: Mapping[int, Answer]) -> str:
    """docs/queries.md."""
    template = Path(__file__).with_name("introduction.md").read_text()
    values = {"accounts": ACCOUNTS, "seed": SEED, "first": FIRST, "last": LAST, "missed": MISSED, "shown": SHOWN}
    parts = [template.format(**values), "\n".join(_contents(questions))]
    for audience, heading in AUDIENCES.items():
        parts.append(f"## {heading}\n")
        parts.extend(
            _section(question, answers[question.number]) for question in questions if question.audience == audience
        )
    return "\n".join(parts)


def _contents(questions: Sequence[Question]) -> Iterator[str]:
    for audience, heading in AUDIENCES.items():
        yield f"**{heading}**\n"
        for question in questions:
            if question.audience == audience:
                yield f"{question.number}. [{question.title}](#{_anchor(_heading(question))})"
        yield ""


def _heading(question: Question) -> str:
    return f"{question.number}. {question.title}"


def _anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _section(question: Question, answer: Answer) -> str:
    more = len(answer.rows) - SHOWN
    caution = f"**What it can't say.** {question.beware}"
    left_out = f"\n… and {more} more row{'s' if more > 1 else ''}.\n" if more > 0 else ""
    return (
        f"### {_heading(question)}\n\n{_wrapped(question.why)}\n\n"
        f"```sql\n{question.sql}\n```\n\n{_grid(answer)}{left_out}\n"
        f"{_wrapped(caution)}\n"
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 140, break_long_words=False, break_on_hyphens=False)


def _grid(answer: Answer) -> str:
    """A Markdown table, with numbers to the right."""
    rows = answer.rows[:SHOWN]
    columns = list(zip(*answer.rows, strict=True))
    sides = [
        "---:" if all(isinstance(value, (int, float, type(None))) for value in column) else "---" for column in columns
    ]
    lines: list[Sequence[str]] = [answer.columns, sides, *([_cell(value) for value in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "*NULL*"
    return re.sub(r"([\\|*_`<>])", r"\\\1", str(value)) if isinstance(value, str) else str(value)

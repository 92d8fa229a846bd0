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


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One file: the question, for whom, why one asks it, what the answer can't tell, and the SQL."""

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


def questions() -> list[Question]:
    """All of them, in the order of their numbers."""
    return [_question(path) for path in sorted((DOCS / "queries").glob("*.sql"))]


def _question(path: Path) -> Question:
    text = path.read_text()
    comments = re.match(r"(?:--.*\n)+", text)
    assert comments is not None, f"{path.name} begins with no comment"
    title, *rest = (line.removeprefix("--").strip() for line in comments[0].splitlines())
    told: dict[str, str] = {}
    name = ""
    for line in rest:
        begun = re.match(r"(for|why|beware): (.*)", line)
        name, words = (begun[1], begun[2]) if begun else (name, line)
        told[name] = f"{told.get(name, '')} {words}".strip()
    return Question(
        number=int(path.name[:2]),
        file=path.name,
        title=title,
        audience=told["for"],
        why=told["why"],
        beware=told["beware"],
        sql=text[comments.end() :].strip(),
    )


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


def page(asked: Sequence[Question], answers: Mapping[int, Answer]) -> str:
    """docs/queries.md."""
    parts = [INTRODUCTION, "\n".join(_contents(asked))]
    for audience, heading in AUDIENCES.items():
        parts.append(f"## {heading}\n")
        parts.extend(
            _section(question, answers[question.number]) for question in asked if question.audience == audience
        )
    return "\n".join(parts)


def _contents(asked: Sequence[Question]) -> Iterator[str]:
    for audience, heading in AUDIENCES.items():
        yield f"**{heading}**\n"
        for question in asked:
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
    caution = f"**What it can't tell.** {question.beware}"
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


INTRODUCTION = f"""\
# Questions and their SQL

Twenty questions that people ask of this warehouse, each with its SQL, what it answers, and what the answer can't tell.
The SQL is in [`docs/queries`](queries), a file per question; this page is made of those files (`make docs`). A test
runs each on SQLite, PostgreSQL and, where a server is at hand, MariaDB: all give the same answer, the one shown.

The answers come from the made-up organization of the sandbox: {ACCOUNTS} accounts, seed {SEED}, every night from
{FIRST:%-d %B %Y} to {LAST:%-d %B %Y}, but for the snapshot of {MISSED:%-d %B}, which is missing on purpose. All people
in it are invented. At most {SHOWN} rows of an answer are shown.

## Before you run one

- **Where the tables are.** On PostgreSQL with `DRILLSTER_WAREHOUSE_SCHEMA`, begin the session with
  `SET search_path TO drillster;` (or have the [role](guides/README.md) do so).
- **Time zone.** Timestamps are in UTC. PostgreSQL shows and cuts them in the zone of the session:
  `SET TIME ZONE 'UTC';`.
- **Pick a date.** `results` and `objective_evaluations` hold every night. A query without a condition on `export_date`
  counts everything as often as there are nights. The newest whole night is
  `(SELECT max(export_date) FROM loads WHERE kind = 'snapshot')`; the views that are about now (`current_results`,
  `learner_progress`, `overdue_objectives`) have chosen it already.
- **What is gone.** Rows of entity tables stay when the thing is gone. Where only what is there counts, add
  `deleted_on IS NULL`.
- **NULL** means that Drillster did not say. `NOT met` leaves those rows out, and `avg` and `sum` pass them over.
- **Rounding.** PostgreSQL and MariaDB round half a point to the even number in a `double` (50.5 is 50) and up in a
  `decimal`; averages of views are doubles.
- **Months.** `substr(cast(x AS char(30)), 1, 7)` is the month of a date or timestamp (`2026-05`) on all of them. If you
  use one database only, write what it has for that: `date_trunc('month', x)` on PostgreSQL,
  `strftime('%Y-%m', x)` on SQLite, `date_format(x, '%Y-%m')` on MariaDB.
- `groups` is a reserved word of MySQL 8 (not of MariaDB): write `` `groups` `` there.
"""

"""The data dictionary, in Markdown: every table and column, what it means and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from drillster_pipeline.tables import TABLES
from drillster_pipeline.tables.schema import Column, Kind, Table

from .described import Described
from .diagram import SUBJECTS, subject_diagram

_INTRODUCTION = """\
# Data dictionary

What is in the warehouse. This page is generated from the declarations in `drillster_pipeline/tables`
(`drillster-pipeline schema --format markdown`); change those, not this.

- An `_id` is an opaque key as Drillster gives it; an `_at` is a timestamp in UTC; an `_on` is a date.
- A unit is in the name (`_seconds`, `_minutes`). Percentages and proficiencies are whole numbers from 0 to 100.
  Where Drillster gives a fraction, it is rounded to the nearest one (66.5 to 67), and the check `no_rejects` says
  how many were.
- NULL means that Drillster did not say. An empty text from Drillster stays an empty text.
- Text is kept as it came. NUL characters are removed, and half of a surrogate pair (what is left of an emoji
  that was cut in two) becomes U+FFFD, because no database holds either.
- *Personal* marks what is about a person: `DRILLSTER_PERSONAL_DATA` decides whether it is kept, pseudonymized
  or dropped, and it never appears in a log or in `rejected_rows`.
- What an entity was like on a date is in its history table (`accounts_history` for `accounts`);
  [history.md](history.md) shows how to ask.
- A value of another type than the column's, or out of its range, rejects the row, and `rejected_rows` says why.
"""

_DIAGRAM = """\
## Entity diagram

What refers to what, a subject at a time, with the columns that join tables: keys (PK) and references to others (FK). A
solid line is a foreign key, a dotted one a join that may find nothing; it ends in a crow's foot where many rows belong
to one. An empty box is a table of another subject. A history table has the keys of its entity and is not drawn. Every
table has more columns, which follow below.
`drillster-pipeline schema --format mermaid` prints all subjects as one diagram.
"""

_KINDS: Mapping[Kind, tuple[str, str, str]] = {
    Kind.ENTITY: (
        "a thing as it is now",
        "upsert by key, only where something differs",
        "stays, with `deleted_on` set; if it comes back, that is NULL again",
    ),
    Kind.SNAPSHOT: (
        "a thing as it was on `export_date`",
        "the rows of that date are replaced as a whole",
        "is not among the rows of that date",
    ),
    Kind.EVENT: (
        "something that happened",
        "upsert by key; reading a night again heals an earlier miss",
        "is never deleted",
    ),
    Kind.HISTORY: (
        "a thing as it was from `valid_from` until the day before `valid_until`",
        "with its entity, only where something differs",
        "ends: `valid_until` is the date on which it was gone",
    ),
    Kind.BOOKKEEPING: ("a fact about a load", "added in the transaction of the load", "is never deleted"),
}


def data_dictionary(tables: Mapping[str, Table] = TABLES, views: Sequence[Described] = ()) -> str:
    """The whole document; ``views`` are added where the caller has them."""
    parts = [
        _INTRODUCTION,
        "## Kinds of table\n\n" + _grid(("kind", "one row is", "written by", "a row that is gone"), _kinds()),
        "## Tables\n\n" + "\n".join(_contents(tables, views)),
        _DIAGRAM,
        *(f"### {name}\n\n{_drawn(subject_diagram(name, tables))}" for name in SUBJECTS),
        *(_table(table) for table in tables.values()),
        *(_view(view) for view in views),
    ]
    return "\n".join(parts)


def _drawn(diagram: str) -> str:
    return f"```mermaid\n{diagram}```\n"


def _kinds() -> Iterator[Sequence[str]]:
    for kind, says in _KINDS.items():
        yield (kind.value, *says)


def _contents(tables: Mapping[str, Table], views: Sequence[Described]) -> Iterator[str]:
    for table in tables.values():
        yield f"- [{table.name}](#{table.name}) ({table.kind.value}): {table.description}"
    for view in views:
        yield f"- [{view.name}](#{view.name}) (view): {view.description}"
    yield ""


def _table(table: Table) -> str:
    facts = [f"*{table.kind.value.capitalize()}*, key: {_code(table.key)}."]
    if table.sources:
        facts.append(f"Drawn from {_code(table.sources)}.")
    if table.secondary_sources:
        facts.append(f"Also from what is met in {_code(table.secondary_sources)}.")
    if table.counts:
        facts.append(f"Drillster's own count: `{table.counts}`.")
    columns = _grid(
        ("column", "type", "null", "meaning", "from"), (_column(table, column) for column in table.all_columns)
    )
    return f"## {table.name}\n\n{table.description}\n\n{' '.join(facts)}\n\n{columns}"


def _column(table: Table, column: Column) -> Sequence[str]:
    return (
        f"**`{column.name}`**" if column.name in table.key else f"`{column.name}`",
        column.type.value,
        "yes" if column.nullable else "no",
        " ".join(_meaning(column)),
        f"`{column.source}`" if column.source else "",
    )


def _meaning(column: Column) -> Iterator[str]:
    yield column.description
    if column.values:
        yield f"Documented: {_code(column.values)}."
    if column.minimum is not None and column.maximum is not None:
        yield f"From {column.minimum} to {column.maximum}."
    elif column.minimum is not None:
        yield f"From {column.minimum}."
    if column.references:
        yield f"Foreign key to {_link(column.references)}."
    if column.joins:
        yield f"Joins {_link(column.joins)}, where that is known."
    if column.personal:
        yield "*Personal.*"


def _view(view: Described) -> str:
    columns = _grid(("column", "meaning"), ((f"`{column.name}`", column.description) for column in view.columns))
    return f"## {view.name}\n\n{view.description}\n\n*View.*\n\n{columns}"


def _link(target: str) -> str:
    return f"[{target}](#{target.partition('.')[0]})"


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _grid(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)

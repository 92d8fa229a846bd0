"""The history of an entity table: the same columns, each row with the export dates on which it was so."""

from __future__ import annotations

from dataclasses import replace

from .schema import Column, Kind, Table, Type

VALID_FROM = Column(
    name="valid_from",
    type=Type.DATE,
    nullable=False,
    description="First export date on which it was so.",
)
VALID_UNTIL = Column(
    name="valid_until",
    type=Type.DATE,
    description="First export date on which it was so no longer; NULL: as far as is known it still is.",
)


def history_name(entity: str) -> str:
    """The name of the history of an entity table."""
    return f"{entity}_history"


def history_of(entity: Table) -> Table:
    """The table that holds the history of an entity table."""
    in_key = tuple(_reference(entity, column) for column in entity.columns if column.name in entity.key)
    others = tuple(column for column in entity.columns if column.name not in entity.key)
    return Table(
        name=history_name(entity.name),
        kind=Kind.HISTORY,
        description=(
            f"History of {entity.name}: how each was, and when. As of a date: valid_from <= date, and valid_until "
            "is NULL or > date."
        ),
        columns=(*in_key, VALID_FROM, VALID_UNTIL, *others),
        key=(*entity.key, VALID_FROM.name),
        sources=entity.sources,
    )


def _reference(entity: Table, column: Column) -> Column:
    """A column of the key; that of a whole key leads to the entity itself."""
    return replace(column, references=f"{entity.name}.{column.name}") if entity.key == (column.name,) else column

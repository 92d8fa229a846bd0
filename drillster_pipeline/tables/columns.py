"""Columns in the words of the contract, so that a declaration reads as one: ``percentage("proficiency", …)``."""

from __future__ import annotations

from .schema import Column, Type


def key(name: str, description: str, *, references: str | None = None, source: str | None = None) -> Column:
    """An opaque text key as Drillster gives it, and part of the table's own key: never NULL."""
    return Column(
        name=name,
        type=Type.TEXT,
        nullable=False,
        references=references,
        description=description,
        source=source,
    )


def text(
    name: str,
    description: str,
    *,
    source: str | None = None,
    personal: bool = False,
    prose: bool = False,
    nullable: bool = True,
    references: str | None = None,
    joins: str | None = None,
    values: tuple[str, ...] = (),
) -> Column:
    """Text, kept as it came."""
    return Column(
        name=name,
        type=Type.TEXT,
        nullable=nullable,
        personal=personal,
        prose=prose,
        references=references,
        joins=joins,
        values=values,
        description=description,
        source=source,
    )


def whole(name: str, description: str, *, source: str | None = None, nullable: bool = True) -> Column:
    """A count, or a whole number of the unit in the name: never negative."""
    return Column(name=name, type=Type.INTEGER, nullable=nullable, minimum=0, description=description, source=source)


def percentage(name: str, description: str, *, source: str | None = None) -> Column:
    """A percentage or proficiency, 0-100; whole, as Drillster documents whole percentages only (object Score)."""
    return Column(
        name=name,
        type=Type.SMALLINT,
        minimum=0,
        maximum=100,
        rounded=True,
        description=description,
        source=source,
    )


def moment(name: str, description: str, *, source: str | None = None, nullable: bool = True) -> Column:
    """A UTC timestamp with microseconds."""
    return Column(name=name, type=Type.TIMESTAMP, nullable=nullable, description=description, source=source)


def flag(name: str, description: str, *, source: str | None = None, nullable: bool = True) -> Column:
    """True or false; NULL where Drillster does not say."""
    return Column(name=name, type=Type.BOOLEAN, nullable=nullable, description=description, source=source)


PLAYABLE_TYPES = ("DRILL", "COURSE", "TEST")

EXPORT_DATE = Column(
    name="export_date",
    type=Type.DATE,
    nullable=False,
    description="The day that the row describes, in DRILLSTER_TIMEZONE.",
)


def captured_at(source: str) -> Column:
    """When the answer that the row was read from came in; part of every snapshot."""
    return moment(
        "captured_at",
        "When Drillster gave the answer that this row was read from.",
        source=source,
        nullable=False,
    )

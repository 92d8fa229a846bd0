"""What a table of the warehouse is, as data. Everything else about a table is derived from this.

DDL with comments, pandas dtypes, Dagster column schemas, the data dictionary, the entity diagram, dbt sources,
asset checks and tests all read these declarations; nothing says it a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a table is written, and what becomes of a row that is no longer there."""

    ENTITY = "entity"
    SNAPSHOT = "snapshot"
    EVENT = "event"
    HISTORY = "history"
    BOOKKEEPING = "bookkeeping"


class Type(StrEnum):
    """The type of a column, in words of the contract; each dialect and pandas have their own for it."""

    TEXT = "text"
    INTEGER = "integer"  # 64 bit
    SMALLINT = "smallint"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # UTC, microseconds
    DATE = "date"
    JSON = "json"  # text that holds JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. ``source`` names the field of the API it comes from, for column lineage and the dictionary."""

    name: str
    type: Type
    description: str
    nullable: bool = True
    personal: bool = False
    """Holds, or is made from, a personal value: never shown in a log, a reason or a preview."""
    prose: bool = False
    """Free text, which may name people (a group is often called after its coach): shown as little as a personal value,
    and `forget` replaces names in it."""
    minimum: int | None = None
    maximum: int | None = None
    rounded: bool = False
    """A fraction becomes the nearest whole number (half of one goes up) and is counted; else it rejects its row."""
    references: str | None = None
    """``table.column`` that holds every value of this column: a foreign key where the database has them."""
    joins: str | None = None
    """``table.column`` that this one is meant to be joined to, though it need not hold every value."""
    values: tuple[str, ...] = ()
    """The values that Drillster documents. Others load as well: the documentation is not complete."""
    source: str | None = None
    """``resource: path.in.the.answer``, such as ``accounts: account.emailAddress``; None for what we make."""

    @property
    def names_account(self) -> bool:
        """Whether it holds ids of accounts."""
        return "accounts.account_id" in {self.references, self.joins} or self.name in {"account_id", "member_key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table: its columns in order, its key, its kind, and the resources that its rows are drawn from.

    ``columns`` are those that come out of answers (and ``export_date`` of a snapshot); the columns that the
    warehouse adds (``load_id``, ``first_seen_on``, …) are in ``managed_columns``.
    """

    name: str
    kind: Kind
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    sources: tuple[str, ...] = ()
    """Resources that decide which rows exist. All must be whole before a row may be marked deleted."""
    secondary_sources: tuple[str, ...] = ()
    """Resources that may add rows of things met in passing (an account in a result), on top of ``sources``."""
    group_path: str | None = None
    """How a row belongs to a group: ``group_id``, or ``objective_id`` by way of ``objectives``; None: it does not."""
    counts: str | None = None
    """Where Drillster itself counts these rows, for the check: ``pagination.total`` of the resource's list, or a
    column of a parent (``groups.member_count``), or the sum of two; None where it counts nothing."""

    @property
    def managed_columns(self) -> tuple[Column, ...]:
        """The columns that the warehouse writes, after those of the answers."""
        return MANAGED[self.kind]

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Every column of the table as the database has it."""
        return self.columns + self.managed_columns

    def column(self, name: str) -> Column:
        """The column of that name; KeyError if there is none."""
        for column in self.all_columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name}.{name}")


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


def integer(name: str, description: str, *, source: str | None = None, nullable: bool = True) -> Column:
    """A count, or an integer of the unit in the name: never negative."""
    return Column(name=name, type=Type.INTEGER, nullable=nullable, minimum=0, description=description, source=source)


def percentage(name: str, description: str, *, source: str | None = None) -> Column:
    """A percentage or proficiency, 0-100; an integer, as Drillster documents no fractions (object Score)."""
    return Column(
        name=name,
        type=Type.SMALLINT,
        minimum=0,
        maximum=100,
        rounded=True,
        description=description,
        source=source,
    )


def timestamp(name: str, description: str, *, source: str | None = None, nullable: bool = True) -> Column:
    """A UTC timestamp with microseconds."""
    return Column(name=name, type=Type.TIMESTAMP, nullable=nullable, description=description, source=source)


def boolean(name: str, description: str, *, source: str | None = None, nullable: bool = True) -> Column:
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
    return timestamp(
        "captured_at",
        "When Drillster gave the answer that this row was read from.",
        source=source,
        nullable=False,
    )


_LOAD = (
    Column(
        name="load_id",
        type=Type.TEXT,
        nullable=False,
        references="loads.load_id",
        description="The load that last wrote this row.",
    ),
    Column(name="loaded_at", type=Type.TIMESTAMP, nullable=False, description="When that load began to be published."),
)

MANAGED: dict[Kind, tuple[Column, ...]] = {
    Kind.ENTITY: (
        Column(
            name="first_seen_on",
            type=Type.DATE,
            description="First export date on which a snapshot showed it. NULL: it was only met in passing.",
        ),
        Column(
            name="last_seen_on",
            type=Type.DATE,
            description="Last export date on which a snapshot showed it. NULL: it was only met in passing.",
        ),
        Column(
            name="deleted_on",
            type=Type.DATE,
            description="First export date after last_seen_on whose whole read no longer showed it; NULL: it is there.",
        ),
        Column(
            name="row_hash",
            type=Type.TEXT,
            nullable=False,
            description="Digest of the columns that come from Drillster; differs when one of them does.",
        ),
        *_LOAD,
    ),
    Kind.SNAPSHOT: _LOAD,
    Kind.EVENT: _LOAD,
    Kind.HISTORY: (
        Column(
            name="is_seen",
            type=Type.BOOLEAN,
            nullable=False,
            description=(
                "Whether the nights of these dates showed it. False: they could not see it (a closed group, a rejected "
                "row, a read with holes), so it is taken to be as it was before."
            ),
        ),
        Column(
            name="row_hash",
            type=Type.TEXT,
            nullable=False,
            description="Digest of the columns that come from Drillster, as the entity has it.",
        ),
        *_LOAD,
    ),
    Kind.BOOKKEEPING: (),
}

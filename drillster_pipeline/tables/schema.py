"""What a table of the warehouse is, as data, and the words that declarations are written in.

DDL with comments, pandas dtypes, the reading of responses, Dagster column schemas and lineage, the data dictionary, the
entity diagram, dbt sources and checks are all derived from these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any

from drillster_pipeline.resources import RESOURCES


class Kind(StrEnum):
    """How a table is written, and what happens to a row that is no longer there."""

    ENTITY = "entity"
    SNAPSHOT = "snapshot"
    EVENT = "event"
    HISTORY = "history"
    DAILY = "daily"
    BOOKKEEPING = "bookkeeping"


class Type(StrEnum):
    """The type of a column; each dialect and pandas have their own name for it."""

    TEXT = "text"
    INTEGER = "integer"  # 64 bit
    SMALLINT = "smallint"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # UTC, microseconds
    DATE = "date"
    JSON = "json"  # text that contains JSON


class Form(StrEnum):
    """What a response contains at the path of a column, where that is not simply a value of the column's type."""

    ID = "id"  # opaque: text, or an integer that is taken as its digits; empty is missing
    CODE = "code"  # a word of an enumeration, loaded in upper case
    STRICT_TEXT = "strict_text"  # anything but text is refused at once, so that another response's text is preferred
    DURATION = "duration"  # ISO 8601, loaded in seconds
    LOGIN = "login"  # a timestamp, or milliseconds since 1970


@dataclass(frozen=True, slots=True)
class Column:
    """One column, and where it is read.

    ``path`` leads to its value from the item that a row is read from: ``account.emailAddress``. A dot is the field of
    an object, a slash (``score/percentage``) the field of an object or the value itself where it is no object, ``?.``
    the field of an object and nothing where it is none. Of alternatives (``name | realName``) the first counts that is
    there. ``@`` is the item, ``{group_id}`` a parameter of the request or another value that the reader supplies.
    """

    type: Type
    name: str
    description: str
    path: str | None = None
    _: KW_ONLY
    form: Form | None = None
    in_key: bool = False
    nullable: bool = True
    personal: bool = False
    """Contains, or is made from, a personal value: never shown in a log, a reason or a preview."""
    prose: bool = False
    """Free text, which may name people (a group is often called after its coach): shown as little as a personal value,
    and `forget` replaces names in it."""
    minimum: int | None = None
    maximum: int | None = None
    rounded: bool = False
    """A fraction is rounded to the nearest integer (half of one goes up) and counted; else it rejects its row."""
    references: str | None = None
    """``table.column`` that has every value of this column: a foreign key where the database has them."""
    joins: str | None = None
    """``table.column`` that this one can be joined to, though it need not have every value."""
    values: tuple[str, ...] = ()
    """The values that Drillster documents. Others load as well: the documentation is not complete."""
    source: str | None = None
    """Lineage, such as ``accounts: accounts[].account.emailAddress``: follows from ``path``; None for what we make,
    but for figures of a date: the column that they are computed from."""

    @property
    def names_account(self) -> bool:
        """Whether it contains ids of accounts."""
        return "accounts.account_id" in {self.references, self.joins} or self.name in {"account_id", "member_key"}


text = partial(Column, Type.TEXT)
"""Text, kept as it came. Each of these takes name, description, path, and what else a column has."""
reference = partial(Column, Type.TEXT, form=Form.ID, nullable=False)
"""An opaque id that is never NULL."""
key = partial(Column, Type.TEXT, form=Form.ID, nullable=False, in_key=True)
"""An opaque id that is part of the table's key."""
integer = partial(Column, Type.INTEGER, minimum=0)
"""A count, or an amount of the unit in the name: never negative."""
percentage = partial(Column, Type.SMALLINT, minimum=0, maximum=100, rounded=True)
"""A percentage or proficiency, an integer from 0 to 100, as Drillster documents no fractions (object Score)."""
timestamp = partial(Column, Type.TIMESTAMP)
"""A UTC timestamp with microseconds."""
boolean = partial(Column, Type.BOOLEAN)
"""True or false; NULL where Drillster does not say."""
date = partial(Column, Type.DATE)
"""An export date: the pipeline's own, never read from a response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table: its kind, its columns in order, and the resources that its rows are read from.

    ``columns`` are those that are read from responses (and ``export_date`` of a snapshot); those that the warehouse
    adds (``load_id``, ``first_seen_on``, …) are in ``managed_columns``.
    """

    name: str
    kind: Kind
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    """The columns that are ``in_key``."""
    sources: tuple[str, ...] = ()
    """Resources that decide which rows exist: the one of the same name, where no others are named. All must be complete
    before a row may be marked deleted."""
    secondary_sources: tuple[str, ...] = ()
    """Resources that may add rows for what they only refer to (an account in a result), on top of ``sources``."""
    inside: str = ""
    """Where rows are read from the items of a list inside of those that the first source lists: ``testResults[]``."""
    scopes: Mapping[str, str] = field(default_factory=dict)
    """Names for objects that may be in several places, to begin paths with: ``{"account": "account | @"}``."""
    counts: str | None = None
    """Where Drillster itself counts these rows, for the check: ``pagination.total`` of the resource's list, or a
    column of a parent (``groups.member_count``), or the sum of two; None where it counts nothing."""

    def __post_init__(self) -> None:
        set_field = partial(object.__setattr__, self)
        set_field("key", self.key or tuple(column.name for column in self.columns if column.in_key))
        set_field("sources", self.sources or tuple(name for name in RESOURCES if name == self.name))
        set_field("columns", tuple(replace(one, source=one.source or self._source(one)) for one in self.columns))

    def _source(self, column: Column) -> str | None:
        """The lineage of a column: the first of its paths that leads into a response, else the parameter it is."""
        if column.path is None or column.type is Type.DATE:
            return None
        if ": " in column.path:
            return column.path
        paths = column.path.split(" | ")
        path = next((path for path in paths if not path.startswith("{")), paths[0])
        if not path.startswith("{"):
            lists = [f"{name}[]" for name in RESOURCES[self.sources[0]].list_names[:1]]
            path = ".".join(filter(None, (*lists, self.inside, path))).replace("?.", ".").replace("/", ".")
        return f"{self.sources[0]}: {path}"

    @property
    def group_path(self) -> str | None:
        """The column by which a row belongs to a group (``objective_id``: by way of ``objectives``), if any."""
        names = {column.name for column in self.columns}
        return next((name for name in ("group_id", "objective_id") if name in names), None)

    @property
    def managed_columns(self) -> tuple[Column, ...]:
        """The columns that the warehouse writes, after those of the responses."""
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

    def position(self, name: str) -> int:
        """Where the column of that name is in a row."""
        return self.columns.index(self.column(name))


def _table(kind: Kind, name: str, description: str, *columns: Column, **options: Any) -> Table:
    return Table(name=name, kind=kind, description=description, columns=columns, **options)


entity = partial(_table, Kind.ENTITY)
snapshot = partial(_table, Kind.SNAPSHOT)
event = partial(_table, Kind.EVENT)
daily = partial(_table, Kind.DAILY)
bookkeeping = partial(_table, Kind.BOOKKEEPING)
"""A declaration: name, description, columns, and how its rows are read."""

EXPORT_DATE = date(
    "export_date",
    "The day that the row describes, in DRILLSTER_TIMEZONE.",
    "{export_date}",
    in_key=True,
    nullable=False,
)
CAPTURED_AT = timestamp(
    "captured_at", "When Drillster gave the response that this row was read from.", "{captured_at}", nullable=False
)
"""Both are in every snapshot."""

VALID_FROM = date("valid_from", "First export date on which it was so.", in_key=True, nullable=False)
VALID_UNTIL = date(
    "valid_until", "First export date on which it was so no longer; NULL: as far as is known it still is."
)


def history_name(entity: str) -> str:
    """The name of the history of an entity table."""
    return f"{entity}_history"


def history_of(entity: Table) -> Table:
    """The history of an entity table: the same columns, each row with the export dates on which it was so."""
    in_key = [column for column in entity.columns if column.in_key]
    if len(in_key) == 1:
        in_key = [replace(in_key[0], references=f"{entity.name}.{in_key[0].name}")]
    others = [column for column in entity.columns if not column.in_key]
    return Table(
        name=history_name(entity.name),
        kind=Kind.HISTORY,
        description=(
            f"History of {entity.name}: how each was, and when. As of a date: valid_from <= date, and valid_until "
            "is NULL or > date."
        ),
        columns=(*in_key, VALID_FROM, VALID_UNTIL, *others),
        sources=entity.sources,
    )


_LOAD = (
    text("load_id", "The load that last wrote this row.", nullable=False, references="loads.load_id"),
    timestamp("loaded_at", "When that load began to be published.", nullable=False),
)

MANAGED: dict[Kind, tuple[Column, ...]] = {
    Kind.ENTITY: (
        date("first_seen_on", "First export date on which a snapshot showed it. NULL: it was only referred to."),
        date("last_seen_on", "Last export date on which a snapshot showed it. NULL: it was only referred to."),
        date(
            "deleted_on",
            "First export date after last_seen_on whose complete read no longer showed it; NULL: it is there.",
        ),
        text(
            "row_hash", "Digest of the columns that come from Drillster; differs when one of them does.", nullable=False
        ),
        *_LOAD,
    ),
    Kind.SNAPSHOT: _LOAD,
    Kind.EVENT: _LOAD,
    Kind.HISTORY: (
        boolean(
            "is_seen",
            "Whether the runs of these dates showed it. False: they could not observe it (a closed group, a rejected "
            "row, an incomplete read), so it is taken to be as it was before.",
            nullable=False,
        ),
        text("row_hash", "Digest of the columns that come from Drillster, as the entity has it.", nullable=False),
        *_LOAD,
    ),
    Kind.DAILY: _LOAD,
    Kind.BOOKKEEPING: (),
}

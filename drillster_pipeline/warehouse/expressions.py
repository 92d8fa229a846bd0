"""Expressions of dates and numbers that databases write differently; each dialect has the SQL (``expressions``)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from .dialects import dialect_of


class _DialectFunction(FunctionElement[Any]):
    """A function by the name of its class."""

    def __init_subclass__(cls, *, returns: TypeEngine[Any]) -> None:
        super().__init_subclass__()
        cls.type = returns
        cls.inherit_cache = True  # SQLAlchemy reads it of each class


class utc_midnight(_DialectFunction, returns=sa.DateTime()):
    """The moment at which a date begins in UTC."""


class hours_later(_DialectFunction, returns=sa.DateTime()):
    """A moment, so many hours later; earlier where the number is negative."""


class days_begun(_DialectFunction, returns=sa.Integer()):
    """Days of 24 hours that have begun between the second moment and the first, which is the later one."""


class days_after(_DialectFunction, returns=sa.Integer()):
    """Days from the second date to the first."""


class seconds_since(_DialectFunction, returns=sa.BigInteger()):
    """Complete seconds from a timestamp to now."""


class as_double(_DialectFunction, returns=sa.Double()):
    """A number as a double, so that all databases (and drivers) give the same type."""


class iso_week(_DialectFunction, returns=sa.Text()):
    """The ISO 8601 week of a date, such as 2026-W01."""


class month(_DialectFunction, returns=sa.Text()):
    """The month of a date, such as 2026-01."""


class month_begins_on(_DialectFunction, returns=sa.Date()):
    """The first day of the month of a date."""


class quarter(_DialectFunction, returns=sa.Text()):
    """The quarter of a date, such as 2026-Q1."""


class sorted_text(_DialectFunction, returns=sa.Text()):
    """The texts of all rows in one, sorted, with commas between; NULL where there are none.

    For a query with LIMIT 1: on SQLite, where only a window has an order before 3.44, every row has it.
    """


@compiles(_DialectFunction)
def _compile(element: _DialectFunction, compiler: SQLCompiler, **options: Any) -> str:
    sql = dialect_of(compiler.dialect).expressions[type(element).__name__]
    return sql.format(*(compiler.process(clause, **options) for clause in element.clauses))


def number_of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    """How many rows meet a condition, as an integer: some databases make a decimal of a sum."""
    return sa.cast(sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0), sa.Integer)


def ratio(number: Any, by: Any) -> sa.ColumnElement[float]:
    """The first number divided by the second, as a double; NULL where the second is 0."""
    return as_double(number).op("/", return_type=sa.Double())(sa.func.nullif(by, 0))

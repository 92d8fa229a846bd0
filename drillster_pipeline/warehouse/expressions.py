"""The few expressions of dates and numbers that databases write differently; each dialect has their SQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from .dialects import dialect_of


class _DialectFunction(FunctionElement[Any]):
    inherit_cache = True  # SQLAlchemy reads it of each class


class utc_midnight(_DialectFunction):
    """The moment at which a date begins in UTC."""

    inherit_cache = True
    type = sa.DateTime()
    name = "utc_midnight"


class hours_later(_DialectFunction):
    """A moment, so many hours later; earlier where the number is negative."""

    inherit_cache = True
    type = sa.DateTime()
    name = "hours_later"


class days_begun(_DialectFunction):
    """Days of 24 hours that have begun between the second moment and the first, which is the later one."""

    inherit_cache = True
    type = sa.Integer()
    name = "days_begun"


class seconds_since(_DialectFunction):
    """Complete seconds from a timestamp to now."""

    inherit_cache = True
    type = sa.BigInteger()
    name = "seconds_since"


class as_double(_DialectFunction):
    """A number as a double, so that all databases (and drivers) give the same type."""

    inherit_cache = True
    type = sa.Double()
    name = "as_double"


@compiles(_DialectFunction)
def _compile(element: _DialectFunction, compiler: SQLCompiler, **options: Any) -> str:
    sql = dialect_of(compiler.dialect).expressions[element.name]
    return sql.format(*(compiler.process(clause, **options) for clause in element.clauses))


def ratio(number: Any, by: Any) -> sa.ColumnElement[float]:
    """The first number divided by the second, as a double; NULL where the second is 0."""
    return as_double(number).op("/", return_type=sa.Double())(sa.func.nullif(by, 0))

"""The few expressions of dates and numbers that every database spells its own way."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class utc_date(FunctionElement[Any]):
    """The day, in UTC, of a timestamp."""

    type = sa.Date()
    inherit_cache = True
    name = "utc_date"


class days_between(FunctionElement[Any]):
    """Whole days from the second date to the first."""

    type = sa.Integer()
    inherit_cache = True
    name = "days_between"


class seconds_since(FunctionElement[Any]):
    """Whole seconds from a timestamp to now."""

    type = sa.BigInteger()
    inherit_cache = True
    name = "seconds_since"


class as_double(FunctionElement[Any]):
    """A number as a double, so that all databases (and drivers) give the same type."""

    type = sa.Double()
    inherit_cache = True
    name = "as_double"


class ratio(FunctionElement[Any]):
    """The first number divided by the second, never rounded to a whole one; NULL where the second is 0."""

    type = sa.Double()
    inherit_cache = True
    name = "ratio"


_FORMS: dict[type[FunctionElement[Any]], dict[str, str]] = {
    utc_date: {
        "sqlite": "date({})",
        "postgresql": "CAST(({} AT TIME ZONE 'UTC') AS DATE)",
        "": "CAST({} AS DATE)",
    },
    days_between: {
        "sqlite": "CAST(julianday({}) - julianday({}) AS INTEGER)",
        "postgresql": "({} - {})",
        "": "DATEDIFF({}, {})",
    },
    seconds_since: {
        "sqlite": "CAST((julianday('now') - julianday({})) * 86400 AS INTEGER)",
        "postgresql": "CAST(extract(epoch FROM (now() - {})) AS BIGINT)",
        "": "TIMESTAMPDIFF(SECOND, {}, UTC_TIMESTAMP(6))",
    },
    as_double: {
        "postgresql": "CAST({} AS DOUBLE PRECISION)",
        "": "({} * 1.0)",
    },
    ratio: {
        "postgresql": "(CAST({} AS DOUBLE PRECISION) / nullif({}, 0))",
        "": "({} * 1.0 / nullif({}, 0))",
    },
}


def _spell(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    forms = _FORMS[type(element)]
    form = forms.get(compiler.dialect.name, forms[""])
    return form.format(*(compiler.process(clause, **options) for clause in element.clauses))


for _function in _FORMS:
    compiles(_function)(_spell)

"""The few expressions of dates and numbers that every database spells its own way."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from .mysql import DIALECTS as MYSQL


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
        "oracle": "TRUNC({})",
        "": "CAST({} AS DATE)",
    },
    days_between: {
        "sqlite": "CAST(julianday({}) - julianday({}) AS INTEGER)",
        "postgresql": "({} - {})",
        "mysql": "DATEDIFF({}, {})",
        "mssql": "(0 - DATEDIFF(day, {}, {}))",
        "": "({} - {})",
    },
    seconds_since: {
        "sqlite": "CAST((julianday('now') - julianday({})) * 86400 AS INTEGER)",
        "postgresql": "CAST(extract(epoch FROM (now() - {})) AS BIGINT)",
        "mysql": "TIMESTAMPDIFF(SECOND, {}, UTC_TIMESTAMP(6))",
        "mssql": "DATEDIFF_BIG(second, {}, SYSUTCDATETIME())",
        "oracle": "FLOOR((CAST(SYS_EXTRACT_UTC(SYSTIMESTAMP) AS DATE) - CAST({} AS DATE)) * 86400)",
        "": "CAST(extract(epoch FROM (CURRENT_TIMESTAMP - {})) AS BIGINT)",
    },
    as_double: {
        "sqlite": "({} * 1.0)",
        "mysql": "CAST({} AS DOUBLE)",
        "": "CAST({} AS DOUBLE PRECISION)",
    },
    ratio: {
        "sqlite": "({} * 1.0 / nullif({}, 0))",
        "mysql": "(CAST({} AS DOUBLE) / nullif({}, 0))",
        "": "(CAST({} AS DOUBLE PRECISION) / nullif({}, 0))",
    },
}


def _spell(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    forms = _FORMS[type(element)]
    name = "mysql" if compiler.dialect.name in MYSQL else compiler.dialect.name
    form = forms.get(name, forms[""])
    return form.format(*(compiler.process(clause, **options) for clause in element.clauses))


for _function in _FORMS:
    compiles(_function)(_spell)

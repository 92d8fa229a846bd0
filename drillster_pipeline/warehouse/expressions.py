"""The few expressions of dates and numbers that every database spells its own way."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from .dialects.mysql import DIALECTS as MYSQL


class utc_midnight(FunctionElement[Any]):
    """The moment at which a date begins in UTC."""

    type = sa.DateTime()
    inherit_cache = True
    name = "utc_midnight"


class hours_later(FunctionElement[Any]):
    """A moment, so many hours later; earlier where the number is negative."""

    type = sa.DateTime()
    inherit_cache = True
    name = "hours_later"


class days_begun(FunctionElement[Any]):
    """Days of 24 hours that have begun between the second moment and the first, which is the later one."""

    type = sa.Integer()
    inherit_cache = True
    name = "days_begun"


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
    utc_midnight: {
        "sqlite": "({} || 'T00:00:00.000000Z')",
        "postgresql": "(CAST({} AS TIMESTAMP) AT TIME ZONE 'UTC')",
        "mysql": "CAST({} AS DATETIME(6))",
        "mssql": "CAST({} AS DATETIME2)",
        "": "CAST({} AS TIMESTAMP)",
    },
    hours_later: {
        "sqlite": "strftime('%Y-%m-%dT%H:%M:%f000Z', {}, {} || ' hours')",
        "mysql": "({} + INTERVAL {} HOUR)",
        "mssql": "DATEADD(hour, {1}, {0})",
        "": "({} + {} * INTERVAL '1' HOUR)",
    },
    days_begun: {
        # Whole seconds, rounded down: a fraction changes nothing, as the later moment has none.
        "sqlite": "((strftime('%s', substr({}, 1, 19)) - strftime('%s', substr({}, 1, 19)) + 86399) / 86400)",
        "mysql": "((TIMESTAMPDIFF(MICROSECOND, {1}, {0}) + 86399999999) DIV 86400000000)",
        "mssql": "CEILING(DATEDIFF_BIG(microsecond, {1}, {0}) / 86400000000.0)",
        "": "CAST(ceil(extract(epoch FROM ({} - {})) / 86400) AS INTEGER)",
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

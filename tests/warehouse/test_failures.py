from __future__ import annotations

import traceback
from typing import Any

import pytest

from drillster_pipeline.errors import PipelineError
from drillster_pipeline.warehouse import Warehouse

from .nights import account, batch, day, load, plan
from .place import Place, is_mariadb, rows, sql

SECRET = "Johanna van der Zee"


@pytest.mark.parametrize("step", ["stage", "publish"])
def test_an_error_of_the_database_shows_no_value_of_a_row(place: Place, step: str) -> None:
    """The driver's own message quotes the row, and its traceback would show it."""
    with place.opened() as warehouse:
        warehouse.prepare()
        if step == "publish":
            sql(warehouse, f"CREATE UNIQUE INDEX mine ON {{}}accounts ({name_of(warehouse)})")
        with (  # noqa: PT012 (which of the steps fails is what the test is about)
            pytest.raises(PipelineError) as caught,
            warehouse.loading(plan(day(1), ["accounts"])) as loading,
        ):
            if step == "stage":
                narrow(warehouse, loading)
            loading.stage(batch("accounts", [account("a", SECRET), account("b", SECRET)]))
            loading.merge()
        told = "".join(traceback.format_exception(caught.value))
        assert SECRET not in told
        assert "Warehouse: " in str(caught.value)
        assert rows(warehouse, "accounts") == []


def name_of(warehouse: Warehouse) -> str:
    """The column as an index takes it; MariaDB asks how much of a long text."""
    return "name(50)" if is_mariadb(warehouse) else "name"


def narrow(warehouse: Warehouse, loading: Any) -> None:
    """A staging table that refuses the row."""
    name = "drillster_staged_accounts"
    connection = loading._connection
    if warehouse.schema is None:
        connection.exec_driver_sql(f"CREATE UNIQUE INDEX temp.narrow ON {name} (name)")
    elif is_mariadb(warehouse):
        connection.exec_driver_sql(f"ALTER TABLE {warehouse.schema}.{name} MODIFY name varchar(3)")
    else:
        connection.exec_driver_sql(f"ALTER TABLE {name} ALTER COLUMN name TYPE varchar(3)")
    connection.commit()


def test_the_error_names_the_constraint_that_stood_in_the_way(place: Place) -> None:
    with place.opened() as warehouse:
        warehouse.prepare()
        sql(warehouse, f"CREATE UNIQUE INDEX only_one_name ON {{}}accounts ({name_of(warehouse)})")
        with pytest.raises(PipelineError, match=r"publishing failed .*(accounts\.name|only_one_name)"):
            load(warehouse, day(1), {"accounts": [account("a", SECRET), account("b", SECRET)]})

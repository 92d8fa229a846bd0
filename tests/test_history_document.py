"""Every statement of docs/history.md, on both databases, gives what the document shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.warehouse import TablePlan, Warehouse
from tests.warehouse import postgresql
from tests.warehouse.nights import account, group, load, member, objective
from tests.warehouse.place import Place

DOCUMENT = Path(__file__).parents[1] / "docs" / "history.md"
BLOCKS = re.findall(r"^```sql\n(.*?)^```\n```\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def the_first_of_march_and_on(warehouse: Warehouse) -> None:
    """Bram is invited, joins, is suspended and leaves; a norm is raised; a group is closed for a night."""

    def night(number: int, bram: str | None, *, norm: int = 70, members: list[Any], closed: bool = False) -> None:
        people = [account(f"a-{name.lower()}", name, status="ACTIVE") for name in ("Anna", "Cleo")]
        people += [account("a-bram", "Bram", status=bram)] if bram else []
        shown = [member(of, who, name=who[2:].capitalize(), **more) for of, who, more in members]
        content = {
            "accounts": people,
            "groups": [group("g-night", "Night shift"), group("g-theatre", "Theatre")],
            "group_members": shown,
            "objectives": [objective("o-lifting", "g-night", name="Lifting", minimum_proficiency=norm)],
        }
        kept = {"group_members": TablePlan(unobserved_groups=frozenset({"g-theatre"}))} if closed else {}
        load(warehouse, date(2026, 3, number), content, plans=kept)

    anna: Any = ("g-night", "a-anna", {})
    bram: Any = ("g-night", "a-bram", {})
    cleo: Any = ("g-theatre", "a-cleo", {})
    night(1, None, members=[anna, cleo])
    night(5, "ACTIVE", members=[anna, ("g-night", "a-bram", {"status": "INVITED"}), cleo])
    night(7, "ACTIVE", norm=80, members=[anna, bram], closed=True)
    night(9, "SUSPENDED", norm=80, members=[anna, ("g-theatre", "a-anna", {}), cleo])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def connection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Connection]:
    if request.param == "sqlite":
        places = [Place(f"sqlite:///{tmp_path_factory.mktemp('history')}/warehouse.sqlite", None)]
        yield from connected(places[0])
    else:
        with postgresql.server() as url:
            yield from connected(Place(url, "public"))


def connected(place: Place) -> Iterator[sa.Connection]:
    with place.opened() as warehouse:
        warehouse.prepare()
        the_first_of_march_and_on(warehouse)
        with warehouse.engine.connect() as connection:
            yield connection


@pytest.mark.parametrize(("statement", "shown"), BLOCKS, ids=range(1, len(BLOCKS) + 1))
def test_a_statement_of_the_document_gives_what_it_shows(connection: sa.Connection, statement: str, shown: str) -> None:
    result = connection.exec_driver_sql(statement)
    found = [[*result.keys()], *(["-" if value is None else str(value) for value in row] for row in result)]
    assert found == [[cell.strip() for cell in line.split(" | ")] for line in shown.splitlines()]


def test_every_statement_of_the_document_is_tried() -> None:
    assert len(BLOCKS) == DOCUMENT.read_text().count("```sql") > 7

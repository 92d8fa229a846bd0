"""Every statement of docs/history.md, on both databases, gives what the document shows."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.warehouse import TablePlan, Warehouse
from tests.support.databases import Place
from tests.warehouse.support import account, group, load, member, objective

from .questions import DOCS

pytestmark = pytest.mark.slow
DOCUMENT = DOCS / "history.md"
BLOCKS = re.findall(r"^```sql\n(.*?)^```\n```\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def load_march(warehouse: Warehouse) -> None:
    """Bram is invited, joins, is suspended and leaves; a norm is raised; a group is closed for a date."""

    def add(number: int, bram: str | None, *, norm: int = 70, members: list[Any], closed: bool = False) -> None:
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
    add(1, None, members=[anna, cleo])
    add(5, "ACTIVE", members=[anna, ("g-night", "a-bram", {"status": "INVITED"}), cleo])
    add(7, "ACTIVE", norm=80, members=[anna, bram], closed=True)
    add(9, "SUSPENDED", norm=80, members=[anna, ("g-theatre", "a-anna", {}), cleo])


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_each_statement_of_the_document_gives_what_it_shows(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    url = f"sqlite:///{tmp_path}/w.sqlite" if database == "sqlite" else request.getfixturevalue("postgresql_url")
    with Place(url, None if database == "sqlite" else "public").opened() as warehouse:
        warehouse.prepare()
        load_march(warehouse)
        with warehouse.engine.connect() as connection:
            for statement, shown in BLOCKS:
                result = connection.exec_driver_sql(statement)
                found = [[*result.keys()], *(["-" if value is None else str(value) for value in row] for row in result)]
                assert found == [[cell.strip() for cell in line.split(" | ")] for line in shown.splitlines()], statement
    assert len(BLOCKS) == DOCUMENT.read_text().count("```sql") > 7

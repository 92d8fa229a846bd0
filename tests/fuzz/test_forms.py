"""Every documented form of every answer, through the whole line: the warehouse has what the organization is."""

from __future__ import annotations

import shutil

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import examples

from .conftest import NewHouse
from .forms import COVERING, Forms, forms
from .invariants import check
from .nights import House
from .server import Script
from .truth import Rows, Truth, make_truth

FEW = settings(max_examples=examples(5))
"""A run takes long."""
_VALUES = {
    "accounts": "account_id, name",
    "catalogs": "catalog_id",
    "catalog_playables": "catalog_id, playable_id",
    "groups": "group_id, name",
    "group_members": "group_id, member_key",
    "group_staff": "group_id, account_id",
    "group_playables": "group_id, playable_id",
    "objectives": "objective_id, group_id, minimum_proficiency",
    "objective_evaluations": "objective_id, account_id, met, proficiency",
    "results": "group_id, account_id, playable_id, proficiency",
    "test_results": "test_result_id, test_id, account_id, score_percentage",
}


def present(house: House) -> Rows:
    rows: Rows = {}
    for table, columns in _VALUES.items():
        only = " WHERE is_managed" if table == "accounts" else ""
        rows[table] = set(house.rows(f"SELECT {columns} FROM {table}{only}"))
    return rows


@settings(max_examples=examples(2))
@given(seed=st.integers(0, 1_000_000), odd=st.booleans(), form=forms)
@example(seed=0, odd=False, form=COVERING[0])
@example(seed=1, odd=True, form=COVERING[1])
@example(seed=2, odd=False, form=COVERING[2])
@example(seed=3, odd=True, form=COVERING[3])
def test_every_form_loads_complete(new_house: NewHouse, seed: int, odd: bool, form: Forms) -> None:
    house = new_house()
    check_form(house, make_truth(seed, odd=odd), form)
    shutil.rmtree(house.folder)


def check_form(house: House, truth: Truth, form: Forms) -> None:
    """All that there is gets into the warehouse, and nothing else."""
    night = house.night(Script(truth, form))
    assert night.errors == {}
    check(house, night)
    assert present(house) == truth.rows()
    assert house.rows("SELECT table_name, reason FROM rejected_rows") == []
    events = {o.id: len(o.events) for g in truth.groups for o in g.objectives if o.events}
    assert dict(house.rows("SELECT objective_id, count(*) FROM objective_events GROUP BY 1")) == events
    for sealed in night.captures.values():
        assert [entry["short"] for entry in sealed.manifest["resources"].values() if entry["short"]] == []
    assert {path for fields in night.outcomes["snapshot"].unknown_fields.values() for path in fields} == set()

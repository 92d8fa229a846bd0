"""Answers that are wrong in any way: a typed error or a published night, and no row lost without a reject."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from hypothesis import event, given
from hypothesis import strategies as st

from .conftest import NewHouse
from .forms import Forms, forms
from .invariants import check, check_deletions
from .mutations import Mutation, mutations
from .nights import House, Night
from .server import Script
from .test_forms import FEW
from .truth import Truth, make_truth


@FEW
@given(seed=st.integers(0, 1_000_000), odd=st.booleans(), form=forms, changes=mutations)
def test_whatever_comes_nothing_breaks_and_nothing_is_lost(
    new_house: NewHouse, seed: int, odd: bool, form: Forms, changes: Sequence[Mutation]
) -> None:
    house = new_house()
    tell(check_night(house, make_truth(seed, odd=odd), form, changes))
    shutil.rmtree(house.folder)


@FEW
@given(seed=st.integers(0, 1_000_000), form=forms, changes=mutations)
def test_only_a_whole_read_deletes(new_house: NewHouse, seed: int, form: Forms, changes: Sequence[Mutation]) -> None:
    house = new_house()
    tell(check_second_night(house, make_truth(seed), form, changes))
    shutil.rmtree(house.folder)


def tell(night: Night) -> None:
    """What becomes of the nights: ``--hypothesis-show-statistics`` counts that."""
    for error in night.errors.values():
        event(type(error).__name__)
    for kind in night.outcomes:
        event(f"{kind} published")


def check_night(house: House, truth: Truth, form: Forms, changes: Sequence[Mutation]) -> Night:
    """A night of mutated answers."""
    night = house.night(Script(truth, form, changes))
    check(house, night)
    return night


def check_second_night(house: House, truth: Truth, form: Forms, changes: Sequence[Mutation]) -> Night:
    """A night as it should be, and one of mutated answers."""
    house.night(Script(truth, form))
    before = house.contents()
    night = house.night(Script(truth, form, changes), days=1)
    check(house, night, before)
    check_deletions(house, night)
    return night

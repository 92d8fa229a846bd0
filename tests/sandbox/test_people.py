from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillster_pipeline.sandbox.calendar import DAY, FOUNDING, horizon_of
from drillster_pipeline.sandbox.chance import mix, mix_all
from drillster_pipeline.sandbox.ids import Ids, Kind, Reference
from drillster_pipeline.sandbox.people import People
from drillster_pipeline.sandbox.person import Person, Register
from tests.conftest import examples
from tests.drillster import Size

MOMENTS = st.integers(FOUNDING - 10 * DAY, FOUNDING + 3000 * DAY)


@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=1, max_size=20))
def test_mixing_an_array_is_mixing_each(numbers: list[int]) -> None:
    assert mix_all(np.array(numbers, dtype=np.uint64)).tolist() == [mix(number) for number in numbers]


@settings(max_examples=examples(60))
@given(st.integers(0, 10**6), MOMENTS, st.sampled_from([1, 7]), st.booleans(), st.sampled_from([1, 9]))
def test_the_roster_of_all_chairs_is_what_each_chair_says(
    seed: int, moment: int, batch: int, stable: bool, pace: int
) -> None:
    people = People(Size(accounts=42, import_batch=batch, stable=stable, pace=pace), seed)
    roster = people.roster(moment)
    each = [people.stint_at(chair, moment, horizon_of(moment)) for chair in range(people.size.chairs)]
    expected = sorted(
        (stint.start, stint.chair, stint.number) for stint in each if stint and people.is_listed(stint, moment)
    )
    found = zip(roster.starts.tolist(), roster.chairs.tolist(), roster.numbers.tolist(), strict=True)
    assert list(found) == expected


@settings(max_examples=examples(60))
@given(st.integers(0, 10**6), st.integers(0, 39), st.sampled_from([1, 9]))
def test_a_chair_is_never_taken_twice(seed: int, chair: int, pace: int) -> None:
    stints = People(Size(accounts=42, pace=pace), seed).stints(chair, FOUNDING + 3000 * DAY)
    assert stints
    assert [stint.number for stint in stints] == list(range(len(stints)))
    for before, after in itertools.pairwise(stints):
        assert before.start < before.left < before.gone < after.start


def test_people_come_and_go_but_the_size_stays() -> None:
    people = People(Size(accounts=500), 7)
    sizes = [len(people.roster(FOUNDING + day * DAY)) for day in range(100, 1500, 100)]
    assert min(sizes) > 430
    assert max(sizes) <= 498
    assert len(set(sizes)) > 5


def test_an_import_shares_its_milliseconds() -> None:
    roster = People(Size(accounts=302, import_batch=25, stable=True), 7).roster(FOUNDING + 100 * DAY)
    _, counts = np.unique(roster.starts, return_counts=True)
    assert counts.tolist() == [25] * 12


@pytest.mark.parametrize("seats", [1, 5, 40])
def test_the_seats_of_a_group_are_different_chairs(seats: int) -> None:
    people = People(Size(accounts=42), 7)
    for key in range(1000, 1200):
        step, offset = people.affine(mix(key), seats)
        assert len({(step * seat + offset) % 40 for seat in range(seats)}) == seats


def person(seed: int, number: int) -> Person:
    reference = Reference(Kind.PERSON, number, 0)
    left = FOUNDING + (200 + number % 900) * DAY
    return Register(Ids(seed), seed).person(reference, FOUNDING, left, left + 20 * DAY, chair_key=mix(number))


@settings(max_examples=examples(200))
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-50, 1200), st.integers(0, DAY))
def test_logins_are_never_missed_and_never_made_while_suspended(seed: int, number: int, day: int, rest: int) -> None:
    someone, moment = person(seed, number), FOUNDING + day * DAY + rest
    login = someone.next_login(moment)
    assert login >= max(moment, someone.start)
    assert not someone.away[0] <= login < someone.away[1]
    assert someone.next_login(login) == login
    if login < someone.left:
        assert someone.last_login(login) == login
        assert (someone.last_login(login - 1) or 0) < max(moment, someone.start)


def test_names_and_addresses_are_of_many_kinds() -> None:
    people = [person(7, number) for number in range(3000)]
    names = [someone.name(FOUNDING) for someone in people]
    assert len(set(names)) > 1500
    assert any("'" in name for name in names)
    assert any("\u0590" < letter < "\u06ff" for name in names for letter in name), "right-to-left"
    assert sum(someone.email is None for someone in people) > 20
    assert all(someone.email or someone.external_ids for someone in people)
    addresses = [someone.email for someone in people if someone.email]
    assert len(set(addresses)) == len(addresses)
    assert all(address.isascii() and address == address.lower() for address in addresses)
    assert any(someone.name(FOUNDING) != someone.name(someone.left) for someone in people), "some marry"

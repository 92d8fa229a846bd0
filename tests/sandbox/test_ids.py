from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.sandbox.ids import Ids, Kind, Reference

IDS, OTHERS = Ids(7), Ids(8)
REFERENCES = st.builds(Reference, st.sampled_from(Kind), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 24) - 1))


@given(REFERENCES)
def test_an_id_reads_back_as_what_it_names(reference: Reference) -> None:
    assert IDS.read(IDS.make(*reference)) == reference


@given(REFERENCES)
def test_an_id_has_the_documented_form(reference: Reference) -> None:
    length = 43 if reference.kind is Kind.GROUP else 22
    assert re.fullmatch(rf"[A-Za-z0-9_-]{{{length}}}", IDS.make(*reference))


@given(REFERENCES, REFERENCES)
def test_different_things_have_different_ids(one: Reference, other: Reference) -> None:
    assert (IDS.make(*one) == IDS.make(*other)) == (one == other)


@given(REFERENCES)
def test_another_organization_does_not_know_the_id(reference: Reference) -> None:
    assert OTHERS.read(IDS.make(*reference)) is None


@given(REFERENCES, st.integers(0, 42), st.sampled_from("Aa0_-"))
def test_an_id_with_a_wrong_letter_names_nothing(reference: Reference, place: int, letter: str) -> None:
    id_ = IDS.make(*reference)
    changed = id_[: place % len(id_)] + letter + id_[place % len(id_) + 1 :]
    assert IDS.read(changed) == (reference if changed == id_ else None)


@pytest.mark.parametrize(
    "text", ["", "self", "x" * 22, "x" * 43, "é" * 22, "=" * 22, "a" * 500, "../../etc/passwd_____", "\x00" * 22]
)
def test_nonsense_names_nothing(text: str) -> None:
    assert IDS.read(text) is None


def test_opaque_ids_look_alike_and_differ() -> None:
    found = {IDS.opaque(1, number) for number in range(1000)}
    assert len(found) == 1000
    assert all(len(id_) == 22 for id_ in found)

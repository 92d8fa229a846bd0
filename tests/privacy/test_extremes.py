"""Answers that are deep, long or many at a time."""

from __future__ import annotations

import json
import threading

import pytest

from drillster_pipeline.errors import ContractError
from drillster_pipeline.privacy.pseudonymize import Privacy

from .masking import KEY, account, masked, text


def test_an_answer_that_is_nested_without_end_is_a_broken_contract():
    with pytest.raises(ContractError, match="nested"):
        masked("drop", json.loads("[" * 900 + "]" * 900))


def test_one_privacy_serves_all_threads():
    privacy = Privacy("pseudonymize", KEY)
    bodies = [
        account({"type": "USER", "id": str(n), "name": f"Person Number{n}"}, note=f"Person Number{n}")
        for n in range(50)
    ]
    expected = [privacy.apply("accounts", body) for body in bodies]
    results = [[] for _ in range(4)]

    def work(mine):
        mine.extend(privacy.apply("accounts", body) for body in bodies)

    threads = [threading.Thread(target=work, args=[mine]) for mine in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_a_long_answer_takes_no_longer_per_person():
    """A hundred times the people, and texts between them: if names were tried one by one this would not end."""
    crowd = [
        {"member": {"type": "USER", "id": str(n), "name": f"Person Number{n}"}, "note": f"of Person Number{n}"}
        for n in range(20_000)
    ]
    hidden = masked("pseudonymize", {"members": crowd}, "group_members")
    assert "Number" not in text(hidden)


def test_a_long_text_without_spaces_is_no_trap():
    assert masked("drop", {"note": "x" * 200_000 + " @"})["note"].endswith("x @")
    assert masked("drop", {"note": "@" + "a." * 100_000})["note"].startswith("@a.")

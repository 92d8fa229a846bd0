"""Comparisons are fair, and the document says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.comparison import OURS, Claim, Comparison, Measures, Spread, alternate
from benchmarks.report import Section, document, from_json

DOCS = Path(__file__).parents[2] / "docs"


def comparison(ours: list[float], dlt: list[float], **aim: float) -> Comparison:
    rounds = {OURS: [{"seconds": one} for one in ours], "dlt": [{"seconds": one} for one in dlt]}
    claims = (Claim(what="dlt, a load", contender="dlt", over=OURS, measure="seconds", **aim),)
    return Comparison(title="A load", reference=OURS, rounds=rounds, claims=claims)


def text(ours: float, dlt: float, **aim: float) -> str:
    comparisons = [comparison([ours], [dlt], **aim)]
    return document([Section(title="Load", about="", machine={"Python": "3"}, comparisons=comparisons)])


def test_contenders_take_turns_and_each_round_begins_with_another_one() -> None:
    order: list[str] = []

    def contender(name: str) -> Measures:
        order.append(name)
        return {"seconds": 1.0}

    contenders = {name: lambda name=name: contender(name) for name in "abc"}
    alternate("", contenders, rounds=3, reference="a", say=lambda _: None)
    assert "".join(order) == "abcbcacab"


def test_a_ratio_is_taken_within_a_round_so_that_a_slow_moment_counts_for_both() -> None:
    found = comparison([1.0, 10.0], [2.0, 20.0])
    assert found.ratio("dlt", "seconds") == Spread(2.0, 2.0, 2.0)
    assert found.ratio("dlt", "cpu_seconds") is None


def test_the_document_says_whether_an_aim_is_reached_and_where_the_peer_is_quicker() -> None:
    assert "| at least 2.00 | **missed** |" in text(2.0, 3.0, at_least=2.0)
    assert "| at least 2.00 | reached |" in text(1.0, 3.0, at_least=2.0)
    ahead = text(4.0, 1.0).partition("### Where dlt is ahead")[2].partition("##")[0]
    assert "dlt, a load: seconds, times ours: 0.25" in ahead


def test_the_document_is_made_of_the_results() -> None:
    results = json.loads((DOCS / "benchmarks" / "results.json").read_text())
    assert (DOCS / "benchmarks.md").read_text() == document([from_json(section) for section in results.values()])

from __future__ import annotations

import json

from benchmarks.comparison import OURS, Claim, Comparison, Measures, Spread, alternate


def _comparison(*claims: Claim) -> Comparison:
    rounds = {OURS: [{"seconds": 1.0}, {"seconds": 10.0}], "dlt": [{"seconds": 2.0}, {"seconds": 20.0}]}
    return Comparison(title="", reference=OURS, rounds=rounds, claims=claims)


def test_contenders_take_turns_and_each_round_begins_with_another_one() -> None:
    order: list[str] = []

    def contender(name: str) -> Measures:
        order.append(name)
        return {"seconds": 1.0}

    found = alternate(
        "", {name: lambda name=name: contender(name) for name in "abc"}, rounds=3, reference="a", say=lambda _: None
    )
    assert "".join(order) == "abcbcacab"
    assert {name: len(rounds) for name, rounds in found.rounds.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_ratio_is_taken_within_a_round_so_that_a_slow_moment_counts_for_both() -> None:
    assert _comparison().ratio("dlt", "seconds") == Spread(2.0, 2.0, 2.0)


def test_a_measure_that_a_contender_lacks_has_no_ratio() -> None:
    assert _comparison().ratio("dlt", "cpu_seconds") is None


def test_a_claim_without_an_aim_neither_holds_nor_fails() -> None:
    assert Claim(what="", contender="dlt", measure="seconds").holds(1.0) is None


def test_a_claim_holds_up_to_its_aim_and_no_further() -> None:
    claim = Claim(what="", contender=OURS, measure="seconds", at_most=2.0)
    assert (claim.holds(2.0), claim.holds(2.1)) == (True, False)


def test_what_was_measured_is_the_same_after_it_was_kept_in_a_file() -> None:
    measured = _comparison(Claim(what="dlt", contender="dlt", over=OURS, measure="seconds", at_least=2.0))
    assert Comparison.from_json(json.loads(json.dumps(measured.as_json()))) == measured

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.comparison import OURS, Claim, Comparison
from benchmarks.report import Section, document, from_json

DOCS = Path(__file__).parents[2] / "docs"


def _document(ours: float, dlt: float, **aim: float) -> str:
    comparison = Comparison(
        title="A load",
        reference=OURS,
        rounds={OURS: [{"seconds": ours}], "dlt": [{"seconds": dlt}]},
        claims=(Claim(what="dlt, a load", contender="dlt", over=OURS, measure="seconds", **aim),),
    )
    return document([Section(title="Load", about="", machine={"Python": "3"}, comparisons=[comparison])])


def test_an_aim_that_is_missed_is_said_to_be_missed() -> None:
    assert "| at least 2.00 | **missed** |" in _document(2.0, 3.0, at_least=2.0)


def test_an_aim_that_is_reached_is_said_to_be_reached() -> None:
    assert "| at least 2.00 | reached |" in _document(1.0, 3.0, at_least=2.0)


def test_where_the_peer_is_quicker_that_is_said() -> None:
    ahead = _document(4.0, 1.0).partition("### Where dlt is ahead")[2].partition("##")[0]
    assert "dlt, a load: seconds, times ours: 0.25" in ahead


def test_the_document_says_what_was_measured_and_nothing_else() -> None:
    results = json.loads((DOCS / "benchmarks" / "results.json").read_text())
    assert (DOCS / "benchmarks.md").read_text() == document([from_json(section) for section in results.values()])

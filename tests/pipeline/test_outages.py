"""Outages of all of Drillster during a capture: waited out, and never taken for the fault of a unit."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from drillster_pipeline.api.client import Client
from drillster_pipeline.errors import ApiUnavailable
from drillster_pipeline.pipeline import capture as captures
from drillster_pipeline.pipeline.context import PipelineContext
from tests.api.crawling import expected, items_in, new_tokens
from tests.drillster import Failure, Faults, How
from tests.support.installation import DAY, Installation

pytestmark = pytest.mark.slow


class Outage:
    """Failures that begin during a capture and last so many seconds, by a clock that only waiting moves."""

    def __init__(self, installation: Installation, seconds: float, *failures: Failure, concurrency: int) -> None:
        self._sandbox = installation.sandbox
        self._seconds = seconds
        self._lock = threading.Lock()
        self._over_at: float | None = None
        self.now = 0.0
        installation.set(DRILLSTER_CONCURRENCY=str(concurrency))
        times: dict[str, Any] = {"clock": lambda: self.now, "sleep": self.sleep, "random": random.Random(7).random}
        tokens = new_tokens(self._sandbox, **times)
        self.context: PipelineContext = installation.context
        self.context.tokens = tokens
        self.context.client = lambda _limits=None: Client(
            base_url=self._sandbox.base_url, tokens=tokens, concurrency=concurrency, **times
        )
        tokens.token()
        self._sandbox.faults = Faults(failures=failures)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            if self._over_at is None:  # nobody waits before it
                self._over_at = self.now + self._seconds
            self.now += seconds
            if self.now >= self._over_at:
                self._sandbox.faults = Faults()


def no_tokens(**failure: Any) -> tuple[Failure, ...]:
    """All tokens are revoked, and there are no others."""
    return Failure(how=How.REVOKE, nth=frozenset({20})), Failure(at="token", **failure)


def everything(**failure: Any) -> tuple[Failure, ...]:
    """No request to the API succeeds any more."""
    return (Failure(after=20, **failure),)


OUTAGES = {
    "no tokens, 502, 15 s": (15, no_tokens(statuses=(502,))),
    "no tokens, 502, 110 s": (110, no_tokens(statuses=(502,))),
    "no tokens, no connection, 40 s": (40, no_tokens(how=How.RESET)),
    "429 with 40 s": (40, everything(statuses=(429,), retry_after=40)),
    "429 with 300 s": (300, everything(statuses=(429,), retry_after=300)),
    "503 with 300 s, for 400 s": (400, everything(statuses=(503,), retry_after=300)),
    "429 without a word, 110 s": (110, everything(statuses=(429,))),
    "no connection, 110 s": (110, everything(how=How.RESET)),
}


@pytest.mark.parametrize(("seconds", "failures"), OUTAGES.values(), ids=OUTAGES)
def test_an_outage_leaves_no_trace(installation: Installation, seconds: float, failures: tuple[Failure, ...]) -> None:
    outage = Outage(installation, seconds, *failures, concurrency=4)
    capture = captures.capture(outage.context, "snapshot", DAY).capture
    assert outage.now >= seconds  # it occurred, and was waited out
    assert all(entry["lost"] == entry["short"] == [] for entry in capture.manifest["resources"].values())
    assert items_in(capture) == expected(installation.sandbox)


@pytest.mark.parametrize("failures", [no_tokens(statuses=(502,)), everything(statuses=(429,), retry_after=120)])
def test_one_that_lasts_too_long_fails_the_run_and_the_next_one_resumes_it(
    installation: Installation, failures: tuple[Failure, ...]
) -> None:
    outage = Outage(installation, 100_000, *failures, concurrency=1)
    with pytest.raises(ApiUnavailable) as raised:
        captures.capture(outage.context, "snapshot", DAY)
    assert raised.value.exit_code == 4
    assert 120 < outage.now < 2_000
    installation.sandbox.faults = Faults()
    assert outage.context.archive.newest_sealed(DAY, "snapshot") is None
    with installation.new_context() as context:
        outcome = captures.capture(context, "snapshot", DAY)
    assert outcome.how is captures.How.RESUMED
    assert all(entry["lost"] == [] for entry in outcome.capture.manifest["resources"].values())
    assert items_in(outcome.capture) == expected(installation.sandbox)

"""Outages of all of Drillster in the middle of a capture: waited out, and never taken for the fault of a unit."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.api.client import Client
from drillster_pipeline.errors import ApiUnavailable
from drillster_pipeline.pipeline.capture import How as Came
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.tables import DATA_TABLES
from tests.api.walking import new_tokens
from tests.drillster import Failure, Faults, How, Sandbox

from .captured import DAY, NOW, Nights


class Outage:
    """Trouble that begins in the middle of a capture and lasts so long, by a clock that only waiting moves."""

    def __init__(self, sandbox: Sandbox, seconds: float, *failures: Failure) -> None:
        self._sandbox = sandbox
        self._failures = failures
        self._seconds = seconds
        self._lock = threading.Lock()
        self._over_at: float | None = None
        self.now = 0.0

    def begin(self) -> None:
        self._sandbox.faults = Faults(failures=self._failures)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            if self._over_at is None:  # nobody waits before it
                self._over_at = self.now + self._seconds
            self.now += seconds
            if self.now >= self._over_at:
                self._sandbox.faults = Faults()

    def meet(self, nights: Nights, concurrency: int) -> PipelineContext:
        """A session whose client waits by this clock."""
        session = nights.session(DRILLSTER_CONCURRENCY=str(concurrency))
        times: dict[str, Any] = {"clock": self.clock, "sleep": self.sleep, "random": random.Random(7).random}
        session.tokens = new_tokens(self._sandbox, **times)
        session.client = lambda: Client(  # type: ignore[method-assign]
            base_url=self._sandbox.base_url, tokens=session.tokens, concurrency=concurrency, **times
        )
        session.tokens.token()
        self.begin()
        return session


def tables(session: PipelineContext) -> dict[str, list[Any]]:
    """All rows of a warehouse, but for which load they are of, and when it was."""
    found = {}
    with session.warehouse.engine.connect() as connection:
        for name in DATA_TABLES:
            rows = connection.execute(sa.text(f'SELECT * FROM "{name}"')).mappings()
            found[name] = sorted(
                repr({column: value for column, value in row.items() if column not in {"load_id", "loaded_at"}})
                for row in rows
            )
    return found


@pytest.fixture(scope="module")
def undisturbed(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    sandbox.faults, sandbox.now = Faults(), NOW
    nights = Nights(sandbox, tmp_path_factory.mktemp("undisturbed"))
    capture(nights.session(), "snapshot", DAY)
    publish(session := nights.session(), "snapshot", DAY, run_id="run")
    found = tables(session)
    nights.close()
    assert sum(bool(rows) for rows in found.values()) > 10
    return found


def no_tokens(**failure: Any) -> tuple[Failure, ...]:
    """All tokens are revoked, and there are no others."""
    return Failure(how=How.REVOKE, nth=frozenset({20})), Failure(at="token", **failure)


def everything(**failure: Any) -> tuple[Failure, ...]:
    """Nothing of the API answers any more."""
    return (Failure(after=20, **failure),)


OUTAGES = {
    **{f"no tokens, 502, {seconds} s": (seconds, no_tokens(statuses=(502,))) for seconds in (15, 40, 110)},
    **{f"no tokens, no connection, {seconds} s": (seconds, no_tokens(how=How.RESET)) for seconds in (15, 40, 110)},
    **{f"429 with {after} s": (after, everything(statuses=(429,), retry_after=after)) for after in (40, 300)},
    "503 with 300 s, for 400 s": (400, everything(statuses=(503,), retry_after=300)),
    "429 without a word, 110 s": (110, everything(statuses=(429,))),
    "no connection, 110 s": (110, everything(how=How.RESET)),
}


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(("seconds", "failures"), OUTAGES.values(), ids=OUTAGES)
def test_an_outage_leaves_no_trace_in_any_table(
    nights: Nights, undisturbed: dict[str, list[Any]], seconds: float, failures: tuple[Failure, ...], concurrency: int
) -> None:
    outage = Outage(nights.sandbox, seconds, *failures)
    session = outage.meet(nights, concurrency)
    outcome = capture(session, "snapshot", DAY)
    assert outage.now >= seconds  # it was met, and waited out
    assert all(entry["lost"] == entry["short"] == [] for entry in outcome.capture.manifest["resources"].values())
    publish(session, "snapshot", DAY, run_id="run")
    assert tables(session) == undisturbed


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("failures", [no_tokens(statuses=(502,)), everything(statuses=(429,), retry_after=120)])
def test_one_that_lasts_too_long_fails_the_run_and_the_next_one_resumes_it(
    nights: Nights, undisturbed: dict[str, list[Any]], failures: tuple[Failure, ...], concurrency: int
) -> None:
    outage = Outage(nights.sandbox, 100_000, *failures)
    with pytest.raises(ApiUnavailable) as raised:
        capture(outage.meet(nights, concurrency), "snapshot", DAY)
    assert raised.value.exit_code == 4
    if concurrency == 1:
        assert 120 < outage.now < 2_000
    nights.sandbox.faults = Faults()
    session = nights.session()
    assert session.archive.newest_sealed(DAY, "snapshot") is None
    outcome = nights.capture()
    assert outcome.how is Came.RESUMED
    assert all(entry["lost"] == [] for entry in outcome.capture.manifest["resources"].values())
    publish(session, "snapshot", DAY, run_id="run")
    assert tables(session) == undisturbed

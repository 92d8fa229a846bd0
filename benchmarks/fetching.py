"""(a, e, g) Capture against the ideal and against dlt's REST client; what failing calls cost; CPU per request."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import load_settings
from tests.drillster import Failure, How, Size

from . import peer
from .comparison import OURS, Claim, Comparison, Measures, alternate
from .options import Options
from .peer_api import api, token_of
from .places import EXPORT_DATE, IN_FLIGHT, MOMENT, Served, settings_of
from .processes import Meter, isolated

PEER = "dlt, REST client"
LATENCY = 0.05
BRISK, MANY = 0.02, 32
"""Answers that come sooner, and more of them in flight: then the client's own work is what counts."""
SIZE = Size(
    accounts=302,
    groups=20,
    members_per_group=50,
    drillables_per_group=40,
    objectives_per_group=4,
    tests_per_group=1,
    stable=True,
)
"""About 1,200 requests."""
FAILURES = (
    Failure(rate=0.08, statuses=(429, 500, 502, 503, 504)),
    Failure(rate=0.0218, how=How.RESET),  # of the calls that the first rule leaves: a tenth of all together
)


ABOUT = """
The sandbox, in a process of its own, answers each request after 50 ms, in the second table after 20. The ideal is
requests times latency over the number in flight. That both request the same addresses equally often, with the same
page sizes, and never have more in flight than 16, is checked by the sandbox's log. Ours writes the archive
(compressed, synced, sealed); dlt extracts into its load package. Failures are drawn from a seed: 8 % of the calls get
429, 500, 502, 503 or 504, and 2 % a reset connection.
"""


def measure(options: Options) -> list[Comparison]:
    """Both comparisons, on one sandbox: it keeps its answers once they are made, so that giving them costs little."""
    with Served(SIZE, latency=LATENCY) as sandbox:
        isolated(capture_ours, sandbox.environment)
        ours = partial(isolated, capture_ours, sandbox.environment)
        theirs = partial(isolated, capture_peer, sandbox.environment)
        requested = {OURS: _requested(sandbox, ours), "dlt": _requested(sandbox, theirs)}
        if requested[OURS] != requested["dlt"]:
            differing = list((requested[OURS] - requested["dlt"]) + (requested["dlt"] - requested[OURS]))
            raise RuntimeError(f"the contenders request different things, such as {differing[:3]}")
        requests = requested[OURS].total()
        ideal = requests * LATENCY / IN_FLIGHT
        found = [
            alternate(
                f"Capture: {requests:,} requests of {LATENCY * 1000:.0f} ms, {IN_FLIGHT} in flight",
                {
                    OURS: lambda: _per_request(ours(), requests),
                    PEER: lambda: _per_request(theirs(), requests),
                    "the ideal": lambda: {"seconds": ideal},
                },
                rounds=options.rounds,
                claims=[
                    Claim(
                        what=f"our capture over the ideal, {LATENCY * 1000:.0f} ms and {IN_FLIGHT} in flight",
                        contender=OURS,
                        over="the ideal",
                        measure="seconds",
                        at_most=1.15,
                    ),
                    Claim(
                        what="our CPU milliseconds per request",
                        contender=OURS,
                        measure="cpu_ms_per_request",
                        at_most=2.5,
                    ),
                    Claim(what="dlt, capture", contender=PEER, over=OURS, measure="seconds"),
                    Claim(what="dlt, capture", contender=PEER, over=OURS, measure="cpu_seconds"),
                ],
                say=options.say,
            )
        ]
        sandbox.change(latency=BRISK)
        brisk = partial(isolated, capture_ours, sandbox.environment, MANY)
        brisk()  # the sandbox makes its answers anew when it is changed
        soon = requests * BRISK / MANY
        found.append(
            alternate(
                f"Capture: {requests:,} requests of {BRISK * 1000:.0f} ms, {MANY} in flight",
                {OURS: lambda: _per_request(brisk(), requests), "the ideal": lambda: {"seconds": soon}},
                rounds=options.rounds,
                claims=[
                    Claim(
                        what=f"our capture over the ideal, {BRISK * 1000:.0f} ms and {MANY} in flight",
                        contender=OURS,
                        over="the ideal",
                        measure="seconds",
                        at_most=1.3,
                    )
                ],
                say=options.say,
            )
        )
        sandbox.change(latency=LATENCY)
        found.append(
            alternate(
                "A tenth of all calls fails (429, 5xx, connections reset)",
                {
                    "no failures": lambda: _failing(sandbox, ours, fails=False),
                    "a tenth fails": lambda: _failing(sandbox, ours, fails=True),
                },
                rounds=options.rounds,
                reference="no failures",
                claims=[
                    Claim(
                        what="our capture with a tenth of all calls failing, over one without failures",
                        contender="a tenth fails",
                        over="no failures",
                        measure="seconds",
                        at_most=1.5,
                    )
                ],
                say=options.say,
            )
        )
    return found


def capture_ours(environment: dict[str, str], in_flight: int = IN_FLIGHT) -> Measures:
    """A snapshot into an empty archive; the token is there before the clock starts, as dlt's is."""
    with tempfile.TemporaryDirectory() as folder:
        given = settings_of(environment, Path(folder) / "archive")
        settings = load_settings({**given, "DRILLSTER_CONCURRENCY": str(in_flight)})
        with PipelineContext(settings=settings, now=lambda: MOMENT) as session:
            session.tokens.token()
            session.warehouse  # noqa: B018 - its tables exist on any run but the first
            with Meter() as meter:
                capture(session, "snapshot", EXPORT_DATE)
    return meter.read()


def capture_peer(environment: dict[str, str]) -> Measures:
    """The same requests, extracted into a load package of dlt."""
    peer.configure()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/nothing.sqlite"
        settings = load_settings(settings_of(environment, Path(folder) / "archive"))
        with PipelineContext(settings=settings, now=lambda: MOMENT) as session:
            token = token_of(session)
        made = peer.pipeline(folder, url)
        source = api(settings.base_url, token, url=url, events=False)
        with Meter() as meter:
            made.extract(source, loader_file_format="parquet")
    return meter.read()


def _requested(sandbox: Served, run: Callable[[], Measures]) -> Counter[str]:
    sandbox.clear()
    run()
    requested, at_once = sandbox.requests()
    if at_once > IN_FLIGHT:
        raise RuntimeError(f"{at_once} requests were in flight at once, where {IN_FLIGHT} are allowed")
    return requested


def _per_request(measures: Measures, requests: int) -> Measures:
    return {**measures, "cpu_ms_per_request": measures["cpu_seconds"] / requests * 1000}


def _failing(sandbox: Served, run: Callable[[], Measures], *, fails: bool) -> Measures:
    sandbox.change(failures=FAILURES if fails else ())
    try:
        return run()
    finally:
        sandbox.change(failures=())

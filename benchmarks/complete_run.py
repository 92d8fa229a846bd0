"""(f) A complete run against dlt: the same API, the same PostgreSQL, the same tables, from nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import load_settings
from drillster_pipeline.tables import DATA_TABLES

from . import peer
from .comparison import OURS, Claim, Comparison, Measures, alternate
from .fetching import BRISK, LATENCY, SIZE, capture_ours
from .options import Options
from .peer_api import api, token_of
from .places import EXPORT_DATE, IN_FLIGHT, MOMENT, Served, server_of, settings_of
from .processes import Meter, isolated

ABOUT = """
Both sides begin with an empty database and end with the same rows in the same 18 tables, which is checked. Ours
captures, stages, validates and publishes the snapshot, then the events; dlt extracts, normalizes and loads everything
in one run. With answers of 50 ms most of a run is waiting: 3.8 seconds of it, and 0.3 more for the events, which
cannot be made shorter. That is about half of what dlt takes, so twice its speed can't be had there by doing less
work; with faster answers it can, and with answers that come at once, work alone is left.
(The sandbox that answers shares the cores.)
"""


def measure(options: Options) -> list[Comparison]:
    """With answers that take their time, less of it, and none: then only work is measured."""
    found = []
    with Served(SIZE) as sandbox:
        counts: dict[str, dict[str, int]] = {}

        def once(name: str) -> Measures:
            with options.postgresql.database() as url:
                run = {OURS: ours, "dlt": theirs}[name]
                measures, counts[name] = isolated(run, sandbox.environment, url)
                if len(counts) == 2 and counts[OURS] != counts["dlt"]:
                    raise RuntimeError(f"the tables differ: {counts}")
                return {**measures, "rows": sum(counts[name].values())}

        for latency in (LATENCY, BRISK, 0.0):
            sandbox.change(latency=latency)
            isolated(capture_ours, sandbox.environment)  # it makes its answers anew when it is changed
            found.append(
                alternate(
                    f"A complete run, answers of {latency * 1000:.0f} ms, {IN_FLIGHT} in flight, PostgreSQL",
                    {OURS: lambda: once(OURS), "dlt": lambda: once("dlt")},
                    rounds=options.rounds,
                    claims=[
                        Claim(
                            what=f"dlt, complete run, answers of {latency * 1000:.0f} ms",
                            contender="dlt",
                            over=OURS,
                            measure=measure,
                            at_least=2.0,
                        )
                        for measure in ("seconds", "cpu_seconds")
                    ],
                    say=options.say,
                )
            )
    return found


def ours(environment: dict[str, str], url: str) -> tuple[Measures, dict[str, int]]:
    """Capture, stage, validate and publish, both kinds; making the tables and getting the token included."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(settings_of(environment, Path(folder) / "archive", url))
        with Meter(server_of(url)) as meter, PipelineContext(settings=settings, now=lambda: MOMENT) as session:
            for kind in ("snapshot", "events"):
                capture(session, kind, EXPORT_DATE)
                publish(session, kind, EXPORT_DATE, run_id="benchmark")
            counts = session.warehouse.row_counts()
    return meter.read(), counts


def theirs(environment: dict[str, str], url: str) -> tuple[Measures, dict[str, int]]:
    """Extract, normalize and load, in one run of dlt; the token is there before the clock starts."""
    peer.configure(url)
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(settings_of(environment, Path(folder) / "archive", url))
        with PipelineContext(settings=settings, now=lambda: MOMENT) as session:
            token = token_of(session)
        with Meter(server_of(url)) as meter:
            made = peer.pipeline(folder, url)
            peer.run(made, api(settings.base_url, token, url=url, events=True), url=url)
    return meter.read(), peer.row_counts(url, list(DATA_TABLES))

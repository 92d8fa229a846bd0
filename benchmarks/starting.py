"""(h) What a run of a small organization costs before its first request, and in all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.drillster import Size

from .comparison import Comparison, Measures, alternate
from .options import Options
from .places import MOMENT, Served, settings_of

SIZE = Size(accounts=60, groups=3, members_per_group=15, stable=True)
_COMMAND = "from drillster_pipeline.cli.main import main; main()"
_SESSION = f"""
import json, os, sys
from datetime import datetime
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import load_settings
moment = datetime.fromisoformat({MOMENT.isoformat()!r})
with PipelineContext(settings=load_settings(json.loads(sys.argv[1])), now=lambda: moment) as session:
    for kind in ("snapshot", "events"):
        capture(session, kind, session.newest_complete)
        publish(session, kind, session.newest_complete, run_id="benchmark")
"""
_PEER = """
import json, sys, tempfile
from benchmarks import peer
settings, url = json.loads(sys.argv[1]), sys.argv[2]
peer.configure(url)
from benchmarks.peer_api import api
with tempfile.TemporaryDirectory() as folder:
    made = peer.pipeline(folder, url)
    peer.run(made, api(settings["DRILLSTER_BASE_URL"], sys.argv[3], url=url, events=True), url=url)
"""


ABOUT = """
Real commands, from the start of the process to the arrival of their first request at the sandbox, and to their end.
`drillster-pipeline run` is the job as Dagster runs it, in one process; beside it the same run by `PipelineContext`,
`capture` and `publish` alone, and dlt, which has no scheduler either.
"""


def measure(options: Options) -> list[Comparison]:
    """From the start of the process to the arrival of its first request."""
    with Served(SIZE) as sandbox:

        def command(*words: str, **more: str) -> Measures:
            with tempfile.TemporaryDirectory() as folder:
                return _timed(sandbox, [sys.executable, *words], folder, more)

        def by_session() -> Measures:
            with tempfile.TemporaryDirectory() as folder:
                settings = settings_of(
                    sandbox.environment, Path(folder) / "archive", f"sqlite:///{folder}/warehouse.sqlite"
                )
                return command("-c", _SESSION, json.dumps(settings))

        def by_dlt() -> Measures:
            with tempfile.TemporaryDirectory() as folder:
                token = _token(sandbox, folder)
                url = f"sqlite:///{folder}/warehouse.sqlite"
                return command("-c", _PEER, json.dumps(sandbox.environment), url, token)

        return [
            alternate(
                "A run of 60 accounts into SQLite, from the start of the process",
                {
                    "drillster-pipeline run": lambda: command("-c", _COMMAND, "run"),
                    "the same without Dagster": by_session,
                    "dlt": by_dlt,
                },
                rounds=options.rounds,
                reference="drillster-pipeline run",
                say=options.say,
            )
        ]


def _timed(sandbox: Served, words: list[str], folder: str, more: dict[str, str]) -> Measures:
    sandbox.clear()
    environment = {
        **{name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"},
        **settings_of(sandbox.environment, Path(folder) / "archive", f"sqlite:///{folder}/warehouse.sqlite"),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        **more,
    }
    log = Path(folder) / "log"
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    first = sandbox.first_request()
    if process.returncode or first is None:
        raise RuntimeError(f"a run failed: {log.read_text()[-2000:]}")
    return {
        "seconds_to_first_request": first - started,
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }


def _token(sandbox: Served, folder: str) -> str:
    from drillster_pipeline.pipeline.context import PipelineContext
    from drillster_pipeline.settings import load_settings

    from .peer_api import token_of

    with PipelineContext(settings=load_settings(settings_of(sandbox.environment, Path(folder) / "archive"))) as session:
        return token_of(session)

"""`make superset`: Superset with the dashboards, on the demo's data in a PostgreSQL of its own."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from drillster_pipeline.dashboards import archive, connection_url
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import load_settings
from tests.support.databases import execute, postgresql_server

from .server import User, running

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, postgresql_server() as url:
        os.environ |= {"DRILLSTER_WAREHOUSE_URL": url, "DRILLSTER_WAREHOUSE_SCHEMA": "drillster"}
        with PipelineContext(settings=load_settings(needs_api=False)) as context:
            for day in context.archive.dates():
                print(f"Loading {day} into PostgreSQL", flush=True)
                publish(context, "snapshot", day, run_id="superset")
                publish(context, "events", day, run_id="superset")
        execute(
            url,
            "CREATE ROLE superset LOGIN IN ROLE pg_read_all_data",
            "ALTER ROLE superset SET search_path = drillster",
            "ALTER ROLE superset SET TimeZone = 'UTC'",
        )
        with running(Path(folder), port=int(os.environ.get("PORT", "8088"))) as base:
            User(base, "admin").bring(archive(connection_url(url).set(username="superset")), drillster="unused")
            print(f"Superset is at {base}/dashboard/list/ (admin, password admin); Ctrl-C ends it.", flush=True)
            with suppress(KeyboardInterrupt):
                signal.pause()

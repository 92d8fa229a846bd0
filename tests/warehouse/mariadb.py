"""A MariaDB for tests: one that a variable names, else one made here for the session, else none."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "DRILLSTER_TEST_MARIADB_URL"
MISSING = (
    f"no MariaDB to test on: install mariadb-server, or name one in {VARIABLE} "
    "(mysql://user:password@host, a user who may make databases)"
)

# The server must not lend a hand: text without regard to case, its own modes, no table without a key, little memory.
CONFIGURATION = """
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
def server() -> Iterator[str | None]:
    """The URL of a server, without a database in it; None where there is none."""
    if os.environ.get(VARIABLE):
        yield os.environ[VARIABLE]
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
        defaults.write_text(CONFIGURATION.format(folder=folder, user=Path("~").expanduser().owner()))
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

"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

LOAD = "load when it began"
"""How many processes wanted to run; of more than there are cores, seconds are not to be trusted."""
PACKAGES = ("pandas", "SQLAlchemy", "psycopg", "requests", "urllib3", "dlt", "pyarrow", "adbc-driver-postgresql")


def described(postgresql: str) -> dict[str, str]:
    """The machine, as it is named in the document; ``postgresql``: the version of the server."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB of memory, {platform.system()}",
        LOAD: f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
        "PostgreSQL": postgresql,
        "SQLite": sqlite3.sqlite_version,
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()

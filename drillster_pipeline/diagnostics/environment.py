"""What the program runs on: versions, and nothing that tells whose machine it is."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from typing import Any

from drillster_pipeline import __version__

DISTRIBUTION = "drillster-pipeline"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_ALSO = (
    "urllib3",
    "certifi",
    "cryptography",
    "psycopg",
    "PyMySQL",
    "s3fs",
    "tzdata",
    "dagster-postgres",
    "dagster-k8s",
)


def surroundings() -> dict[str, Any]:
    """Versions of the program, Python, the system, and the packages that the program uses."""
    return {
        "program": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "encoding": sys.getfilesystemencoding(),
        "packages": {name: version for name in _packages() if (version := _version(name)) is not None},
    }


def _packages() -> list[str]:
    """Those that the program requires, and what they bring that matters here; never all that is installed."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        required = []
    plain = [match[0] for line in required if "extra ==" not in line and (match := _NAME.match(line))]
    return sorted({*plain, *_ALSO}, key=str.lower)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

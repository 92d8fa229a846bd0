"""A Superset that listens on this machine alone, from the environment that `make .venv-superset/installed` makes."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from .prepare import CONFIGURATION, DATABASE, configuration

ENVIRONMENT = Path(__file__).parents[2] / ".venv-superset"
IS_INSTALLED = (ENVIRONMENT / "installed").exists()
SECONDS = 120.0
APPLICATION = "superset.app:create_app()"


def files_of(content: bytes) -> dict[str, Any]:
    """What the files of a ZIP say, by their path without the first folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        return {name.partition("/")[2]: yaml.safe_load(opened.read(name)) for name in opened.namelist()}


class User:
    """A person who uses the API."""

    def __init__(self, base: str, name: str) -> None:
        self.base, self.name = base, name
        self.session = requests.Session()
        login = {"username": name, "password": name, "provider": "db"}
        token = self.session.post(f"{base}/api/v1/security/login", json=login, timeout=SECONDS).json()["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"

    def bring(self, content: bytes, **passwords: str) -> None:
        """Import a ZIP file."""
        named = {f"databases/{name}.yaml": password for name, password in passwords.items()}
        answer = self.session.post(
            f"{self.base}/api/v1/assets/import/",
            files={"bundle": ("dashboards.zip", content)},
            data={"passwords": json.dumps(named)},
            timeout=SECONDS,
        )
        assert answer.status_code == 200, answer.text

    def export(self) -> dict[str, Any]:
        """All assets, by the path of their file."""
        answer = self.session.get(f"{self.base}/api/v1/assets/export/", timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        files = files_of(answer.content)
        del files["metadata.yaml"]
        return files

    def data(self, asked: str) -> requests.Response:
        """The rows of a chart."""
        headers = {"Content-Type": "application/json"}
        return self.session.post(f"{self.base}/api/v1/chart/data", asked, headers=headers, timeout=SECONDS)

    def cookies(self) -> dict[str, str]:
        """What a browser sends as this person."""
        browser = requests.Session()
        browser.post(f"{self.base}/login/", {"username": self.name, "password": self.name}, timeout=SECONDS)
        return dict(browser.cookies)


@contextmanager
def running(folder: Path, more: str = "", *, port: int = 0) -> Iterator[str]:
    """The address of a Superset with its files in a folder; ``more`` is added to its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ENVIRONMENT / "home" / DATABASE, folder)
    (folder / CONFIGURATION).write_text(configuration(folder) + more)
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    log = folder / "superset.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [ENVIRONMENT / "bin" / "gunicorn", "-k", "gthread", "--threads=8", "-t300", "-b", base[7:], APPLICATION],
            stdout=output,
            stderr=output,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(("DRILLSTER", "PYTHON"))},
                "SUPERSET_CONFIG_PATH": str(folder / CONFIGURATION),
                "SUPERSET_HOME": str(folder),
                "TEAM_LEADS_PASSWORD": "unused",
            },
        ) as process,
    ):
        try:
            deadline = time.monotonic() + SECONDS
            while not _is_up(base):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield base
        finally:
            process.terminate()


def _is_up(base: str) -> bool:
    try:
        return requests.get(f"{base}/health", timeout=5).ok
    except requests.RequestException:
        return False

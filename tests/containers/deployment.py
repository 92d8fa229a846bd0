"""A deployment as docs/deployment.md describes it, in a copy of the checkout, and what can happen to its containers."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import requests

from tests.orchestration.services import Services, free_port
from tests.support.installation import REPOSITORY

GATEWAY = "10.89.99.1"
"""The address of this machine in the network of the containers: see compose.yaml beside this file."""
PASSWORDS = {"POSTGRES_PASSWORD": "postgres1", "DAGSTER_DB_PASSWORD": "dagster1", "WAREHOUSE_DB_PASSWORD": "warehouse1"}
ENGINE = os.environ.get("ENGINE", "podman")
USER = 10001


class Deployment:
    """Its files are in ``folder``, whose name is that of the compose project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services = Services(3000, folder / "logs")
        port, archive = str(free_port()), str(folder / "archive")
        self.environment = {"POSTGRES_PORT": port, "ARCHIVE": archive, **PASSWORDS, "TAG": "first"}
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
        for name in filter(None, listed.stdout.split("\0")):
            if not name.startswith(("tests/", "docs/", "benchmarks/")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / name, folder / name)
        (folder / "override.yaml").write_text((REPOSITORY / "tests/containers/compose.yaml").read_text())

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run a compose command; its output."""
        files = ["-f", "compose.yaml", "-f", "override.yaml"]
        return self._run(*shlex.split(os.environ["COMPOSE"]), *files, *arguments, check=check)

    def engine(self, *arguments: str, check: bool = True) -> str:
        """Run a command of podman or docker; its output."""
        return self._run(ENGINE, *arguments, check=check)

    def _run(self, *command: str, check: bool) -> str:
        environment = {**os.environ, **self.environment}
        ended = subprocess.run(command, cwd=self.folder, env=environment, check=False, capture_output=True, text=True)
        with (self.folder / "commands.log").open("a") as log:
            print(command, ended.stdout, ended.stderr, file=log)
        assert ended.returncode == 0 or not check, f"{command}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
        return ended.stdout

    def configure(self, settings: dict[str, str], private_key: str) -> None:
        """What an operator fills in: the file of settings, and the key, for the user of the container alone."""
        (self.folder / "deploy/drillster.env").write_text("".join(f"{name}={settings[name]}\n" for name in settings))
        secrets = self.folder / "deploy/secrets"
        secrets.mkdir(exist_ok=True)
        key = secrets / "service-account.pem"
        key.write_text(private_key)
        key.chmod(0o400)
        os.chown(key, USER, USER)

    def owned(self, top: Path) -> None:
        """Give files to the user of the containers."""
        for path in [top, *top.rglob("*")]:
            os.chown(path, USER, USER)

    def start(self, *services: str) -> None:
        """Make containers, or make them anew where something has changed, and wait until they are healthy."""
        for service in services:
            self.compose("up", "-d", "--no-deps", service)
            self.until(partial(self.is_healthy, service), f"{service} is healthy")

    def container(self, service: str) -> str:
        """The id of its container; empty while it has none that runs."""
        return self.engine("ps", "-q", "--filter", f"name={self.folder.name}[-_]{service}[-_]").strip()

    def is_healthy(self, service: str) -> bool:
        """Whether the check of compose.yaml succeeds now; podman makes it by itself only under systemd."""
        container = self.container(service)
        if ENGINE == "docker" and container:
            return self.inspect(service)["State"]["Health"]["Status"] == "healthy"
        return bool(container) and not self._fails("healthcheck", "run", container)

    def _fails(self, *arguments: str) -> bool:
        return bool(subprocess.run([ENGINE, *arguments], check=False, capture_output=True).returncode)

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of its container."""
        (found,) = json.loads(self.engine("inspect", self.container(service)))
        return dict(found)

    def kill(self, service: str) -> None:
        """SIGKILL the first process of a container, and so all, as the kernel does where memory is short."""
        os.kill(self.inspect(service)["State"]["Pid"], signal.SIGKILL)

    def inside(self, service: str, *command: str) -> str:
        """Run a command in its container; its output."""
        return self.engine("exec", self.container(service), *command)

    def database(self, name: str) -> str:
        """The URL of a database, from outside."""
        password = PASSWORDS[f"{name.upper()}_DB_PASSWORD"]
        return f"postgresql://{name}:{password}@127.0.0.1:{self.environment['POSTGRES_PORT']}/{name}"

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 600.0) -> Any:
        """Wait for something to be so; what it is. The UI may be out of reach in the meantime."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if found := condition():
                    return found
            except (requests.RequestException, AssertionError):
                pass
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}; see {self.folder}"
            time.sleep(0.5)

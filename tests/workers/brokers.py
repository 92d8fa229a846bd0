"""RabbitMQ and Redis of a test's own, Debian's, which it may kill: they keep what they have in a folder."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from .programs import Program

PROGRAMS = {"redis": "redis-server", "rabbitmq": "rabbitmq-server"}


def broker_of(kind: str, folder: Path, port: int, *options: str) -> tuple[Program, str]:
    """A broker that is not started yet, and its URL. Skips the test where it is not installed."""
    # Debian keeps daemons out of the PATH of ordinary users.
    path = shutil.which(PROGRAMS[kind], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"there is no {PROGRAMS[kind]}: install Debian's package of that name")
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "redis":
        command = [path, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        return Program([*command, "--appendonly", "yes", *options], folder), f"redis://127.0.0.1:{port}/0"
    # Debian's script of that name changes the user; this one is what it starts then.
    inner = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    environment = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"drillster{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(port + 1 if port < 65535 else port - 1),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
    }
    return Program(
        [str(inner) if inner.exists() else path], folder, environment
    ), f"amqp://guest:guest@127.0.0.1:{port}//"


def await_port(port: int, *, seconds: float = 180.0) -> None:
    """Wait until something listens there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on port {port}"
            time.sleep(0.1)
        else:
            return

"""Starting, stopping, credentials, and the sandbox as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dotenv import dotenv_values

from drillster_pipeline.sandbox import write_environment
from tests.drillster import Sandbox

from .caller import Start

PROGRAM = """
import logging, sys
from pathlib import Path
from drillster_pipeline.sandbox import Sandbox, write_environment
logging.basicConfig(level=logging.INFO)
folder = Path(sys.argv[1])
def ready(sandbox):
    write_environment(folder / "sandbox.env", sandbox.environment())
    print(sandbox.base_url, flush=True)
Sandbox(accounts=20, seed=5, key_file=folder / "key.pem").run(ready)
names = [name for name in sys.modules if name.startswith("drillster_pipeline.")]
print([name for name in names if not name.startswith("drillster_pipeline.sandbox")], flush=True)
"""


@pytest.mark.slow
def test_a_served_sandbox_runs_until_it_is_interrupted_and_keeps_its_credentials(tmp_path: Path) -> None:
    kept = []
    for _ in range(2):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            base_url = process.stdout.readline().strip()
            settings = dotenv_values(tmp_path / "sandbox.env")
            assert settings["DRILLSTER_BASE_URL"] == base_url
            answer = requests.get(f"{base_url}/api/2.1.1/version", timeout=20)
            assert answer.status_code == 200
            os.kill(process.pid, signal.SIGINT)
            output, log = process.communicate(timeout=20)
        assert (process.returncode, output) == (0, "[]\n"), "it imports nothing of the rest"
        assert f"listens on {base_url}" in log
        secrets = (settings["DRILLSTER_CLIENT_SECRET"], "PRIVATE KEY", settings["DRILLSTER_PRIVATE_KEY"][60:120])
        assert not any(secret in log for secret in secrets)
        kept.append({name: value for name, value in settings.items() if name != "DRILLSTER_BASE_URL"})
    assert kept[0] == kept[1]
    for name in ("key.pem", "sandbox.env"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_the_settings_of_a_client_survive_a_file(tmp_path: Path, start: Start) -> None:
    settings = start().sandbox.environment()
    write_environment(tmp_path / ".env", settings)
    assert dotenv_values(tmp_path / ".env") == settings


def test_credentials_stay_out_of_their_repr(start: Start) -> None:
    credentials = start().sandbox.credentials
    assert credentials.client_id in repr(credentials)
    assert credentials.client_secret not in repr(credentials)
    assert "PRIVATE" not in repr(credentials)
    assert int(credentials.client_id, 16) != int(credentials.client_secret, 16)


@pytest.mark.parametrize("kind", ["text", "elliptic"])
def test_a_key_file_without_an_rsa_key_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key.pem"
    curve = ec.generate_private_key(ec.SECP256R1())
    pem = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(b"secret words" if kind == "text" else pem)
    with pytest.raises(ValueError, match=r"key\.pem has no RSA private key") as caught:
        Sandbox(key_file=path)
    assert "secret" not in str(caught.value)


def test_a_taken_port_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=taken).start()


def test_a_stopped_sandbox_can_be_started_again_where_it_was(start: Start) -> None:
    caller = start()
    expected, address = caller.get("groups"), caller.sandbox.base_url
    caller.sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        caller.call("organization")
    caller.sandbox.start()
    assert caller.sandbox.base_url == address
    assert caller.get("groups") == expected, "with the token of before"

"""Starting, stopping, credentials, and the sandbox as a process of its own."""

from __future__ import annotations

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


@pytest.mark.slow
def test_the_command_serves_until_it_is_interrupted_and_keeps_its_credentials(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from drillster_pipeline.cli.main import main; main()", "sandbox"]
    command += ["--accounts", "20", "--seed", "5", "--port", "0", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert f"Settings of a client are in {tmp_path / 'client.env'}" in process.stdout.readline()
        settings = dotenv_values(tmp_path / "client.env")
        base_url = settings["DRILLSTER_BASE_URL"]
        assert requests.get(f"{base_url}/api/2.1.1/version", timeout=20).status_code == 200
        process.send_signal(signal.SIGINT)
        output, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"listens on {base_url}" in log
    secrets = (settings["DRILLSTER_CLIENT_SECRET"], "PRIVATE KEY", settings["DRILLSTER_PRIVATE_KEY"][60:120])
    assert not any(secret in output + log for secret in secrets)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    with Sandbox(accounts=20, seed=5, key_file=tmp_path / "service-account.pem") as again:
        assert again.environment() | {"DRILLSTER_BASE_URL": base_url} == {
            name: value for name, value in settings.items() if name != "DRILLSTER_FIRST_EXPORT_DATE"
        }


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

"""Starting, stopping, credentials, and the sandbox as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dotenv import dotenv_values

from drillster_pipeline.sandbox import write_environment
from tests.drillster import Sandbox

from .caller import Caller, Start

PROGRAM = """
import logging, sys
from pathlib import Path
from drillster_pipeline.sandbox import Sandbox, write_environment
logging.basicConfig(level=logging.INFO)
folder = Path(sys.argv[1])
def ready(sandbox):
    write_environment(folder / "sandbox.env", sandbox.base_url, sandbox.credentials)
    print(sandbox.base_url, flush=True)
Sandbox(port=int(sys.argv[2]), accounts=20, seed=5, key_file=folder / "key.pem").run(ready)
print("stopped", flush=True)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_served_sandbox_runs_until_it_is_interrupted_and_keeps_its_credentials(tmp_path: Path) -> None:
    kept = []
    for _ in range(2):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(free_port())]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            base_url = process.stdout.readline().strip()
            settings = dotenv_values(tmp_path / "sandbox.env")
            assert settings["DRILLSTER_BASE_URL"] == base_url
            answer = requests.get(f"{base_url}/api/2.1.1/version", timeout=20)
            assert answer.status_code == 200
            os.kill(process.pid, signal.SIGINT)
            output, log = process.communicate(timeout=20)
        assert (process.returncode, output) == (0, "stopped\n")
        assert f"listens on {base_url}" in log
        secrets = (settings["DRILLSTER_CLIENT_SECRET"], "PRIVATE KEY", settings["DRILLSTER_PRIVATE_KEY"][60:120])
        assert not any(secret in log for secret in secrets)
        kept.append({name: value for name, value in settings.items() if name != "DRILLSTER_BASE_URL"})
    assert kept[0] == kept[1]
    for name in ("key.pem", "sandbox.env"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_the_settings_of_a_file_open_the_door(tmp_path: Path, start: Start) -> None:
    caller = start()
    write_environment(tmp_path / ".env", caller.sandbox.base_url, caller.sandbox.credentials)
    settings = dotenv_values(tmp_path / ".env")
    assert settings == caller.sandbox.environment()
    form = caller.form(
        client_id=settings["DRILLSTER_CLIENT_ID"],
        client_secret=settings["DRILLSTER_CLIENT_SECRET"],
        assertion=jwt.encode(caller.claims(), settings["DRILLSTER_PRIVATE_KEY"], algorithm="RS256"),
    )
    assert caller.session.post(caller.token_url, data=form, timeout=20).status_code == 200


def test_credentials_stay_out_of_their_repr(start: Start) -> None:
    credentials = start().sandbox.credentials
    assert credentials.client_id in repr(credentials)
    assert credentials.client_secret not in repr(credentials)
    assert "PRIVATE" not in repr(credentials)
    assert len(credentials.client_id) == len(credentials.client_secret) == 32
    assert int(credentials.client_id, 16) != int(credentials.client_secret, 16)


def test_credentials_of_one_sandbox_do_not_open_another(start: Start, tmp_path: Path) -> None:
    one, other = start(seed=1), start(seed=2, key_file=tmp_path / "other.pem")
    token = one.fresh_token()
    assert other.call("organization", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert other.grant(client_id=one.sandbox.credentials.client_id).status_code == 401
    assertion = other.assertion(key=one.sandbox.credentials.private_key)
    assert other.grant(assertion=assertion).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", ["text", "elliptic"])
def test_a_key_file_that_holds_no_rsa_key_is_named(tmp_path: Path, kind: str) -> None:
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


def test_after_it_is_stopped_nobody_answers(start: Start) -> None:
    with Sandbox(accounts=20) as sandbox:
        caller = Caller(sandbox)
        assert caller.call("organization").status_code == 200
    with pytest.raises(requests.ConnectionError):
        caller.call("organization")
    caller.close()


def test_a_stopped_sandbox_can_be_started_again_where_it_was(start: Start) -> None:
    caller = start()
    expected, port = caller.groups(), caller.sandbox.base_url
    caller.sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        caller.call("organization")
    caller.sandbox.start()
    assert caller.sandbox.base_url == port
    assert caller.groups() == expected, "with the token of before"


def test_two_sandboxes_live_side_by_side(start: Start) -> None:
    one, other = start(seed=1), start(seed=2)
    assert one.get("organization")["id"] != other.get("organization")["id"]
    assert one.sandbox.count("GET", "/api/2.1.1/organization") == 1


def test_the_sandbox_imports_nothing_of_the_rest() -> None:
    program = (
        "import sys, drillster_pipeline.sandbox;"
        "print([name for name in sys.modules if name.startswith('drillster_pipeline.')"
        " and not name.startswith('drillster_pipeline.sandbox')])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

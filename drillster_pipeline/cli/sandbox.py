"""`sandbox`: a local Drillster in the foreground, with the settings of a client beside it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drillster_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from drillster_pipeline.sandbox import Sandbox

KEY_FILE = "service-account.pem"
ENV_FILE = "client.env"


def run_sandbox(*, host: str, port: int, accounts: int, seed: int, folder: Path) -> None:
    """Serve until it is interrupted. Raises SettingsError where the port is taken or the folder is not writable."""
    from drillster_pipeline.sandbox import Sandbox, write_environment

    logging.getLogger("drillster_pipeline.sandbox").setLevel(logging.INFO)

    def ready(sandbox: Sandbox) -> None:
        env_file = folder / ENV_FILE
        write_environment(env_file, sandbox.base_url, sandbox.credentials)
        click.echo(f"Settings of a client are in {env_file}. Copy them to .env, then: drillster-pipeline check")

    try:
        folder.mkdir(parents=True, exist_ok=True)
        sandbox = Sandbox(host=host, port=port, accounts=accounts, seed=seed, key_file=folder / KEY_FILE)
        sandbox.run(ready)
    except OSError as problem:
        raise SettingsError(
            f"The sandbox can't start on {host}:{port} ({problem.strerror}): choose another --port or --folder"
        ) from None

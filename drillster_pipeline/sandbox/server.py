"""Runs the sandbox: in a thread for demos and tests (:class:`Sandbox`), or in the foreground (:func:`serve`)."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import uvicorn

from .app import Drillster
from .draws import step_of
from .model import Size
from .oauth import Grants, credentials_of, environment, load_or_create, process_key
from .organization import Organization

logger = logging.getLogger(__name__)

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0


class Sandbox:
    """A local Drillster.

        with Sandbox(accounts=60, seed=7, now=datetime(2026, 3, 1, 0, 30, tzinfo=UTC)) as sandbox:
            requests.get(f"{sandbox.base_url}/api/2.1.1/version")

    ``now`` is the moment at which the organization is shown; None: the real clock. Tokens always go by the real clock.
    ``size`` says more than ``accounts`` alone. ``key_file`` keeps the service account's key, and with it all
    credentials, from one start to the next; without it they last as long as the process.
    """

    def __init__(
        self,
        *,
        accounts: int = 60,
        seed: int = 7,
        now: datetime | None = None,
        size: Size | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        key_file: Path | None = None,
    ) -> None:
        self.organization = Organization(size or Size(accounts=accounts), seed)
        key = process_key("service account") if key_file is None else load_or_create(key_file)
        self.credentials = credentials_of(
            key,
            seed=seed,
            service_account_id=self.organization.service_account_id,
            organization_id=self.organization.id,
        )
        self.now = now
        self._grants = Grants(self.credentials, key.public_key())
        self._app = self._application(self._grants)
        self._host, self._port = host, port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def _application(self, grants: Grants) -> Drillster:
        return Drillster(self.organization, grants, self._step)

    @property
    def now(self) -> datetime | None:
        """The moment at which the organization is shown (aware); None: the real clock."""
        return self._now

    @now.setter
    def now(self, moment: datetime | None) -> None:
        if moment is not None and moment.tzinfo is None:
            raise ValueError("The moment of a sandbox must have a time zone.")
        self._now = moment

    def _step(self) -> int:
        return step_of(self._now or datetime.now(UTC))

    @property
    def base_url(self) -> str:
        """Where the sandbox listens, such as ``http://127.0.0.1:43210``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def grants(self) -> int:
        """How many tokens were issued."""
        return self._grants.count

    @property
    def request_count(self) -> int:
        """How many requests were answered."""
        return self._app.request_count

    def environment(self) -> dict[str, str]:
        """The settings of a client of this sandbox, by the names of their environment variables."""
        return environment(self.base_url, self.credentials)

    # -- starting and stopping -----------------------------------------------------------------------------------

    def _prepare(self) -> tuple[uvicorn.Server, socket.socket]:
        """Take the port, so that whoever connects from now on is served as soon as the server runs."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=512)
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            date_header=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config), listener

    def start(self) -> Self:
        """Start serving in a thread of its own; ready when it returns. Raises OSError where the port is taken."""
        self._server, listener = self._prepare()
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("The sandbox did not start.")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Stop serving; requests under way have a second to finish."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_STOP_SECONDS)
            self._thread = None

    def run(self, ready: Callable[[Sandbox], None] | None = None) -> None:
        """Serve in this thread until it is interrupted (Ctrl-C, SIGTERM); ``ready`` is called once the port is open."""
        server, listener = self._prepare()
        logger.info("The sandbox listens on %s (Ctrl-C stops it).", self.base_url)
        if ready is not None:
            ready(self)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
        logger.info("The sandbox has stopped.")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

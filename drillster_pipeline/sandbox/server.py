"""Runs the sandbox: in a thread for tests and demos (:class:`Sandbox`), or in the foreground (:func:`serve`)."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from .app import Drillster
from .calendar import slot_of
from .chaos import Chaos
from .credentials import credentials_of, environment, load_or_create, process_key
from .faults import Failure, Faults, FieldFault, PageFault
from .oauth import Grants
from .organization import Organization
from .recorder import Record, Recorder
from .size import Size

logger = logging.getLogger(__name__)

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0


class Sandbox:
    """A local Drillster.

        with Sandbox(accounts=60, seed=7, now=datetime(2026, 3, 1, 0, 30, tzinfo=UTC)) as sandbox:
            requests.get(f"{sandbox.base_url}/api/2.1.1/version")

    ``now`` is the moment at which the organization is seen; None: the real clock. Tokens always go by the real clock.
    ``size`` says more than ``accounts`` alone. ``key_file`` keeps the service account's key, and with it all
    credentials, from one start to the next; without it they last as long as the process.
    """

    def __init__(
        self,
        *,
        accounts: int = 60,
        seed: int = 7,
        now: datetime | None = None,
        faults: Faults | None = None,
        size: Size | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        key_file: Path | None = None,
    ) -> None:
        self.organization = Organization(size or Size(accounts=accounts), seed)
        account_key = process_key("service account") if key_file is None else load_or_create(key_file)
        self.credentials = credentials_of(
            account_key,
            seed=seed,
            service_account_id=self.organization.service_account_id,
            organization_id=self.organization.id,
        )
        self.recorder = Recorder()
        self.now = now
        self._seed = seed
        self._grants = Grants(self.credentials, account_key.public_key(), process_key("access tokens"))
        self._app = Drillster(
            organization=self.organization, grants=self._grants, recorder=self.recorder, slot=self._slot
        )
        self.faults = faults or Faults()
        self._host = host
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    # -- what a test turns and reads -----------------------------------------------------------------------------

    @property
    def now(self) -> datetime | None:
        """The moment at which the organization is seen (aware); None: the real clock."""
        return self._now

    @now.setter
    def now(self, moment: datetime | None) -> None:
        if moment is not None and moment.tzinfo is None:
            raise ValueError("The moment of a sandbox must have a time zone.")
        self._now = moment

    def _slot(self) -> int:
        return slot_of(self._now or datetime.now(UTC))

    @property
    def faults(self) -> Faults:
        """How the sandbox misbehaves. Setting it (also to the same faults) starts all counts anew.

        Raises ValueError for a fault that could never do anything.
        """
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._app.chaos = Chaos(faults, self._seed)
        self._faults = faults

    def idle_faults(self) -> list[Failure | PageFault | FieldFault]:
        """The faults that have done nothing since they were set."""
        faults, fired = self._faults, self._app.chaos.fired
        every: list[Failure | PageFault | FieldFault] = [*faults.failures, *faults.pages, *faults.fields]
        return [fault for fault in every if id(fault) not in fired]

    def change(self, **changes: object) -> None:
        """Replaces some of the faults: ``sandbox.change(latency=0.05)``."""
        self.faults = replace(self._faults, **changes)  # type: ignore[arg-type]  # the caller names fields of Faults

    @property
    def base_url(self) -> str:
        """Where the sandbox listens, such as ``http://127.0.0.1:43210``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def requests(self) -> list[Record]:
        """Every request so far, oldest first."""
        return self.recorder.requests

    @property
    def grants(self) -> int:
        """How many tokens were handed out."""
        return self.recorder.grants

    def count(self, method: str | None = None, path: str = "*", *, query: str | None = None) -> int:
        """How many requests there were; path and query may be patterns."""
        return self.recorder.count(method, path, query=query)

    def clear(self) -> None:
        """Forgets the requests so far."""
        self.recorder.clear()

    def revoke_tokens(self) -> None:
        """Makes every token that was handed out useless."""
        self._grants.revoke_all()

    # -- starting and stopping -------------------------------------------------------------------------------------

    def _prepare(self) -> socket.socket:
        """Takes the port, so that whoever connects from now on is served as soon as the server runs."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=512)
        self._port = listener.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app,
                http=self._app.connections.protocol(),
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
        )
        return listener

    def start(self) -> Self:
        """Starts serving in a thread of its own; ready when it returns. Raises OSError where the port is taken."""
        listener = self._prepare()
        assert self._server is not None
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True
        )
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(_START_SECONDS / 0.005)):
            if self._server.started or not self._thread.is_alive():
                break
            waited.wait(0.005)
        if not self._server.started:
            raise RuntimeError(f"The sandbox did not start within {_START_SECONDS:.0f} seconds.")
        return self

    def stop(self) -> None:
        """Stops serving; requests under way are given a second."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_STOP_SECONDS)
            self._thread = None

    def run(self, ready: Callable[[Sandbox], None] | None = None) -> None:
        """Serves in this thread until it is interrupted (Ctrl-C, SIGTERM)."""
        listener = self._prepare()
        assert self._server is not None
        logger.info("The sandbox listens on %s (Ctrl-C stops it).", self.base_url)
        if ready is not None:
            ready(self)
        self._server.run(sockets=[listener])

    def environment(self) -> dict[str, str]:
        """The settings of a client of this sandbox, by the names of their environment variables."""
        return environment(self.base_url, self.credentials)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8780,
    accounts: int = 60,
    seed: int = 7,
    now: datetime | None = None,
    key_file: Path | None = None,
    size: Size | None = None,
    faults: Faults | None = None,
    ready: Callable[[Sandbox], None] | None = None,
) -> None:
    """Runs a sandbox until it is interrupted; ``ready`` is called once it has its port, before it serves.

    Raises OSError where the port is taken, ValueError where the key file or the size is wrong.
    """
    sandbox = Sandbox(
        accounts=accounts, seed=seed, now=now, faults=faults, size=size, host=host, port=port, key_file=key_file
    )
    with contextlib.suppress(KeyboardInterrupt):
        sandbox.run(ready)
    logger.info("The sandbox has stopped.")

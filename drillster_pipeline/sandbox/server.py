"""Serves the sandbox: the ASGI application, in a thread for demos and tests or in the foreground."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache, partial
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from .draws import step_of
from .endpoints import PATHS, Endpoints, Problem
from .model import Size
from .oauth import GRANT_PATH, Grants, credentials_of, load_or_create, process_key
from .organization import Json, Organization

logger = logging.getLogger(__name__)

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0
_COMPRESSED_FROM = 700
"""Bytes from which a body is compressed."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Drillster:
    """The ASGI application. ``step`` gives the moment at which the organization is shown."""

    def __init__(self, organization: Organization, grants: Grants, step: Callable[[], int]) -> None:
        self.organization, self.grants, self.step = organization, grants, step
        self.clock: Callable[[], float] = time.time
        self.request_count = 0
        self.bodies = lru_cache(maxsize=2048)(self._body)
        self._routes = Starlette(
            routes=[
                Route(GRANT_PATH, self._token, methods=["POST"]),
                *(Route(f"/api/{path}", partial(self._api, path)) for path in PATHS),
                Mount("/widgets", StaticFiles(directory=Path(__file__).with_name("widgets"), html=True)),
            ],
            middleware=[Middleware(GZipMiddleware, minimum_size=_COMPRESSED_FROM, compresslevel=1)],
            exception_handlers={Problem: self._problem},
        )
        self._routes.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        self.request_count += 1
        await self._routes(scope, receive, send)

    def answer(self, path: str, query: dict[str, str], parameters: tuple[str, ...]) -> Json:
        """What one of the PATHS answers, as a JSON value. Raises Problem."""
        endpoints = Endpoints(self.organization.snapshot(self.step()), query)
        return getattr(endpoints, PATHS[path])(*parameters)

    def response(self, status: int, body: bytes, **headers: str) -> Response:
        """A response with the headers that all of them have."""
        date = formatdate(self.clock(), usegmt=True)
        return Response(body, status, {"content-type": "application/json;charset=UTF-8", "date": date, **headers})

    def error(self, problem: Problem, **headers: str) -> Response:
        """The Error object of the API, or that of the token endpoint."""
        value = dict(zip(problem.names, (problem.id, problem.description), strict=True))
        return self.response(problem.status, _encode(value).encode(), **headers)

    def token(self, form: bytes, content_type: str, url: str) -> Json:
        """A Token object for a request to the token endpoint at the URL. Raises Refusal."""
        return self.grants.grant(form, content_type, url, self.clock())

    async def _token(self, request: Request) -> Response:
        url = f"{request.url.scheme}://{request.headers.get('host', '')}{GRANT_PATH}"
        token = self.token(await request.body(), request.headers.get("content-type", ""), url)
        return self.response(200, _encode(token).encode())

    async def _api(self, path: str, request: Request) -> Response:
        resource, parameters = PATHS[path], tuple(request.path_params.values())
        if resource != "version":
            account_id = self.grants.check(request.headers.get("authorization", ""), self.clock())
            if resource == "user":
                parameters = (account_id,)
            elif account_id != self.organization.service_account_id:
                raise Problem(403, "not_permitted", "An end user has no access to the data of the organization.")
        return self.response(200, self.bodies(self.step(), path, request.url.query, parameters))

    def _body(self, _step: int, path: str, query: str, parameters: tuple[str, ...]) -> bytes:
        return _encode(self.answer(path, dict(parse_qsl(query, keep_blank_values=True)), parameters)).encode()

    async def _problem(self, _: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        return self.error(problem)


class Sandbox:
    """A local Drillster.

        with Sandbox(accounts=60, seed=7, now=datetime(2026, 3, 1, 0, 30, tzinfo=UTC)) as sandbox:
            requests.get(f"{sandbox.base_url}/api/2.1.1/version")

    ``now`` is the (aware) moment at which the organization is shown; None: the real clock. Tokens go by the real
    clock. ``size`` says more than ``accounts`` alone. ``key_file`` keeps the service account's key, and with it all
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
        key = process_key() if key_file is None else load_or_create(key_file)
        self.credentials = credentials_of(key, self.organization.service_account_id, self.organization.id)
        self.now = now
        self.app = self.application(Grants(self.credentials, key.public_key(), self._manages))
        self._host, self._port = host, port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def application(self, grants: Grants) -> Drillster:
        """What answers the requests."""
        return Drillster(self.organization, grants, self._step)

    def _manages(self, account_id: str) -> bool:
        account = self.organization.snapshot(self._step()).account(account_id)
        return account is not None and "ACCOUNT" in account["relationTypes"]

    def _step(self) -> int:
        return step_of(self.now or datetime.now(UTC))

    @property
    def base_url(self) -> str:
        """Where the sandbox listens, such as ``http://127.0.0.1:43210``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def grants(self) -> int:
        """How many tokens were issued."""
        return self.app.grants.count

    @property
    def request_count(self) -> int:
        """How many requests were answered."""
        return self.app.request_count

    def environment(self) -> dict[str, str]:
        """The settings of a client of this sandbox, by the names of their environment variables."""
        return {
            "DRILLSTER_BASE_URL": self.base_url,
            "DRILLSTER_CLIENT_ID": self.credentials.client_id,
            "DRILLSTER_CLIENT_SECRET": self.credentials.client_secret,
            "DRILLSTER_SERVICE_ACCOUNT_ID": self.credentials.service_account_id,
            "DRILLSTER_PRIVATE_KEY": self.credentials.private_key,
        }

    # -- starting and stopping -----------------------------------------------------------------------------------

    def _prepare(self) -> tuple[uvicorn.Server, socket.socket]:
        """Take the port: from now on, a client that connects is served as soon as the server runs."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=512)
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self.app,
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config), listener

    def start(self) -> Self:
        """Start serving in a thread of its own; ready when it returns. Raises OSError where the port is taken."""
        self._server, listener = self._prepare()
        serve = partial(self._server.run, sockets=[listener])
        self._thread = threading.Thread(target=serve, name="sandbox", daemon=True)
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

    def run(self, ready: Callable[[Sandbox], None]) -> None:
        """Serve in this thread until it is interrupted (Ctrl-C, SIGTERM); ``ready`` is called once the port is open."""
        server, listener = self._prepare()
        logger.info("The sandbox listens on %s (Ctrl-C stops it).", self.base_url)
        ready(self)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
        logger.info("The sandbox has stopped.")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

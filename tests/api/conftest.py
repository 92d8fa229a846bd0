"""What the tests of the API's client share: a key, a clock that they set, and a Drillster that plays a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from drillster_pipeline.api.auth import TokenEndpoint
from drillster_pipeline.api.client import Client
from drillster_pipeline.api.retry import Backoff
from drillster_pipeline.api.tokens import TokenSource
from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.settings import Settings, load_settings
from tests.drillster import Sandbox
from tests.support.scripted import Reply, Request, ScriptedServer, json_reply

from .crawling import MOMENT, SMALL, Crawls, calm, forget_tokens

CLIENT_ID = "5f3c1b2a9d8e7f605f3c1b2a9d8e7f60"
CLIENT_SECRET = "0c9d5a7b1e3f4d2860c9d5a7b1e3f4d2"
SERVICE_ACCOUNT = "iqKp0000000000000000AA"
TOKEN_PATH = "/daas/oauth/token"


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def private_key(rsa_key: rsa.RSAPrivateKey) -> str:
    return rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def together(number: int, work: Callable[[], Any]) -> list[Any]:
    """What ``work`` gives in so many threads that start at the same moment."""
    barrier = threading.Barrier(number)

    def run() -> Any:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(number) as threads:
        return [future.result() for future in [threads.submit(run) for _ in range(number)]]


class FakeTime:
    """A clock that only sleeping moves, for one thread or for several that take turns."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.seconds += seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 12, tzinfo=UTC) + timedelta(seconds=self.seconds - 1_000.0)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


class Drillster(ScriptedServer):
    """Checks assertions and issues tokens; everything else is up to ``api``."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        super().__init__(self._answer)
        self.api: Callable[[Request], Reply] = lambda _: json_reply({"groups": []})
        self.grant: Callable[[Request], Reply] | None = None
        """Answers token requests in place of a new token."""
        self.expires_in: object = 7199
        self._public_key = key.public_key()
        self._issued = 0
        self._lock = threading.Lock()

    @property
    def grants(self) -> int:
        """Token requests that arrived."""
        return sum(request.path == TOKEN_PATH for request in list(self.requests))

    @property
    def calls(self) -> list[Request]:
        """Requests to the API itself."""
        return [request for request in list(self.requests) if request.path != TOKEN_PATH]

    def issue(self, request: Request) -> Reply:
        jwt.decode(
            request.form["assertion"],
            self._public_key,
            algorithms=["RS256"],
            audience=self.url + TOKEN_PATH,
            options={"verify_exp": False, "verify_iat": False},
        )
        with self._lock:
            self._issued += 1
            number = self._issued
        return json_reply({"access_token": f"token-{number}", "token_type": "bearer", "expires_in": self.expires_in})

    def _answer(self, request: Request) -> Reply:
        if request.path == TOKEN_PATH:
            return (self.grant or self.issue)(request)
        return self.api(request)


@pytest.fixture
def drillster(rsa_key: rsa.RSAPrivateKey) -> Iterator[Drillster]:
    with Drillster(rsa_key) as server:
        yield server


@pytest.fixture
def settings(drillster: Drillster, private_key: str) -> Settings:
    return load_settings(
        {
            "DRILLSTER_BASE_URL": drillster.url,
            "DRILLSTER_CLIENT_ID": CLIENT_ID,
            "DRILLSTER_CLIENT_SECRET": CLIENT_SECRET,
            "DRILLSTER_SERVICE_ACCOUNT_ID": SERVICE_ACCOUNT,
            "DRILLSTER_PRIVATE_KEY": private_key,
            "DRILLSTER_ARCHIVE_URL": "-",
            "DRILLSTER_WAREHOUSE_URL": "sqlite://",
        }
    )


@pytest.fixture
def make_tokens(settings: Settings) -> Iterator[Callable[..., TokenSource]]:
    """Makes token sources for the scripted Drillster, and closes them after the test."""
    with ExitStack() as stack:

        def make(**options: Any) -> TokenSource:
            of_endpoint = {name: options.pop(name) for name in ("clock", "now", "response_seconds") if name in options}
            # Waits may be none at all here, and then time ends nothing.
            usual = {"backoff": Backoff(attempts=8)}
            return stack.enter_context(TokenSource(TokenEndpoint(settings, **of_endpoint), **{**usual, **options}))

        yield make


@pytest.fixture
def make_client(drillster: Drillster, make_tokens: Callable[..., TokenSource]) -> Iterator[Callable[..., Client]]:
    """Makes clients for the scripted Drillster, and closes them after the test."""
    with ExitStack() as stack:

        def make(**options: Any) -> Client:
            usual = {"random": lambda: 0.0, "backoff": Backoff(attempts=20)}
            tokens = options.pop("tokens", None) or make_tokens()
            return stack.enter_context(Client(base_url=drillster.url, tokens=tokens, **{**usual, **options}))

        yield make


@pytest.fixture
def source(make_tokens: Callable[..., TokenSource], fake_time: FakeTime) -> TokenSource:
    """A source on a clock that the test sets."""
    return make_tokens(clock=fake_time.clock, sleep=fake_time.sleep, now=fake_time.now, random=lambda: 0.0)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=SMALL, seed=81, now=MOMENT) as running:
        yield running
        forget_tokens(running)


@pytest.fixture
def crawls(sandbox: Sandbox, tmp_path: Path) -> Crawls:
    calm(sandbox)
    return Crawls(sandbox, Archive(str(tmp_path)))


@pytest.fixture
def groups(sandbox: Sandbox) -> list[str]:
    return [group.id for group in sandbox.organization.at(MOMENT).present_groups()]


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without proxies and authorities of the machine that the tests run on."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

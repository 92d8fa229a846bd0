"""A plain client of the sandbox: requests and PyJWT, nothing of the product."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.drillster import Sandbox

NOW = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

_loaded = cache(load_pem_private_key)
"""A key is checked when it is loaded, which takes longer than anything else that a test does."""


class Caller:
    """Talks to one sandbox, with one token. ``...`` as a value leaves a claim or parameter out."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.token: str | None = None

    # -- tokens

    @property
    def token_url(self) -> str:
        return f"{self.sandbox.base_url}/daas/oauth/token"

    def claims(self, **changes: Any) -> dict[str, Any]:
        now, account = int(time.time()), self.sandbox.credentials.service_account_id
        claims = {"iss": account, "sub": account, "aud": self.token_url, "iat": now, "exp": now + 60}
        claims |= {"jti": str(uuid.uuid4()), **changes}
        return {name: value for name, value in claims.items() if value is not ...}

    def assertion(self, *, key: Any = None, algorithm: str = "RS256", **changes: Any) -> str:
        key = key or _loaded(self.sandbox.credentials.private_key.encode(), None)
        return jwt.encode(self.claims(**changes), key, algorithm=algorithm)

    def form(self, **changes: Any) -> dict[str, str]:
        credentials = self.sandbox.credentials
        fields = {"client_id": credentials.client_id, "client_secret": credentials.client_secret, "grant_type": GRANT}
        fields |= {"assertion": self.assertion(), **changes}
        return {name: value for name, value in fields.items() if value is not ...}

    def grant(self, **changes: Any) -> requests.Response:
        return self.session.post(self.token_url, data=self.form(**changes), timeout=20)

    def fresh_token(self) -> str:
        answer = self.grant()
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["access_token"]
        return self.token

    # -- the API

    def call(
        self,
        path: str,
        *,
        version: str = "2.1.1",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> requests.Response:
        if headers is None:
            headers = {"Authorization": f"Bearer {self.token or self.fresh_token()}"}
        url = f"{self.sandbox.base_url}/api/{version}/{path}"
        return self.session.request(method, url, params=query, headers=headers, timeout=20, allow_redirects=False)

    def get(self, path: str, **query: Any) -> Any:
        answer = self.call(path, **query)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def cursor_pages(self, path: str, name: str, *, most: int = 1000, **query: Any) -> Iterator[list[Any]]:
        for _ in range(most):
            body = self.get(path, **query)
            yield body[name]
            if not body["pagination"]["moreAvailable"]:
                return
            query["resultFrom"] = body["pagination"]["lastOnPage"]
        raise AssertionError(f"{path}: more than {most} pages")

    def every(self, path: str, name: str, **query: Any) -> list[Any]:
        return [item for page in self.cursor_pages(path, name, **{"resultSize": 100} | query) for item in page]


Start = Callable[..., Caller]

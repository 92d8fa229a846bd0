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
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.drillster import Sandbox

NIGHT = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@cache
def loaded(pem: str) -> RSAPrivateKey:
    """A key is checked when it is loaded, which takes longer than anything else that a test does."""
    key = load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, RSAPrivateKey)
    return key


class Caller:
    """Talks to one sandbox, with one token."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.token: str | None = None

    def close(self) -> None:
        self.session.close()

    # -- tokens

    @property
    def token_url(self) -> str:
        return f"{self.sandbox.base_url}/daas/oauth/token"

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        account = self.sandbox.credentials.service_account_id
        claims = {
            "iss": account,
            "sub": account,
            "aud": self.token_url,
            "iat": now,
            "exp": now + 60,
            "jti": str(uuid.uuid4()),
        }
        claims |= changes
        return {name: value for name, value in claims.items() if value is not ...}

    def assertion(self, *, key: Any = None, algorithm: str = "RS256", **changes: Any) -> str:
        return jwt.encode(
            self.claims(**changes), key or loaded(self.sandbox.credentials.private_key), algorithm=algorithm
        )

    def form(self, **changes: Any) -> dict[str, str]:
        fields = {
            "client_id": self.sandbox.credentials.client_id,
            "client_secret": self.sandbox.credentials.client_secret,
            "grant_type": GRANT,
        }
        if "assertion" not in changes:
            fields["assertion"] = self.assertion()
        return {name: value for name, value in (fields | changes).items() if value is not ...}

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
        return self.session.request(
            method,
            f"{self.sandbox.base_url}/api/{version}/{path}",
            params=query,
            headers=headers,
            timeout=20,
            allow_redirects=False,
        )

    def get(self, path: str, *, version: str = "2.1.1", **query: Any) -> Any:
        answer = self.call(path, version=version, **query)
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

    def groups(self) -> list[Any]:
        return self.every("groups", "groups")


class Paths:
    """Where the resources of a sandbox are, those of its largest group: path, and the name of the list."""

    def __init__(self, caller: Caller) -> None:
        seen = caller.sandbox.organization.at(NIGHT)
        group = max(seen.present_groups(), key=lambda one: len(seen.memberships(one)))
        objectives = seen.objectives(group)
        permanent = next(one for one in objectives if one.type == "PERMANENT")
        self.busiest = max(objectives, key=lambda one: len(seen.events(one, 0, seen.moment).things))
        self.group = group.id
        account = seen.learners(group)[0].stay.id
        self.lists = {
            "accounts": ("organizations/self/accounts", "accounts"),
            "catalogs": ("organization/self/catalogs", "catalogs"),
            "catalog_content": (f"catalog/{seen.catalogs()[0].id}/content", "playables"),
            "groups": ("groups", "groups"),
            "group_members": (f"group/{group.id}/members", "members"),
            "objective_evaluations": (f"group/{group.id}/objective/{permanent.id}/evaluations", "evaluations"),
            "objective_events": (f"objectives/{self.busiest.id}/events?fromDate=2024-01-01", "events"),
            "results": (f"group/{group.id}/member-results/{account}", "groupDrillableMemberResults"),
            "group_drillables": (f"group/{group.id}/drillables", "drillables"),
            "group_staff": (f"group/{group.id}/staff", "groupStaffUsers"),
            "objectives": (f"group/{group.id}/objectives", "objectives"),
            "test_results": (f"group/{group.id}/test-results/{group.tests[0].id}", "memberTestResults"),
        }
        self.paths = {name: path for name, (path, _) in self.lists.items()} | {
            "organization": "organization",
            "group": f"group/{group.id}",
            "catalog": f"catalog/{seen.catalogs()[0].id}",
        }


BY_CURSOR = (
    "accounts", "catalogs", "catalog_content", "groups", "group_members", "objective_evaluations", "objective_events",
    "results",
)  # fmt: skip
BY_INDEX = ("group_drillables", "group_staff", "objectives", "test_results")


Start = Callable[..., Caller]

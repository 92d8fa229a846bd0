"""A Drillster on a real socket that is scripted answer by answer, and remembers every byte that it said."""

from __future__ import annotations

import json
import re
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.api.scripted import Reply, Request, ScriptedServer, json_reply

from .forms import PLAIN, Forms, Refusal, Speaker
from .mutations import Mutation
from .truth import Truth

ROUTES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("organization", "organization", r"organization", ()),
    ("accounts", "accounts", r"organizations/self/accounts", ()),
    ("catalogs", "catalogs", r"organization/self/catalogs", ()),
    ("catalog", "catalogs", r"catalog/([^/]+)", ("catalog_id",)),
    ("catalog_content", "catalog_content", r"catalog/([^/]+)/content", ("catalog_id",)),
    ("groups", "groups", r"groups", ()),
    ("group", "groups", r"group/([^/]+)", ("group_id",)),
    ("group_members", "group_members", r"group/([^/]+)/members", ("group_id",)),
    ("group_staff", "group_staff", r"group/([^/]+)/staff", ("group_id",)),
    ("group_drillables", "group_drillables", r"group/([^/]+)/drillables", ("group_id",)),
    ("objectives", "objectives", r"group/([^/]+)/objectives", ("group_id",)),
    (
        "objective_evaluations",
        "objective_evaluations",
        r"group/([^/]+)/objective/([^/]+)/evaluations",
        ("group_id", "objective_id"),
    ),
    ("results", "results", r"group/([^/]+)/member-results/([^/]+)", ("group_id", "account_id")),
    ("test_results", "test_results", r"group/([^/]+)/test-results/([^/]+)", ("group_id", "test_id")),
    ("objective_events", "objective_events", r"objectives/([^/]+)/events", ("objective_id",)),
)
"""Endpoint, resource, path, and the names of its parameters."""
MOST_REQUESTS = 3_000
"""A walk that asks for more than this never ends."""


@dataclass(frozen=True)
class Said:
    """An answer that was given, with status 200."""

    endpoint: str
    resource: str
    unit: dict[str, str]
    body: bytes
    """As it is decompressed."""
    mutated: bool


@dataclass
class Script:
    """What is answered: an organization in a form, changed by mutations."""

    truth: Truth
    form: Forms = PLAIN
    mutations: Sequence[Mutation] = ()
    closed: frozenset[str] = frozenset()
    """Groups that answer 403 to everything, and are not listed."""
    unlisted: frozenset[str] = frozenset()
    """Groups that are left out of the list."""


@dataclass
class Tale:
    """What was asked and said under one script."""

    said: list[Said] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    endless: bool = False


class FuzzedDrillster(ScriptedServer):
    """Issues tokens to anybody; answers as its ``script`` says."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self._lock = threading.Lock()
        self.play(Script(Truth([], [], [])))

    def play(self, script: Script) -> Tale:
        """Answer by another script from now on; what is asked goes into the tale."""
        self.script, self.tale = script, Tale()
        self._speaker = Speaker(script.truth, script.form)
        self._times: dict[str, int] = {}
        self.requests.clear()
        return self.tale

    def _answer(self, request: Request) -> Reply:
        if request.path.endswith("/oauth/token"):
            return json_reply({"access_token": "fuzzed", "token_type": "bearer", "expires_in": 7199})
        with self._lock:
            return self._api(request)

    def _api(self, request: Request) -> Reply:
        tale = self.tale
        tale.requests.append(request.target)
        if len(tale.requests) > MOST_REQUESTS:
            tale.endless = True
            return Reply(status=403)
        for endpoint, resource, pattern, names in ROUTES:
            match = re.fullmatch(f"/api/2.1.1/{pattern}", request.path)
            if match is not None:
                ids = [unquote(part, errors="surrogatepass") for part in match.groups()]
                return self._say(request, endpoint, resource, dict(zip(names, ids, strict=True)))
        return self._refuse(404, "not_found")

    def _say(self, request: Request, endpoint: str, resource: str, unit: dict[str, str]) -> Reply:
        times = self._times[request.target] = self._times.get(request.target, 0) + 1
        if unit.get("group_id") in self.script.closed:
            return self._refuse(403, "no_group_access")
        try:
            body = self._speaker.answer(endpoint, list(unit.values()), request.query)
        except Refusal as refusal:
            return self._refuse(refusal.status, refusal.identifier)
        if endpoint == "groups":
            hidden = self.script.closed | self.script.unlisted
            body["groups"] = [group for group in body["groups"] if group["id"] not in hidden]
        reply, mutated = Reply(body=json.dumps(body, ensure_ascii=False).encode()), False
        number = zlib.crc32(request.path.encode())
        for mutation in self.script.mutations:
            if mutation.meets(endpoint, number, times):
                reply, mutated = mutation.apply(reply, request.query), True
        plain = _plain(reply) if reply.status == 200 else None
        if plain is not None:
            self.tale.said.append(Said(endpoint, resource, unit, plain, mutated))
        return reply

    def _refuse(self, status: int, identifier: str) -> Reply:
        form = self.script.form.errors
        if form == "drillster":
            return json_reply({"id": identifier, "description": "no"}, status=status)
        if form == "oauth":
            return json_reply({"error": identifier, "error_description": "no"}, status=status)
        return Reply(status=status, body=b"<html>no</html>" if form == "html" else b"")


def _plain(reply: Reply) -> bytes | None:
    """The body as it is decompressed; None where that fails."""
    if reply.headers.get("Content-Encoding") != "gzip":
        return reply.body
    unpacked = zlib.decompressobj(wbits=31)
    try:
        body = unpacked.decompress(reply.body)
    except zlib.error:
        return None
    return body if unpacked.eof else None


def value_of(said: Said) -> Any:
    """The JSON that was said; ValueError where it is none (RFC 8259)."""
    return json.loads(said.body.decode(json.detect_encoding(said.body)), parse_constant=_refuse)


def _refuse(_: str) -> Any:
    raise ValueError

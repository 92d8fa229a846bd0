"""A file to attach to a question: everything that was found, in which nothing tells who asks or who is in it.

It holds findings, versions, the settings by name, and the shape of every page with each value replaced by its type.
Whatever is known to be secret or to point to somebody's machine is taken out of every text once more at the end, as
an error may name a path, a host or a role.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from drillster_pipeline.privacy.names import without_addresses
from drillster_pipeline.response_shapes import Json
from drillster_pipeline.settings import SETTINGS

from .environment import surroundings
from .settings import shown_settings
from .shapes import Names, shape_of

if TYPE_CHECKING:
    from pydantic import SecretStr

    from drillster_pipeline.settings import Settings

    from .run import Examination

_SHORTEST = 4
"""Characters of a host, role or the like that is looked for in texts: shorter ones stand in ordinary words."""
_WORDS = frozenset(
    {
        "warehouse",
        "drillster",
        "postgres",
        "postgresql",
        "mysql",
        "mariadb",
        "sqlite",
        "data",
        "archive",
        "reports",
        "root",
        "public",
        "localhost",
        "127.0.0.1",
        "loader",
        "snapshot",
        "events",
        "tables",
        "groups",
        "accounts",
        "main",
        "home",
        "runner",
        "user",
        "self",
        "nights",
        "admin",
        "test",
        "www.drillster.com",
    }
)
"""What tells nothing of anybody, and stands in our own sentences."""
_DEFAULTS = frozenset(setting.default for setting in SETTINGS)
_READ_ME = """\
This was written by `drillster-pipeline check --bundle`, to be attached to a question.

findings.json       what was tried, what was found, what to do (docs/check.md describes it)
settings.json       every setting by name; secrets only by their length, ids only by the start of their SHA-256
versions.json       of the program, Python, the system and the packages that the program uses
shapes.json         a page of each endpoint, with every value replaced by its type; `*` is a key that may be data
loads.json          the newest loads in the warehouse: kind, dates, version
dagster.json        where Dagster keeps its runs, by kind

It holds no secret, no token and no value of an answer. Read it before you send it all the same.
"""


def write_bundle(path: Path, examination: Examination, dagster: Mapping[str, Any] | None = None) -> None:
    """Write the file, for its owner to read. Raises OSError where it can't be written."""
    settings = examination.settings
    assert settings is not None
    scrub = Scrubber(examination.environ, settings)
    parts = {
        "findings.json": examination.report.as_json(),
        "settings.json": shown_settings(examination.environ, settings),
        "versions.json": surroundings(),
        "shapes.json": _shapes(examination),
        "loads.json": [{name: str(value) for name, value in load.items()} for load in examination.report.loads],
        "dagster.json": dict(dagster or {}),
    }
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", _READ_ME)
        for name, content in parts.items():
            archive.writestr(name, json.dumps(scrub.scrubbed(content), indent=1, ensure_ascii=False))


def _shapes(examination: Examination) -> dict[str, Any]:
    names = Names()
    for probed in examination.report.endpoints:
        for page in probed.pages:
            names.learn(page.body)
    return {
        probed.path: shape_of([page.body for page in probed.pages], names).as_json()
        for probed in examination.report.endpoints
        if probed.pages
    }


class Scrubber:
    """Takes out of texts what may not be shown: secrets, ids, and what points to a machine or a person."""

    def __init__(self, environ: Mapping[str, str], settings: Settings) -> None:
        replaced: dict[str, str] = {}
        for what, values in (
            ("a secret", _secrets(settings)),
            ("an id", _ids(settings)),
            ("an address", _addresses(settings)),
            ("a path", _paths(environ)),
            ("a name", _names()),
        ):
            for value in values:
                if len(value) >= _SHORTEST and value.lower() not in _WORDS and value not in _DEFAULTS:
                    replaced.setdefault(value, f"<{what}>")
        self._replaced = replaced
        longest_first = sorted(replaced, key=len, reverse=True)
        self._pattern = re.compile(
            "|".join(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])" for value in longest_first) or r"(?!)"
        )

    def scrubbed(self, value: Json) -> Json:
        """The same, with every text cleaned; keys are names of our own, or were looked at before."""
        if isinstance(value, str):
            found = self._pattern.sub(lambda match: self._replaced[match[0]], value)
            return without_addresses(found, lambda _: "<an e-mail address>")
        if isinstance(value, list):
            return [self.scrubbed(inner) for inner in value]
        if isinstance(value, dict):
            return {name: self.scrubbed(inner) for name, inner in value.items()}
        return value


def _secrets(settings: Settings) -> Iterable[str]:
    for secret in (
        settings.client_secret,
        settings.private_key,
        settings.pseudonym_key,
        *_alert_urls(settings),
        settings.warehouse_url,
        settings.archive_url,
    ):
        if secret:
            yield secret.get_secret_value()
            yield from (line for line in secret.get_secret_value().splitlines() if len(line) > 20)


def _alert_urls(settings: Settings) -> Iterable[SecretStr | None]:
    return (settings.alert_webhook, *settings.alert_urls, settings.heartbeat_url)


def _ids(settings: Settings) -> Iterable[str]:
    yield from (settings.client_id, settings.service_account_id, settings.organization_id)


def _addresses(settings: Settings) -> Iterable[str]:
    """Hosts, users, passwords, databases and buckets."""
    for secret in (settings.warehouse_url, settings.archive_url, settings.reports_folder, *_alert_urls(settings)):
        if not secret:
            continue
        try:
            parts = urlsplit(secret.get_secret_value())
            found = [parts.hostname, parts.netloc, parts.username, parts.password, parts.path.strip("/")]
        except ValueError:
            continue
        for value in filter(None, found):
            yield from {value, unquote(value)}
        yield from (piece for piece in unquote(parts.path).split("/") if piece)
    if settings.warehouse_schema:
        yield settings.warehouse_schema


def _paths(environ: Mapping[str, str]) -> Iterable[str]:
    yield str(Path.home())
    yield str(Path.cwd())
    for name in ("DRILLSTER_PRIVATE_KEY_FILE", "DRILLSTER_REPORTS_FOLDER", "DAGSTER_HOME"):
        if value := environ.get(name, "").strip():
            yield value


def _names() -> Iterable[str]:
    """Of whoever runs this, and of the machine."""
    yield platform.node()
    try:
        yield getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in some containers
        return

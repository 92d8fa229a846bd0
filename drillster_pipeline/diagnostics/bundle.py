"""A file to attach to a question: all results, without a secret, a personal value, or a name of a machine.

It has the report, versions, the settings by name, and the shape of every page with each value replaced by its type.
Every text is searched once more at the end for what is known to be secret or to belong to somebody, since an error
may name a path, a host or a role.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from drillster_pipeline import __version__
from drillster_pipeline.extract.unknown_fields import ANSWERS, ITEMS
from drillster_pipeline.privacy.names import without_addresses
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.response_shapes import Json, field_name
from drillster_pipeline.settings import SETTINGS

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

    from .report import DiagnosticsReport

HIDDEN = "*"
MOST_UNKNOWN_KEYS = 12
"""Unknown fields of one object that are shown; one with more is a map, and its keys are data."""
_SHORTEST = 4
"""Characters of a host, a role or the like that is searched for: shorter ones are parts of ordinary words."""
_COMMON_WORDS = re.compile(
    "warehouse|drillster|postgres|postgresql|mysql|mariadb|sqlite|data|archive|reports|root|public|localhost|127.0.0.1|"
    "loader|snapshot|events|tables|groups|accounts|main|home|runner|user|self|nights|runs|admin|test|www.drillster.com",
    re.IGNORECASE,
)
"""These belong to nobody, and occur in our own sentences."""
_READ_ME = """\
This was written by `drillster-pipeline check --bundle`, to be attached to a question.

report.json         what was tried, what was found, what to do (docs/check.md describes it)
settings.json       every setting by name; choices and numbers as they are, anything else by its kind and length
versions.json       of the program, Python, the system and the packages that the program uses
shapes.json         a page of each endpoint, with every value replaced by its type; `*` is a key that may be data
loads.json          the newest loads in the warehouse: kind, dates, version
dagster.json        where Dagster keeps its runs, by kind

It has no secret, no token and no value of a response. Read it before you send it all the same.
"""


def write_bundle(path: Path, report: DiagnosticsReport, environ: Mapping[str, str], settings: Settings) -> None:
    """Write the file, readable by its owner only. Raises OSError where it can't be written."""
    keys = KeyFilter(body for bodies in report.pages.values() for body in bodies)
    parts = {
        "report.json": report.as_json(),
        "settings.json": _shown_settings(environ),
        "versions.json": _versions(),
        "shapes.json": {path: shape_of(bodies, keys) for path, bodies in report.pages.items() if bodies},
        "loads.json": [{name: str(value) for name, value in load.items()} for load in report.loads],
        "dagster.json": report.dagster,
    }
    scrubber = Scrubber(environ, settings)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", _READ_ME)
        for name, content in parts.items():
            archive.writestr(name, json.dumps(scrubber.scrubbed(content), indent=1, ensure_ascii=False))


def _shown_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Every setting by name: numbers, dates and choices as they are, of a URL its scheme, else only the length."""
    shown = {}
    for setting in SETTINGS:
        value = environ.get(setting.name, "").strip()
        scheme = re.match(r"[a-z][a-z0-9+]{1,30}://", value)
        if not value:
            shown[setting.name] = f"default ({setting.default or '-'})"
        elif re.fullmatch(r"[0-9.:-]{1,12}|yes|no|true|false|self|keep|pseudonymize|drop|[A-Z]\w+/\w+", value):
            shown[setting.name] = value
        else:
            shown[setting.name] = f"{scheme[0] if scheme else ''}… ({len(value)} characters)"
    return shown


def _versions() -> dict[str, Any]:
    """Versions of the program, Python, the system, and the packages that the program requires."""
    required = [line.partition(";")[0] for line in metadata.requires("drillster-pipeline") or []]
    names = {match[0] for line in required if (match := re.match(r"[A-Za-z0-9._-]+", line))}
    packages = {}
    for name in sorted(names):
        with suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    return {
        "program": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "packages": packages,
    }


def _names_in(fields: Any) -> Iterator[str]:
    for each in fields if isinstance(fields, list) else [fields]:
        for name, inside in each.items() if isinstance(each, Mapping) else ():
            yield name
            yield from _names_in(inside)


DOCUMENTED = frozenset(
    name for fields in (*ITEMS.values(), *ANSWERS.values()) for name in _names_in(fields)
) | frozenset(name for each in RESOURCES.values() for name in (*each.list_names, *each.other_lists))
"""Names of fields in the documentation: these are never data."""


class KeyFilter:
    """Decides which keys of objects may be shown, as an object may be used as a map, whose keys are data.

    A key that is no documented field is shown only if it looks like the name of a field, and is no word of a name,
    address or key of a person in these pages.
    """

    _OF_THINGS = frozenset({"name", "realName", "emailAddress", "title", "customReference", "reference", "thirdParty"})
    _OF_KEYS = "thirdPartyIds"

    def __init__(self, bodies: Iterable[Json]) -> None:
        self._words: set[str] = set()
        for body in bodies:
            self._add_words(body, "")

    def _add_words(self, value: Json, place: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                self._add_words(inner, place if place == self._OF_KEYS else name)
        elif isinstance(value, list):
            for inner in value:
                self._add_words(inner, place)
        elif isinstance(value, str) and (place in self._OF_THINGS or place == self._OF_KEYS):
            self._words.update(word.casefold() for word in re.findall(r"\w+", value))

    def shown(self, name: str) -> str:
        """The key, or ``*``."""
        if name in DOCUMENTED:
            return name
        return HIDDEN if name.casefold() in self._words else field_name(name)

    def shown_path(self, path: str) -> str:
        """The same for a path such as ``accounts[].account.nickname``."""
        parts = [(part.removesuffix("[]"), part.endswith("[]")) for part in path.split(".")]
        return ".".join(f"{self.shown(name)}{'[]' if is_list else ''}" for name, is_list in parts)


def shape_of(values: list[Json], keys: KeyFilter) -> Json:
    """Types in place of values; a field that not every object has ends in ``?``, a list is a list of one."""
    objects = [value for value in values if isinstance(value, dict)]
    lists = [value for value in values if isinstance(value, list)]
    forms: list[Json] = []
    if objects:
        by_key: dict[str, list[Json]] = defaultdict(list)
        for value in objects:
            is_map = sum(name not in DOCUMENTED for name in value) > MOST_UNKNOWN_KEYS
            for name, inner in value.items():
                by_key[HIDDEN if is_map and name not in DOCUMENTED else keys.shown(name)].append(inner)
        forms.append(
            {
                f"{name}{'' if len(inner) >= len(objects) else '?'}": shape_of(inner, keys)
                for name, inner in sorted(by_key.items())
            }
        )
    if lists:
        items = [item for value in lists for item in value]
        forms.append([shape_of(items, keys)] if items else [])
    if types := {_type_of(value) for value in values if not isinstance(value, (dict, list))}:
        forms.append(" | ".join(sorted(types)))
    return forms[0] if len(forms) == 1 else {"any of": forms}


def _type_of(value: Json) -> str:
    if isinstance(value, str):
        if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)", value):
            return "timestamp"
        return "text of digits" if value.isascii() and value.isdecimal() else "text" if value else "empty text"
    return {type(None): "null", bool: "true or false", int: "integer"}.get(type(value), "number")


class Scrubber:
    """Replaces in texts what may not be shown: secrets, ids, and what belongs to a machine or a person."""

    def __init__(self, environ: Mapping[str, str], settings: Settings) -> None:
        defaults = {setting.default for setting in SETTINGS}
        hidden = {
            value
            for value in (*_values_of(settings), *_values_of_machine(environ))
            if len(value) >= _SHORTEST and not _COMMON_WORDS.fullmatch(value) and value not in defaults
        }
        longest_first = sorted(map(re.escape, hidden), key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(longest_first)})(?![A-Za-z0-9])")

    def scrubbed(self, value: Json) -> Json:
        """The same, with every text cleaned; keys are our own, or passed a :class:`KeyFilter`."""
        if isinstance(value, str):
            return without_addresses(self._pattern.sub("<hidden>", value), lambda _: "<hidden>")
        if isinstance(value, list):
            return [self.scrubbed(inner) for inner in value]
        if isinstance(value, dict):
            return {name: self.scrubbed(inner) for name, inner in value.items()}
        return value


def _values_of(settings: Settings) -> Iterator[str]:
    """Secrets, ids, and the hosts, users, passwords, databases and folders in URLs."""
    yield from (settings.client_id, settings.service_account_id, settings.organization_id)
    yield from (settings.warehouse_schema or "", settings.private_key_file, *settings.owners)
    for _, field in settings:
        for secret in field if isinstance(field, tuple) else (field,):
            if isinstance(secret, SecretStr):
                text = secret.get_secret_value()
                yield text
                yield from (line for line in text.splitlines() if len(line) > 20)
                yield from _parts_of_url(text)


def _parts_of_url(text: str) -> Iterator[str]:
    try:
        parts = urlsplit(text)
        found = [parts.hostname, parts.netloc, parts.username, parts.password, parts.path.strip("/")]
    except ValueError:
        return
    for value in filter(None, found):
        yield from (value, unquote(value))
    yield from unquote(parts.path).split("/")


def _values_of_machine(environ: Mapping[str, str]) -> Iterator[str]:
    yield from (str(Path.home()), str(Path.cwd()), environ.get("DAGSTER_HOME", "").strip(), platform.node())
    try:
        yield getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in some containers
        return

"""The settings: which are wrong, which are none at all, which files others may read; and how to show them."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from drillster_pipeline.settings import SETTINGS, is_loopback, read_settings

from .report import Notes, Part, Status

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

NAMES = tuple(setting.name for setting in SETTINGS)
_OUR_NAME = re.compile(r"DRILLSTER_[A-Z0-9_]{1,40}")
_FOREIGN = ("DRILLSTER_TEST_",)
_SETTINGS_ERROR = 2


def examine_settings(notes: Notes, environ: Mapping[str, str]) -> tuple[Settings, frozenset[str]]:
    """Note what is wrong; gives the settings, and the names of those that are wrong (they have their defaults)."""
    settings, problems = read_settings(environ)
    tried = "environment and .env"
    wrong = set()
    for problem in problems:
        name, _, complaint = problem.partition(" ")
        wrong.add(name)
        notes.note(Part.SETTINGS, name, Status.FAILED, _sentence(complaint), tried=tried, exit_code=_SETTINGS_ERROR)
    given = [name for name in NAMES if environ.get(name, "").strip()]
    if not problems:
        found = f"{len(given)} are set, {len(NAMES) - len(given)} have their defaults; none is wrong"
        notes.note(Part.SETTINGS, "settings", Status.OK, found, tried=tried)
    for name in _misspelled(environ):
        near = difflib.get_close_matches(name, NAMES, n=1)
        advice = f"Did you mean {near[0]}?" if near else "docs/settings.md lists them all."
        notes.note(
            Part.SETTINGS, name, Status.WARNING, "is no setting, and nothing reads it.", tried=tried, advice=advice
        )
    for name, path in _secret_files(environ):
        notes.note(
            Part.SETTINGS,
            name,
            Status.WARNING,
            "every user of this machine may read that file, and it holds secrets.",
            tried=tried,
            advice=f"chmod 600 {path}",
        )
    return settings, frozenset(wrong)


def _sentence(complaint: str) -> str:
    return complaint if complaint.endswith(".") else f"{complaint}."


def _misspelled(environ: Mapping[str, str]) -> list[str]:
    return sorted(
        name for name in environ if _OUR_NAME.fullmatch(name) and name not in NAMES and not name.startswith(_FOREIGN)
    )


def _secret_files(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Files with secrets that are ours and that everybody may read, each with what to call it."""
    if not hasattr(os, "getuid") or os.getuid() == 0:  # in a container nobody else is there
        return []
    candidates = [(".env", ".env")]
    if name := environ.get("DRILLSTER_PRIVATE_KEY_FILE", "").strip():
        candidates.append(("DRILLSTER_PRIVATE_KEY_FILE", name))
    found = []
    for what, name in candidates:
        try:
            status = Path(name).expanduser().stat()
        except OSError:
            continue
        if status.st_uid == os.getuid() and status.st_mode & stat.S_IROTH:
            found.append((what, name))
    return found


def shown_settings(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Every setting by name, as it may be shown to anybody: no secret, no address of a database, no path."""
    shown = {}
    for setting in SETTINGS:
        value = environ.get(setting.name, "").strip()
        shown[setting.name] = (
            _SHOWN.get(setting.name, _plain)(value) if value else f"default ({setting.default or '-'})"
        )
    shown["DRILLSTER_BASE_URL"] = _host(settings.base_url)
    return shown


def _plain(value: str) -> str:
    """A choice, a number, a date: only what is nothing else."""
    return value if re.fullmatch(r"[A-Za-z0-9.:/_+-]{1,40}", value) else "set, but not to anything that can be shown"


def _secret(value: str) -> str:
    return f"set ({len(value)} characters)"


def _digest(value: str) -> str:
    """Enough to see whether two are the same, and nothing to find out what they are: ids are long and random."""
    return value if value == "self" else f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:8]}"


def _host(value: str) -> str:
    parts = urlsplit(value)
    return f"{parts.scheme}://{'a loopback address' if is_loopback(parts.hostname) else parts.hostname}"


def _database(value: str) -> str:
    """Dialect and driver, and which parts the URL has."""
    scheme, _, rest = value.partition("://")
    if scheme.startswith("sqlite"):
        return f"{scheme}, {'an absolute' if rest.startswith('//') else 'a relative'} path"
    parts = urlsplit(value)
    has = [name for name in ("username", "password") if getattr(parts, name, None)]
    place = "a loopback address" if is_loopback(parts.hostname) else "a host" if parts.hostname else "no host"
    options = sorted({option.partition("=")[0] for option in parts.query.split("&") if option})
    known = [option for option in options if option.startswith("ssl") or option in {"connect_timeout", "options"}]
    return f"{_word(scheme)} at {place}; {', '.join(has) or 'no login'}" + (f"; {', '.join(known)}" if known else "")


def _archive(value: str) -> str:
    scheme, divider, _ = value.partition("://")
    if divider and scheme != "file":
        return f"{_word(scheme)}://…"
    return "an absolute path" if value.startswith(("/", "~", "file:")) else "a relative path"


def _word(scheme: str) -> str:
    return scheme if re.fullmatch(r"[a-z0-9+]{1,30}", scheme) else "something"


_SHOWN: Mapping[str, Callable[[str], str]] = {
    "DRILLSTER_CLIENT_ID": _digest,
    "DRILLSTER_CLIENT_SECRET": _secret,
    "DRILLSTER_SERVICE_ACCOUNT_ID": _digest,
    "DRILLSTER_PRIVATE_KEY": _secret,
    "DRILLSTER_PRIVATE_KEY_FILE": _archive,
    "DRILLSTER_ORGANIZATION_ID": _digest,
    "DRILLSTER_WAREHOUSE_URL": _database,
    "DRILLSTER_WAREHOUSE_SCHEMA": lambda _: "set",
    "DRILLSTER_ARCHIVE_URL": _archive,
    "DRILLSTER_REPORTS_FOLDER": _archive,
    "DRILLSTER_PSEUDONYM_KEY": _secret,
    **dict.fromkeys(
        ("DRILLSTER_OWNERS", "DRILLSTER_ALERT_WEBHOOK", "DRILLSTER_ALERT_URLS", "DRILLSTER_HEARTBEAT_URL"),
        lambda _: "set",
    ),
}

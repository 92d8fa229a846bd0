"""Settings from the environment and ``.env``: read once, all mistakes reported at once, secrets masked.

The names and defaults are promises to users. ``SETTINGS`` documents each; docs/settings.md is checked against it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date, time
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from .errors import SettingsError
from .pipeline.alert_channels import split_urls


class Secret:
    """A text that shows itself only to who asks with ``reveal()``; every other way to print it gives ``***``.

    No dataclass: ``dataclasses.asdict`` of the settings would take it apart.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "***"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as users know it."""

    name: str
    default: str
    meaning: str


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "DRILLSTER_BASE_URL",
        "https://www.drillster.com",
        "Where Drillster is. Plain http only for a loopback address.",
    ),
    Setting("DRILLSTER_CLIENT_ID", "", "Client ID of the registered application."),
    Setting("DRILLSTER_CLIENT_SECRET", "", "One of its client secrets."),
    Setting("DRILLSTER_SERVICE_ACCOUNT_ID", "", "ID of the service account that the export runs as."),
    Setting("DRILLSTER_PRIVATE_KEY", "", "Its private key: the PEM text (line ends may be written as `\\n`)."),
    Setting("DRILLSTER_PRIVATE_KEY_FILE", "", "Or the file that holds the PEM text."),
    Setting(
        "DRILLSTER_ORGANIZATION_ID",
        "self",
        "The organization to export; `self` is the service account's own.",
    ),
    Setting("DRILLSTER_WAREHOUSE_URL", "sqlite:///data/warehouse.sqlite", "SQLAlchemy URL of the warehouse."),
    Setting("DRILLSTER_WAREHOUSE_SCHEMA", "", "Schema for the tables, where the database has schemas."),
    Setting(
        "DRILLSTER_ARCHIVE_URL", "data/archive", "Folder of the archive, or the URL of an object store (`s3://…`)."
    ),
    Setting("DRILLSTER_ARCHIVE_DAYS", "400", "How many days `prune` keeps captures."),
    Setting(
        "DRILLSTER_KEEP_MONTH_ENDS",
        "no",
        "`yes`: `prune` keeps the last captured date of every month for ever, however old.",
    ),
    Setting("DRILLSTER_SNAPSHOT_DAYS", "", "How many days `prune` keeps rows of snapshot tables; empty: for ever."),
    Setting("DRILLSTER_REPORTS_FOLDER", "data/reports", "Folder or fsspec URL (`s3://…`) of the nightly reports."),
    Setting("DRILLSTER_TIMEZONE", "Europe/Amsterdam", "IANA time zone in which export dates are days."),
    Setting("DRILLSTER_FIRST_EXPORT_DATE", "2026-01-01", "First daily partition."),
    Setting("DRILLSTER_NIGHTLY_AT", "02:30", "When the schedule runs, in that time zone."),
    Setting(
        "DRILLSTER_OWNERS",
        "",
        "Owners that Dagster shows of each asset: e-mail addresses or `team:name`, with commas between them.",
    ),
    Setting("DRILLSTER_CONCURRENCY", "8", "Requests in flight, 1 to 64."),
    Setting("DRILLSTER_REQUESTS_PER_SECOND", "", "Upper limit for the rate of requests; empty: no limit."),
    Setting("DRILLSTER_PERSONAL_DATA", "keep", "`keep`, `pseudonymize` or `drop`: before anything is written."),
    Setting("DRILLSTER_PSEUDONYM_KEY", "", "Secret of at least 16 characters for stable pseudonyms."),
    Setting("DRILLSTER_ALERT_WEBHOOK", "", "URL that gets a Slack-compatible message when a run goes wrong."),
    Setting("DRILLSTER_ALERT_URLS", "", "Apprise URLs (e-mail, Teams, …) that get the same, separated by spaces."),
    Setting("DRILLSTER_HEARTBEAT_URL", "", "URL of a dead man's switch: asked when the newest date was published."),
)
_DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """The few settings that the Dagster definitions are made from; these alone are read when they are imported."""

    timezone: ZoneInfo
    first_export_date: date
    nightly_at: time
    warehouse_url: Secret
    warehouse_schema: str | None
    owners: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ScheduleSettings):
    """All settings, checked. Secrets are :class:`Secret` and masked in every repr."""

    base_url: str
    client_id: str
    client_secret: Secret
    service_account_id: str
    private_key: Secret
    organization_id: str
    archive_url: Secret
    archive_days: int
    keep_month_ends: bool
    snapshot_days: int | None
    reports_folder: Secret
    concurrency: int
    requests_per_second: float | None
    personal_data: Literal["keep", "pseudonymize", "drop"]
    pseudonym_key: Secret | None
    alert_webhook: Secret | None
    alert_urls: tuple[Secret, ...]
    heartbeat_url: Secret | None


def load_settings(
    environ: Mapping[str, str] | None = None, *, needs_api: bool = True, tolerant: bool = False
) -> Settings:
    """Read and check everything; ``environ`` stands in for the environment and ``.env`` in tests.

    Without ``needs_api`` the credentials of Drillster may be missing (``status`` and ``prune`` ask nothing of it).
    Raises SettingsError, whose message lists every mistake by name with its cure; ``tolerant``: never, and a wrong
    value gives its default. That is for telling people that a setting is wrong, and for nothing else.
    """
    settings, problems = read_settings(environ, needs_api=needs_api)
    if problems and not tolerant:
        count = "One setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        raise SettingsError(
            f"{count} wrong; put them right in the environment or in .env:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
        )
    return settings


def read_settings(
    environ: Mapping[str, str] | None = None, *, needs_api: bool = True
) -> tuple[Settings, tuple[str, ...]]:
    """The settings, with a default in place of each wrong one; and what is wrong, each beginning with its name."""
    reader = _Reader(environment() if environ is None else environ)
    schedule = _schedule(reader)
    settings = Settings(
        **{f.name: getattr(schedule, f.name) for f in fields(ScheduleSettings)},
        base_url=reader.get("DRILLSTER_BASE_URL", _base_url),
        client_id=reader.get("DRILLSTER_CLIENT_ID", _required("the client ID of your application", needs_api)),
        client_secret=Secret(
            reader.get("DRILLSTER_CLIENT_SECRET", _required("a client secret of your application", needs_api))
        ),
        service_account_id=reader.get(
            "DRILLSTER_SERVICE_ACCOUNT_ID", _required("the ID of the service account", needs_api)
        ),
        private_key=Secret(_private_key(reader, needs_api)),
        organization_id=reader.get("DRILLSTER_ORGANIZATION_ID", _text),
        archive_url=Secret(reader.get("DRILLSTER_ARCHIVE_URL", _text)),
        archive_days=reader.get("DRILLSTER_ARCHIVE_DAYS", _days),
        keep_month_ends=reader.get("DRILLSTER_KEEP_MONTH_ENDS", _yes_or_no),
        snapshot_days=reader.get("DRILLSTER_SNAPSHOT_DAYS", lambda value: _days(value) if value else None),
        reports_folder=Secret(reader.get("DRILLSTER_REPORTS_FOLDER", _text)),
        concurrency=reader.get("DRILLSTER_CONCURRENCY", _whole_number(1, 64)),
        requests_per_second=reader.get("DRILLSTER_REQUESTS_PER_SECOND", _rate),
        personal_data=reader.get("DRILLSTER_PERSONAL_DATA", _choice("keep", "pseudonymize", "drop")),
        pseudonym_key=_pseudonym_key(reader),
        alert_webhook=Secret(reader.get("DRILLSTER_ALERT_WEBHOOK", _webhook)) or None,
        alert_urls=_alert_urls(reader),
        heartbeat_url=Secret(reader.get("DRILLSTER_HEARTBEAT_URL", _heartbeat)) or None,
    )
    return settings, tuple(reader.problems)


def load_schedule_settings(environ: Mapping[str, str] | None = None) -> ScheduleSettings:
    """What the definitions need at import: never fails, a wrong value gives its default and is reported by the run."""
    return _schedule(_Reader(environment() if environ is None else environ))


def environment() -> Mapping[str, str]:
    """The environment over the ``.env`` of the current folder."""
    from dotenv import dotenv_values

    return {**{k: v for k, v in dotenv_values(Path(".env")).items() if v is not None}, **os.environ}


class _Reader:
    """Takes settings one by one and remembers what was wrong with each."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def raw(self, name: str) -> str:
        return self.environ.get(name, "").strip() or _DEFAULTS[name]

    def get(self, name: str, parse: Callable[[str], Any]) -> Any:
        """The parsed value; on a mistake the parsed default (or the empty text), and a problem noted."""
        try:
            return parse(self.raw(name))
        except ValueError as problem:
            self.problems.append(f"{name} {problem}")
        try:
            return parse(_DEFAULTS[name])
        except ValueError:
            return ""


def _schedule(reader: _Reader) -> ScheduleSettings:
    return ScheduleSettings(
        timezone=reader.get("DRILLSTER_TIMEZONE", _timezone),
        first_export_date=reader.get("DRILLSTER_FIRST_EXPORT_DATE", _date),
        nightly_at=reader.get("DRILLSTER_NIGHTLY_AT", _time),
        warehouse_url=Secret(reader.get("DRILLSTER_WAREHOUSE_URL", _warehouse_url)),
        warehouse_schema=reader.get("DRILLSTER_WAREHOUSE_SCHEMA", _text) or None,
        owners=reader.get("DRILLSTER_OWNERS", _owners),
    )


def _text(value: str) -> str:
    return value


def _required(what: str, needed: bool) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not value and needed:
            raise ValueError(f"is missing: put {what} there")
        return value

    return parse


def is_loopback(host: str | None) -> bool:
    """Whether a host name can only mean this machine."""
    host = (host or "").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _base_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise ValueError("is no URL: put something like https://www.drillster.com there") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is no web address: put something like https://www.drillster.com there")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("may hold neither user, password, query nor fragment: put only the address there")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must start with https:// (plain http is for a loopback address only)")
    if parts.path.strip("/"):
        raise ValueError("must not have a path: leave out what follows the host (the API's path is added)")
    return f"{parts.scheme}://{parts.netloc}"


def _private_key(reader: _Reader, needed: bool) -> str:
    inline, file = reader.raw("DRILLSTER_PRIVATE_KEY"), reader.raw("DRILLSTER_PRIVATE_KEY_FILE")
    if inline and file:
        reader.problems.append("DRILLSTER_PRIVATE_KEY and DRILLSTER_PRIVATE_KEY_FILE are both set: keep only one")
        return ""
    if not inline and not file:
        if needed:
            reader.problems.append(
                "DRILLSTER_PRIVATE_KEY is missing: put the service account's private key (PEM) there, "
                "or the name of its file in DRILLSTER_PRIVATE_KEY_FILE"
            )
        return ""
    name = "DRILLSTER_PRIVATE_KEY" if inline else "DRILLSTER_PRIVATE_KEY_FILE"
    try:
        pem = inline.replace("\\n", "\n") if inline else Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not a text file"
        reader.problems.append(f"{name} cannot be read ({reason}): put the path of the PEM file there")
        return ""
    if mistake := _pem_mistake(pem):
        reader.problems.append(f"{name} {mistake}")
    return pem


def _pem_mistake(pem: str) -> str | None:
    """What is wrong with a private key, without a word of it; None if nothing is."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        # Whether its numbers fit together is found out by who loads it to sign with. That takes as long as all other
        # settings together, and settings are read several times in a run.
        key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        return "is protected by a passphrase: put the key without one there"
    except (ValueError, UnsupportedAlgorithm):
        return "is not a private key in PEM form: it should start with -----BEGIN PRIVATE KEY-----"
    if not isinstance(key, RSAPrivateKey):
        return "is not an RSA key: put the key that Drillster gave for the service account there"
    return None


def _pseudonym_key(reader: _Reader) -> Secret | None:
    key = reader.raw("DRILLSTER_PSEUDONYM_KEY")
    if not key and reader.raw("DRILLSTER_PERSONAL_DATA") == "pseudonymize":
        reader.problems.append(
            "DRILLSTER_PSEUDONYM_KEY is missing: DRILLSTER_PERSONAL_DATA=pseudonymize needs a secret of at least "
            "16 characters there, the same every night"
        )
    if key and len(key) < 16:
        reader.problems.append("DRILLSTER_PSEUDONYM_KEY is too short: at least 16 characters")
    return Secret(key) if key else None


def _owners(value: str) -> tuple[str, ...]:
    owners = tuple(owner.strip() for owner in value.split(",") if owner.strip())
    # No laxer than Dagster, whose definitions do not load with an owner that it refuses.
    if not all(re.fullmatch(r"team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}", owner) for owner in owners):
        raise ValueError("must be e-mail addresses or team:name, with commas between them")
    return owners


def _warehouse_url(value: str) -> str:
    if not re.match(r"^[a-z][a-z0-9_+]*://", value):
        raise ValueError("is no SQLAlchemy URL: put something like sqlite:///data/warehouse.sqlite there")
    return value


def _webhook(value: str) -> str:
    if not value:
        return value
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError("is no URL: put the address of the incoming webhook there") from None
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname)):
        return value
    raise ValueError("must be an https:// address")


def _alert_urls(reader: _Reader) -> tuple[Secret, ...]:
    """Those that are right: they are what the operator hears of the wrong ones by."""
    urls = split_urls(reader.raw("DRILLSTER_ALERT_URLS"))
    reader.problems += [
        f"DRILLSTER_ALERT_URLS is wrong: URL {position} of {len(urls)} is none that Apprise knows. Put URLs such as "
        "mailtos://user:password@example.org there, separated by commas or spaces"
        for position, (_, is_known) in enumerate(urls, 1)
        if not is_known
    ]
    return tuple(Secret(url) for url, is_known in urls if is_known)


def _heartbeat(value: str) -> str:
    if not re.match(r"(https?://[^\s/]+\S*)?$", value):
        raise ValueError("is no web address: put the URL that your monitoring service names there")
    return value


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


_days = _whole_number(1, 100_000)


def _rate(value: str) -> float | None:
    if not value:
        return None
    try:
        rate = float(value)
    except ValueError:
        rate = 0.0
    if not 0.01 <= rate <= 100_000:  # also catches nan and infinity
        raise ValueError("must be a number of requests per second of at least 0.01, or empty for no limit")
    return rate


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return parse


def _yes_or_no(value: str) -> bool:
    answers = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if value.lower() not in answers:
        raise ValueError("must be yes or no")
    return answers[value.lower()]


def _timezone(value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("is no IANA time zone: put something like Europe/Amsterdam there") from None


def _date(value: str) -> date:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError("must be a date such as 2026-01-01")


def _time(value: str) -> time:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError("must be a time of day such as 02:30")
    return time.fromisoformat(value)

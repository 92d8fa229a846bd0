"""Settings from the environment and ``.env``: declared once, read once, all mistakes reported at once, secrets masked.

Each field of :class:`Settings` is the environment variable ``DRILLSTER_`` and its name in capitals. Names and defaults
are promises to users. ``SETTINGS`` describes them; docs/settings.md is made from it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from . import setting_checks as checks
from .errors import SettingsError

PREFIX = "DRILLSTER_"
MOST_IN_FLIGHT = 64
"""Requests of one process: beyond them, its one core is the limit."""


def _setting(default: Any, meaning: str, **limits: Any) -> Any:
    return Field(default, description=meaning, **limits)


class Settings(BaseModel):
    """All settings, checked."""

    model_config = ConfigDict(frozen=True, validate_default=True, hide_input_in_errors=True)

    base_url: Annotated[str, AfterValidator(checks.web_address)] = _setting(
        "https://www.drillster.com", "Where Drillster is. Plain http only for a loopback address."
    )
    client_id: str = _setting("", "Client ID of the registered application.")
    client_secret: SecretStr = _setting("", "One of its client secrets.")
    service_account_id: str = _setting("", "ID of the service account that the export runs as.")
    private_key_file: Annotated[str, AfterValidator(checks.key_file)] = _setting(
        "", "The file that holds its private key (PEM)."
    )
    private_key: SecretStr = _setting("", "Or the PEM text itself (line ends may be written as `\\n`).")
    organization_id: str = _setting("self", "The organization to export; `self` is the service account's own.")
    warehouse_url: Annotated[
        SecretStr,
        checks.matching(
            r"[a-z][a-z0-9_+]*://.*",
            "is not a SQLAlchemy URL: put something like sqlite:///data/warehouse.sqlite there",
        ),
    ] = _setting("sqlite:///data/warehouse.sqlite", "SQLAlchemy URL of the warehouse.")
    warehouse_schema: str | None = _setting(None, "Schema for the tables, where the database has schemas.")
    archive_url: SecretStr = _setting(
        "data/archive", "Folder of the archive, or the URL of an object store (`s3://…`)."
    )
    archive_days: int = _setting(400, "How many days `prune` keeps captures.", ge=1, le=100_000)
    keep_month_ends: Annotated[bool, checks.matching(r"(?i)yes|no|true|false|1|0", "must be yes or no")] = _setting(
        "no", "`yes`: `prune` keeps the last captured date of every month for ever, however old."
    )
    snapshot_days: int | None = _setting(
        None, "How many days `prune` keeps rows of snapshot tables; empty: for ever.", ge=1, le=100_000
    )
    reports_folder: SecretStr = _setting("data/reports", "Folder or fsspec URL (`s3://…`) of the nightly reports.")
    timezone: Annotated[ZoneInfo, PlainValidator(checks.timezone)] = _setting(
        "Europe/Amsterdam", "IANA time zone in which export dates are days."
    )
    first_export_date: Annotated[date, checks.matching(r"\d{4}-\d\d-\d\d", "must be a date such as 2026-01-01")] = (
        _setting("2026-01-01", "First daily partition.")
    )
    nightly_at: Annotated[time, checks.matching(r"\d\d:\d\d", "must be a time of day such as 02:30")] = _setting(
        "02:30", "When the schedule runs, in that time zone."
    )
    language: Literal["en", "nl"] = _setting(
        "en", "Language of the nightly report, dashboards, alerts and disclosures: `en` or `nl` (Dutch)."
    )
    owners: Annotated[tuple[str, ...], PlainValidator(checks.owners)] = _setting(
        "", "Owners that Dagster shows of each asset: e-mail addresses or `team:name`, with commas between them."
    )
    concurrency: int = _setting(
        8, "Requests in flight, 1 to 64; a capture in shards may have up to 64 for each of them.", ge=1, le=4096
    )
    requests_per_second: float | None = _setting(
        None, "Upper limit for the rate of requests; empty: no limit.", ge=0.01, le=100_000
    )
    executor: Literal["in_process", "celery", "k8s"] = _setting(
        "in_process", "Where steps of a run are: `in_process`, on workers of Celery, or in pods of Kubernetes (`k8s`)."
    )
    capture_shards: int = _setting(
        1, "Processes that a capture is spread over, with `celery` or `k8s`; they share requests and rate.", ge=1, le=64
    )
    celery_broker: Annotated[
        SecretStr | None,
        checks.matching(
            r"(amqps?|rediss?)://.+", "is not the URL of RabbitMQ or Redis: put amqp://… or redis://… there"
        ),
    ] = _setting(None, "URL of the broker (RabbitMQ or Redis).")
    celery_backend: Annotated[
        SecretStr | None,
        checks.matching(
            r"(db\+[a-z0-9+]+|rediss?)://.+",
            "is not the URL of a database or Redis: results must outlive the broker, as in db+postgresql+psycopg://…",
        ),
    ] = _setting(None, "URL of what keeps the results of its tasks (`db+postgresql+psycopg://…` or Redis).")
    celery_visibility_timeout: int = _setting(
        1800, "Redis as the broker: seconds after which a task that has not ended is delivered again.", ge=1, le=86_400
    )
    personal_data: Literal["keep", "pseudonymize", "drop"] = _setting(
        "keep", "`keep`, `pseudonymize` or `drop`: before anything is written."
    )
    pseudonym_key: Annotated[SecretStr | None, AfterValidator(checks.pseudonym_key)] = _setting(
        None, "Secret of at least 16 characters for stable pseudonyms."
    )
    alert_webhook: Annotated[SecretStr | None, AfterValidator(checks.webhook)] = _setting(
        None, "URL that gets a Slack-compatible message when a run goes wrong."
    )
    alert_urls: Annotated[tuple[SecretStr, ...], PlainValidator(checks.alert_urls)] = _setting(
        "", "Apprise URLs (e-mail, Teams, …) that get the same, separated by spaces."
    )
    heartbeat_url: Annotated[SecretStr | None, checks.web_url("the URL that your monitoring service names")] = _setting(
        None, "URL of a dead man's switch: asked when the newest date was published."
    )
    timestamp_url: Annotated[
        SecretStr | None,
        checks.web_url("the URL of a time-stamping authority"),
        AfterValidator(checks.timestamp_url),
    ] = _setting(None, "URL of a time-stamping authority (RFC 3161) that signs when each capture was sealed.")
    timestamp_certificate: Annotated[Path | None, AfterValidator(checks.home_path)] = _setting(
        None, "File (PEM) with the certificates of that authority, by which `evidence --verify` proves its stamps."
    )

    @field_validator("private_key")
    @classmethod
    def _key_from_either(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        file = info.data.get("private_key_file")
        if key and file:
            raise ValueError(f"and {PREFIX}PRIVATE_KEY_FILE are both set: keep only one")
        if file:
            return SecretStr(checks.read_key_file(file))
        return SecretStr(checks.check_pem(key.get_secret_value().replace("\\n", "\n"))) if key else key


class Setting(NamedTuple):
    """One setting as users know it."""

    name: str
    default: str
    meaning: str


SETTINGS = tuple(
    Setting(PREFIX + name.upper(), "" if field.default is None else str(field.default), field.description or "")
    for name, field in Settings.model_fields.items()
)

CREDENTIALS = {
    "client_id": "put the client ID of your application there",
    "client_secret": "put a client secret of your application there",
    "service_account_id": "put the ID of the service account there",
    "private_key": "put the service account's private key (PEM) there, or the name of its file in "
    f"{PREFIX}PRIVATE_KEY_FILE",
}
"""What is needed for requests to Drillster, and what to do where it is missing."""


def load_settings(environ: Mapping[str, str] | None = None, *, needs_api: bool = True) -> Settings:
    """Read and check everything; ``environ`` stands in for the environment and ``.env``.

    Without ``needs_api`` the credentials of Drillster may be missing. Raises SettingsError, whose message lists every
    mistake by name with its cure.
    """
    settings, mistakes = read_settings(environ, needs_api=needs_api)
    raise_complaints(mistakes, "the environment or in .env")
    return settings


def raise_complaints(mistakes: Sequence[str], where: str) -> None:
    """Raise SettingsError where there is a mistake. ``where`` they are put right: ``the environment or in .env``."""
    if mistakes:
        count, them = ("One setting is", "it") if len(mistakes) == 1 else (f"{len(mistakes)} settings are", "them")
        lines = "\n".join(f"  - {mistake}" for mistake in mistakes)
        raise SettingsError(f"{count} wrong; put {them} right in {where}:\n{lines}")


def read_settings(
    environ: Mapping[str, str] | None = None, *, needs_api: bool = True, empty: Collection[str] = ()
) -> tuple[Settings, tuple[str, ...]]:
    """The settings, with a default in place of each wrong one; and the mistakes, each beginning with its name.

    ``empty``: settings that were to have a value and have none, as where a variable of the environment is not set.
    The defaults are for Dagster's definitions and for messages that a setting is wrong, and for nothing else.
    """
    environ = environment() if environ is None else environ
    given = {name: text for name in Settings.model_fields if (text := environ.get(PREFIX + name.upper(), "").strip())}
    mistakes: dict[str, str] = {}
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            is_ours, name = each["type"] == "value_error", str(each["loc"][0])
            mistakes[name] = str(each["ctx"]["error"]) if is_ours else _complaint(name, each["msg"])
        settings = Settings.model_validate({name: text for name, text in given.items() if name not in mistakes})
    for name in empty:
        if needs_api or name not in CREDENTIALS:
            mistakes[name] = "is empty: set the variable that it is taken from"
    between = _mistakes_between(settings, given.get("alert_urls", ""), needs_api=needs_api)
    if "private_key_file" in mistakes:  # with that put right, it is there
        between.pop("private_key", None)
    return settings, _listed(between | mistakes)


def complaints(settings: Settings, *, needs_api: bool) -> tuple[str, ...]:
    """What is missing in settings whose fields are right, each beginning with its name."""
    return _listed(_mistakes_between(settings, "", needs_api=needs_api))


def _listed(mistakes: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{PREFIX}{name.upper()} {mistakes[name]}" for name in Settings.model_fields if name in mistakes)


def _complaint(name: str, found: str) -> str:
    """What a field without a complaint of its own must be: a number within its limits, or as pydantic says it."""
    field = Settings.model_fields[name]
    limits = [each for limit in field.metadata for each in (getattr(limit, "ge", None), getattr(limit, "le", None))]
    if numbers := [each for each in limits if each is not None]:
        kind = "number" if float in (field.annotation, *get_args(field.annotation)) else "whole number"
        return f"must be a {kind} from {min(numbers)} to {max(numbers)}"
    return found.replace("Input should be", "must be")


def _mistakes_between(settings: Settings, alert_urls: str, *, needs_api: bool) -> dict[str, str]:
    """What one field alone does not show."""
    found = {}
    if needs_api:
        found = {name: f"is missing: {cure}" for name, cure in CREDENTIALS.items() if not getattr(settings, name)}
    if settings.personal_data == "pseudonymize" and not settings.pseudonym_key:
        found["pseudonym_key"] = (
            f"is missing: {PREFIX}PERSONAL_DATA=pseudonymize needs a secret of at least 16 characters there, the same "
            "for every run"
        )
    most, shards = MOST_IN_FLIGHT * settings.capture_shards, settings.capture_shards
    if not shards <= settings.concurrency <= most:
        of_shards = f" for {PREFIX}CAPTURE_SHARDS={shards}" if shards > 1 else ""
        found["concurrency"] = f"must be a whole number from {shards} to {most}{of_shards}"
    if shards > 1 and settings.executor == "in_process":
        found["capture_shards"] = f"needs workers: set {PREFIX}EXECUTOR to celery or k8s, or leave it out"
    for name in ("celery_broker", "celery_backend"):
        if settings.executor == "celery" and not getattr(settings, name):
            found[name] = f"is missing: {PREFIX}EXECUTOR=celery needs it"
    if alert_urls and "alert_urls" in settings.model_fields_set:  # else it has a mistake already
        from .alert_channels import split_urls

        known = [is_known for _, is_known in split_urls(alert_urls)]
        if not all(known):
            wrong = ", ".join(str(number) for number, is_known in enumerate(known, 1) if not is_known)
            found["alert_urls"] = (
                f"has URLs that Apprise does not know ({wrong} of {len(known)}). Put URLs such as "
                "mailtos://user:password@example.org there, separated by commas or spaces"
            )
    return found


def environment() -> Mapping[str, str]:
    """The environment over the ``.env`` of the current folder. Raises SettingsError where that can't be read."""
    from dotenv import dotenv_values

    try:
        in_file = dotenv_values(Path(".env"))
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not a text in UTF-8: save it as one"
        raise SettingsError(f"The settings in {Path.cwd() / '.env'} can't be read ({reason})") from None
    return {**{name: value for name, value in in_file.items() if value is not None}, **os.environ}

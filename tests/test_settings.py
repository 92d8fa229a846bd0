from __future__ import annotations

import traceback
from datetime import date, time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.settings import SETTINGS, load_settings, read_settings


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> str:
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection).decode()


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEY = pem(RSA_KEY)
WITHOUT_KEY = {
    "DRILLSTER_CLIENT_ID": "0123456789abcdef0123456789abcdef",
    "DRILLSTER_CLIENT_SECRET": "hush-hush-client-secret",
    "DRILLSTER_SERVICE_ACCOUNT_ID": "iqKp0000000000000000aa",
}
GOOD = {**WITHOUT_KEY, "DRILLSTER_PRIVATE_KEY": KEY}


def test_the_defaults_are_those_that_are_documented() -> None:
    """README's table is compared with SETTINGS elsewhere; here, that a default means what it says."""
    settings = load_settings(GOOD)
    assert settings.warehouse_url.get_secret_value() == "sqlite:///data/warehouse.sqlite"
    assert (settings.timezone.key, settings.nightly_at) == ("Europe/Amsterdam", time(2, 30))
    assert settings.first_export_date == date(2026, 1, 1)
    assert (settings.keep_month_ends, settings.snapshot_days, settings.requests_per_second) == (False, None, None)
    assert (settings.owners, settings.alert_webhook, settings.alert_urls) == ((), None, ())
    assert load_settings({**GOOD, **{s.name: s.default for s in SETTINGS if s.default}}) == settings
    assert load_settings({**dict.fromkeys((s.name for s in SETTINGS), " "), **GOOD}) == settings


def test_every_mistake_is_reported_in_one_message_by_name() -> None:
    wrong = {
        "DRILLSTER_BASE_URL": "http://drillster.example.org",
        "DRILLSTER_PRIVATE_KEY": "not a key",
        "DRILLSTER_TIMEZONE": "Mars/Olympus",
        "DRILLSTER_CONCURRENCY": "0",
        "DRILLSTER_ALERT_WEBHOOK": "http://hooks.example.org/x",
        "DRILLSTER_WAREHOUSE_URL": "warehouse.sqlite",
    }
    missing = [*WITHOUT_KEY, "DRILLSTER_PSEUDONYM_KEY"]
    with pytest.raises(SettingsError) as raised:
        load_settings({**wrong, "DRILLSTER_PERSONAL_DATA": "pseudonymize"})
    lines = str(raised.value).splitlines()[1:]
    assert sorted(line.split()[1] for line in lines) == sorted([*wrong, *missing])
    assert [line.split()[1] for line in lines if " is missing: " in line] == missing
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("BASE_URL", ["https://", "ftp://www.drillster.com", "https://www.drillster.com/api", "https://h:port"]),
        ("BASE_URL", ["https://user:pass@www.drillster.com", "http://127.0.0.1.example.org"]),
        ("TIMEZONE", ["../etc/passwd", "Europe"]),
        ("PSEUDONYM_KEY", ["short"]),
        ("OWNERS", ["team:data, nobody"]),
        ("HEARTBEAT_URL", ["ftp://x", "https://"]),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, values: list[str]) -> None:
    for value in values:
        with pytest.raises(SettingsError, match=f"^One setting is wrong.*\n  - DRILLSTER_{name} [a-z]"):
            load_settings({**GOOD, f"DRILLSTER_{name}": value})


@pytest.mark.parametrize(
    ("name", "values", "complaint"),
    [
        ("CONCURRENCY", ["0", "8.5", "٨", "many"], "a whole number from 1 to 4096"),
        ("CONCURRENCY", ["65"], "a whole number from 1 to 64"),
        ("REQUESTS_PER_SECOND", ["0", "inf", "nan", "-3", "many"], "a number from 0.01 to 100000"),
        ("SNAPSHOT_DAYS", ["0", "-1", "many"], "a whole number from 1 to 100000"),
        (
            "FIRST_EXPORT_DATE",
            ["1-1-2026", "2026-02-30", "20260101", "1767225600"],
            "a date such as 2026-01-01",
        ),
        ("NIGHTLY_AT", ["2:30", "24:00", "0230"], "a time of day such as 02:30"),
        ("KEEP_MONTH_ENDS", ["perhaps"], "yes or no"),
        ("LANGUAGE", ["fr", "nl_NL"], "'en' or 'nl'"),
        ("PERSONAL_DATA", ["all", "KEEP"], "'keep', 'pseudonymize' or 'drop'"),
    ],
)
def test_a_complaint_says_what_the_value_must_be(name: str, values: list[str], complaint: str) -> None:
    for value in values:
        _, problems = read_settings({**GOOD, f"DRILLSTER_{name}": value})
        assert problems == (f"DRILLSTER_{name} must be {complaint}",)


@pytest.mark.parametrize("host", ["127.0.0.1:8780", "localhost", "[::1]:80", "sandbox.localhost"])
def test_plain_http_is_for_loopback_addresses(host: str) -> None:
    assert load_settings({**GOOD, "DRILLSTER_BASE_URL": f"http://{host}/"}).base_url == f"http://{host}"


def test_the_key_comes_from_a_file_or_in_one_line_and_not_from_both(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(KEY)
    in_file = {"DRILLSTER_PRIVATE_KEY_FILE": str(file)}
    in_one_line = {"DRILLSTER_PRIVATE_KEY": KEY.replace("\n", "\\n")}
    for given in (in_file, in_one_line):
        assert load_settings({**WITHOUT_KEY, **given}).private_key.get_secret_value().strip() == KEY.strip()
    with pytest.raises(SettingsError, match="DRILLSTER_PRIVATE_KEY and DRILLSTER_PRIVATE_KEY_FILE are both set"):
        load_settings({**GOOD, **in_file})
    file.unlink()
    with pytest.raises(SettingsError, match=r"One setting is .*\n  - DRILLSTER_PRIVATE_KEY_FILE cannot be read"):
        load_settings({**WITHOUT_KEY, **in_file})


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (pem(RSA_KEY, b"secret"), "passphrase"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        (KEY[: len(KEY) // 2], "PEM"),
    ],
    ids=["passphrase", "elliptic curve", "cut"],
)
def test_an_error_about_a_key_has_nothing_of_the_key(key: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(key)
    in_file = {**WITHOUT_KEY, "DRILLSTER_PRIVATE_KEY_FILE": str(tmp_path / "key.pem")}
    for given in ({**GOOD, "DRILLSTER_PRIVATE_KEY": key}, in_file):
        with pytest.raises(SettingsError) as raised:
            load_settings(given)
        shown = "".join(traceback.format_exception(raised.value))
        assert words in shown
        assert key.splitlines()[1] not in shown


def test_a_path_may_be_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {**GOOD, "DRILLSTER_TIMESTAMP_CERTIFICATE": "~/tsa.pem"}  # captures do not need the file
    assert load_settings(given).timestamp_certificate == tmp_path / "tsa.pem"


def test_no_secret_shows_in_any_form() -> None:
    settings = load_settings(
        {
            **GOOD,
            "DRILLSTER_WAREHOUSE_URL": "postgresql://me:pass-word@db/x",
            "DRILLSTER_PSEUDONYM_KEY": "pseudonym-key-of-16",
            "DRILLSTER_ALERT_WEBHOOK": "https://hooks.example.org/T0/very-secret",
            "DRILLSTER_ALERT_URLS": "jsons://hooks.example.org/very-secret",
            "DRILLSTER_HEARTBEAT_URL": "https://hooks.example.org/very-secret",
            "DRILLSTER_ARCHIVE_URL": "s3://key:sesame@bucket/archive",
        }
    )
    shown = f"{settings} {settings!r} {settings.model_dump()} {[settings.private_key]}"
    for secret in ("hush-hush", "pass-word", "pseudonym-key-of-16", "very-secret", "sesame", "BEGIN PRIVATE KEY"):
        assert secret not in shown


def test_the_env_file_is_read_and_the_environment_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.chdir(tmp_path)
    lines = [f'{name}="{value}"' for name, value in GOOD.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, "DRILLSTER_CONCURRENCY=3", "DRILLSTER_ARCHIVE_DAYS=9"]))
    monkeypatch.setenv("DRILLSTER_CONCURRENCY", "5")
    settings = load_settings()
    assert (settings.concurrency, settings.archive_days) == (5, 9)
    assert settings.private_key.get_secret_value().strip() == KEY.strip()


def test_there_is_a_default_for_each_wrong_value() -> None:
    wrong = {"DRILLSTER_TIMEZONE": "Mars/Olympus", "DRILLSTER_NIGHTLY_AT": "04:15", "DRILLSTER_CONCURRENCY": "x"}
    settings, _ = read_settings(wrong)
    assert (settings.timezone.key, settings.nightly_at, settings.concurrency) == ("Europe/Amsterdam", time(4, 15), 8)
    assert load_settings({}, needs_api=False).client_id == ""

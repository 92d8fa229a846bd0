from __future__ import annotations

import pickle
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
from drillster_pipeline.settings import SETTINGS, Secret, load_schedule_settings, load_settings


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> str:
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection).decode()


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEY = pem(RSA_KEY)
GOOD = {
    "DRILLSTER_CLIENT_ID": "0123456789abcdef0123456789abcdef",
    "DRILLSTER_CLIENT_SECRET": "hush-hush-client-secret",
    "DRILLSTER_SERVICE_ACCOUNT_ID": "iqKp0000000000000000aa",
    "DRILLSTER_PRIVATE_KEY": KEY,
}


def test_the_defaults_are_those_that_are_promised() -> None:
    settings = load_settings(GOOD)
    assert settings.base_url == "https://www.drillster.com"
    assert settings.organization_id == "self"
    assert settings.warehouse_url.reveal() == "sqlite:///data/warehouse.sqlite"
    assert settings.archive_url.reveal() == "data/archive"
    assert settings.archive_days == 400
    assert settings.timezone.key == "Europe/Amsterdam"
    assert settings.first_export_date == date(2026, 1, 1)
    assert settings.nightly_at == time(2, 30)
    assert settings.concurrency == 8
    assert settings.requests_per_second is None
    assert settings.personal_data == "keep"
    assert settings.alert_webhook is None


def test_every_mistake_is_reported_in_one_go_by_name() -> None:
    wrong = {
        "DRILLSTER_BASE_URL": "http://drillster.example.org",
        "DRILLSTER_PRIVATE_KEY": "not a key",
        "DRILLSTER_TIMEZONE": "Mars/Olympus",
        "DRILLSTER_FIRST_EXPORT_DATE": "1-1-2026",
        "DRILLSTER_NIGHTLY_AT": "25:00",
        "DRILLSTER_CONCURRENCY": "0",
        "DRILLSTER_REQUESTS_PER_SECOND": "nan",
        "DRILLSTER_ARCHIVE_DAYS": "-1",
        "DRILLSTER_PERSONAL_DATA": "pseudonymize",
        "DRILLSTER_ALERT_WEBHOOK": "http://hooks.example.org/x",
        "DRILLSTER_WAREHOUSE_URL": "warehouse.sqlite",
    }
    with pytest.raises(SettingsError) as raised:
        load_settings(wrong)
    message = str(raised.value)
    missing = ["DRILLSTER_CLIENT_ID", "DRILLSTER_CLIENT_SECRET", "DRILLSTER_SERVICE_ACCOUNT_ID"]
    for name in [*wrong, *missing, "DRILLSTER_PSEUDONYM_KEY"]:
        if name != "DRILLSTER_PERSONAL_DATA":  # its value is right; it is the key that it needs that is missing
            assert f"- {name} " in message
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DRILLSTER_BASE_URL", "https://"),
        ("DRILLSTER_BASE_URL", "ftp://www.drillster.com"),
        ("DRILLSTER_BASE_URL", "https://www.drillster.com/api"),
        ("DRILLSTER_BASE_URL", "https://user:pass@www.drillster.com"),
        ("DRILLSTER_BASE_URL", "https://www.drillster.com:port"),
        ("DRILLSTER_BASE_URL", "http://127.0.0.1.example.org"),
        ("DRILLSTER_FIRST_EXPORT_DATE", "2026-02-30"),
        ("DRILLSTER_FIRST_EXPORT_DATE", "20260101"),
        ("DRILLSTER_NIGHTLY_AT", "2:30"),
        ("DRILLSTER_CONCURRENCY", "65"),
        ("DRILLSTER_CONCURRENCY", "8.5"),
        ("DRILLSTER_CONCURRENCY", "٨"),
        ("DRILLSTER_REQUESTS_PER_SECOND", "0"),
        ("DRILLSTER_REQUESTS_PER_SECOND", "inf"),
        ("DRILLSTER_PERSONAL_DATA", "KEEP"),
        ("DRILLSTER_TIMEZONE", "../etc/passwd"),
        ("DRILLSTER_PSEUDONYM_KEY", "short"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({**GOOD, name: value})


@pytest.mark.parametrize("host", ["127.0.0.1:8780", "localhost", "[::1]:80", "sandbox.localhost"])
def test_plain_http_is_for_loopback_addresses(host: str) -> None:
    assert load_settings({**GOOD, "DRILLSTER_BASE_URL": f"http://{host}/"}).base_url == f"http://{host}"


def test_the_key_may_come_from_a_file_or_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(KEY)
    without = {name: value for name, value in GOOD.items() if name != "DRILLSTER_PRIVATE_KEY"}
    assert load_settings({**without, "DRILLSTER_PRIVATE_KEY_FILE": str(file)}).private_key.reveal() == KEY
    in_one_line = KEY.replace("\n", "\\n")
    assert load_settings({**without, "DRILLSTER_PRIVATE_KEY": in_one_line}).private_key.reveal().strip() == KEY.strip()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (pem(RSA_KEY, b"secret"), "passphrase"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        (KEY[: len(KEY) // 2], "PEM"),
    ],
    ids=["passphrase", "elliptic curve", "cut"],
)
def test_a_key_that_will_not_do_is_explained_without_a_word_of_it(key: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({**GOOD, "DRILLSTER_PRIVATE_KEY": key})
    shown = "".join(traceback.format_exception(raised.value))
    assert told in shown
    assert key.splitlines()[1] not in shown


def test_two_keys_and_a_missing_file_are_mistakes(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both set"):
        load_settings({**GOOD, "DRILLSTER_PRIVATE_KEY_FILE": "x.pem"})
    without = {name: value for name, value in GOOD.items() if name != "DRILLSTER_PRIVATE_KEY"}
    with pytest.raises(SettingsError, match="DRILLSTER_PRIVATE_KEY_FILE cannot be read"):
        load_settings({**without, "DRILLSTER_PRIVATE_KEY_FILE": str(tmp_path / "none.pem")})


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
    shown = f"{settings} {settings!r} {settings.client_secret} {settings.client_secret!r} {[settings.private_key]}"
    for secret in ("hush-hush", "pass-word", "pseudonym-key-of-16", "very-secret", "sesame", "BEGIN PRIVATE KEY"):
        assert secret not in shown
    assert "***" in shown


def test_a_secret_is_only_told_on_request() -> None:
    secret = Secret("hush")
    assert secret.reveal() == "hush"
    assert f"{secret}|{secret!r}" == "***|***"
    assert bool(Secret("")) is False
    assert pickle.loads(pickle.dumps(secret)) == secret  # noqa: S301 - our own


def test_the_env_file_is_read_and_the_environment_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.chdir(tmp_path)
    lines = [f'{name}="{value}"' for name, value in GOOD.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, "DRILLSTER_CONCURRENCY=3", "DRILLSTER_ARCHIVE_DAYS=9"]))
    monkeypatch.setenv("DRILLSTER_CONCURRENCY", "5")
    settings = load_settings()
    assert (settings.concurrency, settings.archive_days) == (5, 9)
    assert settings.private_key.reveal().strip() == KEY.strip()


def test_the_definitions_get_a_schedule_whatever_is_wrong() -> None:
    schedule = load_schedule_settings({"DRILLSTER_TIMEZONE": "Mars/Olympus", "DRILLSTER_NIGHTLY_AT": "04:15"})
    assert (schedule.timezone.key, schedule.nightly_at) == ("Europe/Amsterdam", time(4, 15))


def test_commands_that_ask_drillster_nothing_need_no_credentials() -> None:
    assert load_settings({}, needs_api=False).client_id == ""

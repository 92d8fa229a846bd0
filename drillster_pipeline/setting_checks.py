"""What the value of one setting must be: each function returns the value as its type, or raises ValueError.

The text of the error follows the name of the setting in what is reported, and never quotes a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import SecretStr, ValidationError, WrapValidator

from .errors import ExtraMissing


def is_loopback(host: str | None) -> bool:
    """Whether a host name can only mean this machine."""
    host = (host or "").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def matching(pattern: str, complaint: str) -> WrapValidator:
    """A text that fits the pattern and then the field's type, with the same complaint about both."""

    def check(value: Any, to_type: Callable[[Any], Any]) -> Any:
        if not isinstance(value, str) or re.fullmatch(pattern, value, re.ASCII):
            try:
                return to_type(value)
            except ValidationError:
                pass
        raise ValueError(complaint)

    return WrapValidator(check)


def web_address(value: str) -> str:
    """The scheme and host of a web address that has nothing else."""
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise ValueError("is not a URL: put something like https://www.drillster.com there") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is not a web address: put something like https://www.drillster.com there")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("may have neither user, password, query nor fragment: put only the address there")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must start with https:// (plain http is for a loopback address only)")
    if parts.path.strip("/"):
        raise ValueError("must not have a path: leave out what follows the host (the API's path is added)")
    return f"{parts.scheme}://{parts.netloc}"


def web_url(what: str) -> WrapValidator:
    """A web address with whatever it needs: ``what`` to put there."""
    return matching(r"https?://[^\s/]+\S*", f"is not a web address: put {what} there")


def webhook(value: SecretStr | None) -> SecretStr | None:
    """A web address, by TLS where it is not of this machine."""
    if value is not None:
        try:
            parts = urlsplit(value.get_secret_value())
        except ValueError:
            raise ValueError("is not a URL: put the address of the incoming webhook there") from None
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ValueError("must be an https:// address")
    return value


def timezone(value: str) -> ZoneInfo:
    """A time zone of IANA's database."""
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("is not an IANA time zone: put something like Europe/Amsterdam there") from None


def owners(value: str) -> tuple[str, ...]:
    """E-mail addresses and teams, with commas between."""
    owners = tuple(owner.strip() for owner in value.split(",") if owner.strip())
    # As strict as Dagster, whose definitions do not load with an owner that it refuses.
    if not all(re.fullmatch(r"team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}", owner) for owner in owners):
        raise ValueError("must be e-mail addresses or team:name, with commas between them")
    return owners


def pseudonym_key(value: SecretStr | None) -> SecretStr | None:
    """A secret that is long enough."""
    if value is not None and len(value) < 16:
        raise ValueError("is too short: at least 16 characters")
    return value


def alert_urls(value: str) -> tuple[SecretStr, ...]:
    """The URLs that Apprise knows. The others are reported by `read_settings`: alerts about them go to these."""
    from .alert_channels import split_urls

    try:
        return tuple(SecretStr(url) for url, is_known in split_urls(value) if is_known)
    except ExtraMissing as missing:
        raise ValueError(missing.cure) from None


def timestamp_url(value: SecretStr | None) -> SecretStr | None:
    """Whether there is what speaks to the authority."""
    if value is not None and find_spec("rfc3161_client") is None:
        raise ValueError(ExtraMissing("", "timestamps").cure)
    return value


def check_pem(pem: str) -> str:
    """A private key in PEM form. Raises ValueError, whose text has nothing of the key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        # Whether its numbers fit together is checked where it signs: that takes as long as all other settings.
        key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise ValueError("is protected by a passphrase: put the key without one there") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a private key in PEM form: it should start with -----BEGIN PRIVATE KEY-----") from None
    if isinstance(key, RSAPrivateKey):
        return pem
    raise ValueError("is not an RSA key: put the key that Drillster gave for the service account there")


def read_key_file(name: str) -> str:
    """The private key of a file."""
    try:
        return check_pem(Path(name).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not a text file"
        raise ValueError(f"cannot be read ({reason}): put the path of the PEM file there") from None


def key_file(name: str) -> str:
    """The name of a file with a private key, or none."""
    if name:
        read_key_file(name)
    return name


def home_path(path: Path | None) -> Path | None:
    """A path that may begin with ~."""
    return path and path.expanduser()

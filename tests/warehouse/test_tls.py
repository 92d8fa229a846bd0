"""What the URL says of TLS is what happens: the server's certificate is checked as it asks, by the driver itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.warehouse.dialects import NOT_ENCRYPTED
from drillster_pipeline.warehouse.inspection import Inspection
from tests.support.databases import Place
from tests.support.tls import behind_tls, self_signed

from .support import account, day, load, rows

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("has_tls", "words"), [(True, "encrypted (TLS)"), (False, NOT_ENCRYPTED)])
def test_a_load_goes_through_and_it_is_reported_whether_it_was_encrypted(
    postgresql: Place, tmp_path: Path, has_tls: bool, words: str
) -> None:
    certificate = self_signed(tmp_path, "server") if has_tls else None
    query = f"sslmode=verify-full&sslrootcert={certificate}" if has_tls else "sslmode=prefer"
    with behind_tls(postgresql, certificate, query) as place:
        with place.prepared() as warehouse:
            load(warehouse, day(1), {"accounts": [account("a")]})
            assert len(rows(warehouse, "accounts")) == 1
        with Inspection(place.url, schema=place.schema) as inspection:
            assert inspection.connect().encryption == words


REFUSED = {
    "a certificate of somebody else": ("server", "127.0.0.1", "verify-full"),
    "a certificate for another host": ("known", "127.0.0.2", "verify-full"),
    "a server without TLS": (None, "127.0.0.1", "require"),
}


@pytest.mark.parametrize(("name", "host", "mode"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_url_does_not_allow_is_refused(
    postgresql: Place, tmp_path: Path, name: str | None, host: str, mode: str
) -> None:
    known = self_signed(tmp_path, "known", host=host)
    certificate = {None: None, "known": known}.get(name) if name != "server" else self_signed(tmp_path, "server")
    with (
        behind_tls(postgresql, certificate, f"sslmode={mode}&sslrootcert={known}") as place,
        place.opened() as warehouse,
        pytest.raises(SettingsError, match=r"TLS.*sslmode and sslrootcert in DRILLSTER_WAREHOUSE_URL"),
    ):
        warehouse.prepare()

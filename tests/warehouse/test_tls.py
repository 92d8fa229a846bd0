"""What the URL says of TLS is what happens: the server's certificate is checked as it asks, by the driver itself.

The PostgreSQL of the tests is built without TLS, so a gate before it speaks it: it answers libpq's request for TLS as
a server does (PostgreSQL manual, "SSL Session Encryption"), and passes everything on.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from drillster_pipeline.errors import SettingsError

from .nights import account, day, load
from .place import Place, rows

TLS_REQUEST = 80877103


def self_signed(folder: Path, name: str, *, host: str = "127.0.0.1") -> Path:
    """A certificate for a host, in a file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return file


@dataclass
class Gate:
    """A port of this machine behind which the server is; ``context`` None: it refuses TLS."""

    server: str
    context: ssl.SSLContext | None
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    encrypted: list[str] = field(default_factory=list)
    """The version of TLS of each connection that got through."""
    serving: list[threading.Thread] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self.serving.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), ExitStack() as opened:
            opened.enter_context(closing(client))
            first = client.recv(8, socket.MSG_WAITALL)
            if struct.unpack("!ii", first) == (8, TLS_REQUEST):
                client.sendall(b"N" if self.context is None else b"S")
                first = b""
                if self.context is not None:
                    client = opened.enter_context(closing(self.context.wrap_socket(client, server_side=True)))
                    self.encrypted.append(str(client.version()))  # type: ignore[attr-defined]  # it is TLS by now
            server = opened.enter_context(closing(socket.socket(socket.AF_UNIX)))
            server.connect(self.server)
            server.sendall(first)
            answers = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            answers.start()
            _pass_on(client, server)
            answers.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(1 << 16):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def gate(url: str, certificate: Path | None) -> Iterator[Gate]:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    (folder,) = parse_qs(urlsplit(url).query)["host"]
    opened = Gate(f"{folder}/.s.PGSQL.5432", context)
    threading.Thread(target=opened.run, daemon=True).start()
    try:
        yield opened
    finally:
        opened.listener.shutdown(socket.SHUT_RDWR)
        opened.listener.close()
        for thread in opened.serving:
            thread.join(10)


def through(opened: Gate, place: Place, query: str) -> Place:
    return Place(f"postgresql://postgres@127.0.0.1:{opened.port}/postgres?{query}", place.schema)


def test_a_certificate_that_the_url_names_is_checked_and_a_load_goes_through(postgresql: Place, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "server")
    with (
        gate(postgresql.url, certificate) as opened,
        through(opened, postgresql, f"sslmode=verify-full&sslrootcert={certificate}").opened() as warehouse,
    ):
        warehouse.prepare()
        load(warehouse, day(1), {"accounts": [account("a")]})
        assert len(rows(warehouse, "accounts")) == 1
        assert set(opened.encrypted) == {"TLSv1.3"}


REFUSED = {
    "a certificate of somebody else": ("server", "127.0.0.1", "verify-full"),
    "a certificate for another host": ("known", "127.0.0.2", "verify-full"),
    "a server without TLS": (None, "", "require"),
}


@pytest.mark.parametrize(("name", "host", "mode"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_url_does_not_allow_is_refused_and_told(
    postgresql: Place, tmp_path: Path, name: str | None, host: str, mode: str
) -> None:
    known = self_signed(tmp_path, "known", host=host or "127.0.0.1")
    shown = {None: None, "known": known}.get(name) if name != "server" else self_signed(tmp_path, "server")
    with (
        gate(postgresql.url, shown) as opened,
        through(opened, postgresql, f"sslmode={mode}&sslrootcert={known}").opened() as warehouse,
        pytest.raises(SettingsError, match=r"TLS.*sslmode and sslrootcert in DRILLSTER_WAREHOUSE_URL"),
    ):
        warehouse.prepare()


@pytest.mark.parametrize("setting", ["sslmode=sometimes", "connect_timeout=soon", "ssl_mode=require"])
def test_a_setting_in_the_url_that_is_none_is_told_as_such(postgresql: Place, setting: str) -> None:
    with (
        Place(f"{postgresql.url}&{setting}", postgresql.schema).opened() as warehouse,
        pytest.raises(SettingsError, match="does not take a setting in DRILLSTER_WAREHOUSE_URL"),
    ):
        warehouse.prepare()

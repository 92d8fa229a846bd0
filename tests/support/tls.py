"""TLS before a server of tests that has none: certificates, and a gate that answers libpq's request for TLS.

The gate does so as a server does (PostgreSQL manual, "SSL Session Encryption"), and passes everything on.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .databases import Place

TLS_REQUEST = 80877103


def self_signed(folder: Path, name: str, *, host: str = "127.0.0.1") -> Path:
    """A certificate for a host (an address, or ``localhost``), in a file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    alternative = x509.DNSName(host) if host == "localhost" else x509.IPAddress(ip_address(host))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return file


@contextmanager
def behind_tls(place: Place, certificate: Path | None, query: str) -> Iterator[Place]:
    """The same PostgreSQL by a port of this machine that has TLS, or refuses it where there is no certificate."""
    (folder,) = parse_qs(urlsplit(place.url).query)["host"]
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    class Gate(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            client = self.request
            first = client.recv(8, socket.MSG_WAITALL)
            with suppress(OSError), ExitStack() as opened:
                if struct.unpack("!ii", first) == (8, TLS_REQUEST):
                    client.sendall(b"N" if context is None else b"S")
                    first = b""
                    if context is not None:
                        client = opened.enter_context(context.wrap_socket(client, server_side=True))
                server = opened.enter_context(socket.socket(socket.AF_UNIX))
                server.connect(f"{folder}/.s.PGSQL.5432")
                server.sendall(first)
                answers = threading.Thread(target=pass_on, args=(server, client), daemon=True)
                answers.start()
                pass_on(client, server)
                answers.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Gate) as gate:
        threading.Thread(target=gate.serve_forever, args=(0.05,), daemon=True).start()
        yield Place(f"postgresql://postgres@127.0.0.1:{gate.server_address[1]}/postgres?{query}", place.schema)
        gate.shutdown()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """Send what one socket receives to another, until it is closed."""
    with suppress(OSError):
        while chunk := source.recv(1 << 16):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)

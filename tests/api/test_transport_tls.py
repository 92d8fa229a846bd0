"""TLS, and proxies in front of it."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import logging
import socket
import ssl
import threading
import traceback

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from drillster_pipeline.api.retry import CancelToken
from drillster_pipeline.api.transport import Limits, Transport, TransportError
from drillster_pipeline.errors import SettingsError

from .scripted import HEADERS, Reply, ScriptedServer, head

pytestmark = pytest.mark.usefixtures("no_proxies")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory, rsa_key, private_key):
    """A self-signed certificate for localhost: the file, and a server's context that uses it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = dt.datetime.now(dt.UTC)
    addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(rsa_key.public_key())
        .serial_number(1)
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(rsa_key.public_key()), critical=False)
        .sign(rsa_key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    chain, key = folder / "certificate.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(Encoding.PEM))
    key.write_text(private_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return chain, context


@pytest.fixture
def secure(certificate):
    with ScriptedServer(lambda _: Reply(body=b'{"tls":true}'), context=certificate[1]) as server:
        yield server


def test_https_works_with_the_authorities_that_the_environment_names(secure, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with contextlib.closing(Transport(secure.url)) as transport:
        for _ in range(3):
            assert transport.send("GET", secure.url, headers=HEADERS, cancel=CancelToken()).body == b'{"tls":true}'
    assert {request.connection for request in secure.requests} == {1}


def test_a_secure_answer_in_drips_is_cut_too(secure, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    secure.answer = lambda _: Reply(pieces=[head(Content_Length=1000), *[b"x"] * 1000], piece_wait=0.05)
    closing = contextlib.closing(Transport(secure.url, limits=Limits(answer_seconds=0.4)))
    with closing as transport, pytest.raises(TransportError, match="no complete answer"):
        transport.send("GET", secure.url, headers=HEADERS, cancel=CancelToken())


def test_a_certificate_that_is_not_trusted_is_a_matter_of_settings(secure):
    message = r"certificate of localhost .* REQUESTS_CA_BUNDLE"
    with contextlib.closing(Transport(secure.url)) as transport, pytest.raises(SettingsError, match=message):
        transport.send("GET", secure.url, headers=HEADERS, cancel=CancelToken())
    assert secure.requests == []


def test_a_file_of_authorities_that_does_not_exist_is_told_at_once(monkeypatch):
    monkeypatch.setenv("CURL_CA_BUNDLE", "/no/such/file")
    with pytest.raises(SettingsError, match="CURL_CA_BUNDLE"):
        Transport("https://localhost")


class ConnectProxy:
    """A proxy for https: notes what it is asked, and tunnels to whatever port is named."""

    def __init__(self, status=b"200 Connection established"):
        self.heads: list[bytes] = []
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                data = b""
                while b"\r\n\r\n" not in data and (more := client.recv(4096)):
                    data += more
                self.heads.append(data)
                client.sendall(b"HTTP/1.1 " + self._status + b"\r\n\r\n")
                if not self._status.startswith(b"200"):
                    client.shutdown(socket.SHUT_RDWR)
                    continue
                server = socket.create_connection(("127.0.0.1", int(data.split(b" ", 2)[1].rpartition(b":")[2])))
                self._sockets.append(server)
                for pair in ((client, server), (server, client)):
                    self._pumps.append(threading.Thread(target=_pump, args=pair, daemon=True))
                    self._pumps[-1].start()

    def close(self):
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in (self._thread, *self._pumps):
            thread.join(5)
        for each in (self._listener, *self._sockets):
            each.close()


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def make_proxy():
    made = []

    def make(*args):
        made.append(ConnectProxy(*args))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def test_https_goes_through_the_proxy_of_the_environment_which_sees_no_token(
    secure, certificate, make_proxy, monkeypatch
):
    proxy = make_proxy()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pa55@{proxy.address}")
    with contextlib.closing(Transport(secure.url)) as transport:
        for _ in range(2):
            assert transport.send("GET", f"{secure.url}/x", headers=HEADERS, cancel=CancelToken()).status == 200
    (seen,) = proxy.heads
    assert seen.startswith(f"CONNECT localhost:{secure.port} ".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpwYTU1" in seen
    assert b"Bearer" not in seen
    for request in secure.requests:
        assert request.headers["authorization"] == "Bearer s3cret-token"
        assert "proxy-authorization" not in request.headers


@pytest.mark.parametrize(
    ("environment", "is_proxied"),
    [
        ({"HTTPS_PROXY": "http://{}"}, True),
        ({"all_proxy": "http://{}", "NO_PROXY": ".example.org,10.0.0.0/8"}, True),
        ({"https_proxy": "http://{}", "HTTP_PROXY": "socks5://user:pa55@[nonsense"}, True),
        ({"HTTPS_PROXY": "http://{}", "NO_PROXY": "localhost, .svc"}, False),
        ({"ALL_PROXY": "socks5://user:pa55@[nonsense", "no_proxy": "localhost"}, False),
        ({}, False),
    ],
)
def test_the_environment_says_whether_there_is_a_proxy(
    secure, certificate, make_proxy, monkeypatch, environment, is_proxied
):
    proxy = make_proxy()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(proxy.address))
    with contextlib.closing(Transport(secure.url)) as transport:
        assert transport.send("GET", secure.url, headers=HEADERS, cancel=CancelToken()).status == 200
        assert transport.has_proxy is is_proxied
    assert len(proxy.heads) == is_proxied


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "value",
    [
        "socks5h://user:pa55@127.0.0.1:1",
        "ftp://user:pa55@127.0.0.1:1",
        "http://user:pa55@",
        "http://user:pa55@[::1",
        "http://user:pa55@host:port",
        "http://user:pa55@host:99999",
        "http://käse:pa55@" + "x" * 80,
        "http://\u0436:pa55@host",
        "direct://",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(monkeypatch, caplog, name, value):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(name, value)
    url = "https://www.drillster.com"
    with pytest.raises(SettingsError, match=name) as raised, contextlib.closing(Transport(url)) as transport:
        transport.send("GET", url, headers=HEADERS, cancel=CancelToken())
    assert "www.drillster.com" in str(raised.value)
    assert "pa55" not in "".join(traceback.format_exception(raised.value)) + repr(raised.value) + caplog.text
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("proxy_url", "status", "kind", "message"),
    [
        ("http://user:pa55@{}", b"407 Proxy Authentication Required", SettingsError, "asks for a login"),
        ("http://user:pa55@{}", b"503 Busy", TransportError, "no connection through the proxy"),
        ("socks5://user:pa55@{}", b"", SettingsError, "HTTPS_PROXY"),
        ("http://user:pa55@", b"", SettingsError, "HTTPS_PROXY"),
        ("http://user:pa55@127.0.0.1:1", b"", TransportError, "proxy"),
    ],
)
def test_a_proxy_that_fails_does_not_give_its_password_away(
    secure, make_proxy, monkeypatch, proxy_url, status, kind, message, caplog
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HTTPS_PROXY", proxy_url.format(make_proxy(status).address))
    with pytest.raises(kind, match=message) as raised, contextlib.closing(Transport(secure.url)) as transport:
        transport.send("GET", secure.url, headers=HEADERS, cancel=CancelToken())
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + caplog.text
    assert "pa55" not in shown
    assert "s3cret" not in shown

"""TLS, and proxies in front of it."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import ssl
import threading
import traceback

import pytest

from drillster_pipeline.api.retry import CancelToken
from drillster_pipeline.api.transport import Limits, Transport, TransportError
from drillster_pipeline.errors import SettingsError
from tests.support.scripted import HEADERS, Reply, ScriptedServer, head
from tests.support.tls import pass_on, self_signed

pytestmark = pytest.mark.usefixtures("no_proxies")


def send(url, **limits):
    with contextlib.closing(Transport(url, limits=Limits(**limits))) as transport:
        return transport.send("GET", url, headers=HEADERS, cancel=CancelToken()), transport


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("tls"), "localhost", host="localhost")


@pytest.fixture
def secure(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ScriptedServer(lambda _: Reply(body=b'{"tls":true}'), context=context) as server:
        yield server


@pytest.fixture
def trusted(secure, certificate, monkeypatch):
    """The server, whose certificate the environment names."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    return secure


def test_a_secure_response_that_comes_byte_by_byte_is_cut_too(trusted):
    trusted.answer = lambda _: Reply(pieces=[head(Content_Length=1000), *[b"x"] * 1000], piece_wait=0.05)
    with pytest.raises(TransportError, match="no complete response"):
        send(trusted.url, response_seconds=0.3)


def test_a_certificate_that_is_not_trusted_is_a_wrong_setting(secure, monkeypatch):
    with pytest.raises(SettingsError, match=r"certificate of localhost .* REQUESTS_CA_BUNDLE"):
        send(secure.url)
    assert secure.requests == []
    monkeypatch.setenv("CURL_CA_BUNDLE", "/no/such/file")
    with pytest.raises(SettingsError, match="CURL_CA_BUNDLE"):
        send(secure.url)


class ConnectProxy(socketserver.ThreadingTCPServer):
    """A proxy for https: records the requests, and tunnels to whatever port is named."""

    daemon_threads = True

    def __init__(self, status=b"200 Connection established"):
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.heads: list[bytes] = []
        self.status = status
        self.address = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class _Tunnel(socketserver.StreamRequestHandler):
    def handle(self):
        head = b"".join(iter(self.rfile.readline, b"\r\n"))
        self.server.heads.append(head)
        self.wfile.write(b"HTTP/1.1 " + self.server.status + b"\r\n\r\n")
        if not self.server.status.startswith(b"200"):
            return
        port = int(head.split(b" ", 2)[1].rpartition(b":")[2])
        with socket.create_connection(("127.0.0.1", port)) as target:
            threading.Thread(target=pass_on, args=(target, self.connection), daemon=True).start()
            pass_on(self.connection, target)


@pytest.fixture
def make_proxy():
    with contextlib.ExitStack() as stack:
        yield lambda *args: stack.enter_context(contextlib.closing(ConnectProxy(*args)))


def test_https_goes_through_the_proxy_of_the_environment_that_gets_no_token(trusted, make_proxy, monkeypatch):
    proxy = make_proxy()
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pa55@{proxy.address}")
    with contextlib.closing(Transport(trusted.url)) as transport:
        for _ in range(2):
            assert transport.send("GET", f"{trusted.url}/x", headers=HEADERS, cancel=CancelToken()).status == 200
    (seen,) = proxy.heads
    assert seen.startswith(f"CONNECT localhost:{trusted.port} ".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpwYTU1" in seen
    assert b"Bearer" not in seen
    for request in trusted.requests:
        assert request.headers["authorization"] == "Bearer s3cret-token"
        assert "proxy-authorization" not in request.headers


@pytest.mark.parametrize(
    ("environment", "is_proxied"),
    [
        ({"HTTPS_PROXY": "http://{}"}, True),
        ({"all_proxy": "http://{}", "NO_PROXY": ".example.org,10.0.0.0/8"}, True),
        ({"HTTPS_PROXY": "http://{}", "NO_PROXY": "localhost, .svc"}, False),
        ({"ALL_PROXY": "socks5://user:pa55@[nonsense", "no_proxy": "localhost"}, False),
    ],
)
def test_the_environment_says_whether_there_is_a_proxy(trusted, make_proxy, monkeypatch, environment, is_proxied):
    proxy = make_proxy()
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(proxy.address))
    response, transport = send(trusted.url)
    assert response.status == 200
    assert transport.has_proxy is is_proxied
    assert len(proxy.heads) == is_proxied


@pytest.mark.parametrize(
    "value",
    [
        "socks5h://user:pa55@127.0.0.1:1",
        "ftp://user:pa55@127.0.0.1:1",
        "http://user:pa55@",
        "http://user:pa55@[::1",
        "http://user:pa55@host:99999",
        "http://\u0436:pa55@host",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(monkeypatch, caplog, value):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("all_proxy", value)
    with pytest.raises(SettingsError, match="all_proxy") as raised:
        send("https://www.drillster.com")
    assert "www.drillster.com" in str(raised.value)
    assert "pa55" not in "".join(traceback.format_exception(raised.value)) + repr(raised.value) + caplog.text
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("proxy_url", "status", "kind", "message"),
    [
        ("http://user:pa55@{}", b"407 Proxy Authentication Required", SettingsError, "asks for a login"),
        ("http://user:pa55@{}", b"503 Busy", TransportError, "no connection through the proxy"),
        ("http://user:pa55@127.0.0.1:1", b"", TransportError, "proxy"),
    ],
)
def test_a_proxy_that_fails_does_not_give_its_password_away(
    secure, make_proxy, monkeypatch, proxy_url, status, kind, message, caplog
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HTTPS_PROXY", proxy_url.format(make_proxy(status).address))
    with pytest.raises(kind, match=message) as raised:
        send(secure.url)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + caplog.text
    assert "pa55" not in shown
    assert "s3cret" not in shown

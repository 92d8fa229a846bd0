from __future__ import annotations

import contextlib
import gzip
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from drillster_pipeline.api.retry import CancelToken
from drillster_pipeline.api.transport import Limits, ResponseTooLarge, Transport, TransportError
from tests.support.scripted import HEADERS, Reply, ScriptedServer, head, play

pytestmark = pytest.mark.usefixtures("no_proxies")


@contextlib.contextmanager
def serving(reply, *, connections=1, **limits):
    answer = reply if callable(reply) else lambda _: reply
    with (
        ScriptedServer(answer) as server,
        contextlib.closing(Transport(server.url, connections=connections, limits=Limits(**limits))) as transport,
    ):
        yield (
            server,
            lambda cancel=None: transport.send(
                "GET", f"{server.url}/x?y=1", headers=HEADERS, cancel=cancel or CancelToken()
            ),
        )


def test_a_complete_response_is_returned():
    with serving(Reply(status=404, body=b'{"id":"not_found"}', headers={"X-Y": "z"})) as (server, send):
        reply = send()
    assert (reply.status, reply.body, reply.headers["x-y"]) == (404, b'{"id":"not_found"}', "z")
    (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/x?y=1")
    assert request.headers == {
        "host": server.url.removeprefix("http://"),
        "authorization": "Bearer s3cret-token",
        "accept-encoding": "gzip",
        "user-agent": request.headers["user-agent"],
    }


def test_a_connection_is_kept_and_nothing_of_the_environment_or_of_earlier_responses_is_sent(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\ndefault login x password y\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    replies = [
        Reply(status=503, body=b"<html>"),
        Reply(status=404, body=b""),
        Reply(status=204, body=b""),
        Reply(status=302, headers={"Location": "/elsewhere"}),
        Reply(headers={"Set-Cookie": "session=1; Path=/"}),
        Reply(),
    ]
    with serving(play(*replies)) as (server, send):
        assert [send().status for _ in replies] == [reply.status for reply in replies]
    assert {request.connection for request in server.requests} == {1}
    assert {request.target for request in server.requests} == {"/x?y=1"}
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer s3cret-token"}
    assert all("cookie" not in request.headers for request in server.requests)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(body=b'{"a":1}'), id="as it is"),
        pytest.param(Reply(body=gzip.compress(b'{"a":1}'), headers={"Content-Encoding": "gzip"}), id="gzip"),
        pytest.param(Reply(body=zlib.compress(b'{"a":1}'), headers={"Content-Encoding": "deflate"}), id="deflate"),
        pytest.param(
            Reply(pieces=[head(Transfer_Encoding="chunked"), b'2\r\n{"\r\n5;x=y\r\na":1}\r\n0\r\n\r\n']), id="chunks"
        ),
    ],
)
def test_a_body_is_read_in_every_encoding(reply):
    with serving(reply) as (_, send):
        assert send().body == b'{"a":1}'


def test_each_thread_has_a_connection_and_all_are_kept():
    barrier = threading.Barrier(6)

    def together(_):
        barrier.wait(5)
        return Reply()

    with serving(together, connections=6) as (server, send), ThreadPoolExecutor(6) as threads:
        for _ in range(3):
            for future in [threads.submit(send) for _ in range(6)]:
                future.result()
    assert {request.connection for request in server.requests} == set(range(1, 7))


def test_a_connection_that_the_server_closed_while_it_was_idle_is_made_anew():
    with serving(Reply(pieces=[head(Content_Length=2) + b"{}"])) as (_, send):
        for _ in range(3):
            assert send().body == b"{}"
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        pytest.param([], "connection lost", id="nothing at all"),
        pytest.param([b"HTTP/1.1 20"], "connection lost", id="half a status line"),
        pytest.param([head(Content_Length=9) + b"{}"], "response cut short", id="less than announced"),
        pytest.param([head(Transfer_Encoding="chunked") + b"2\r\n{}\r\n"], "response cut short", id="no last chunk"),
        pytest.param(
            [head(Transfer_Encoding="chunked") + b"zz\r\n{}"], "response cut short", id="a chunk without a size"
        ),
        pytest.param([head(Content_Encoding="gzip") + b"no gzip"], "broken compression", id="broken gzip"),
        pytest.param(
            [head(Content_Encoding="gzip", Content_Length=99) + gzip.compress(b"{}" * 99)[:20]],
            "response cut short",
            id="half a gzip",
        ),
    ],
)
def test_a_response_that_is_not_complete_is_broken(pieces, reason):
    with serving(Reply(pieces=pieces)) as (_, send), pytest.raises(TransportError, match=reason):
        send()


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://127.0.0.1:1", "^no connection$"), ("https://no-such-host.invalid", "host name not found")],
)
def test_a_host_that_is_not_there_is_reported(url, reason):
    with contextlib.closing(Transport(url)) as transport, pytest.raises(TransportError, match=reason):
        transport.send("GET", url, headers=HEADERS, cancel=CancelToken())


def test_a_refusal_counts_even_if_its_body_is_cut():
    cut = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 99\r\n\r\n{"
    with serving(Reply(pieces=[cut])) as (_, send):
        reply = send()
    assert (reply.status, reply.body) == (403, b"")


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([head(Content_Length=1000), *[b"x"] * 1000], id="body"),
        pytest.param([head(Content_Encoding="gzip"), *([b"\x1f\x8b\x08\0\0\0\0\0\0\xff"] + [b"\0"] * 1000)], id="gzip"),
        pytest.param([b"HTTP/1.1 200 OK\r\n", *[b"X"] * 1000], id="head"),
        pytest.param([b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 90] * 9, id="lines of the head"),
    ],
)
def test_an_answer_that_comes_byte_by_byte_is_cut(pieces):
    began = time.monotonic()
    with (
        serving(Reply(pieces=pieces, piece_wait=0.05), read_seconds=5, response_seconds=0.3) as (_, send),
        pytest.raises(TransportError, match=r"no complete response within 0\.3 s"),
    ):
        send()
    assert time.monotonic() - began < 4


def test_a_steady_answer_is_not_cut_while_another_is():
    def answer(request):
        if request.connection == 1:
            return Reply(pieces=[head(Content_Length=20), *[b"x"] * 20], piece_wait=0.1)
        return Reply(body=b"x" * 20)

    with (
        serving(answer, read_seconds=5, response_seconds=0.4, connections=2) as (_, send),
        ThreadPoolExecutor(1) as threads,
    ):
        slow = threads.submit(send)
        time.sleep(0.1)
        for _ in range(5):
            assert send().body == b"x" * 20
        assert isinstance(slow.exception(timeout=10), TransportError)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param((b"x" * 5_000_000, {}), id="long"),
        pytest.param((gzip.compress(b"x" * 50_000_000), {"Content-Encoding": "gzip"}), id="a gzip bomb"),
        pytest.param(
            (gzip.compress(gzip.compress(b"x" * 50_000_000)), {"Content-Encoding": "gzip, gzip"}), id="a bomb in a bomb"
        ),
    ],
)
def test_a_response_that_is_too_large_is_not_read(body):
    content, headers = body
    with (
        serving(Reply(body=content, headers=headers), answer_bytes=2_000_000) as (_, send),
        pytest.raises(ResponseTooLarge),
    ):
        send()


# The environment


def test_plain_http_never_goes_through_a_proxy(monkeypatch):
    with ScriptedServer(lambda _: Reply(status=502)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with serving(Reply()) as (server, send):
            assert send().status == 200
        assert len(server.requests) == 1
        assert proxy.requests == []

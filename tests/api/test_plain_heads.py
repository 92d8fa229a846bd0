from __future__ import annotations

import http.client
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drillster_pipeline.api.watchdog import PlainHeadResponse

OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Arriving(io.RawIOBase):
    """Bytes that arrive in pieces; a response makes its file of it, as of a socket."""

    def __init__(self, sent, most_at_once):
        self._sent, self._most = io.BytesIO(sent), most_at_once

    def makefile(self, _mode):
        return io.BufferedReader(self)

    def readable(self):
        return True

    def readinto(self, room):
        piece = self._sent.read(min(self._most, len(room)))
        room[: len(piece)] = piece
        return len(piece)


def read_by(kind, sent, most_at_once=1 << 20):
    """All that a response shows, or the kind of its failure."""
    response = kind(Arriving(sent, most_at_once), method="GET")
    try:
        response.begin()
        seen = {
            name: getattr(response, name)
            for name in ("version", "status", "code", "reason", "chunked", "chunk_left", "length", "will_close")
        }
        return seen | {"headers": response.getheaders(), "body": response.read(), "closed": response.isclosed()}
    except Exception as error:  # noqa: BLE001 - which one is the result
        return type(error)
    finally:
        response.close()


HEADS = {
    "plain": PLAIN,
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "no headers": OK + b"\r\nuntil it ends",
    "closing": OK + b"Content-Length: 2\r\nConnection: Close\r\n\r\n{}",
    "in chunks": OK + b"Transfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "in chunks, with a length": OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "in other chunks": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 1\r\n\r\n{}",
    "a length that is none": OK + b"Content-Length: two\r\n\r\n{}",
    "a length with signs": OK + b"Content-Length: +2_0\r\n\r\n{}",
    "bytes beyond ASCII": OK + b"X: caf\xe9\x85 \x0b \xff\r\nContent-Length: 2\r\n\r\n{}",
    "a folded line": OK + b"X: one\r\n two\r\nContent-Length: 2\r\n\r\n{}",
    "a line without a colon": OK + b"nonsense\r\nContent-Length: 2\r\n\r\n{}",
    "a blank before the colon": OK + b"X : y\r\nContent-Length: 2\r\n\r\n{}",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "a carriage return inside": OK + b"X: a\rContent-Length: 9\r\nContent-Length: 2\r\n\r\n{}",
    "an older version": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a failure": b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}",
    "a hundred": b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
    "too many headers": OK + b"X: y\r\n" * 101 + b"\r\n",
    "too long a header": OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
    "a head that is cut": PLAIN[:30],
}


@pytest.mark.parametrize("sent", [pytest.param(sent, id=name) for name, sent in HEADS.items()])
@pytest.mark.parametrize("most_at_once", [1 << 20, 7])
def test_an_answer_is_read_as_http_client_reads_it(sent, most_at_once):
    expected = read_by(http.client.HTTPResponse, sent)
    assert read_by(PlainHeadResponse, sent, most_at_once=most_at_once) == expected


NAMES = st.sampled_from(["Content-Length", "Transfer-Encoding", "Connection", "X", "x-y", "X ", ""])
VALUES = st.sampled_from(["2", "0", " 2", "2,2", "chunked", "close", "keep-alive"]) | st.text(max_size=8)
LINES = st.builds("{}:{}".format, NAMES, VALUES) | st.text(max_size=8)


@given(st.lists(LINES, max_size=5), st.sampled_from(["\r\n", "\n"]), st.binary(max_size=20))
@example(["Content-Length: 2"], "\r\n", b"{}")
def test_whatever_is_sent_is_read_as_http_client_reads_it(lines, end, body):
    sent = OK + "".join(line + end for line in lines).encode("latin-1", "replace") + end.encode() + body
    assert read_by(PlainHeadResponse, sent) == read_by(http.client.HTTPResponse, sent)


def test_a_plain_head_does_without_the_parser_of_e_mails(monkeypatch):
    def never(*_args, **_options):
        raise AssertionError

    monkeypatch.setattr(http.client, "parse_headers", never)
    assert read_by(PlainHeadResponse, PLAIN)["body"] == b"{}"

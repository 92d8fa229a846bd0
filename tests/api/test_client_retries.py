from __future__ import annotations

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from drillster_pipeline.api.retry import Backoff
from drillster_pipeline.api.transport import Limits
from drillster_pipeline.errors import AnswerError, ApiUnavailable, Unavailable

from .scripted import Play, Reply, json_reply

OK = json_reply({"groups": []})
MEMBERS = "group/{group_id}/members"


def get(client):
    return client.get("groups", {}, {})


@pytest.fixture
def patient(make_client, make_tokens, fake_time):
    """A client whose waits only move its clock; the random part of each is the longest possible."""

    def make(**options):
        times = {"clock": fake_time.clock, "sleep": fake_time.sleep, "now": fake_time.now, "random": lambda: 1.0}
        return make_client(**{**times, "tokens": make_tokens(clock=fake_time.clock), "backoff": None, **options})

    return make


# What is tried again

CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"

FAILURES = [
    *(pytest.param(Reply(status=status, body=b"<html>"), id=str(status)) for status in (408, 429, 500, 502, 503, 504)),
    pytest.param(Reply(status=520), id="520 of a proxy"),
    pytest.param(Reply(reset=True), id="reset"),
    pytest.param(Reply(pieces=[]), id="closed without an answer"),
    pytest.param(Reply(pieces=[CUT]), id="less than Content-Length"),
    pytest.param(Reply(pieces=[CHUNKED + b"5\r\n{}"]), id="half a chunk"),
    pytest.param(Reply(pieces=[CHUNKED + b"2\r\n{}\r\n"]), id="no last chunk"),
    pytest.param(Reply(pieces=[GZIP + b"no gzip at all"]), id="broken gzip"),
    pytest.param(Reply(pieces=[GZIP + gzip.compress(b'{"groups": []}' * 50)[:40]]), id="half a gzip"),
    pytest.param(Reply(body=b""), id="empty"),
    pytest.param(Reply(body=b" \r\n"), id="blank"),
    pytest.param(Reply(status=204, body=b""), id="204"),
    pytest.param(Reply(body=b"<!DOCTYPE html><html>maintenance</html>"), id="HTML"),
    pytest.param(Reply(body=b'{"groups": ['), id="half a JSON"),
    pytest.param(Reply(body=b'{"n": NaN}'), id="NaN"),
    pytest.param(Reply(body=b"\xff\xfe\xfd"), id="no text"),
    pytest.param(Reply(body=b"[" * 100_000), id="nested without end"),
]


@pytest.mark.parametrize("failure", FAILURES)
def test_it_is_tried_again(patient, drillster, failure):
    drillster.api = Play(failure, failure, OK)
    client = patient()
    assert get(client).body == {"groups": []}
    assert len(drillster.calls) == 3
    assert client.metrics.retries == 2
    assert drillster.grants == 1


@pytest.mark.parametrize("failure", FAILURES)
def test_it_is_not_tried_for_ever(patient, drillster, failure):
    drillster.api = lambda _: failure
    with pytest.raises(ApiUnavailable) as raised:
        patient(backoff=Backoff(attempts=3)).get(MEMBERS, {"group_id": "g-secret"}, {"query": "q-secret"})
    assert isinstance(raised.value, Unavailable)
    assert (raised.value.exit_code, raised.value.endpoint) == (4, MEMBERS)
    assert len(drillster.calls) == 3
    for hidden in ("g-secret", "q-secret", "html", "token-1"):
        assert hidden not in str(raised.value)


def test_an_answer_that_does_not_come_is_tried_again(make_client, drillster):
    drillster.api = Play(Reply(wait=5), OK)
    assert get(make_client(limits=Limits(read_seconds=0.2))).status == 200
    assert len(drillster.calls) == 2


def test_an_answer_that_is_too_large_is_not_asked_for_again(make_client, drillster):
    drillster.api = lambda _: Reply(body=b"[" + b"0," * 600_000 + b"0]")
    with pytest.raises(AnswerError, match="too large"):
        get(make_client(limits=Limits(answer_bytes=1_000_000)))
    assert len(drillster.calls) == 1


def test_the_error_tells_what_kept_happening_where_how_often_and_for_how_long(patient, drillster):
    drillster.api = Play(json_reply({"id": "overloaded"}, 503), Reply(reset=True), Reply(body=b"<html>"))
    with pytest.raises(ApiUnavailable) as raised:
        patient(backoff=Backoff(attempts=8)).get(MEMBERS, {"group_id": "g"}, {})
    assert str(raised.value) == (
        "Drillster gave no usable answer for group/{group_id}/members: 8 attempts in 13 s: answer that is not JSON "
        "(6 times), status 503 overloaded (once), connection lost (once). It may be down or being upgraded: run again "
        "later, what was captured until now is kept."
    )


def test_a_token_endpoint_that_stays_away_is_told_as_such(patient, make_tokens, drillster, fake_time):
    drillster.grant = lambda _: Reply(status=502)
    tokens = make_tokens(clock=fake_time.clock, sleep=fake_time.sleep)
    with pytest.raises(ApiUnavailable, match="issued no token") as raised:
        get(patient(tokens=tokens))
    assert raised.value.endpoint == "daas/oauth/token"
    assert drillster.calls == []


# How long


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    ("value", "waited"),
    [
        ("7", 7),
        ("120", 120),
        ("21600", 120),
        ("9" * 5000, 120),
        ("Tue, 24 Nov 2026 12:00:09 GMT", 9),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("0", 0),
        ("-7", 0),
        ("soon", 0),
        ("", 0),
    ],
)
def test_retry_after_is_honoured_and_capped(patient, drillster, fake_time, status, value, waited):
    drillster.api = Play(Reply(status=status, headers={"Retry-After": value}), OK)
    began = fake_time.seconds
    get(patient(random=lambda: 0.0))
    assert fake_time.seconds - began == pytest.approx(waited)


def test_the_wait_for_a_turn_is_not_of_the_budget(patient, drillster, fake_time):
    drillster.api = Play(*[Reply(status=502)] * 5, OK)
    began = fake_time.seconds
    assert get(patient(requests_per_second=0.01, random=lambda: 0.0)).status == 200
    assert fake_time.seconds - began == pytest.approx(500)


def test_nor_is_the_wait_for_a_token(patient, make_tokens, drillster, fake_time):
    def api(request):
        return OK if request.token == "token-5" else Reply(status=502)

    def grant(request):
        fake_time.seconds += 100
        return drillster.issue(request)

    drillster.api, drillster.grant, drillster.expires_in = api, grant, 1
    tokens = make_tokens(clock=fake_time.clock, sleep=fake_time.sleep, random=lambda: 0.0)
    assert get(patient(tokens=tokens)).status == 200


# Above the authentication


def test_a_retry_carries_a_token_that_is_good_by_then(patient, make_tokens, drillster, fake_time):
    drillster.expires_in = 60
    drillster.api = Play(Reply(status=503, headers={"Retry-After": "100"}), OK)
    get(patient(tokens=make_tokens(clock=fake_time.clock)))
    assert [request.token for request in drillster.calls] == ["token-1", "token-2"]


def test_nobody_waits_for_a_turn_with_a_token_in_hand(patient, make_tokens, drillster, fake_time):
    drillster.expires_in = 60
    tokens = make_tokens(clock=fake_time.clock)
    client = patient(tokens=tokens, requests_per_second=0.01)
    get(client)
    get(client)
    assert [request.token for request in drillster.calls] == ["token-1", "token-2"]


# All threads


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_pauses_every_thread(make_client, drillster, status):
    first = threading.Event()

    def api(_):
        if not first.is_set():
            first.set()
            return Reply(status=status, headers={"Retry-After": "1"})
        return OK

    drillster.api = api
    client = make_client(concurrency=8)
    with ThreadPoolExecutor(8) as threads:
        limited = threads.submit(get, client)
        assert first.wait(5)
        time.sleep(0.1)
        others = [threads.submit(get, client) for _ in range(7)]
        for future in [limited, *others]:
            future.result()
    refused, *later = (request.at for request in drillster.calls)
    assert len(later) == 8
    assert min(later) - refused >= 0.95


def test_a_retry_after_of_another_status_holds_only_the_thread_that_met_it(make_client, drillster):
    first = threading.Event()

    def api(_):
        if not first.is_set():
            first.set()
            return Reply(status=500, headers={"Retry-After": "1"})
        return OK

    drillster.api = api
    client = make_client(concurrency=8)
    with ThreadPoolExecutor(2) as threads:
        limited = threads.submit(get, client)
        assert first.wait(5)
        began = time.monotonic()
        threads.submit(get, client).result()
        assert time.monotonic() - began < 0.9
        limited.result()


def test_overload_narrows_what_is_in_flight_for_all(patient, drillster):
    drillster.api = Play(*[Reply(status=429)] * 10, OK)
    client = patient(concurrency=16)
    get(client)
    assert client._throttle.limit == pytest.approx(16 * 0.97**10 * 1.006)


def test_the_rate_counts_retries_and_replays_too(make_client, drillster):
    drillster.api = Play(Reply(status=500), Reply(status=401), Reply(status=500), OK)
    client = make_client(concurrency=4, requests_per_second=20)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(get, client) for _ in range(12)]:
            future.result()
    assert len(drillster.calls) == client.metrics.requests == 15
    assert max(request.at for request in drillster.calls) - began >= 14 / 20
    assert client.metrics.seconds_throttled > 1

"""A GET through the client: its answer, tokens, retries, and the turns of all threads."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from drillster_pipeline.api.client import Client
from drillster_pipeline.api.responses import PERMISSION_IDS
from drillster_pipeline.api.retry import Backoff, Cancelled
from drillster_pipeline.api.transport import Limits
from drillster_pipeline.errors import (
    AnswerError,
    ApiError,
    ApiUnavailable,
    AuthenticationError,
    NotFound,
    PermissionDenied,
    RequestRefused,
    SettingsError,
    Unauthorized,
    Unavailable,
)
from tests.support.scripted import Reply, json_reply, play

MEMBERS = "group/{group_id}/members"


def get(client, path="groups", unit=(), query=()):
    return client.get(path, dict(unit), dict(query))


# The request and its answer


def test_an_answer_is_decoded_and_kept_as_it_came(make_client, drillster):
    text = '{"groups": [{"name": "Zorg \\u00e9 🧠"}], "n": 1e3}'.encode()
    drillster.api = lambda _: Reply(body=text)
    answer = get(make_client())
    assert answer.body == {"groups": [{"name": "Zorg é 🧠"}], "n": 1000.0}
    assert (answer.status, answer.content) == (200, text)
    headers = drillster.calls[0].headers
    assert headers["authorization"] == "Bearer token-1"
    assert headers["accept-encoding"] == "gzip"
    assert headers["user-agent"].startswith("drillster-pipeline/")


def test_a_template_is_filled_with_any_id(make_client, drillster):
    client = make_client()
    client.get(MEMBERS, {"group_id": "a/b ?é%2F+{x}"}, {"resultFrom": "2024-02-01T09:00:00.512Z", "query": "a&b=c +é"})
    (request,) = drillster.calls
    assert request.target.startswith("/api/2.1.1/group/a%2Fb%20%3F%C3%A9%252F%2B%7Bx%7D/members?")
    assert request.query == {"resultFrom": "2024-02-01T09:00:00.512Z", "query": "a&b=c +é"}


@pytest.mark.parametrize("group_id", ["", ".", ".."])
def test_an_id_that_would_lead_elsewhere_is_not_sent(make_client, drillster, group_id):
    with pytest.raises(RequestRefused, match="no address can have") as raised:
        make_client().get(MEMBERS, {"group_id": group_id}, {})
    assert raised.value.endpoint == MEMBERS
    assert drillster.requests == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param('{"a": "é"}'.encode("utf-8-sig"), {}, id="a byte order mark"),
        pytest.param('{"a": "é"}'.encode("utf-16"), {}, id="UTF-16"),
        pytest.param(b' \n{"a": "\xc3\xa9"}\r\n', {}, id="space around"),
        pytest.param(b'{"a": "\xc3\xa9"}', {"Content-Type": "text/html"}, id="a wrong type"),
    ],
)
def test_json_is_read_however_it_is_wrapped(make_client, drillster, body, headers):
    drillster.api = lambda _: Reply(body=body, headers=headers)
    answer = get(make_client())
    assert answer.body == {"a": "é"}
    assert json.loads(answer.content) == {"a": "é"}


# 401


def test_a_401_is_renewed_and_replayed_once(make_client, drillster):
    drillster.api = lambda request: json_reply({}) if request.token == "token-2" else Reply(status=401)
    client = make_client()
    assert get(client).status == 200
    assert [request.token for request in drillster.calls] == ["token-1", "token-2"]
    assert client.metrics.replays == 1
    assert client.metrics.snapshot()["renewals"] == 1
    assert client.metrics.retries == 0
    get(client)
    assert drillster.calls[-1].token == "token-2"


@pytest.mark.parametrize("body", [b"<html>", b'{"id":"not_authenticated","description":"x"}'])
def test_a_second_401_is_final(make_client, drillster, body):
    drillster.api = lambda _: Reply(status=401, body=body)
    client = make_client()
    with pytest.raises(Unauthorized) as raised:
        get(client)
    assert isinstance(raised.value, AuthenticationError)
    assert (raised.value.exit_code, raised.value.endpoint, raised.value.status) == (2, "groups", 401)
    assert len(drillster.calls) == 2
    assert drillster.grants == 2


def test_a_401_after_other_failures_is_still_only_replayed_once(make_client, drillster):
    drillster.api = play(Reply(status=503), Reply(status=401), Reply(status=503), Reply(status=401))
    with pytest.raises(Unauthorized):
        get(make_client(sleep=lambda _: None))
    assert [request.token for request in drillster.calls] == ["token-1", "token-1", "token-2", "token-2"]
    assert drillster.grants == 2


def test_sixteen_refused_threads_renew_once_and_each_replays_once(make_client, drillster):
    barrier = threading.Barrier(16)

    def api(request):
        if request.token == "token-1":
            barrier.wait(10)
            return Reply(status=401)
        return json_reply({})

    drillster.api = api
    client = make_client(concurrency=16)
    with ThreadPoolExecutor(16) as threads:
        for future in [threads.submit(get, client) for _ in range(16)]:
            assert future.result().status == 200
    assert drillster.grants == 2
    assert len(drillster.calls) == 32
    assert client.metrics.replays == 16


# Refusals that are final


@pytest.mark.parametrize(
    ("status", "identifier", "kind", "exit_code"),
    [
        (403, "no_group_access", PermissionDenied, 3),
        (403, None, PermissionDenied, 3),
        (403, "something_new", PermissionDenied, 3),
        *((401, name, PermissionDenied, 3) for name in sorted(PERMISSION_IDS)),
        (400, "not_authorized", PermissionDenied, 3),
        (404, "group_not_found", NotFound, 6),
        (404, None, NotFound, 6),
        (400, "invalid_result_size", RequestRefused, 6),
        (400, None, RequestRefused, 6),
        (405, None, RequestRefused, 6),
        (501, None, AnswerError, 6),
        (505, None, AnswerError, 6),
    ],
)
def test_a_refusal_is_raised_at_once_with_its_id_and_its_endpoint(
    make_client, drillster, status, identifier, kind, exit_code
):
    body = json.dumps({"id": identifier, "description": "Noor de Wit may not"}).encode() if identifier else b"<html>"
    drillster.api = lambda _: Reply(status=status, body=body)
    with pytest.raises(ApiError) as raised:
        make_client().get(MEMBERS, {"group_id": "g-secret"}, {"query": "q-secret"})
    error = raised.value
    assert type(error) is kind
    assert (error.status, error.error_id, error.endpoint, error.exit_code) == (status, identifier, MEMBERS, exit_code)
    assert MEMBERS in str(error)
    assert str(status) in str(error)
    assert (identifier or "") in str(error)
    assert (kind is PermissionDenied) == ("Groups administrator" in str(error) or "console" in str(error))
    for hidden in ("Noor", "g-secret", "q-secret", "token-1", "html"):
        assert hidden not in str(error)
    assert len(drillster.calls) == 1
    assert drillster.grants == 1


# Redirects


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://eu.drillster.example/api/2.1.1/groups?k=v", "to eu.drillster.example (302)"),
        ("https://user:pass@login.example/x", "to login.example (302)"),
        ("/api/2.1.1/groups/?k=v", "to another address (302)"),
        ("https://[", "to another address (302)"),
        ("javascript:alert(1)", "to another address (302)"),
    ],
)
def test_a_redirect_is_never_followed(make_client, drillster, location, says):
    drillster.api = lambda _: Reply(status=302, headers={"Location": location})
    with pytest.raises(SettingsError) as raised:
        get(make_client())
    message = str(raised.value)
    assert says in message
    assert "DRILLSTER_BASE_URL" in message
    for hidden in ("k=v", "pass", "/x", "alert"):
        assert hidden not in message
    assert len(drillster.calls) == 1


# Stopping


@pytest.mark.parametrize(
    ("what", "reply", "options"),
    [
        ("api", Reply(status=500, headers={"Retry-After": "60"}), {}),
        ("api", Reply(status=429, headers={"Retry-After": "60"}), {}),
        ("api", Reply(wait=3), {}),
        ("api", Reply(wait=3), {"concurrency": 1}),
        ("api", Reply(wait=3), {"requests_per_second": 0.01}),
        ("grant", Reply(status=503, headers={"Retry-After": "50"}), {}),
    ],
    ids=["backing off", "paused", "awaiting a response", "awaiting a place", "awaiting a turn", "awaiting a token"],
)
def test_every_thread_ends_at_once(make_client, drillster, what, reply, options):
    client: Client = make_client(random=lambda: 1.0, **{"concurrency": 4} | options)
    setattr(drillster, what, lambda _: reply)
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(get, client) for _ in range(4)]
        while len(drillster.requests) < (1 if what == "grant" else 2 if options else 3):
            time.sleep(0.01)
        began = time.monotonic()
        client.close()
        assert {type(future.exception(timeout=10)) for future in waiting} == {Cancelled}
        assert time.monotonic() - began < 2


# What is shown and counted


def test_what_was_done_is_counted(make_client, drillster):
    drillster.api = play(Reply(status=500), Reply(status=401), json_reply([1, 2, 3]))
    client = make_client(random=lambda: 0.1)
    get(client)
    counted = client.metrics.snapshot()
    assert counted == {
        "requests": 3,
        "retries": 1,
        "replays": 1,
        "grants": 2,
        "renewals": 1,
        "received_bytes": 2 + 2 + 9,
        "seconds_throttled": 0.0,
        "seconds_backing_off": 0.01,
    }


OK = json_reply({"groups": []})


@pytest.fixture
def patient(make_client, make_tokens, fake_time):
    """A client whose waits only move its clock; the random part of each is the longest possible."""

    def make(**options):
        times = {"clock": fake_time.clock, "sleep": fake_time.sleep, "now": fake_time.now, "random": lambda: 1.0}
        return make_client(**{**times, "tokens": make_tokens(clock=fake_time.clock), "backoff": None, **options})

    return make


# What is tried again


FAILURES = [
    *(pytest.param(Reply(status=status, body=b"<html>"), id=str(status)) for status in (408, 429, 500, 503, 520)),
    pytest.param(Reply(reset=True), id="reset"),
    pytest.param(Reply(body=b" \r\n"), id="blank"),
    pytest.param(Reply(status=204, body=b""), id="204"),
    pytest.param(Reply(body=b'{"groups": ['), id="half a JSON"),
    pytest.param(Reply(body=b'{"n": NaN}'), id="NaN"),
    pytest.param(Reply(body=b"\xff\xfe\xfd"), id="no text"),
    pytest.param(Reply(body=b"[" * 100_000), id="nested without end"),
]


@pytest.mark.parametrize("failure", FAILURES)
def test_it_is_tried_again(patient, drillster, failure):
    drillster.api = play(failure, failure, OK)
    client = patient()
    assert get(client).body == {"groups": []}
    assert len(drillster.calls) == 3
    assert client.metrics.retries == 2
    assert drillster.grants == 1


def test_attempts_end(patient, drillster):
    drillster.api = lambda _: Reply(body=b"<html>")
    with pytest.raises(ApiUnavailable) as raised:
        patient(backoff=Backoff(attempts=3)).get(MEMBERS, {"group_id": "g-secret"}, {"query": "q-secret"})
    assert isinstance(raised.value, Unavailable)
    assert (raised.value.exit_code, raised.value.endpoint) == (4, MEMBERS)
    assert len(drillster.calls) == 3
    assert MEMBERS in str(raised.value)
    assert "3 attempts in" in str(raised.value)
    assert "not JSON (3 times)" in str(raised.value)
    for hidden in ("g-secret", "q-secret", "html", "token-1"):
        assert hidden not in str(raised.value)


def test_an_answer_that_does_not_come_is_tried_again(make_client, drillster):
    drillster.api = play(Reply(wait=5), OK)
    assert get(make_client(limits=Limits(read_seconds=0.2))).status == 200
    assert len(drillster.calls) == 2


def test_an_answer_that_is_too_large_is_not_requested_again(make_client, drillster):
    drillster.api = lambda _: Reply(body=b"[" + b"0," * 600_000 + b"0]")
    with pytest.raises(AnswerError, match="too large"):
        get(make_client(limits=Limits(answer_bytes=1_000_000)))
    assert len(drillster.calls) == 1


# How long


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(("value", "waited"), [("7", 7), ("21600", 120), ("Tue, 24 Nov 2026 12:00:09 GMT", 9)])
def test_retry_after_is_honoured_and_capped(patient, drillster, fake_time, status, value, waited):
    drillster.api = play(Reply(status=status, headers={"Retry-After": value}), OK)
    began = fake_time.seconds
    get(patient(random=lambda: 0.0))
    assert fake_time.seconds - began == pytest.approx(waited)


def test_the_wait_for_a_turn_is_not_of_the_budget(patient, drillster, fake_time):
    drillster.api = play(*[Reply(status=502)] * 5, OK)
    began = fake_time.seconds
    assert get(patient(requests_per_second=0.01, random=lambda: 0.0)).status == 200
    assert fake_time.seconds - began == pytest.approx(500)


# Above the authentication


@pytest.mark.parametrize(
    ("rate", "replies"),
    [(0.01, [OK]), (None, [Reply(status=503, headers={"Retry-After": "100"}), OK])],
    ids=["the wait for a turn", "a retry"],
)
def test_the_token_is_taken_after_every_wait(patient, make_tokens, drillster, fake_time, rate, replies):
    drillster.expires_in = 60
    drillster.api = play(*replies)
    client = patient(tokens=make_tokens(clock=fake_time.clock), requests_per_second=rate)
    get(client)
    get(client)
    assert [request.token for request in drillster.calls[:2]] == ["token-1", "token-2"]


# All threads


@pytest.mark.parametrize(("status", "pauses"), [(429, True), (503, True), (500, False)])
def test_a_retry_after_of_an_overload_pauses_every_thread(make_client, drillster, status, pauses):
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
        others = [threads.submit(get, client) for _ in range(3)]
        began = time.monotonic()
        for future in [*others, *([limited] if pauses else [])]:
            future.result()
        client.close()  # ends the wait of the one that is limited
    assert (time.monotonic() - began > 0.7) == pauses


def test_overload_lowers_the_number_of_requests_in_flight(patient, drillster):
    drillster.api = play(*[Reply(status=429)] * 10, OK)
    client = patient(concurrency=16)
    get(client)
    assert client._throttle.limit == pytest.approx(16 * 0.97**10 * 1.006)


def test_the_rate_counts_retries_and_replays_too(make_client, drillster):
    drillster.api = play(Reply(status=500), Reply(status=401), Reply(status=500), OK)
    client = make_client(concurrency=4, requests_per_second=20)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(get, client) for _ in range(12)]:
            future.result()
    assert len(drillster.calls) == client.metrics.requests == 15
    assert max(request.at for request in drillster.calls) - began >= 14 / 20
    assert client.metrics.seconds_throttled > 1

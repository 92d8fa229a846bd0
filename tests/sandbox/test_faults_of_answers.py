"""Answers that break off, are slow, late or empty, or come from somebody else."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest
import requests
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from drillster_pipeline.sandbox import wire
from tests.drillster import Failure, Faults, How

from .caller import Caller, Start


@pytest.mark.parametrize("how", [How.CUT, How.CUT_CHUNKED, How.RESET, How.RESET_IN_BODY], ids=lambda how: how.name)
def test_an_answer_can_break_off(caller: Caller, how: How) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(at="groups", how=how),))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        caller.call("groups")
    record = caller.sandbox.requests[-1]
    assert (record.path, record.status) == ("/api/2.1.1/groups", None if how is How.RESET else 200)
    assert caller.call("organization").status_code == 200


@pytest.mark.parametrize("protocol", [H11Protocol, HttpToolsProtocol], ids=["h11", "httptools"])
def test_answers_break_off_whatever_reads_the_requests(
    start: Start, monkeypatch: pytest.MonkeyPatch, protocol: type
) -> None:
    monkeypatch.setattr(wire, "AutoHTTPProtocol", protocol)
    caller = start()
    caller.fresh_token()
    for how in (How.CUT, How.CUT_CHUNKED, How.RESET, How.RESET_IN_BODY):
        caller.sandbox.faults = Faults(failures=(Failure(how=how),))
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            caller.call("groups")
    caller.sandbox.faults = Faults(failures=(Failure(how=How.DRIP, seconds=0.05),))
    assert caller.groups()


def test_a_reset_is_a_reset_and_not_an_end(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(at="groups", how=How.RESET),))
    with pytest.raises(requests.ConnectionError, match="reset"):
        caller.call("groups")


@pytest.mark.parametrize("how", [How.DRIP, How.SLOW], ids=lambda how: how.name)
def test_an_answer_can_be_slow_and_still_be_whole(caller: Caller, how: How) -> None:
    expected = caller.get("groups")
    caller.sandbox.faults = Faults(failures=(Failure(at="groups", how=how, seconds=0.3),))
    started = time.monotonic()
    assert caller.get("groups") == expected
    assert time.monotonic() - started >= 0.28


@pytest.mark.parametrize("status", [200, 502])
def test_a_proxy_may_answer_with_a_page(caller: Caller, status: int) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(how=How.HTML, statuses=(status,)),))
    answer = caller.call("groups")
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_can_be_empty(caller: Caller, status: int) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(how=How.EMPTY, statuses=(status,)),))
    answer = caller.call("groups")
    assert (answer.status_code, answer.content) == (status, b"")


def test_a_call_can_be_sent_elsewhere(caller: Caller) -> None:
    elsewhere = "http://elsewhere.example/x"
    caller.sandbox.faults = Faults(failures=(Failure(how=How.REDIRECT, location=elsewhere),))
    answer = caller.call("groups")
    assert (answer.status_code, answer.headers["Location"]) == (302, elsewhere)


def test_latency_holds_each_call_up_but_not_one_another(caller: Caller) -> None:
    caller.sandbox.faults = Faults(latency=0.2, latency_jitter=0.05)
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.get(version_url(caller), timeout=20).status_code, range(8)))
    elapsed = time.monotonic() - started
    assert answers == [200] * 8
    assert elapsed >= 0.2
    assert caller.sandbox.recorder.peak > 1


def version_url(caller: Caller) -> str:
    return f"{caller.sandbox.base_url}/api/2.1.1/version"


def test_the_date_header_can_be_wrong(caller: Caller) -> None:
    caller.sandbox.faults = Faults(clock_skew=-600.0)
    date = parsedate_to_datetime(requests.get(version_url(caller), timeout=20).headers["Date"])
    assert -605 < date.timestamp() - time.time() < -595

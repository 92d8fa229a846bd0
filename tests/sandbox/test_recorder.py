from __future__ import annotations

import threading
import time

from drillster_pipeline.sandbox.recorder import Recorder
from tests.drillster import Faults

from .caller import Caller, Start


def test_every_request_is_written_down(caller: Caller) -> None:
    before = time.monotonic()
    caller.fresh_token()
    caller.get("groups", resultSize=3)
    caller.call("group/unknown")
    grant, groups, unknown = caller.sandbox.requests
    assert (grant.method, grant.path, grant.query, grant.status) == ("POST", "/daas/oauth/token", "", 200)
    assert (groups.method, groups.path, groups.query) == ("GET", "/api/2.1.1/groups", "resultSize=3")
    assert (groups.status, unknown.status) == (200, 404)
    assert grant.token_id == groups.token_id == unknown.token_id
    assert before <= grant.at <= groups.at <= unknown.at <= time.monotonic()


def test_requests_can_be_counted_exactly_and_by_pattern(caller: Caller) -> None:
    sandbox = caller.sandbox
    for size in (1, 2, 2):
        caller.get("groups", resultSize=size)
    group = caller.groups()[0]["id"]
    caller.get(f"group/{group}/members")
    caller.get(f"group/{group}/staff")
    assert sandbox.count("GET", "/api/2.1.1/groups") == 4
    assert sandbox.count("POST", "/api/2.1.1/groups") == 0
    assert sandbox.count("GET", "/api/2.1.1/groups", query="resultSize=2") == 2
    assert sandbox.count("GET", "/api/2.1.1/groups", query="*Size=?") == 3
    assert sandbox.count("GET", "/api/2.1.1/group/*/members") == 1
    assert sandbox.count(path="/api/2.1.1/group/*") == 2
    assert sandbox.count() == len(sandbox.requests) == 6


def test_grants_are_counted_when_they_are_given(caller: Caller) -> None:
    caller.grant()
    caller.grant(client_secret="wrong")
    caller.grant()
    assert caller.sandbox.grants == 2
    caller.sandbox.clear()
    assert (caller.sandbox.grants, caller.sandbox.requests, caller.sandbox.count()) == (0, [], 0)


def test_requests_that_nobody_waits_for_are_written_down_as_well(start: Start) -> None:
    caller = start(faults=Faults(latency=30.0))
    thread = threading.Thread(target=caller.sandbox.stop)
    request = threading.Thread(target=ask, args=(caller,))
    request.start()
    deadline = time.monotonic() + 10
    while not caller.sandbox.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [record.status for record in caller.sandbox.requests] == [None]
    thread.start()
    thread.join(10)
    request.join(10)
    assert not thread.is_alive()


def ask(caller: Caller) -> None:
    try:
        caller.session.get(f"{caller.sandbox.base_url}/api/2.1.1/version", timeout=20)
    except OSError:
        return


def test_counting_holds_under_many_threads() -> None:
    recorder = Recorder()
    gate = threading.Barrier(8)

    def work() -> None:
        gate.wait()
        for number in range(500):
            recorder.begin("GET", f"/{number % 5}", "")
            recorder.requests[-1:]
            recorder.end()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.count() == 4000
    assert recorder.count("GET", "/3") == 800
    assert 1 <= recorder.peak <= 8

"""Tokens that are revoked, and an endpoint that gives none."""

from __future__ import annotations

import time

import pytest
import requests

from tests.drillster import Failure, Faults, How

from .caller import Caller


def test_a_token_can_be_revoked_in_the_middle(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(how=How.REVOKE, nth=frozenset({2})),))
    assert [caller.call("groups").status_code for _ in range(4)] == [200, 401, 401, 401]
    caller.fresh_token()
    assert caller.call("groups").status_code == 200


TOKEN_FAILURES = {
    "unavailable": (Failure(at="token", statuses=(503,), retry_after=1), 503),
    "refused": (Failure(at="token", statuses=(400,), error="invalid_grant"), 400),
    "a page": (Failure(at="token", how=How.HTML, statuses=(502,)), 502),
    "empty": (Failure(at="token", how=How.EMPTY, statuses=(200,)), 200),
}


@pytest.mark.parametrize(("failure", "status"), TOKEN_FAILURES.values(), ids=TOKEN_FAILURES)
def test_the_token_endpoint_can_fail(caller: Caller, failure: Failure, status: int) -> None:
    caller.sandbox.faults = Faults(failures=(failure,))
    assert caller.grant().status_code == status
    assert caller.call("groups").status_code == 200, "the API itself does not"


@pytest.mark.idle_faults
def test_rules_for_everything_leave_the_token_endpoint_alone(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(statuses=(500,)),), failure_rate=1.0)
    assert caller.grant().status_code == 200


def test_the_token_endpoint_can_be_slow_or_break_off(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(at="token", how=How.SLOW, seconds=0.2),))
    started = time.monotonic()
    assert caller.grant().status_code == 200
    assert time.monotonic() - started >= 0.2
    caller.sandbox.faults = Faults(failures=(Failure(at="token", how=How.RESET),))
    with pytest.raises(requests.ConnectionError):
        caller.grant()

"""Every alternative form of section 14 of the API notes really changes what the sandbox answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drillster import Faults, Shapes
from tests.drillster.shapes import alternatives

from .caller import BY_CURSOR, NOW, Caller

FORMS = dict(alternatives())


Request = tuple[str, dict[str, Any]]
Answer = tuple[int, str]


def _answer(caller: Caller, request: Request) -> Answer:
    path, options = request
    answer = caller.grant(**options) if path == "token" else caller.call(path, **options)
    return answer.status_code, answer.text


@pytest.fixture(scope="module")
def usual(shared: Caller, paths: dict[str, str]) -> list[tuple[Request, Answer]]:
    """Whatever a form can be about: a request, and the documented answer."""
    seen = shared.sandbox.organization.at(NOW)
    group = next(one for one in seen.present_groups() if paths["group"].endswith(one.id))
    invitee = next(
        one.stay.id for one in seen.memberships(group) if not seen.is_member(one) and one.stay.start <= seen.moment
    )
    events = paths["objective_events"].partition("?")[0]
    second = {name: shared.get(paths[name], resultSize=3)["pagination"]["lastOnPage"] for name in BY_CURSOR}
    requests = [
        *((path, {}) for path in paths.values()),
        *((paths[name], {"resultSize": 3, "resultFrom": cursor}) for name, cursor in second.items()),
        (paths["group_members"], {"resultSize": 100}),
        (f"group/{group.id}/member-results/{invitee}", {}),
        (events, {"fromDate": "2024-01-01", "toDate": "2024-01-01"}),
        (paths["catalog_content"], {"version": "3"}),
        ("group/nobody", {}),
        ("organization/nobody", {}),
        ("token", {"client_secret": "wrong"}),
    ]
    return [(request, _answer(shared, request)) for request in requests]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_another_form_is_another_answer(
    caller: Caller, usual: list[tuple[Request, Answer]], form: dict[str, Any]
) -> None:
    caller.sandbox.faults = Faults(shapes=Shapes(**form))
    assert any(_answer(caller, request) != before for request, before in usual)

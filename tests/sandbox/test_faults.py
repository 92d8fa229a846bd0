"""Which calls, pages and fields go wrong by the faults; and every alternative form changes what the sandbox answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drillster import Failure, Faults, FieldFault, PageFault, Shapes
from tests.drillster.faults import CURSOR_LISTS
from tests.drillster.shapes import alternatives

from .caller import NOW, Caller


def failing(**options: Any) -> Faults:
    return Faults(failures=(Failure(**options),))


# -- which calls


@pytest.mark.parametrize(
    "fault",
    [
        lambda: Faults(failures=(Failure(at="group/*/memberz"),)),
        lambda: Faults(failures=(Failure(at="groups/*"),)),
        lambda: Faults(pages=(PageFault(resource="member", what="short"),)),
        lambda: Faults(pages=(PageFault(resource="group_drillables", what="total_off"),)),
        lambda: Faults(pages=(PageFault(resource="objectives", what="stuck"),)),
        lambda: Faults(fields=(FieldFault(resource="user_accounts", field="name", what="null"),)),
        lambda: Faults(refused_sizes={"organization": 10}),
        lambda: Faults(shapes=Shapes(without_total=frozenset({"group_drillables"}))),
        lambda: Faults(shapes=Shapes(inclusive=frozenset({"account"}))),
    ],
)
def test_a_fault_that_can_do_nothing_is_refused(fault: Any) -> None:
    with pytest.raises(ValueError, match=r"No path of the sandbox|is no .* of the sandbox"):
        fault()


def test_a_fault_that_has_done_nothing_is_known_until_it_has(caller: Caller) -> None:
    failure = Failure(at="organization", nth=frozenset({2}))
    page = PageFault(resource="groups", what="total_off")
    field = FieldFault(resource="catalogs", field="name", what="null")
    caller.sandbox.faults = Faults(failures=(failure,), pages=(page,), fields=(field,))
    caller.get("organization")
    assert caller.sandbox.idle_faults() == [failure, page, field]
    assert {one["name"] for one in caller.get("organization/self/catalogs")["catalogs"]} == {None}
    assert caller.sandbox.idle_faults() == [failure, page]
    caller.get("groups")
    caller.call("organization")
    assert caller.sandbox.idle_faults() == []


# -- forms

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
    second = {name: shared.get(paths[name], resultSize=3)["pagination"]["lastOnPage"] for name in CURSOR_LISTS}
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

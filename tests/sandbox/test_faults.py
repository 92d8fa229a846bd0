"""Which calls, pages and fields go wrong where the faults say so, how often, and with what."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drillster import Failure, Faults, FieldFault, How, PageFault, Shapes

from .caller import Caller


def failing(**options: Any) -> Faults:
    return Faults(failures=(Failure(**options),))


# -- which calls


@pytest.mark.parametrize(
    ("rule", "statuses"),
    [
        ({"first": 2}, [503, 503, 200, 200]),
        ({"nth": frozenset({2, 4}), "statuses": (401,)}, [200, 401, 200, 401]),
        ({"after": 2, "statuses": (404,)}, [200, 200, 404, 404]),
        ({"at": "gro?ps", "query": "*Size=2", "statuses": (500,)}, [500] * 4),
        ({"how": How.REVOKE, "nth": frozenset({2})}, [200, 401, 401, 401]),
    ],
    ids=str,
)
def test_a_rule_fails_the_calls_that_it_is_about(caller: Caller, rule: dict[str, Any], statuses: list[int]) -> None:
    for _ in range(2):  # setting the faults again starts the counts anew
        caller.sandbox.faults = failing(**rule)
        caller.fresh_token()
        assert [caller.call("groups", resultSize=2).status_code for _ in statuses] == statuses


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


# -- how

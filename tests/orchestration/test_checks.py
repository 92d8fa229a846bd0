"""The check of a capture: what was not read makes it warn, whatever the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drillster_pipeline.archive import Archive
from drillster_pipeline.orchestration.checks import complete
from tests.api.walking import NIGHT, TINY, Walks, forget_tokens
from tests.drillster import Failure, Faults, How, Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=TINY, seed=81, now=NIGHT) as running:
        yield running
        forget_tokens(running)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ({"statuses": (500,)}, "without a usable answer"),
        ({"statuses": (502,)}, "without a usable answer"),
        ({"how": How.CUT}, "without a usable answer"),
        ({"statuses": (400,), "error": "odd"}, "without a usable answer"),
        ({"statuses": (403,)}, "closed to the service account"),
        ({"statuses": (404,)}, "not to be found"),
    ],
    ids=str,
)
def test_a_unit_that_was_lost_fails_the_check_of_its_resource_and_of_no_other(
    sandbox: Sandbox, tmp_path: Path, failure: dict[str, object], told: str
) -> None:
    (group,) = sandbox.organization.at(NIGHT).present_groups()
    objective = sandbox.organization.at(NIGHT).objectives(group)[0].id
    sandbox.faults = Faults(failures=(Failure(at=f"group/{group.id}/objective/{objective}/evaluations", **failure),))
    manifest = Walks(sandbox, Archive(str(tmp_path))).snapshot().manifest
    found = {name: complete(name, manifest) for name in manifest["resources"]}
    assert {name for name, result in found.items() if not result.passed} == {"objective_evaluations"}
    assert told in str(found["objective_evaluations"].description)
    assert objective in str(found["objective_evaluations"].description)

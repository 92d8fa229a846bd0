"""Documented answers, mutated: whatever Drillster may send, nothing breaks and no row is lost without a reject."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillster_pipeline.errors import ContractError
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from tests.conftest import examples
from tests.fuzz.mutations import Mutation, change, values

from .answers import DOCUMENTED, respond
from .pages import Extracted, extract

SECRET = "Noor-the-secret"
SECRETS = {"name": SECRET, "emailAddress": f"{SECRET}@example.org", "yearOfBirth": "1984"}


def _hidden(value: Any) -> Any:
    """A value with the secret in the place of whatever says who a person is."""
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    if not isinstance(value, dict):
        return value
    own = SECRETS if value.get("type") == "USER" else {"id": SECRET} if "thirdParty" in value else {}
    return {name: own.get(name, _hidden(inside)) for name, inside in value.items()}


HIDDEN = {resource: (table, _hidden(body)) for resource, (table, body) in DOCUMENTED.items()}
# An item per attempt: the other form has people without attempts, too.
_people = HIDDEN["test_results"][1]
_people["memberTestResults"] = [{**one["testResults"][0], "user": one["user"]} for one in _people["memberTestResults"]]

parts = st.builds(
    Mutation, st.just(""), st.sampled_from(["replace", "leave out", "rename"]), st.integers(0, 400), values
)


def _read(resource: str, body: Any) -> Extracted:
    return extract(respond(resource, body), tables=[*DATA_TABLES])


@pytest.mark.parametrize("resource", DOCUMENTED)
@settings(max_examples=examples(40))
@given(changes=st.lists(parts, min_size=1, max_size=6))
def test_no_row_is_lost_without_a_reject_and_no_reject_shows_a_person(resource: str, changes: list[Mutation]) -> None:
    table, documented = HIDDEN[resource]
    body = copy.deepcopy(documented)
    for one in changes:
        change(body, one)
    try:
        expected = len(RESOURCES[resource].items(body))
    except ContractError:
        with pytest.raises(ContractError) as raised:
            _read(resource, body)
        assert SECRET not in str(raised.value)
        return
    found = _read(resource, body)
    count = len(found.rows(table)) + len(found.rejects(table))
    if len(changes) == 1:  # several changes may make two ids the same
        assert count == expected or (count > expected and resource == "test_results")  # an entry may have several
    for batch in found.batches:
        assert batch.rows_read == len(batch.frame) + len(batch.rejects)
        for column in batch.table.columns:
            assert column.nullable or not batch.frame[column.name].isna().any()
    for reject in found.rejects():
        assert reject.reason
        assert SECRET not in json.dumps([reject.reason, reject.record], allow_nan=False)
    assert SECRET not in json.dumps(found.unknown_fields)

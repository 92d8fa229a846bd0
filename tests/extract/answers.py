"""Answers of each resource in every form that the documentation leaves open, from ``answers.yaml``."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from drillster_pipeline.resources import RESOURCES

from .pages import Extracted, ResourcePage, extract, page

example = SimpleNamespace(**yaml.safe_load(Path(__file__).with_name("answers.yaml").read_text(encoding="utf-8")))
FORMS: dict[str, dict[str, Any]] = example.forms
"""By resource, an item in each form, and by table the rows that it gives."""
LISTS = {resource: (*RESOURCES[resource].list_names, "things") for resource in FORMS}
"""Known names of the list of a resource, and one that is not documented."""
PARAMETERS = {"catalog_id": "c", "group_id": "g", "account_id": "noor", "objective_id": "o", "test_id": "t"}


def respond(resource: str, body: Any, **others: Any) -> ResourcePage:
    """The response of a resource to a request with its parameters."""
    return page(resource, body, **{name: PARAMETERS[name] for name in RESOURCES[resource].unit}, **others)


def read(resource: str, body: Any) -> Extracted:
    """All that one answer gives."""
    return extract(respond(resource, body), tables=None if resource != "objective_events" else (resource, "accounts"))


def _three(item: Any) -> list[Any]:
    """Three of an item, which differ in every id."""
    return [json.loads(json.dumps(item).replace('"id": "', f'"id": "{number}-')) for number in range(3)]


DOCUMENTED: dict[str, tuple[str, Any]] = {
    resource: (
        next(iter(form["rows"])),
        {LISTS[resource][0]: _three(form["items"][0]), "pagination": example.pagination},
    )
    for resource, form in FORMS.items()
}
"""By resource: the table that has a row for each item, and an answer of three items."""

"""Nothing personal reaches the archive before privacy has seen it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.pipeline.capture import How
from tests.api.walking import expected, held

from .captured import NOW, Nights


@pytest.mark.parametrize("mode", ["pseudonymize", "drop"])
def test_no_name_and_no_address_ever_reaches_the_archive(nights: Nights, mode: str) -> None:
    seen = nights.sandbox.organization.at(NOW)
    people = {
        text
        for item in [*(one["account"] for one in seen.accounts().all()), *members(seen)]
        for text in (item.get("name"), item.get("realName"), item.get("emailAddress"))
        if text and item.get("id") != seen.model.service_account_id
    }
    assert len(people) > 20
    nights.settings = {"DRILLSTER_PERSONAL_DATA": mode, "DRILLSTER_PSEUDONYM_KEY": "a key of some length"}
    nights.interrupt()
    assert leaks(nights.folder / "archive", people) == set()
    outcome = nights.capture()
    assert outcome.how is How.RESUMED
    nights.capture("events")
    assert leaks(nights.folder / "archive", people) == set()
    assert set(held(outcome.capture)["results"]) == set(expected(nights.sandbox)["results"])


def test_in_mode_keep_they_are_there(nights: Nights) -> None:
    people = {item["account"]["name"] for item in nights.sandbox.organization.at(NOW).accounts().all()}
    nights.capture()
    assert leaks(nights.folder / "archive", people) == people


def members(seen: Any) -> list[Any]:
    return [item["member"] for group in seen.present_groups() for item in seen.members(group).all()]


def leaks(folder: Path, texts: set[str]) -> set[str]:
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.name.endswith(".partial"):
                import zlib

                content = zlib.decompressobj(31).decompress(content)
            elif path.suffix == ".gz":
                content = gzip.decompress(content)
            plain = content.decode("utf-8", "surrogateescape") + json.dumps(path.parts)
            found |= {text for text in texts if text in plain or json.dumps(text)[1:-1] in plain}
    return found

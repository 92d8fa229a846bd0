"""What a load publishes does not depend on the order in which the pages of a capture came in."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import random
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from drillster_pipeline.archive.captures import Capture
from drillster_pipeline.archive.records import part_name, read_lines
from drillster_pipeline.extract.extractor import Extractor
from drillster_pipeline.pipeline import publish as loads
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import TABLES
from drillster_pipeline.warehouse import validation
from tests.conftest import examples
from tests.drillster import Faults, Sandbox, Size
from tests.support.installation import NOW, Installation

SIZE = Size(accounts=14, groups=4, objectives_per_group=2, catalogs=2, playables_per_catalog=6)
Lines = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Lines]:
    """A real capture, and its lines by resource, with contradictions put into them."""
    with (
        Sandbox(size=SIZE, seed=7, now=NOW, faults=Faults(clamped_sizes={"*": 10})) as sandbox,
        Installation(tmp_path_factory.mktemp("pages"), sandbox) as installation,
    ):
        found = installation.capture().capture
    lines = {
        resource: [
            json.loads(line)
            for part in entry["parts"]
            for line in read_lines(found.storage.read(f"{found.ref.folder}/{resource}/{part['name']}"))
        ]
        for resource, entry in found.manifest["resources"].items()
    }
    contradict(lines, random.Random(7))
    return found, lines


def contradict(lines: Lines, chance: random.Random) -> None:
    """Let pages repeat items of other pages with other values, name unlisted persons differently, and be wrong."""
    for resource, found in lines.items():
        lists = [line for line in found if listed(resource, line)]
        originals = copy.deepcopy(lists)
        for number in range(40 if len(lists) > 1 else 0):
            item = changed(chance.choice(listed(resource, chance.choice(originals))), chance)
            other = chance.choice(lists)
            listed(resource, other).insert(chance.randrange(len(listed(resource, other)) + 1), item)
            if number < 3:
                listed(resource, other).append({**item, "id": None, "user": None, "drillable": None, "member": None})
        for number, line in enumerate(lists[:12]):
            person = {
                "id": "unlisted",
                "name": chance.choice(["Sam", "Samantha", None, 5]),
                "lastLogin": 1_700_000_000_000 + number,
            }
            if resource in {"group_members", "group_staff", "objective_evaluations"}:
                listed(resource, line).append({"user": person, "member": person, "joined": "2024-01-11"})
            if resource == "results":
                line["body"]["member"] = {**person, "id": line["unit"]["account_id"]}
            if resource == "test_results":
                listed(resource, line).append({"id": "shared", "user": person, "score": {"percentage": number}})


def listed(resource: str, line: dict[str, Any]) -> list[Any]:
    """The items of an answer, to be changed in place; an empty list where it is one thing."""
    unit, body = line["unit"], line["body"]
    if body is None or resource == "organization" or (resource in {"groups", "catalogs"} and unit):
        return []
    return RESOURCES[resource].items(body)


def changed(item: Any, chance: random.Random, name: str = "") -> Any:
    """A copy with other values, but the same keys."""
    if isinstance(item, dict):
        return {
            name: changed(value, chance, name) for name, value in item.items() if name in KEYS or chance.random() > 0.1
        }
    if isinstance(item, list):
        return [changed(one, chance, name) for one in item]
    if name in KEYS or chance.random() < 0.3:
        return copy.deepcopy(item)
    if isinstance(item, bool):
        return not item
    if isinstance(item, int):
        return item % 90 + chance.randrange(10) if item <= 100 else item + chance.randrange(5)
    return f"{item} {chance.randrange(3)}" if name in {"name", "description", "result"} else item


KEYS = {"id", "user", "member", "drillable", "account", "drill", "thirdParty", "type"}


def put(found: Capture, lines: Lines, folder: Path) -> None:
    """An archive with that capture, sealed, of these lines in this order, in parts of about thirty."""
    target = folder / "archive" / found.ref.folder
    manifest = copy.deepcopy(found.manifest)
    for resource, entry in manifest["resources"].items():
        entry["parts"] = []
        (target / resource).mkdir(parents=True)
        for number, start in enumerate(range(0, len(lines[resource]), 30), start=1):
            text = "".join(json.dumps(line) + "\n" for line in lines[resource][start : start + 30])
            content = gzip.compress(text.encode(), 1)
            (target / resource / part_name(number)).write_bytes(content)
            entry["parts"].append({"name": part_name(number), "sha256": hashlib.sha256(content).hexdigest()})
    (target / "manifest.json").write_text(json.dumps(manifest))


def published(found: Capture, lines: Lines, chunk_rows: int) -> dict[str, Counter[Any]]:
    """Every table after a load into an empty warehouse, but for what is of the load itself."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Installation(Path(folder)) as installation,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(loads, "Extractor", partial(Extractor, chunk_rows=chunk_rows))
        patched.setattr(validation, "REJECT_ROWS", 1_000)
        put(found, lines, installation.folder)
        installation.publish()
        with installation.context.warehouse.reading() as (connection, tables):
            return {
                name: Counter(
                    tuple((key, value) for key, value in row.items() if key not in OF_THE_LOAD)
                    for row in connection.execute(tables(name).select()).mappings()
                )
                for name in TABLES
                if name != "loads"
            }


OF_THE_LOAD = {"load_id", "loaded_at", "row_number"}


@pytest.mark.deep
@pytest.mark.hypothesis
def test_a_load_is_the_same_whatever_the_order_of_its_pages(pages: tuple[Capture, Lines]) -> None:
    found, lines = pages
    expected = published(found, lines, 20_000)
    assert expected["rejected_rows"]
    assert any(dict(row)["account_id"] == "unlisted" for row in expected["accounts"])

    @settings(max_examples=examples(4), phases=[Phase.generate])
    @given(seed=st.integers(0, 2**32), chunk_rows=st.sampled_from([3, 50, 20_000]))
    def any_order_will_do(seed: int, chunk_rows: int) -> None:
        chance = random.Random(seed)
        shuffled = {name: chance.sample(some, len(some)) for name, some in lines.items()}
        again = published(found, shuffled, chunk_rows)
        for name in expected:
            assert again[name] == expected[name], name

    any_order_will_do()

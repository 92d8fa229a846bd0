"""What must hold of a night, whatever Drillster said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from drillster_pipeline.archive import Capture
from drillster_pipeline.archive.records import read_lines
from drillster_pipeline.errors import ContractError
from drillster_pipeline.extract.readers import invitee_key
from drillster_pipeline.pipeline.publish import PublishOutcome
from drillster_pipeline.resources import RESOURCES

from .nights import House, Night
from .server import Said, value_of
from .truth import SECRET

KEYS: Mapping[str, tuple[str, ...]] = {
    "accounts": ("account_id",),
    "catalogs": ("catalog_id",),
    "catalog_playables": ("catalog_id", "playable_id"),
    "groups": ("group_id",),
    "group_members": ("group_id", "member_key"),
    "group_staff": ("group_id", "account_id"),
    "group_playables": ("group_id", "playable_id"),
    "objectives": ("objective_id",),
    "objective_evaluations": ("objective_id", "account_id"),
    "results": ("group_id", "account_id", "playable_id"),
    "test_results": ("test_result_id",),
    "objective_events": ("event_id",),
}
"""Of the tables that have a row for every item of a list; ``export_date`` goes without saying."""


def check(house: House, night: Night, before: Mapping[str, list[tuple[Any, ...]]] | None = None) -> None:
    """Everything that must hold of a night, whatever Drillster said. ``before``: the warehouse as it was."""
    assert not night.tale.endless, "the walk does not end"
    for error in night.errors.values():
        assert str(error)
        assert SECRET not in repr(error), "an error shows who a person is"
    assert SECRET not in night.log
    if before is not None and not night.outcomes:
        assert house.contents() == before, "a night that failed has changed the warehouse"
    for kind, sealed in night.captures.items():
        assert SECRET not in json.dumps(sealed.manifest)
        _check_archive(sealed, night, kind)
    for kind, outcome in night.outcomes.items():
        assert SECRET not in repr(outcome.unknown_fields)
        _check_ledger(house, outcome)
        _check_rows(house, night, kind, outcome)
    told = house.rows("SELECT reason || record FROM rejected_rows")
    assert not any(SECRET in text for (text,) in told), "a reject shows who a person is"
    for text in house.rows("SELECT record FROM rejected_rows"):
        json.loads(text[0], parse_constant=lambda name: (_ for _ in ()).throw(AssertionError(name)))


def _check_ledger(house: House, outcome: PublishOutcome) -> None:
    for name, report in outcome.report.tables.items():
        judged = outcome.validation.tables[name]
        told_again = judged.rows_read - judged.rows_staged - judged.rows_repeated - judged.rows_rejected
        # What came twice and was rejected twice is one reject.
        assert told_again == 0 or (told_again > 0 and judged.rows_rejected), name
        (rejected,) = house.rows(
            "SELECT count(*) FROM rejected_rows WHERE load_id = ? AND table_name = ?", outcome.report.load_id, name
        )[0]
        assert report.rows_rejected == rejected
        written = report.rows_inserted + report.rows_updated + report.rows_unchanged
        assert written >= judged.rows_staged, name
    assert house.rows("PRAGMA foreign_key_check") == []


def _lost(manifest: Mapping[str, Any], resource: str) -> list[dict[str, str]]:
    return [lost["unit"] for lost in manifest["resources"][resource]["lost"]]


def _counted(night: Night, kind: str) -> Iterator[Said]:
    """What was said for a kind, of resources that were captured, in units that were not lost."""
    manifest = night.captures[kind].manifest
    for said in night.tale.said:
        entry = manifest["resources"].get(said.resource)
        of_kind = kind == "events" if said.resource == "objective_events" else kind == "snapshot"
        if entry is None or not of_kind or entry["status"] == "unavailable":
            continue
        if any(said.unit.items() <= lost.items() for lost in _lost(manifest, said.resource)):
            continue
        yield said


def _check_archive(sealed: Capture, night: Night, kind: str) -> None:
    """Every answer of a unit that counts lies in the archive, as it came."""
    kept: dict[str, Counter[bytes]] = {}
    for resource, entry in sealed.manifest["resources"].items():
        bodies = kept.setdefault(resource, Counter())
        for part in entry["parts"]:
            where = f"{sealed.ref.folder}/{resource}/{part['name']}"
            for text in read_lines(sealed.storage.read(where), where):
                bodies[text.partition(b',"body":')[2].rstrip()[:-1]] += 1
    for said in _counted(night, kind):
        try:
            value = value_of(said)
        except (ValueError, RecursionError):
            continue
        content = said.body
        if content in kept[said.resource] or (said.resource == "organization" and kept[said.resource]):
            continue  # the organization is also asked for to see whether Drillster answers at all
        assert content.startswith(b"\xef\xbb\xbf") or b"\n" in content or json.detect_encoding(content) != "utf-8"
        assert any(json.loads(body) == value for body in kept[said.resource]), "an answer is not in the archive"


# -- every item that was said is in a table, or among the rejects


def _check_rows(house: House, night: Night, kind: str, outcome: PublishOutcome) -> None:
    wanted: dict[str, set[tuple[Any, ...]]] = {}
    unreadable: Counter[str] = Counter()
    for said in _counted(night, kind):
        try:
            found = _things(said)
        except (ValueError, RecursionError, ContractError):
            continue
        for table, key in found:
            if key is None or None in key:
                unreadable[table] += 1
            else:
                wanted.setdefault(table, set()).add(tuple(map(_stored, key)))
    for table in wanted.keys() | unreadable.keys():
        if table not in outcome.report.tables or table in outcome.unavailable:
            continue
        columns = ", ".join(KEYS[table])
        there = set(house.rows(f"SELECT {columns} FROM {table}"))
        missing = wanted.get(table, set()) - there
        rejected = house.rows(
            "SELECT record FROM rejected_rows WHERE load_id = ? AND table_name = ?", outcome.report.load_id, table
        )
        assert len(missing) <= len(rejected), f"{table}: {len(missing)} rows lost, {len(rejected)} rejects"


def _stored(text: str) -> str:
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _id(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("id")
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    return None


def _inside(item: Any, *names: str) -> Any:
    for name in names:
        if isinstance(item, dict) and item.get(name) is not None:
            return item[name]
    return item


Thing = tuple[str, "tuple[str | None, ...] | None"]
"""Table and key of a row; None where the key can't be read."""


def _things(said: Said) -> list[Thing]:
    """The rows that an answer tells of."""
    body = value_of(said)
    unit = list(said.unit.values())
    if said.endpoint == "organization":
        return []
    if said.endpoint in {"group", "catalog"}:
        return [(f"{said.endpoint}s", (unit[0],))]
    found: list[Thing] = []
    for item in RESOURCES[said.resource].items(body):
        if isinstance(item, dict):
            found += _OF[said.endpoint](item, unit)
        else:
            found.append((_TABLE[said.endpoint], None))
    return found


def _group_member(item: Any, unit: list[str]) -> list[Thing]:
    member = _inside(item, "member")
    email = member.get("emailAddress") if isinstance(member, dict) else None
    key = _id(member) or (invitee_key(email) if isinstance(email, str) and email else None)
    return [("group_members", (unit[0], key))]


def _test_result(item: Any, _unit: list[str]) -> list[Thing]:
    attempts = item.get("testResults")
    if isinstance(attempts, list):
        return [("test_results", (_id(attempt),)) for attempt in attempts]
    alone = attempts is None and "user" in item and item.keys() & {"id", "started", "completed"}
    return [("test_results", (_id(item),))] if alone else []


_OF: Mapping[str, Callable[[Any, list[str]], list[Thing]]] = {
    "accounts": lambda item, _: [("accounts", (_id(_inside(item, "account")),))],
    "catalogs": lambda item, _: [("catalogs", (_id(_inside(item, "catalog")),))],
    "groups": lambda item, _: [("groups", (_id(item),))],
    "objectives": lambda item, _: [("objectives", (_id(item),))],
    "catalog_content": lambda item, unit: [("catalog_playables", (unit[0], _id(item)))],
    "group_drillables": lambda item, unit: [("group_playables", (unit[0], _id(item)))],
    "group_members": _group_member,
    "group_staff": lambda item, unit: [("group_staff", (unit[0], _id(item.get("user"))))],
    "objective_evaluations": lambda item, unit: [("objective_evaluations", (unit[1], _id(item.get("user"))))],
    "results": lambda item, unit: [("results", (*unit, _id(item.get("drillable"))))],
    "test_results": _test_result,
    # Without an id of its own an event is known by all that it says.
    "objective_events": lambda item, _: (
        [("objective_events", (item["eventId"],))] if isinstance(item.get("eventId"), str) and item["eventId"] else []
    ),
}
_TABLE = {
    **{name: name for name in KEYS},
    "catalog_content": "catalog_playables",
    "group_drillables": "group_playables",
}


# -- only a whole read deletes


def check_deletions(house: House, night: Night) -> None:
    """Whatever is marked deleted was said by nobody that night, in a list that says of itself that it is whole."""
    if "snapshot" not in night.outcomes:
        return
    told: dict[str, set[tuple[Any, ...]]] = {}
    doubtful: set[str] = set()
    for said in night.tale.said:
        try:
            found = _things(said)
        except (ValueError, RecursionError, ContractError):
            doubtful.add(said.resource)
            continue
        for table, key in found:
            if key is None or None in key:
                doubtful.add(table)
            else:
                told.setdefault(table, set()).add(tuple(map(_stored, key)))
    for table, keys in KEYS.items():
        if table in {"objective_evaluations", "results", "test_results", "objective_events"}:
            continue
        columns = ", ".join(keys)
        deleted = set(house.rows(f"SELECT {columns} FROM {table} WHERE deleted_on = ?", str(night.day)))
        assert not deleted & told.get(table, set()), f"{table}: what was said is marked deleted"
        if doubtful & {table, *_OWNERS.get(table, ())}:
            assert not deleted, f"{table}: a row could not be read, so any may be the one"
    for table, owners in (("account_external_ids", {"accounts"}), ("objective_playables", {"objectives", "groups"})):
        if doubtful & owners:
            assert house.rows(f"SELECT 1 FROM {table} WHERE deleted_on = ?", str(night.day)) == []


_OWNERS = {
    "catalog_playables": ("catalogs",),
    "group_members": ("groups",),
    "group_staff": ("groups",),
    "group_playables": ("groups",),
    "objectives": ("groups",),
}

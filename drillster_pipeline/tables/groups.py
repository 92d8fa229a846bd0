"""Groups, and what they practice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drillster_pipeline.extract.values import identity, inner, upper

from .schema import PLAYABLE_TYPES, Kind, Table, boolean, integer, key, text, timestamp

if TYPE_CHECKING:
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.state import Findings

GROUPS = Table(
    name="groups",
    kind=Kind.ENTITY,
    description="Every group that the service account may see. The counts are Drillster's own.",
    key=("group_id",),
    sources=("groups",),
    group_path="group_id",
    counts="pagination.total",
    columns=(
        key("group_id", "Drillster's id of the group.", source="groups: id"),
        text("name", "Name of the group.", source="groups: name", prose=True),
        text("description", "What the group says of itself.", source="groups: description", prose=True),
        text(
            "custom_reference",
            "The organization's own reference of the group.",
            source="groups: customReference",
            prose=True,
        ),
        integer("member_count", "Members, as Drillster counts them.", source="groups: counts.members"),
        integer(
            "drillable_count",
            "Drills and courses, as Drillster counts them.",
            source="groups: counts.drillables",
        ),
        integer("test_count", "Tests, as Drillster counts them.", source="groups: counts.tests"),
        boolean(
            "is_sensitive",
            "Whether the group is marked as having sensitive content.",
            source="groups: sensitiveContent",
        ),
        timestamp("created_at", "When the group was made.", source="groups: created"),
        timestamp("last_edited_at", "When the group was last changed.", source="groups: lastEdited"),
    ),
)

GROUP_PLAYABLES = Table(
    name="group_playables",
    kind=Kind.ENTITY,
    description="The drills, courses and tests of a group.",
    key=("group_id", "playable_id"),
    sources=("groups", "group_drillables"),
    group_path="group_id",
    counts="groups.drillable_count + groups.test_count",
    columns=(
        key("group_id", "The group.", references="groups.group_id", source="group_drillables: {group_id}"),
        key(
            "playable_id",
            "The drill, course or test.",
            references="playables.playable_id",
            source="group_drillables: drillables[].id",
        ),
        text("type", "Kind of playable.", source="group_drillables: drillables[].type", values=PLAYABLE_TYPES),
    ),
)


def _details(group: dict[str, Any]) -> tuple[Any, ...]:
    counts = inner(group.get("counts"))
    return (
        group.get("name"),
        group.get("description"),
        group.get("customReference"),
        counts.get("members"),
        counts.get("drillables"),
        counts.get("tests"),
        group.get("sensitiveContent"),
        group.get("created"),
        group.get("lastEdited"),
    )


def read_groups(page: Page, found: Findings) -> None:
    """Pages of the list, and for each group its own answer, which also has its tests and drillables."""
    named = page.unit.get("group_id")
    for group in found.objects("groups", [page.body] if named else found.items("groups", page), "groups"):
        group_id = named or identity(group.get("id"))
        if isinstance(group_id, str):
            found.groups.add(group_id, *_details(group))
            _read_playables(group_id, group, found)
        else:
            found.rows["groups"].append((group_id, *_details(group)))


def read_group_drillables(page: Page, found: Findings) -> None:
    """A Group object with its drillables, perhaps with its tests as well; or the bare list."""
    group_id = page.unit.get("group_id")
    body = page.body if isinstance(page.body, dict) else {}
    _read_playables(group_id, {"drillables": found.items("group_drillables", page), "tests": body.get("tests")}, found)


def _read_playables(group_id: str | None, group: dict[str, Any], found: Findings) -> None:
    for place, assumed in (("drillables", "DRILL"), ("tests", "TEST")):
        for playable in found.objects("group_playables", group.get(place), place):
            playable_id = found.playables.meet(playable, assumed)
            found.hold("group_playables", group_id, playable_id, upper(playable.get("type")))

"""Objectives of groups, and what they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drillster_pipeline.extract.values import identity, seconds, upper

from .schema import Kind, Table, integer, key, percentage, text, timestamp

if TYPE_CHECKING:
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.state import Findings

OBJECTIVES = Table(
    name="objectives",
    kind=Kind.ENTITY,
    description="What the members of a group are to reach, and by when.",
    key=("objective_id",),
    sources=("objectives",),
    group_path="group_id",
    columns=(
        key("objective_id", "Drillster's id of the objective.", source="objectives: objectives[].id"),
        text(
            "group_id",
            "The group that has the objective.",
            references="groups.group_id",
            source="objectives: {group_id}",
            nullable=False,
        ),
        text("name", "Name; Drillster makes a standard one.", source="objectives: objectives[].name", prose=True),
        text(
            "type",
            "Reviewed once, all the time, in a cycle, or by a test.",
            source="objectives: objectives[].type",
            values=("ONEOFF", "PERMANENT", "RECURRING", "TEST"),
        ),
        timestamp(
            "review_at",
            "When it is reviewed; NULL where each member has an own date.",
            source="objectives: objectives[].reviewDate",
        ),
        percentage(
            "minimum_proficiency",
            "The proficiency to reach; NULL for an objective of type TEST.",
            source="objectives: objectives[].minimumProficiency",
        ),
        percentage(
            "falling_minimum_proficiency",
            "Once met, the proficiency may fall to this; the minimum where Drillster leaves it out.",
            source="objectives: objectives[].fallingMinimumProficiency",
        ),
        integer(
            "estimated_study_seconds",
            "Expected time to study, in seconds.",
            source="objectives: objectives[].estimatedStudyDuration",
        ),
    ),
)

OBJECTIVE_PLAYABLES = Table(
    name="objective_playables",
    kind=Kind.ENTITY,
    description="The drills, courses or test that an objective is about.",
    key=("objective_id", "playable_id"),
    sources=("objectives",),
    group_path="objective_id",
    columns=(
        key(
            "objective_id",
            "The objective.",
            references="objectives.objective_id",
            source="objectives: objectives[].id",
        ),
        key(
            "playable_id",
            "The drill, course or test.",
            references="playables.playable_id",
            source="objectives: objectives[].playables[].id",
        ),
    ),
)


def read_objectives(page: Page, found: Findings) -> None:
    """A bare array or ``{total, objectives}``; content under ``playables``, or under ``drills`` without a type."""
    group_id = page.unit.get("group_id")
    norms: dict[str, tuple[Any, Any]] = {}
    for item in found.objects("objectives", found.items("objectives", page), "objectives"):
        objective_id = identity(item.get("id"))
        kind, review_at = upper(item.get("type")), item.get("reviewDate")
        minimum, falling = item.get("minimumProficiency"), item.get("fallingMinimumProficiency")
        found.rows["objectives"].append(
            (
                objective_id,
                group_id,
                item.get("name"),
                kind,
                review_at,
                minimum,
                minimum if falling is None else falling,
                seconds(item.get("estimatedStudyDuration")),
            )
        )
        if type(objective_id) is str:
            norms[objective_id] = (review_at, minimum)
            _read_playables(objective_id, item, "TEST" if kind == "TEST" else "DRILL", found)
    for objective_id, norm in _readable(norms).items():
        found.norms.add((group_id, objective_id), *norm)


def _readable(norms: dict[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    """Review dates and minimums, without those that do not fit.

    The objective itself is rejected for them. Everybody's evaluation would be, too, if it took them over.
    """
    from drillster_pipeline.extract.parsing import cast  # with pandas, which the declarations above do not need

    columns = (OBJECTIVES.column("review_at"), OBJECTIVES.column("minimum_proficiency"))
    wrong = [
        cast(column, values).wrong for column, values in zip(columns, zip(*norms.values(), strict=True), strict=False)
    ]
    return {
        objective: (None if place in wrong[0] else review_at, None if place in wrong[1] else minimum)
        for place, (objective, (review_at, minimum)) in enumerate(norms.items())
    }


def _read_playables(objective_id: str, objective: dict[str, Any], assumed: str, found: Findings) -> None:
    for place, kind in (("playables", assumed), ("drills", "DRILL")):
        for playable in found.objects("objective_playables", objective.get(place), place):
            found.rows["objective_playables"].append((objective_id, found.playables.meet(playable, kind)))

"""How far each member is with each objective, day by day, and when that changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from drillster_pipeline.extract.values import identity, inner, overall, upper

from .keys import event_key
from .schema import EXPORT_DATE, Kind, Table, boolean, captured_at, key, percentage, text, timestamp

if TYPE_CHECKING:
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.state import Findings

OBJECTIVE_EVALUATIONS = Table(
    name="objective_evaluations",
    kind=Kind.SNAPSHOT,
    description="How far each member was with each objective on a day, and the norm as it stood that day.",
    key=("export_date", "objective_id", "account_id"),
    sources=("objective_evaluations",),
    secondary_sources=("objectives",),
    group_path="group_id",
    columns=(
        EXPORT_DATE,
        key(
            "objective_id",
            "The objective.",
            references="objectives.objective_id",
            source="objective_evaluations: {objective_id}",
        ),
        key(
            "account_id",
            "The member.",
            references="accounts.account_id",
            source="objective_evaluations: evaluations[].user.id",
        ),
        text(
            "group_id",
            "The group that has the objective.",
            references="groups.group_id",
            source="objective_evaluations: {group_id}",
            nullable=False,
        ),
        boolean("met", "Whether the objective was met.", source="objective_evaluations: evaluations[].met"),
        percentage(
            "proficiency",
            "Proficiency over the objective's content.",
            source="objective_evaluations: evaluations[].proficiency",
        ),
        timestamp(
            "evaluated_at",
            "When Drillster evaluated it.",
            source="objective_evaluations: evaluations[].evaluationDate",
        ),
        timestamp(
            "review_at",
            "Review date that held for this member that day: the member's own, else the objective's.",
            source="objective_evaluations: evaluations[].reviewDate",
        ),
        percentage(
            "minimum_proficiency",
            "The norm as it stood that day.",
            source="objectives: objectives[].minimumProficiency",
        ),
        captured_at("objective_evaluations: captured_at"),
    ),
)

OBJECTIVE_EVENTS = Table(
    name="objective_events",
    kind=Kind.EVENT,
    description="When a member came to meet an objective, or no longer met it.",
    key=("event_id",),
    sources=("objective_events",),
    group_path="group_id",
    columns=(
        key(
            "event_id",
            "Drillster's id of the event where it gives one; else the first 32 hex digits of SHA-256 of "
            "'objective_id|account_id|event_type|occurred_at'.",
            source="objective_events: events[].eventId",
        ),
        # Not a foreign key, nor is the group: events may be all that is loaded of a date.
        text(
            "objective_id",
            "The objective.",
            source="objective_events: {objective_id}",
            joins="objectives.objective_id",
            nullable=False,
        ),
        text(
            "account_id",
            "The member.",
            references="accounts.account_id",
            source="objective_events: events[].user.id",
            nullable=False,
        ),
        text(
            "group_id",
            "The group that has the objective.",
            source="objective_events: {group_id}",
            joins="groups.group_id",
        ),
        text(
            "event_type",
            "What happened.",
            values=("OBJECTIVE_BECAME_OK", "OBJECTIVE_BECAME_NOK"),
            source="objective_events: events[].eventType",
            nullable=False,
        ),
        timestamp(
            "occurred_at",
            "When it happened.",
            source="objective_events: events[].timestamp",
            nullable=False,
        ),
        percentage(
            "proficiency",
            "Proficiency at that moment.",
            source="objective_events: events[].evaluation.proficiency",
        ),
    ),
)


def read_objective_evaluations(page: Page, found: Findings) -> None:
    """Items are objects ObjectiveEvaluation; the norm is the objective's, unless the evaluation has its own."""
    group_id, objective_id = page.unit.get("group_id"), page.unit.get("objective_id")
    review_at, minimum = found.norms.get((group_id, objective_id), 2)
    rows = found.rows["objective_evaluations"]
    evaluations = found.items("objective_evaluations", page)
    for item in found.objects("objective_evaluations", evaluations, "evaluations"):
        objective = inner(item.get("objective"))
        rows.append(
            (
                found.export_date,
                objective_id,
                found.people.mention(item.get("user")),
                group_id,
                item.get("met"),
                overall(item.get("proficiency")),
                item.get("evaluationDate"),
                _first(item.get("reviewDate"), objective.get("reviewDate"), review_at),
                _first(item.get("minimumProficiency"), objective.get("minimumProficiency"), minimum),
                page.captured_at,
            )
        )


def read_objective_events(page: Page, found: Findings) -> None:
    """Events of one objective, modelled on the push event: only the path and the two types are documented."""
    group_id, objective_id = page.unit.get("group_id"), page.unit.get("objective_id")
    events = list(found.objects("objective_events", found.items("objective_events", page), "events"))
    evaluations = [inner(_first(item.get("objectiveEvaluation"), item.get("evaluation"))) for item in events]
    times = [
        _first(item.get("timestamp"), item.get("date"), evaluation.get("evaluationDate"), item.get("evaluationDate"))
        for item, evaluation in zip(events, evaluations, strict=True)
    ]
    from drillster_pipeline.extract.timestamps import moments  # with pandas, which the declarations above do not need

    occurred, unreadable = moments(times)
    for place, (item, evaluation) in enumerate(zip(events, evaluations, strict=True)):
        account_id = found.people.mention(_first(item.get("user"), evaluation.get("user")))
        event_type = upper(_first(item.get("eventType"), item.get("type")))
        event_id = identity(item.get("eventId"))
        if event_id is None and place not in unreadable:
            event_id = _made_key(objective_id, account_id, event_type, occurred[place].item())
        found.rows["objective_events"].append(
            (
                event_id,
                objective_id,
                account_id,
                group_id,
                event_type,
                times[place],
                overall(_first(evaluation.get("proficiency"), item.get("proficiency"))),
            )
        )


def _made_key(objective_id: Any, account_id: Any, event_type: Any, occurred: datetime | None) -> Any:
    """An ``event_id`` where Drillster gives none; without one of its parts there is none, and the row says why."""
    if occurred is None or not all(type(part) is str for part in (objective_id, account_id, event_type)):
        return None
    return event_key(objective_id, account_id, event_type, occurred.replace(tzinfo=UTC))


def _first(*values: Any) -> Any:
    """The first that Drillster did not leave out."""
    for value in values:
        if value is not None:
            return value
    return None

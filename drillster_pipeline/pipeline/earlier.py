"""What earlier captures tell the next one: groups that must not be lost sight of, and objectives to ask events for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from typing import Any

from drillster_pipeline.archive import Capture
from drillster_pipeline.errors import ContractError, Interrupted, PipelineError
from drillster_pipeline.resources import OBJECTIVES
from drillster_pipeline.response_shapes import id_text

from .context import PipelineContext

logger = logging.getLogger(__name__)


def groups_before(session: PipelineContext, export_date: date) -> set[str]:
    """The groups that the captures before this one knew, whether they could read them or not.

    Of this date, and of the dates before it up to the newest that has read the list of groups whole: what a night did
    not see, the one before may have. Where there is none, those that the warehouse has as well. A capture that can't
    be read any more must not cost this night.
    """
    known: set[str] = set()
    for day in reversed(session.archive.dates()):
        if day > export_date:
            continue
        try:
            before = session.archive.newest_sealed(day, "snapshot")
        except ContractError as damage:
            logger.warning("The archive of %s is left out of account: %s", day, damage)
            continue
        if before is not None:
            known |= _groups_of(before)
            if day < export_date and _has_whole_list(before.manifest["resources"]["groups"]):
                return known
    try:
        return known | session.warehouse.present_groups()
    except PipelineError as trouble:
        logger.warning("The groups that the warehouse knows are left out of account: %s", trouble)
        return known


def _groups_of(capture: Capture) -> set[str]:
    """What a capture says that there is: also a group of which it got no answer, so that the next one asks again."""
    groups = capture.manifest["groups"]
    lost = capture.manifest["resources"].get("groups", {}).get("lost", ())
    unanswered = {unit["unit"]["group_id"] for unit in lost if unit["status"] not in {403, 404} and unit["unit"]}
    return (set(groups["listed"]) | unanswered) - set(groups["gone"]) | set(groups["closed"])


def _has_whole_list(entry: Mapping[str, Any]) -> bool:
    """Whether a capture has read the list of groups, and to its end (the unit of the list has no parameters)."""
    return entry["status"] == "captured" and all(short["unit"] for short in entry["short"])


def objectives_on(session: PipelineContext, export_date: date) -> set[tuple[str, str]] | None:
    """Group and objective ids in the snapshot of the date; None where it has none, or could not read objectives."""
    try:
        snapshot = session.archive.newest_sealed(export_date, "snapshot")
        if snapshot is None or snapshot.manifest["resources"]["objectives"]["status"] != "captured":
            return None
        return {
            (line.unit["group_id"], objective_id)
            for line in snapshot.pages("objectives")
            for objective in OBJECTIVES.items(line.body)
            if isinstance(objective, dict) and (objective_id := id_text(objective.get("id"))) is not None
        }
    except (ContractError, Interrupted) as damage:
        logger.warning("The objectives of %s are asked for anew: %s", export_date, damage)
        return None

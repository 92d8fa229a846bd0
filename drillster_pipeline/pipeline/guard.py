"""What was decided about captures, noted beside their manifests: refused by the guard, or confirmed by an operator.

The guard weighs a load against what the warehouse holds. A backfill may load nights in any order and pass some over;
what those have lost, or what an operator has confirmed of them, must not be held against the night at hand.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import date
from itertools import chain

from drillster_pipeline.archive import CaptureRef

from .context import PipelineContext

logger = logging.getLogger(__name__)

REFUSED_MARK = "refused.json"
"""Beside a manifest whose publish was refused: the next run captures again instead of publishing the same."""
CONFIRMED_MARK = "confirmed.json"
"""Beside a manifest whose mass deletion an operator has allowed: the tables, so that no backfill asks once more."""


def mark_refused(session: PipelineContext, ref: CaptureRef) -> None:
    """Note that a capture was judged unfit, so that it is not taken for one that only waits."""
    session.archive.storage.write(f"{ref.folder}/{REFUSED_MARK}", b"{}")


def is_refused(session: PipelineContext, ref: CaptureRef) -> bool:
    """Whether the publish of a capture was refused, and has not been allowed since."""
    names = session.archive.storage.names(ref.folder)
    return REFUSED_MARK in names and CONFIRMED_MARK not in names


def mark_confirmed(session: PipelineContext, ref: CaptureRef, tables: Iterable[str]) -> None:
    """Note that an operator has allowed a capture to delete so much of these tables."""
    allowed = sorted({*tables, *_confirmed(session, ref)})
    session.archive.storage.write(f"{ref.folder}/{CONFIRMED_MARK}", json.dumps({"tables": allowed}).encode())


def confirmed_tables(
    session: PipelineContext, waiting: Mapping[str, Iterable[CaptureRef]], current: CaptureRef
) -> frozenset[str]:
    """Tables of which a mass deletion was allowed, of the current capture or on a night that they wait for."""
    confirmed = {ref: _confirmed(session, ref) for ref in {current, *chain.from_iterable(waiting.values())}}
    return frozenset(name for name, refs in waiting.items() if any(name in confirmed[ref] for ref in (current, *refs)))


def _confirmed(session: PipelineContext, ref: CaptureRef) -> list[str]:
    if CONFIRMED_MARK not in session.archive.storage.names(ref.folder):
        return []
    try:
        return list(map(str, json.loads(session.archive.storage.read(f"{ref.folder}/{CONFIRMED_MARK}"))["tables"]))
    except (ValueError, KeyError, TypeError):
        logger.warning("%s/%s can't be read: what it confirmed must be confirmed again", ref.folder, CONFIRMED_MARK)
        return []


def unpublished_captures(
    session: PipelineContext, kind: str, export_date: date, tables: Iterable[str]
) -> dict[str, list[CaptureRef]]:
    """Per table, the captures that count between this date and the newest one loaded before it, but for refused ones.

    Each of them may have lost as much as one night is allowed to. A night that was refused explains nothing: else the
    guard would give way by itself after some nights.
    """
    before = session.warehouse.ledger.last_reads_before(kind, export_date)
    oldest = min((before[name] for name in tables if name in before), default=export_date)
    days = [day for day in session.archive.dates() if oldest < day < export_date]
    sealed = [[ref for ref in session.archive.captures(day, kind) if ref.sealed] for day in days]
    waiting = [refs[-1] for refs in sealed if refs and not is_refused(session, refs[-1])]
    return {
        name: [ref for ref in waiting if before[name] < ref.export_date] if name in before else [] for name in tables
    }

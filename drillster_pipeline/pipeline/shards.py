"""A capture in shards: one process plans it, each shard reads its share, and one seals what they have read.

They share the archive alone. The plan is in the capture's folder, and a shard's parts beside those of others; only
:func:`.capture.make_capture` writes the manifest, after it has found every unit that follows from any response, or has
read what is missing. A shard that is cut short is resumed by whoever captures it next.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date, timedelta

from drillster_pipeline.api.shards import (
    CapturePlan,
    distributed,
    only_groups,
    too_large,
    write_walk,
)
from drillster_pipeline.archive.captures import CaptureRef, CaptureWriter
from drillster_pipeline.archive.storage import LockCheck
from drillster_pipeline.errors import Busy, Interrupted, PastDateRefused
from drillster_pipeline.resources import GROUP_MEMBERS, GROUPS, Unit

from .capture import CaptureOutcome, existing_capture, make_capture, stamped
from .capture_work import CaptureWork
from .context import PipelineContext

READ_WITHIN = timedelta(days=2)
"""So long after its plan a capture is read and sealed: what may be requested of a snapshot ends with the day anyway."""
BUSY_SECONDS = 5.0
"""So often a shard that another process is reading is tried again."""

logger = logging.getLogger(__name__)


def plan_capture(context: PipelineContext, kind: str, export_date: date, *, again: bool = False) -> int:
    """Begin or resume a capture and divide it; returns the number of its shards, 0 where nothing is to be captured.

    Reads the list of groups, and the members of those that are too large for one shard. Raises what
    :func:`.capture.capture` raises.
    """
    context.require_ended(export_date)
    with _locked(context, kind, export_date) as check_lock:
        work = CaptureWork(context, kind, export_date)
        # What was planned before is completed, even where an earlier capture would do: so does the seal.
        again = again or _plan_of(context, work.resumable()) is not None
        if existing_capture(context, kind, export_date, again=again) is not None:
            return 0
        return _planned(work, check_lock).shards


def _planned(work: CaptureWork, check_lock: LockCheck) -> CapturePlan:
    context, shards = work.context, work.context.settings.capture_shards
    ref = work.resumable()
    plan = _plan_of(context, ref)
    with work.client() as client:
        organization = plan.organization if plan else work.organization(client)
        writer, is_resumed = work.open(ref, check_lock)
        if plan and is_resumed and plan.shards == shards:
            writer.abandon()
            return plan
        started = context.steady()
        try:
            earlier = work.groups_before()
            objectives = work.objectives() if work.kind == "events" else None
            if objectives is None:
                crawler = work.crawler(client, writer, earlier_groups=earlier, share=only_groups)
                crawler.run([Unit(GROUPS, {})], (GROUPS.resource,))
                sizes = dict.fromkeys(earlier, 0) | crawler.group_sizes
            else:
                sizes = Counter(group for group, _ in objectives)
            spread = too_large(sizes, shards) if work.kind == "snapshot" else frozenset()
            plan = CapturePlan(
                run_id=context.run_id,
                organization=organization,
                earlier_groups=tuple(sorted(earlier)),
                groups=distributed({group: 0 if group in spread else size for group, size in sizes.items()}, shards),
                spread=spread,
                continues=is_resumed,
            )
            if spread:
                members = [Unit(GROUP_MEMBERS, {"group_id": group}, sizes[group]) for group in sorted(spread)]
                crawler = work.crawler(client, writer, earlier_groups=(), share=plan.is_for_all)
                crawler.run(members, (GROUP_MEMBERS.resource,))
            writer.close()
        except BaseException:
            writer.abandon()
            raise
        write_walk(writer, "plan", {"seconds": context.steady() - started, **client.metrics.snapshot()})
        plan.write(writer.storage, writer.ref.folder)
    return plan


def capture_shard(context: PipelineContext, kind: str, export_date: date, shard: int) -> None:
    """Read what is left of a shard; nothing where all is sealed. Waits while another process reads it.

    Raises PastDateRefused where the date is no longer the newest, Interrupted where the capture is gone, and what the
    API and the archive raise.
    """
    work = CaptureWork(context, kind, export_date, shard)
    with _locked(context, kind, export_date, shard) as check_lock:
        if export_date < context.newest_complete and existing_capture(context, kind, export_date, again=True):
            return
        storage, ref = context.archive.storage, work.resumable(READ_WITHIN)
        plan = _plan_of(context, ref)
        if ref is None or plan is None:
            if context.archive.newest_sealed(export_date, kind) is None:
                raise Interrupted(f"The capture of {export_date} was removed while its shards were read: run again")
            return
        if shard >= plan.shards:
            return  # of an earlier plan: its groups are those of other shards now
        work = replace(work, shards=plan.shards)
        with work.client() as client:
            writer = CaptureWriter(storage, ref, check_lock=check_lock, shard=shard)
            started = context.steady()
            try:
                writer.recover(of_others=plan.continues)
                work.read(work.crawler(client, writer, earlier_groups=plan.earlier_groups, share=plan.share(shard)))
                writer.close()
            except BaseException:
                writer.abandon()
                raise
            walk = {"seconds": context.steady() - started, **client.metrics.snapshot()}
        write_walk(writer, f"shard-{shard}", walk)


def seal_capture(context: PipelineContext, kind: str, export_date: date) -> CaptureOutcome:
    """Seal what the shards have read, even where an earlier run's capture would do. Waits while another process does.

    Raises what :func:`.capture.capture` raises, but Interrupted where there is nothing to seal.
    """
    context.require_ended(export_date)
    with _locked(context, kind, export_date) as check_lock:
        work = CaptureWork(context, kind, export_date)
        ref = work.resumable(READ_WITHIN)
        has_plan = _plan_of(context, ref) is not None
        try:
            done = existing_capture(context, kind, export_date, again=has_plan)
        except PastDateRefused:
            if not has_plan:
                raise
            done = None  # midnight came before the seal
        if done is None and ref is None:
            raise Interrupted(
                f"What the shards have read of {export_date} was removed, or another run has captured that date "
                "meanwhile: run again"
            )
        done = done or make_capture(work, ref, check_lock, may_begin=False)
    return stamped(context, done)


def _plan_of(context: PipelineContext, ref: CaptureRef | None) -> CapturePlan | None:
    return CapturePlan.read(context.archive.storage, ref.folder) if ref else None


@contextmanager
def _locked(context: PipelineContext, kind: str, export_date: date, shard: int | None = None) -> Iterator[LockCheck]:
    """The lock of a capture or of a shard, once nobody else has it.

    A broker may deliver a task to two workers, and tasks of a run that was killed are still done.
    """
    with ExitStack() as stack:
        while True:
            try:
                check_lock = stack.enter_context(context.archive.locked(export_date, kind, shard=shard))
                break
            except Busy:
                _wait(context, kind, export_date)
        yield check_lock


def _wait(context: PipelineContext, kind: str, export_date: date) -> None:
    logger.info("Another process works on the capture of the %s of %s: waiting for it.", kind, export_date)
    context.sleep(BUSY_SECONDS)

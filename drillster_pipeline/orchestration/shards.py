"""The asset of a capture in shards, of three operations: plan, one for each shard, and the seal.

Only what has a pool waits for others; an operation that is mapped must have none, or Dagster waits for ever (its issue
30712). Nothing passes between them but that they have ended: the archive has all else.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from drillster_pipeline.settings import Settings

from . import specs
from .assets import POOL, CaptureConfig, capturing, priority_tags
from .names import Names
from .resources import RESOURCE


def shards_asset(
    kind: str,
    after: str | None,
    names: Names,
    settings: Settings,
    *,
    priority: int,
    retry_policy: dg.RetryPolicy | None,
) -> dg.AssetsDefinition:
    """``shards/snapshot`` or ``shards/events``.

    Steps that do not depend on each other run at once, so that one kind has to come ``after`` another: the events after
    the snapshot, whose objectives are then known. Where that fails, the sensor ``missing_events`` fetches them.
    """
    upstream = {"after": dg.AssetIn(names.key(specs.SHARDS[after]), dagster_type=dg.Nothing)} if after else {}
    common: dict[str, Any] = {
        "required_resource_keys": {names.of(RESOURCE)},
        "retry_policy": retry_policy,
        "tags": priority_tags(priority),
    }

    @dg.op(
        name=names.of(f"plan_{kind}"),
        ins={name: dg.In(dg.Nothing) for name in upstream},
        out=dg.DynamicOut(dg.Nothing),
        pool=names.of(POOL),
        **common,
    )
    def plan(context: dg.OpExecutionContext, config: CaptureConfig) -> Iterator[dg.DynamicOutput[None]]:
        """Begin or resume the capture, and divide it."""
        from drillster_pipeline.pipeline.shards import plan_capture

        with capturing(context, names) as (drillster, day):
            for shard in range(plan_capture(drillster.pipeline, kind, day, again=config.capture_again)):
                yield dg.DynamicOutput(None, mapping_key=str(shard))

    @dg.op(name=names.of(f"{kind}_shard"), ins={"plan": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), **common)
    def shard(context: dg.OpExecutionContext) -> None:
        """Read a shard."""
        from drillster_pipeline.pipeline.shards import capture_shard

        with capturing(context, names) as (drillster, day):
            capture_shard(drillster.pipeline, kind, day, int(context.get_mapping_key() or 0))

    @dg.op(
        name=names.of(f"seal_{kind}"),
        ins={"shards": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        pool=names.of(POOL),
        **common,
    )
    def seal(context: dg.OpExecutionContext) -> None:
        """Seal what the shards have read."""
        from drillster_pipeline.pipeline.shards import seal_capture

        with capturing(context, names) as (drillster, day):
            outcome = seal_capture(drillster.pipeline, kind, day)
            context.add_output_metadata({"capture_id": outcome.capture.capture_id, "how": str(outcome.how)})

    spec = names.spec(specs.shards_spec(kind, settings))

    @dg.graph_asset(
        key=spec.key,
        ins=upstream,
        partitions_def=specs.daily(settings),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
    )
    def shards(**after: Any) -> Any:
        return seal(shards=plan(**after).map(shard).collect())

    (asset,) = dg.map_asset_specs(lambda made: spec.replace_attributes(deps=made.deps), [shards])
    return asset

"""What the definitions of an organization are called, so that many organizations fit into one Dagster instance."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import dagster as dg

from drillster_pipeline.organization import Organization

from . import specs

ORGANIZATION_TAG = "drillster/organization"
"""Tag of runs: ``dagster.yaml`` limits by it how many runs of one organization are under way at once."""


class AssetProps(NamedTuple):
    """What a translation gets of an asset."""

    folder: str
    """``drillster`` for what is captured, ``warehouse`` for what is published, ``shards``, ``report``, ``dbt``."""
    name: str
    """Name of the resource, the table, the kind of capture or dbt's model, or ``nightly``."""
    organization: str
    """Name of the organization."""


Translation = Callable[[dg.AssetSpec, AssetProps], dg.AssetSpec]
"""Changes an asset as Dagster shows it: its key, group, description, tags, owners, metadata."""


class Names:
    """The names of an organization's definitions. Without a name of the organization: those of :mod:`.specs`.

    ``key_prefix`` precedes the keys of all assets, ``group_name`` replaces their groups, ``owners`` those of the
    settings; ``tags`` are added to assets and runs. ``translation`` has the last word about each asset.
    """

    def __init__(
        self,
        organization: Organization,
        *,
        key_prefix: Sequence[str] = (),
        group_name: str | None = None,
        owners: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        translation: Translation | None = None,
    ) -> None:
        self.organization = organization
        self._key_prefix = tuple(key_prefix)
        self._attributes: dict[str, Any] = {"group_name": group_name, "owners": owners}
        self._tags = dict(tags or {})
        self._translation = translation
        self._keys: dict[dg.AssetKey, dg.AssetKey] = {}

    def of(self, what: str) -> str:
        """The name of a job, a schedule, a sensor, a step, the pool or the resource."""
        return f"{self.organization.name}_{what}" if self.organization.name else what

    def plain(self, name: str) -> str:
        """What :meth:`of` made this name of."""
        return name.removeprefix(self.of(""))

    @property
    def run_tags(self) -> dict[str, str]:
        """The tags of the runs of its jobs."""
        return self._tags | ({ORGANIZATION_TAG: self.organization.name} if self.organization.name else {})

    def spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """An asset of :mod:`.specs` with the names that it has for this organization."""
        folder, name = spec.key.path
        props = AssetProps(folder, name, self.organization.name)
        changes = {name: value for name, value in self._attributes.items() if value}
        changes["key"] = spec.key.with_prefix(self._key_prefix)
        changes["deps"] = self.keys(dep.asset_key for dep in spec.deps)
        if (lineage := spec.metadata.get(specs.COLUMN_LINEAGE)) is not None:
            changes["metadata"] = {**spec.metadata, specs.COLUMN_LINEAGE: self._lineage(lineage)}
        named = spec.replace_attributes(**changes).merge_attributes(tags=self._tags)
        if self._translation is not None:
            named = self._translation(named, props)
        self._keys[spec.key] = named.key
        return named

    def _lineage(self, lineage: dg.TableColumnLineage) -> dg.TableColumnLineage:
        deps = {
            column: [dg.TableColumnDep(self.key(dep.asset_key), dep.column_name) for dep in of_column]
            for column, of_column in lineage.deps_by_column.items()
        }
        return dg.TableColumnLineage(deps)

    def key(self, key: dg.AssetKey) -> dg.AssetKey:
        """The key of an asset that has this one in :mod:`.specs`."""
        if key not in self._keys:
            self.spec(dg.AssetSpec(key))
        return self._keys[key]

    def keys(self, keys: Iterable[dg.AssetKey]) -> list[dg.AssetKey]:
        """The same of several."""
        return [self.key(key) for key in keys]

    def is_ours(self, job: str | None, assets: Collection[dg.AssetKey] | None) -> bool:
        """Whether a run or a backfill is of this organization: others share the instance."""
        # Not by a tag: a run that is launched from the UI as single assets has none before its first step.
        is_job = job in [self.of(each) for each in specs.JOBS]
        return is_job or not set(self.keys(specs.ASSET_KEYS)).isdisjoint(assets or ())


ALONE = Names(Organization())
"""Of the only organization."""

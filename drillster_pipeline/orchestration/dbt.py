"""The models of the dbt package as assets: downstream of the tables, and built again after each publish.

They are no part of the job ``nightly``: a table that could not be read is not materialized, and Dagster skips in that
run whatever depends on it.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import sqlalchemy as sa

from drillster_pipeline.errors import PipelineError, needs_extra
from drillster_pipeline.settings import Settings
from drillster_pipeline.tables import DATA_TABLES, TABLES

from .assets import POOL
from .home import home_folder
from .names import Names
from .specs import table_key

DBT = "dbt"
_INSIDE = Path(__file__).parents[1] / DBT
PACKAGE = _INSIDE if _INSIDE.exists() else Path(__file__).parents[2] / DBT
"""The dbt package: in the wheel, or at the top of a checkout."""
_TARGETS = {"postgresql": "postgres", "sqlite": "duckdb"}
"""By the database of the warehouse, the target of the package's profile."""
_NOT_BUILT = "source:* resource_type:unit_test"
"""What is not tested after a publish: a load has validated the tables, and a release the models."""
_AFTER_A_PUBLISH = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.in_progress()
    & ~dg.AutomationCondition.any_deps_in_progress()
)


def dbt_definitions(names: Names) -> dg.Definitions:
    """The models, their tests as checks, and the sensor that has them built.

    Raises ExtraMissing, and ValueError where the package can't read the database of the warehouse.
    """
    settings, _ = names.organization.read()
    environment, _ = invocation(settings)
    with needs_extra(DBT, "dbt: true"):
        from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

    project = DbtProject(PACKAGE, target_path=home_folder() / f"dbt-{_digest()}", target=environment["DBT_TARGET"])
    if not project.manifest_path.exists():
        with _environment(environment):
            project.preparer.prepare(project)

    # Type checkers do not have the extra: dbt and mypy can't be installed together.
    class Translator(DagsterDbtTranslator):  # type: ignore[misc]
        """Keys, groups and tags as the organization's other assets have them."""

        def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
            return dg.AssetKey([DBT, dbt_resource_props["name"]])

        def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: Any) -> dg.AssetSpec:
            spec = super().get_asset_spec(manifest, unique_id, project)
            needs = self.get_resource_props(manifest, unique_id).get("depends_on", {}).get("nodes", [])
            return names.spec(
                spec.replace_attributes(
                    deps=_upstream(needs, names.organization.tables),
                    group_name=DBT,
                    owners=settings.owners,
                    automation_condition=_AFTER_A_PUBLISH,
                )
            )

    @dbt_assets(  # type: ignore[untyped-decorator]  # the same
        manifest=project.manifest_path,
        project=project,
        exclude=_NOT_BUILT,
        name=names.of(DBT),
        dagster_dbt_translator=Translator(),
        pool=names.of(POOL),
    )
    def models(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """Build the models that are selected."""
        try:
            environment, variables = invocation(names.organization.load(needs_api=False))
        except PipelineError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        with _environment(environment), TemporaryDirectory() as folder:
            dbt, build = DbtCliResource(project_dir=project), ["build", "--vars", json.dumps(variables)]
            yield from dbt.cli(build, context=context, target_path=Path(folder)).stream()

    sensor = dg.AutomationConditionSensorDefinition(
        names.of(DBT),
        target=[models],
        default_status=dg.DefaultSensorStatus.RUNNING,
        run_tags=names.run_tags,
        description="Has dbt build its models after a publish.",
    )
    return dg.Definitions(assets=[models], sensors=[sensor])


def _upstream(needs: Collection[str], selected: Collection[str]) -> list[dg.AssetKey]:
    """The models and tables that a model reads.

    Figures of a date stand for what they are computed from, and the ledger, which every load writes, for all tables.
    """
    found = dict[dg.AssetKey, None]()
    for kind, *_, name in (need.split(".") for need in needs):
        if kind == "model":
            found[dg.AssetKey([DBT, name])] = None
            continue
        read = [column.source.partition(".")[0] for column in TABLES[name].columns if column.source]
        tables = [name] if name in DATA_TABLES else read or DATA_TABLES
        found |= {table_key(table): None for table in tables if table in selected}
    return list(found)


def invocation(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """What dbt takes from the environment, for the package's profile, and its variables: where the tables are.

    Raises ValueError where the package can't read the database of the warehouse.
    """
    url = sa.make_url(settings.warehouse_url.get_secret_value())
    backend, schema = url.get_backend_name(), settings.warehouse_schema or "public"
    if backend not in _TARGETS:
        raise ValueError(f"dbt reads a warehouse in PostgreSQL or SQLite, and this one is in {backend}")
    environment = {
        "DBT_TARGET": _TARGETS[backend],
        # Where dbt itself is, in a virtual environment that is not activated.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    if backend == "sqlite":
        file = Path(url.database or "").absolute()
        location = f"sqlite_scan('{str(file).replace(chr(39), chr(39) * 2)}', '{{name}}')"
        return environment | {"DRILLSTER_DBT_FILE": str(file.with_suffix(".duckdb"))}, {"drillster_location": location}
    # By libpq's own names, as is what the query of the URL says.
    named = {"host": url.host, "port": url.port, "user": url.username, "password": url.password, **url.query}
    environment |= {f"PG{name.upper()}": str(value) for name, value in named.items() if value}
    environment |= {"PGDATABASE": url.database or "", "DRILLSTER_DBT_SCHEMA": f"{schema}_dbt"}
    return environment, {"drillster_schema": schema}


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process for a while: dagster-dbt gives its own to dbt, and no others."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _digest() -> str:
    """Differs where the package does: what dbt made of another version of it is of no use."""
    files = sorted(path for name in ("models", "macros", "tests") for path in PACKAGE.glob(f"{name}/**/*.*"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]

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
from .errors import WORK
from .home import home_folder
from .names import Names
from .specs import DBT, DBT_PACKAGE, model_key, table_key

_TARGETS = {"postgresql": "postgres", "sqlite": "duckdb"}
"""By the database of the warehouse, the target of the package's profile."""
_NOT_BUILT = "source:* resource_type:unit_test"
"""What is not tested after a publish: a load has validated the tables, and a release the models."""
_FAILED = "A model of dbt could not be built, or failed a test: see run {} in Dagster. What depends on it is as before"
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
    target = target_of(settings)
    with needs_extra(DBT, "dbt: true"):
        from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets
        from dagster_dbt.errors import DagsterDbtCliRuntimeError

    project = DbtProject(DBT_PACKAGE, target_path=home_folder() / f"dbt-{target}-{_digest()}", target=target)
    if not project.manifest_path.exists():
        with _environment({}):
            project.preparer.prepare(project)

    # Type checkers do not have the extra: dbt and mypy can't be installed together.
    class Translator(DagsterDbtTranslator):  # type: ignore[misc]
        """Keys, groups and tags as the organization's other assets have them."""

        def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
            return model_key(dbt_resource_props["name"])

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
            raise dg.Failure(str(error), {WORK: DBT}, allow_retries=False) from None
        # All views of staging, as a model may read one of a table that was never published; where some models are
        # selected, dagster-dbt leaves out what is excluded above.
        build = ["build", "--select", "staging", "--exclude", _NOT_BUILT, "--vars", json.dumps(variables)]
        selected = context.op_execution_context.selected_output_names
        with _environment(environment), TemporaryDirectory() as folder:
            dbt = DbtCliResource(project_dir=project)
            try:
                for event in dbt.cli(build, context=context, target_path=Path(folder)).stream():
                    if not isinstance(event, dg.Output) or event.output_name in selected:
                        yield event
            except DagsterDbtCliRuntimeError as error:
                raise dg.Failure(_FAILED.format(context.run.run_id), {WORK: DBT}, allow_retries=False) from error

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
            found[model_key(name)] = None
            continue
        read = [column.source.partition(".")[0] for column in TABLES[name].columns if column.source]
        tables = [name] if name in DATA_TABLES else read or DATA_TABLES
        found |= {table_key(table): None for table in tables if table in selected}
    return list(found)


def target_of(settings: Settings) -> str:
    """The target of the package's profile. Raises ValueError where it can't read the database of the warehouse."""
    backend = _warehouse(settings).get_backend_name()
    if backend not in _TARGETS:
        raise ValueError(f"dbt reads a warehouse in PostgreSQL or SQLite, and this one is in {backend}")
    return _TARGETS[backend]


def invocation(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """What the package's profile takes from the environment, and the variables: where models go, where tables are.

    Raises PipelineError where a server can't be reached, which knows the schema of its search path.
    """
    # These need pandas, which the code server should not load.
    from drillster_pipeline.warehouse.dialects.postgresql import schema_of
    from drillster_pipeline.warehouse.grants import MARTS
    from drillster_pipeline.warehouse.inspection import Inspection

    url = _warehouse(settings)
    if target_of(settings) == "duckdb":
        file = Path(url.database or "").absolute()
        quoted = str(file).replace("'", "''")
        variables = {"drillster_location": f"sqlite_scan('{quoted}', '{{name}}')"}
        return {"DRILLSTER_DBT_FILE": str(file.with_suffix(".duckdb"))}, variables
    address = settings.warehouse_url.get_secret_value()
    with Inspection(address) as inspection, inspection.reading("finding the schema") as (connection, _):
        schema = schema_of(connection, settings.warehouse_schema)
    named = {"host": url.host, "port": url.port, "user": url.username, "database": url.database, **url.query}
    environment = {f"DRILLSTER_DBT_{name.upper()}": str(value) for name, value in named.items() if value}
    # dbt masks what has this prefix in whatever it prints.
    environment |= {
        "DBT_ENV_SECRET_DRILLSTER_PASSWORD": url.password or "",
        "DRILLSTER_DBT_SCHEMA": MARTS.format(schema),
    }
    return environment, {"drillster_schema": schema}


def _warehouse(settings: Settings) -> sa.URL:
    return sa.make_url(settings.warehouse_url.get_secret_value())


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process for a while: dagster-dbt gives its own to dbt, and no others."""
    # Where dbt itself is, in a virtual environment that is not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    changes = {**changes, "PATH": path}
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
    files = sorted(path for name in ("models", "macros", "tests") for path in DBT_PACKAGE.glob(f"{name}/**/*.*"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]

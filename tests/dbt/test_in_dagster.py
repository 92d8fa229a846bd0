"""A night of an organization with ``dbt: true``, in a Dagster instance on disk."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from drillster_pipeline.components import organizations_of
from drillster_pipeline.dates import newest_complete
from drillster_pipeline.orchestration.alerts import send_alerts
from drillster_pipeline.orchestration.specs import ASSET_KEYS
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import SETTINGS
from tests.drillster import Failure, Faults, Sandbox
from tests.organizations.projects import Project
from tests.support.installation import AMSTERDAM, Installation
from tests.support.webhooks import Webhook

pytestmark = [
    pytest.mark.deep,
    pytest.mark.timeout(600),
    # Dagster says of its own functions that they are new, and dagster-dbt uses what Dagster and others call old.
    pytest.mark.filterwarnings("ignore:.* is currently in (preview|beta)"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
UNREAD = {"acme/dbt/stg_group_staff", "acme/dbt/stg_test_results", "acme/dbt/fct_test_attempts"}


def test_models_are_built_after_a_publish_downstream_of_its_tables(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    installation = Installation(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(installation.home))
    project = Project(tmp_path / "project", monkeypatch)
    with Sandbox(accounts=20, seed=3) as sandbox, installation.on_disk() as instance, Webhook() as hook:
        sandbox.faults = Faults(
            failures=tuple(Failure(at=at, statuses=(403,)) for at in ("group/*/test-results/*", "group/*/staff"))
        )
        project.add("acme", sandbox, dbt=True, alert_webhook=hook.url)
        tree = dg.ComponentTree.for_project(project.folder)
        defs = tree.build_defs()
        graph = defs.resolve_asset_graph()
        models = {key for key in graph.get_all_asset_keys() if key.path[:2] == ["acme", "dbt"]}

        def parents(model: str) -> set[str]:
            return {key.to_user_string() for key in graph.get(dg.AssetKey(["acme", "dbt", model])).parent_keys}

        assert parents("stg_results") == {"acme/warehouse/results"}
        assert parents("stg_group_objective_daily") == {"acme/warehouse/objective_evaluations"}
        assert len(parents("stg_loads")) == 18
        assert parents("dim_playables") == {"acme/dbt/stg_playables"}

        def requested(cursor: dg.AssetDaemonCursor | None = None) -> tuple[AbstractSet[dg.AssetKey], object]:
            found = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
            return {key for key in models if found.get_num_requested(key)}, found.cursor

        nothing, cursor = requested()
        assert nothing == set()
        repository = defs.get_repository_def()
        day = newest_complete(datetime.now(UTC), AMSTERDAM)
        night = repository.get_job("acme_nightly").execute_in_process(instance=instance, partition_key=str(day))
        assert night.success
        due, cursor = requested(cursor)
        assert {key.to_user_string() for key in models - due} == UNREAD

        (acme,) = organizations_of(tree)
        assert {key for key in acme.names.keys(ASSET_KEYS) if key.path[1] == "dbt"} == models
        job = repository.get_implicit_job_def_for_assets(list(due))
        built = job.execute_in_process(instance=instance, asset_selection=list(due))
        assert built.success
        assert {event.asset_key for event in built.get_asset_materialization_events()} == due
        checks = built.get_asset_check_evaluations()
        assert all(check.passed for check in checks)
        assert {"results_agree_with_group_daily", "unique_dim_accounts_account_id"} <= {
            check.check_name for check in checks
        }
        assert requested(cursor)[0] == set()
        import duckdb

        with (
            duckdb.connect(str(project.folder / "acme.duckdb")) as connection,
            PipelineContext(settings=acme.names.organization.load(needs_api=False)) as pipeline,
        ):
            (counted,) = connection.execute("SELECT count(DISTINCT export_date) FROM fct_results").fetchall()
            assert counted == (1,)
            send_alerts(instance, pipeline, acme.names, pending=day)
            while_it_is_read = job.execute_in_process(
                instance=instance, asset_selection=list(due), raise_on_error=False
            )
            send_alerts(instance, pipeline, acme.names, pending=day)
        assert not while_it_is_read.success
        (text,) = [message["text"] for message in hook.got]
        assert "acme: The build of dbt's models failed. A model of dbt could not be built" in text
        assert while_it_is_read.run_id in text

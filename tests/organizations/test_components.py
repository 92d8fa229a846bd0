"""Organizations in a Dagster project of somebody else: from a ``defs.yaml`` each, or from Python."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from drillster_pipeline.cli.main import commands
from drillster_pipeline.cli.organizations import organizations_here
from drillster_pipeline.components import DrillsterComponent, build_defs
from drillster_pipeline.components.component import DrillsterScaffolder
from drillster_pipeline.dates import newest_complete
from drillster_pipeline.errors import PipelineError, SettingsError
from drillster_pipeline.orchestration.alerts import send_alerts
from drillster_pipeline.orchestration.jobs import delete_old_runs
from drillster_pipeline.orchestration.names import AssetProps
from drillster_pipeline.organization import Organization
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import CREDENTIALS, SETTINGS, Settings, load_settings
from drillster_pipeline.tables import DATA_TABLES
from tests.drillster import Sandbox
from tests.support.installation import AMSTERDAM, FIRST
from tests.support.webhooks import Webhook

from .projects import TYPE, Project

pytestmark = [
    pytest.mark.slow,
    # Dagster says of its own functions that they are old, or new.
    pytest.mark.filterwarnings("ignore:.* is currently in (preview|beta)"),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    return Project(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[dict[str, Sandbox]]:
    """Two organizations, each with a Drillster of its own."""
    with Sandbox(accounts=20, seed=3) as acme, Sandbox(accounts=24, seed=4) as beta:
        yield {"acme": acme, "beta": beta}


def run(defs: dg.Definitions, job: str) -> dg.ExecuteInProcessResult:
    """Run a job of an organization for the newest date."""
    definition = defs.get_repository_def().get_job(job)
    day = newest_complete(datetime.now(UTC), AMSTERDAM)
    with dg.DagsterInstance.ephemeral() as instance:
        return definition.execute_in_process(instance=instance, partition_key=str(day), raise_on_error=False)


def organization_of(sandbox: Sandbox) -> str:
    """The id of the organization that a Drillster serves."""
    return str(sandbox.organization.at(datetime.now(UTC)).organization()["id"])


def organizations_in(file: Path) -> list[str]:
    """The ids of the organizations that a warehouse holds."""
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute("SELECT organization_id FROM organizations")]


def test_organizations_of_a_project_load_their_own_data_and_one_that_is_broken_stops_no_other(
    project: Project, sandboxes: dict[str, Sandbox]
) -> None:
    for name, sandbox in sandboxes.items():
        project.add(name, sandbox)
    project.add("gamma", sandboxes["acme"], without="client_secret")
    (project.defs / "downstream.py").write_text(
        "import dagster as dg\n\n\n"
        "@dg.asset(deps=[dg.AssetKey(['acme', 'warehouse', 'results'])])\n"
        "def learners() -> None: ...\n"
    )
    defs = project.load()
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert {f"{name}/warehouse/{table}" for name in ("acme", "beta", "gamma") for table in DATA_TABLES} < keys
    assert "learners" in keys
    for name, sandbox in sandboxes.items():
        result = run(defs, f"{name}_nightly")
        assert result.success
        assert result.dagster_run.tags["drillster/organization"] == name
        assert "learners" not in {key.to_user_string() for key in result.dagster_run.asset_selection or ()}
        assert organizations_in(project.folder / f"{name}.sqlite") == [organization_of(sandbox)]
    failed = run(defs, "gamma_nightly")
    messages = {
        str(event.step_failure_data.user_failure_data.description)
        for event in failed.all_events
        if event.is_step_failure
    }
    where = f"One setting is wrong; put it right in {project.defs / 'gamma' / 'defs.yaml'}:"
    assert messages == {f"{where}\n  - client_secret is empty: set the variable that it is taken from"}


def test_an_organization_from_python_takes_nothing_of_the_environment(
    project: Project, sandboxes: dict[str, Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRILLSTER_TIMEZONE", "no zone")
    file = project.folder / "delta.sqlite"
    own = {"DRILLSTER_WAREHOUSE_URL": f"sqlite:///{file}"}
    own |= {f"DRILLSTER_{each}": str(project.folder / each) for each in ("ARCHIVE_URL", "REPORTS_FOLDER")}
    settings = load_settings({**sandboxes["acme"].environment(), **own, "DRILLSTER_FIRST_EXPORT_DATE": str(FIRST)})

    def in_catalog(spec: dg.AssetSpec, asset: AssetProps) -> dg.AssetSpec:
        return (
            spec.replace_attributes(key=["lms", asset.organization, asset.name])
            if asset.folder == "warehouse"
            else spec
        )

    defs = build_defs(
        settings,
        key_prefix="delta",
        group_name="training",
        owners=["team:data"],
        tags={"cost": "hr"},
        schedule=False,
        select=["accounts", "groups"],
        translation=in_catalog,
    )
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert {key for key in specs if "drillster" not in key} == {
        "lms/delta/accounts",
        "lms/delta/groups",
        "delta/report/nightly",
    }
    accounts = specs["lms/delta/accounts"]
    assert (accounts.group_name, accounts.owners, accounts.tags["cost"]) == ("training", ["team:data"], "hr")
    assert {dep.asset_key.path[0] for dep in accounts.deps} == {"delta"}
    lineage = accounts.metadata["dagster/column_lineage"].deps_by_column["account_id"]
    assert [dep.asset_key for dep in lineage] == [dg.AssetKey(["delta", "drillster", "accounts"])]
    assert not defs.schedules
    result = run(defs, "delta_nightly")
    assert result.success
    assert result.dagster_run.tags["cost"] == "hr"
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT is_complete FROM loads").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM results").fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"key_prefix": "a b"}, "'a b' can't be a key prefix"),
        ({"name": "a-b"}, "'a-b' can't be the name of an organization"),
        ({"name": "2x"}, "'2x' can't be the name of an organization"),
        ({"name": "_a"}, "'_a' can't be the name of an organization"),
        ({"select": ["nothing"]}, "There is no table nothing"),
        ({"select": []}, "No table is selected"),
    ],
)
def test_arguments_that_can_not_be_are_refused_in_a_sentence(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        build_defs(Settings(), **{"name": "one", **arguments})


def test_what_is_missing_in_settings_from_python_is_not_looked_for_in_the_environment() -> None:
    with pytest.raises(SettingsError, match="put them right in the settings that build_defs was given"):
        Organization(settings=Settings()).load()


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ({"reprots_folder": "x"}, r"beta/defs.yaml:\d+"),
        ({"concurrency": 100}, r"beta/defs.yaml:\d+: concurrency must be a whole number from 1 to 64"),
        ({"key_prefix": "a b"}, r"beta/defs.yaml:\d+: 'a b' can't be a key prefix"),
        ({"key_prefix": "acme"}, r"acme and beta have the same key_prefix .*beta/defs.yaml:\d+"),
        ({"name": "acme"}, r"have the same name .*beta/defs.yaml:\d+"),
        ({"warehouse_url": "sqlite:///one.sqlite"}, r"have the same warehouse_schema .*beta/defs.yaml:\d+"),
        ({"archive_url": "one"}, r"have the same archive_url .*beta/defs.yaml:\d+"),
        ({"reports_folder": "pages"}, r"have the same reports_folder .*beta/defs.yaml:\d+"),
        ({"group_name": "a b"}, r"beta/defs.yaml:\d+: .*a b"),
        ({"tags": {"a b!": "c"}}, r"beta/defs.yaml:\d+: .*a b!"),
        ({"select": ["nothing"]}, r"beta/defs.yaml:\d+: There is no table nothing"),
        ({"dbt": True, "warehouse_url": "mariadb://h/w"}, r"beta/defs.yaml:\d+: dbt reads .* this one is in mariadb"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(project: Project, attributes: dict[str, object], complaint: str) -> None:
    project.add("acme", warehouse_url="sqlite:///one.sqlite", archive_url="one", reports_folder="pages")
    project.add("beta", **attributes)
    with pytest.raises(Exception, match=r"defs\.yaml") as raised:
        project.load()
    assert re.search(complaint, "".join(traceback.format_exception(raised.value)))


def test_dbt_without_its_extra_says_what_to_install(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dagster_dbt", None)
    project.add("acme", dbt=True)
    with pytest.raises(Exception, match=r"defs\.yaml") as raised:
        project.load()
    needed = "dbt: true needs the extra dbt: pip install 'drillster-pipeline[dbt]'"
    assert needed in "".join(traceback.format_exception(raised.value))


def test_a_command_knows_the_runs_of_dbt_that_the_ui_has_launched(
    project: Project, sandboxes: dict[str, Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no definitions of dbt's models, which need an extra and take seconds to load."""
    monkeypatch.chdir(project.folder)
    with Webhook() as hook, dg.DagsterInstance.ephemeral() as instance:
        for name, sandbox in sandboxes.items():
            project.add(name, sandbox, dbt=True, alert_webhook=hook.url)
        organizations = organizations_here()

        def report() -> None:
            for names in organizations.values():
                with PipelineContext(settings=names.organization.load()) as pipeline:
                    send_alerts(instance, pipeline, names, pending=pipeline.newest_complete)

        model = dg.AssetKey(["acme", "dbt", "dim_groups"])

        @dg.asset(key=model)
        def dim_groups() -> None: ...

        job = dg.Definitions([dim_groups]).resolve_implicit_global_asset_job_def()
        report()
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, asset_selection={model})
        instance.report_run_failed(run)
        report()
        (message,) = hook.got
        assert message["text"].startswith("drillster-pipeline: acme: The run of ")
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        deleted = {name: delete_old_runs(instance, tomorrow, names) for name, names in organizations.items()}
        assert deleted == {"acme": 1, "beta": 0}


@pytest.mark.parametrize(("folder", "name"), [("acme", "acme"), ("acme-corp", "acme_corp"), ("2x", "organization_2x")])
def test_a_scaffolded_file_needs_its_variables_alone(project: Project, folder: str, name: str) -> None:
    """Whatever the folder is called."""
    request: dg.ScaffoldRequest[Any] = dg.ScaffoldRequest(
        type_name=TYPE,
        target_path=project.defs / folder,
        scaffold_format="yaml",
        project_root=project.folder,
        params=None,
    )
    request.target_path.mkdir()
    DrillsterScaffolder().scaffold(request)
    assert project.load().get_repository_def().has_job(f"{name}_nightly")
    (component,) = dg.ComponentTree.for_project(project.folder).get_all_components(DrillsterComponent)
    _, mistakes = component.names.organization.read(needs_api=True)
    assert [mistake.partition(":")[0] for mistake in mistakes] == [f"{each} is empty" for each in CREDENTIALS]


def test_attributes_are_settings_and_secrets_are_never_shown(project: Project, sandboxes: dict[str, Sandbox]) -> None:
    project.add(
        "acme", sandboxes["acme"], nightly_at="12:30", owners=["team:hr", "a@example.org"], keep_month_ends=True
    )
    project.add("beta", sandboxes["beta"], nightly_at="12:30")
    found = dg.ComponentTree.for_project(project.folder).get_all_components(DrillsterComponent)
    acme, _ = found
    settings, _ = acme.names.organization.read()
    assert (settings.owners, settings.nightly_at, settings.keep_month_ends) == (
        ("team:hr", "a@example.org"),
        time(12, 30),
        True,
    )
    environment = sandboxes["acme"].environment()
    shown = repr(found) + repr(acme.names.organization) + str(acme.model_dump())
    assert environment["DRILLSTER_CLIENT_SECRET"] not in shown
    assert "PRIVATE KEY" not in shown
    # Of one time, they begin a minute after each other; and one sensor looks for lost runs of all.
    assert project.load().schedules
    defs = project.load()  # again, as Dagster may do it
    crons = {each.name: each.cron_schedule for each in defs.get_repository_def().schedule_defs}
    assert (crons["acme_nightly"], crons["beta_nightly"]) == ("30 12 * * *", "31 12 * * *")
    assert [each.name for each in defs.sensors or ()].count("lost_runs") == 1


def test_a_command_is_for_the_organization_that_it_names(
    project: Project, sandboxes: dict[str, Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.add("acme", sandboxes["acme"], first_export_date=str(newest_complete(datetime.now(UTC), AMSTERDAM)))
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("DAGSTER_HOME", str(project.folder / "home"))
    done = CliRunner().invoke(commands, ["run", "--organization", "acme"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert organizations_in(project.folder / "acme.sqlite") == [organization_of(sandboxes["acme"])]
    with pytest.raises(PipelineError, match="There is no organization nobody here"):
        CliRunner().invoke(commands, ["--organization", "nobody", "status"], catch_exceptions=False)
    with pytest.raises(PipelineError, match="nothing was changed"):
        CliRunner().invoke(commands, ["forget", "--yes", "nobody", "--organization", "acme"], catch_exceptions=False)
    monkeypatch.delenv("ACME_CLIENT_SECRET")
    checked = CliRunner().invoke(commands, ["check", "--organization", "acme"], catch_exceptions=False)
    assert checked.exit_code == 2
    assert "is empty: set the variable that it is taken from" in checked.output
    project.add("gamma", name="acme")
    with pytest.raises(PipelineError, match="the organizations acme and acme have the same name"):
        CliRunner().invoke(commands, ["run", "--organization", "acme"], catch_exceptions=False)
    project.add("beta", key_prefix="a b")
    with pytest.raises(PipelineError, match=r"beta/defs.yaml:\d+: 'a b' can't be a key prefix"):
        CliRunner().invoke(commands, ["status", "--organization", "acme"], catch_exceptions=False)
    monkeypatch.chdir(project.defs)  # where its relative paths would name other files
    with pytest.raises(PipelineError, match="There is no organization acme here"):
        CliRunner().invoke(commands, ["status", "--organization", "acme"], catch_exceptions=False)


@pytest.mark.deep
def test_dg_lists_scaffolds_and_checks_a_component(project: Project, sandboxes: dict[str, Sandbox]) -> None:
    """By its commands, as somebody adds the first organization to a project."""

    def dg_command(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("dg")), *arguments]
        environment = {**os.environ, "PYTHONPATH": "src", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        ended = subprocess.run(
            command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    assert TYPE in dg_command("list", "components", "--json")
    dg_command("scaffold", "defs", TYPE, "acme-corp")
    made = (project.defs / "acme-corp" / "defs.yaml").read_text()
    assert "client_secret: '{{ env.ACME_CORP_CLIENT_SECRET }}'" in made
    dg_command("check", "yaml")
    project.add("beta", sandboxes["beta"])
    shown = dg_command("list", "defs", "--json")
    assert "acme_corp_nightly" in shown
    assert '"beta/warehouse/results"' in shown
    assert sandboxes["beta"].environment()["DRILLSTER_CLIENT_SECRET"] not in shown

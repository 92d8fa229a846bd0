"""What the package uses of Dagster: only what is exported, and what is marked as public, but for what stands here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster._annotations import is_public

from .houses import REPOSITORY

PACKAGE = REPOSITORY / "drillster_pipeline"
NOT_MARKED: Mapping[str, str] = {
    "AssetExecutionContext.retry_number": "documented, and marked on OpExecutionContext",
    "AssetExecutionContext.run": "documented, and marked on OpExecutionContext",
    "DagsterEvent.asset_check_evaluation_data": "the result of a check, for the command line; nothing marked has it",
    "DagsterEvent.event_type_value": "a field of the documented tuple",
    "DagsterEvent.step_key": "a field of the documented tuple",
    "DagsterEvent.step_materialization_data": "the rows of a table, for the command line; nothing marked has it",
    "DagsterInstance.all_logs": "why a run failed; what is marked finds events of an asset, not of a run",
    "DagsterInstance.add_run_tags": "the list of runs is searched by tags that a run gets while it runs",
    "DagsterInstance.daemon_cursor_storage": "what was reported lies beside the runs, and a daemon and cron share it",
    "DagsterInstance.compute_log_manager": "delete_run leaves what the steps have printed",
    "DagsterInstance.from_config": "the one way to open an instance with changed settings",
    "DagsterInstance.get_backfills": "a backfill is reported as a whole; nothing marked lists them",
    "DagsterInstance.get_daemon_heartbeats": "whether the daemon lives, without starting a webserver",
    "DagsterInstance.get_runs": "events are not fetched for a date of which a run waits or is under way",
    "DagsterInstance.get_runs_count": "Dagster drops a request whose key was used, and does not say so",
    "DagsterInstance.report_run_failed": "nothing marked ends the run of a dead process",
    "DagsterInstance.root_directory": "the lock of whoever sends alerts lies in DAGSTER_HOME",
    "DagsterInstance.run_retries_enabled": "a failed run that is begun again is reported when its last attempt failed",
    "DagsterInstance.storage_directory": "the folder that outlives a container",
    "DagsterRun.run_id": "a field of the documented tuple",
    "DagsterRun.tags": "a field of the documented tuple",
    "EventLogEntry.dagster_event": "a field of the documented tuple",
    "EventLogEntry.run_id": "a field of the documented tuple",
    "EventLogEntry.step_key": "a field of the documented tuple",
    "ExecuteInProcessResult.success": "documented; the mark is on the class above",
    "RunRecord.dagster_run": "a field of the documented tuple",
}
RECEIVERS: Mapping[str, type] = {
    "context": dg.AssetExecutionContext,
    "event": dg.DagsterEvent,
    "instance": dg.DagsterInstance,
    "record": dg.RunRecord,
    "result": dg.ExecuteInProcessResult,
    "dg.DagsterInstance": dg.DagsterInstance,
    "AssetExecutionContext.instance": dg.DagsterInstance,
    "AssetExecutionContext.run": dg.DagsterRun,
    "self.instance": dg.DagsterInstance,
    "InitResourceContext.instance": dg.DagsterInstance,
    "InitResourceContext.run": dg.DagsterRun,
    "OpExecutionContext.instance": dg.DagsterInstance,
    "RunFailureSensorContext.dagster_run": dg.DagsterRun,
    "RunRecord.dagster_run": dg.DagsterRun,
    "SensorEvaluationContext.instance": dg.DagsterInstance,
}
"""What is of which class: by the name of a variable, where no annotation says it, and by the attribute of a class."""


def uses(tree: ast.AST) -> Iterator[tuple[type, str]]:
    """The attributes of Dagster's objects that a module uses: of which class, and which."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        names = dict(RECEIVERS)
        for argument in function.args.args + function.args.kwonlyargs:
            annotation = ast.unparse(argument.annotation) if argument.annotation else ""
            if annotation.startswith("dg.") and isinstance(found := getattr(dg, annotation[3:], None), type):
                names[argument.arg] = found
            else:
                names.pop(argument.arg, None)
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and (owner := of_class(node.value, names)):
                yield owner, node.attr


def of_class(node: ast.expr, names: Mapping[str, type]) -> type | None:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    owner = of_class(node.value, names)
    return names.get(f"{owner.__name__}.{node.attr}" if owner else ast.unparse(node))


def marked(owner: type, name: str) -> bool:
    for each in owner.__mro__:
        found: Any = vars(each).get(name)
        if found is not None and is_public(found):
            return True
    return False


def test_every_use_of_dagster_that_is_not_marked_as_public_has_a_reason() -> None:
    found = {
        f"{owner.__name__}.{name}"
        for path in PACKAGE.rglob("*.py")
        if "dagster" in (text := path.read_text())
        for owner, name in uses(ast.parse(text))
        # A name may be of another class elsewhere (``result``): what Dagster's does not have is not meant.
        if owner.__module__.startswith("dagster.") and hasattr(owner, name) and not marked(owner, name)
    }
    assert found == set(NOT_MARKED)


def test_nothing_is_imported_from_dagster_but_what_it_exports() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            private = [name for name in modules if name.startswith("dagster") and "._" in name]
            assert private == [], path


def test_a_new_use_is_noticed() -> None:
    source = (
        "def job(context: dg.OpExecutionContext, instance: dg.DagsterInstance):\n instance.get_ref()\n context.pdb\n"
    )
    assert {(owner.__name__, name) for owner, name in uses(ast.parse(source)) if not marked(owner, name)} == {
        ("DagsterInstance", "get_ref")
    }


def test_dates_are_formatted_by_what_every_platform_knows() -> None:
    """``%-d`` is glibc's: Windows refuses it."""
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.j2")]:
        assert re.findall(r"(?<!\{)%-[a-zA-Z]", path.read_text()) == [], path

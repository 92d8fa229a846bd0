from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from drillster_pipeline.dashboards import archive, connection_url
from drillster_pipeline.orchestration.specs import DBT_PACKAGE
from tests.cli.conftest import Command, command
from tests.translations.bracketed import bracketed

from .server import files_of

__all__ = ["command"]
URL = "postgresql://reader:a-password@db.example.org/warehouse?sslmode=require&password=another"


def test_a_chart_names_only_columns_and_metrics_that_its_dataset_has() -> None:
    files = files_of(archive(connection_url(URL)))
    datasets = {one["uuid"]: one for name, one in files.items() if name.startswith("datasets/")}
    charts = [one for name, one in files.items() if name.startswith("charts/")]
    assert len(charts) == len({chart["uuid"] for chart in charts}) > 20
    for chart in charts:
        dataset = datasets[chart["dataset_uuid"]]
        metrics = {metric["metric_name"] for metric in dataset["metrics"]}
        columns = {column["column_name"] for column in dataset["columns"]}
        params = chart["params"]
        used = {*params.get("metrics", ()), params.get("metric"), params.get("timeseries_limit_metric")} - {None}
        assert used <= metrics, chart["slice_name"]
        shown = {*params.get("groupby", ()), *params.get("all_columns", ()), params.get("x_axis")} - {None}
        assert shown <= columns, chart["slice_name"]
        assert params.get("x_axis_sort", next(iter(metrics))) in metrics, chart["slice_name"]


def test_a_file_of_a_warehouse_of_today_is_the_same_every_time_and_of_another_organization_another() -> None:
    url = connection_url(URL)
    assert archive(url) == archive(url)
    ids = [{one["uuid"] for one in files_of(archive(url, name)).values() if "uuid" in one} for name in ("", "acme")]
    assert not ids[0] & ids[1]


def test_another_language_changes_every_text_and_no_id() -> None:
    """Ids make the import in another language an update."""
    url = connection_url(URL)
    files, dutch = (files_of(archive(url, language=language)) for language in (None, bracketed("nl")))
    assert [(name, one.get("uuid")) for name, one in files.items()] == [
        (name, one.get("uuid")) for name, one in dutch.items()
    ]
    texts = {"verbose_name", "slice_name", "sliceName", "dashboard_title", "subtitle", "text", "time_format"}

    def shown(value: Any) -> Iterator[str]:
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(each, dict | list):
                yield from shown(each)
            elif key in texts or (key == "name" and "filterType" in value):
                yield each

    found = [text for name, one in dutch.items() if name != "metadata.yaml" for text in shown(one)]
    assert len(found) > 150
    assert [text for text in found if not re.fullmatch("⟦.+⟧", text)] == []


def test_the_file_is_in_the_language_of_the_settings(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRILLSTER_LANGUAGE", "nl")
    assert command("dashboards", "--superset", "made.zip", "--url", URL).code == 0
    dashboard = files_of((tmp_path / "made.zip").read_bytes())["dashboards/overdue.yaml"]
    assert dashboard["dashboard_title"] == "Te laat en komende herhalingen"


def test_no_password_is_in_the_file_or_shown(command: Command, tmp_path: Path) -> None:
    ended = command("dashboards", "--superset", "made.zip", "--url", URL)
    assert ended.code == 0
    database = files_of((tmp_path / "made.zip").read_bytes())["databases/drillster.yaml"]
    assert database["sqlalchemy_uri"] == (
        "postgresql+psycopg2://reader:XXXXXXXXXX@db.example.org/warehouse?sslmode=require"
    )
    assert "a-password" not in ended.out


def test_the_login_that_loads_is_not_the_one_that_reads(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRILLSTER_WAREHOUSE_URL", "postgresql://loader:secret@db.example.org/warehouse")
    assert command("dashboards", "--superset", "made.zip").code == 0
    database = files_of((tmp_path / "made.zip").read_bytes())["databases/drillster.yaml"]
    assert database["sqlalchemy_uri"] == "postgresql+psycopg2://superset:XXXXXXXXXX@db.example.org/warehouse"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the warehouse is sqlite"),
        (("--url", "a-password"), "not the URL of a database"),
        (("--url", "mariadb://root:a-password@localhost/warehouse"), "the warehouse is mariadb"),
        (("--url", URL, "--superset", "missing/made.zip"), "missing/made.zip can't be written"),
    ],
)
def test_what_can_not_be_made_is_refused(command: Command, arguments: tuple[str, ...], said: str) -> None:
    ended = command("dashboards", "--superset", "made.zip", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert "a-password" not in ended.err


def test_the_exposures_of_the_dbt_package_are_the_dashboards_with_all_that_they_read() -> None:
    files = files_of(archive(connection_url(URL)))
    datasets = {one["uuid"]: one for name, one in files.items() if name.startswith("datasets/")}
    expected = {}
    for path, dashboard in files.items():
        if path.startswith("dashboards/"):
            own = [one for name, one in files.items() if name.startswith(f"charts/{Path(path).stem}_")]
            shown = [datasets[chart["dataset_uuid"]] for chart in own]
            joined = " ".join(dataset["sql"] or f"FROM {dataset['table_name']}" for dataset in shown)
            expected[dashboard["dashboard_title"]] = (
                dashboard["description"],
                {f"source('drillster', '{table}')" for table in re.findall(r"(?:FROM|JOIN) (\w+)", joined)},
            )
    declared = yaml.safe_load((DBT_PACKAGE / "models" / "exposures.yml").read_text())["exposures"]
    assert {each["label"]: (each["description"], {*each["depends_on"]}) for each in declared} == expected

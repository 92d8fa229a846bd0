from __future__ import annotations

from pathlib import Path

import pytest

from drillster_pipeline.dashboards import archive, connection_url
from tests.cli.conftest import Command, command

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

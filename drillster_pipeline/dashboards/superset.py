"""Dashboards as the files that Superset exports and imports (``/api/v1/assets/import/``), in a ZIP.

Ids follow from English names, so a second import updates what the first one made, in any language. The files are those
of Superset 6.1: ``superset/commands/export/assets.py``.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa
import yaml

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.language import Language
from drillster_pipeline.warehouse import CONTRACT, VIEWS
from drillster_pipeline.warehouse.model import build, lookup

SUPERSET = "6.1"
"""The Superset that the files are made for, and tested with."""
DASHBOARDS = ("compliance", "practice", "overdue", "health")
LOGIN = "superset"
"""Who reads the warehouse where no URL names a login: never the one that loads it."""
_DRIVER = "postgresql+psycopg2"
_WHAT = "name the PostgreSQL that Superset reads, --url postgresql://LOGIN@HOST/DATABASE"
_ADDED = {"load_id", "loaded_at"}
_TEXTS = ("subtitle", "time_format", "x_axis_time_format", "tooltipTimeFormat", "table_timestamp_format")
"""Parameters of charts that are texts, or forms of dates, in a language."""
_CACHED_SECONDS = 3600
_MASK = "XXXXXXXXXX"
"""Superset asks for the password of a database whose URL has this one."""


def connection_url(text: str) -> sa.URL:
    """The URL by which Superset reads a warehouse: that of a PostgreSQL, with the password masked.

    Raises SettingsError for another database, and never repeats the URL: it may contain a password.
    """
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError(f"This is not the URL of a database: {_WHAT}") from None
    if url.get_backend_name() != "postgresql":
        raise SettingsError(
            f"The dashboards are made for PostgreSQL, and the warehouse is {url.get_backend_name()}: {_WHAT}"
        )
    query = {key: value for key, value in url.query.items() if key in {"host", "port", "sslmode"}}
    return sa.URL.create(_DRIVER, url.username or LOGIN, _MASK, url.host, url.port, url.database, query)


def archive(url: sa.URL, organization: str = "", language: Language | None = None) -> bytes:
    """The ZIP file; ``organization`` tells dashboards of several apart.

    Titles and labels are in ``language``, English if left out; descriptions of tables and columns are in English.
    """
    files = _Assets(url, organization, language or Language()).files()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        for path, text in files:
            # Without a time of its own, the same dashboards are the same file.
            made.writestr(zipfile.ZipInfo(f"drillster_for_superset_{SUPERSET}/{path}"), text)
    return content.getvalue()


def _read(name: str) -> Any:
    return yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8"))


@cache
def _columns(name: str) -> dict[str, tuple[Any, str]]:
    """The type and description of each column of a table or view, without those of its loading."""
    tables = lookup(build(CONTRACT.values(), dialect="postgresql"))
    if view := VIEWS.get(name):
        types = {column.key: column.type for column in view.query(tables).selected_columns}
        return {column: (types[column], words) for column, words in view.columns.items()}
    table = tables(name)
    return {column.name: (column.type, column.comment or "") for column in table.c if column.name not in _ADDED}


class _Assets:
    """The assets of one organization."""

    def __init__(self, url: sa.URL, organization: str, language: Language) -> None:
        self._url, self._organization, self._translated = url, organization, language.translated
        self._name = f"Drillster {organization}".strip()
        self._dialect = url.get_dialect()()
        self._datasets: Mapping[str, Any] = _read("datasets")
        self._types: Mapping[str, Any] = _read("chart-types")
        self._shown = {name: self._columns_of(name, declared) for name, declared in self._datasets.items()}

    def files(self) -> Iterator[tuple[str, str]]:
        """Path and content of each."""
        metadata = {"version": "1.0.0", "type": "assets"}
        yield "metadata.yaml", f"# Made by drillster-pipeline dashboards for Superset {SUPERSET}\n{_dump(metadata)}"
        yield "databases/drillster.yaml", self._asset("databases", "", self._database())
        for name, declared in self._datasets.items():
            yield f"datasets/drillster/{name}.yaml", self._asset("datasets", name, self._dataset(name, declared))
        for name in DASHBOARDS:
            dashboard = _read(name)
            charts = [chart for row in dashboard["rows"] for chart in row["charts"]]
            for chart in charts:
                chart["name"] = f"{name}_{re.sub('[^a-z]+', '_', chart['title'].lower())}"
                yield f"charts/{chart['name']}.yaml", self._asset("charts", chart["name"], self._chart(chart))
            yield f"dashboards/{name}.yaml", self._asset("dashboards", name, self._dashboard(name, dashboard, charts))

    def _id(self, kind: str, name: str) -> str:
        return str(uuid5(uuid5(NAMESPACE_URL, f"drillster-pipeline/{self._organization}"), f"{kind}/{name}"))

    def _asset(self, kind: str, name: str, content: Mapping[str, Any]) -> str:
        return _dump({**content, "uuid": self._id(kind, name), "version": "1.0.0"})

    def _database(self) -> dict[str, Any]:
        return {
            "database_name": self._name,
            "sqlalchemy_uri": self._url.render_as_string(hide_password=False),
            "cache_timeout": _CACHED_SECONDS,
            # With SQL of their own, people could read as somebody else where the database asks Superset who reads.
            "expose_in_sqllab": False,
            "allow_ctas": False,
            "allow_cvas": False,
            "allow_dml": False,
            "allow_csv_upload": False,
            "extra": {},
        }

    def _columns_of(self, name: str, declared: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
        found = dict(_columns(name))
        for join in declared.get("join", ()):
            others = _columns(join["table"])
            found |= {label: others[column] for label, column in join["columns"].items()}
        return found

    def _dataset(self, name: str, declared: Mapping[str, Any]) -> dict[str, Any]:
        description = (VIEWS.get(name) or CONTRACT[name]).description
        return {
            "table_name": name,
            "description": description,
            "main_dttm_col": "export_date" if "export_date" in self._shown[name] else None,
            # Names are found by the search_path of the login, which differs by its role.
            "schema": None,
            "sql": str(_query(name, declared).compile(dialect=self._dialect)) if "join" in declared else None,
            "database_uuid": self._id("databases", ""),
            "filter_select_enabled": True,
            "columns": [
                {
                    "column_name": column,
                    "verbose_name": self._translated(column.replace("_", " ")).capitalize(),
                    "description": words,
                    "type": kind.compile(dialect=self._dialect).partition(" COLLATE ")[0],
                    "is_dttm": issubclass(kind.python_type, date),
                    "groupby": True,
                    "filterable": True,
                    "is_active": True,
                }
                for column, (kind, words) in self._shown[name].items()
            ],
            "metrics": [
                {
                    "metric_name": metric,
                    "verbose_name": self._translated(said["label"]),
                    "expression": said["sql"],
                    "d3format": said.get("format", ",d") if metric != "as_of" else None,
                }
                for metric, said in declared["metrics"].items()
            ],
        }

    def _chart(self, chart: Mapping[str, Any]) -> dict[str, Any]:
        where = chart.get("where")
        condition = {"clause": "WHERE", "expressionType": "SQL", "sqlExpression": where, "filterOptionName": "where"}
        params = {
            "viz_type": chart["type"],
            "time_range": "No filter",
            "adhoc_filters": [condition] if where else [],
            **self._types[chart["type"]],
            **chart["params"],
        }
        return {
            "slice_name": self._translated(chart["title"]),
            "viz_type": chart["type"],
            "params": params | {name: self._translated(params[name]) for name in _TEXTS if name in params},
            "dataset_uuid": self._id("datasets", chart["dataset"]),
        }

    def _dashboard(self, name: str, dashboard: Mapping[str, Any], charts: list[dict[str, Any]]) -> dict[str, Any]:
        numbers = {chart["name"]: number for number, chart in enumerate(charts, 1)}
        filters = [
            {
                "id": f"NATIVE_FILTER-{name}-{one['column']}",
                "type": "NATIVE_FILTER",
                "name": self._translated(one["title"]),
                "filterType": "filter_select",
                "targets": [{"datasetUuid": self._id("datasets", one["dataset"]), "column": {"name": one["column"]}}],
                "defaultDataMask": {"extraFormData": {}, "filterState": {}},
                "controlValues": {"multiSelect": True, "enableEmptyFilter": False},
                "cascadeParentIds": [],
                "scope": {
                    "rootPath": ["ROOT_ID"],
                    "excluded": [
                        numbers[chart["name"]] for chart in charts if one["column"] not in self._shown[chart["dataset"]]
                    ],
                },
            }
            for one in dashboard["filters"]
        ]
        return {
            "dashboard_title": f"{self._translated(dashboard['title'])} {self._organization}".strip(),
            "description": self._translated(dashboard["description"]),
            "slug": "-".join(filter(None, ("drillster", self._organization, name))),
            "published": True,
            "position": self._position(dashboard, numbers),
            "metadata": {"native_filter_configuration": filters, "cross_filters_enabled": True},
        }

    def _position(self, dashboard: Mapping[str, Any], numbers: Mapping[str, int]) -> dict[str, Any]:
        """The layout: rows of charts, on a grid of twelve columns."""
        rows = [f"ROW-{number}" for number, _ in enumerate(dashboard["rows"])]
        position: dict[str, Any] = {
            "DASHBOARD_VERSION_KEY": "v2",
            "ROOT_ID": {"id": "ROOT_ID", "type": "ROOT", "children": ["GRID_ID"]},
            "GRID_ID": {"id": "GRID_ID", "type": "GRID", "children": rows, "parents": ["ROOT_ID"]},
            "HEADER_ID": {"id": "HEADER_ID", "type": "HEADER", "meta": {"text": self._translated(dashboard["title"])}},
        }
        for row_id, row in zip(rows, dashboard["rows"], strict=True):
            ids = [f"CHART-{chart['name']}" for chart in row["charts"]]
            common = {"parents": ["ROOT_ID", "GRID_ID"], "meta": {"background": "BACKGROUND_TRANSPARENT"}}
            position[row_id] = {"id": row_id, "type": "ROW", "children": ids, **common}
            for chart_id, chart in zip(ids, row["charts"], strict=True):
                meta = {
                    "chartId": numbers[chart["name"]],
                    "uuid": self._id("charts", chart["name"]),
                    "sliceName": self._translated(chart["title"]),
                    "width": chart["width"],
                    "height": row["height"],
                }
                parents = ["ROOT_ID", "GRID_ID", row_id]
                position[chart_id] = {"id": chart_id, "type": "CHART", "children": [], "parents": parents, "meta": meta}
        return position


def _query(name: str, declared: Mapping[str, Any]) -> sa.Select[Any]:
    """The rows of a table or view, with columns of others."""
    rows = _relation(name)
    columns: list[sa.ColumnElement[Any]] = [*rows.c]
    joined: sa.FromClause = rows
    for join in declared["join"]:
        other, key = _relation(join["table"]), join["key"]
        joined = joined.join(other, other.c[key] == rows.c[key])
        columns += [other.c[column].label(label) for label, column in join["columns"].items()]
    return sa.select(*columns).select_from(joined)


def _relation(name: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(column, kind) for column, (kind, _) in _columns(name).items()))


def _dump(content: Mapping[str, Any]) -> str:
    # Through JSON, so that nothing is the same object and needs a YAML alias.
    text: str = yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False, allow_unicode=True, width=1_000)
    return text

"""The peer at the API: the same requests as a run of ours, by dlt's own REST client and its parallel resources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from drillster_pipeline.dates import events_window
from drillster_pipeline.pipeline.context import PipelineContext

from .peer import RowsByTable, tables_of
from .peer_rows import LISTS, READERS, Rows
from .places import EXPORT_DATE, MOMENT

Unit = Mapping[str, str]
Page = tuple[Unit, Rows, RowsByTable]
"""What was requested for, the items of the answer, and the rows that they make."""
PAGE_SIZE = 100
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_PATHS = {
    "organization": "organization",
    "accounts": "organizations/self/accounts",
    "catalogs": "organization/self/catalogs",
    "catalog": "catalog/{catalog_id}",
    "catalog_content": "catalog/{catalog_id}/content",
    "groups": "groups",
    "group": "group/{group_id}",
    "group_members": "group/{group_id}/members",
    "group_staff": "group/{group_id}/staff",
    "group_drillables": "group/{group_id}/drillables",
    "objectives": "group/{group_id}/objectives",
    "objective_evaluations": "group/{group_id}/objective/{objective_id}/evaluations",
    "results": "group/{group_id}/member-results/{account_id}",
    "test_results": "group/{group_id}/test-results/{test_id}",
    "objective_events": "objectives/{objective_id}/events",
}
_OBJECTS = {"organization": "organization", "group": "groups", "catalog": "catalogs"}
"""Answers that are no list, and the resource that they belong to."""
_ONE_PAGE = frozenset({"group_staff", "group_drillables", "objectives", "test_results"})
"""Paged by index; in the organization of the benchmark each fits on a page."""


def token_of(session: PipelineContext) -> str:
    """An access token for dlt, which is spared getting one."""
    return session.tokens.token().value


def api(base_url: str, token: str, *, url: str, events: bool) -> Any:  # noqa: C901 - a source reads best in one piece
    """A source of what a capture of a snapshot requests, and perhaps one of events, all in one run."""
    import dlt
    from dlt.sources.helpers.rest_client import RESTClient
    from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator, SinglePagePaginator

    client = RESTClient(f"{base_url}/api/2.1.1", auth=BearerTokenAuth(token))

    def request(resource: str, unit: Unit, params: Unit) -> Iterator[Page]:
        path = _PATHS[resource].format_map(unit)
        if resource in _OBJECTS:
            yield _page(_OBJECTS[resource], unit, [client.get(path).json()])
            return
        paginator = (
            SinglePagePaginator()
            if resource in _ONE_PAGE
            else JSONResponseCursorPaginator(
                "pagination.lastOnPage", "resultFrom", has_more_path="pagination.moreAvailable"
            )
        )
        pages = client.paginate(
            path, params={"resultSize": PAGE_SIZE, **params}, paginator=paginator, data_selector=LISTS[resource]
        )
        for page in pages:
            yield _page(resource, unit, page)

    def listed(resource: str) -> Any:
        def pages() -> Iterator[Page]:
            yield from request(resource, {}, {})

        return dlt.resource(pages, name=f"{resource}_pages", selected=False, parallelized=True)

    def following(resource: str, units: Any, params: Unit | None = None) -> Any:
        def pages(unit: Unit) -> Iterator[Page]:
            yield from request(resource, unit, params or {})

        return units | dlt.transformer(pages, name=f"{resource}_pages", selected=False, parallelized=True)

    def units_of(parent: Any, name: str, find: Callable[[Unit, dict[str, Any]], Iterator[Unit]]) -> Any:
        """Each unit on its own, so that units are requested for at the same time."""

        def units(page: Page) -> Iterator[Unit]:
            for item in page[1]:
                yield from find(page[0], item)

        return parent | dlt.transformer(units, name=name, selected=False)

    def requested() -> Iterator[tuple[str, Any]]:
        yield "organization", listed("organization")
        yield "accounts", listed("accounts")
        catalogs = units_of(listed("catalogs"), "catalog_units", lambda _, item: iter([{"catalog_id": item["id"]}]))
        yield "catalogs", following("catalog", catalogs)
        yield "catalog_content", following("catalog_content", catalogs)
        groups = units_of(listed("groups"), "group_units", lambda _, item: iter([{"group_id": item["id"]}]))
        group = following("group", groups)
        yield "groups", group
        yield "group_staff", following("group_staff", groups)
        yield "group_drillables", following("group_drillables", groups)
        members = following("group_members", groups)
        yield "group_members", members
        yield "results", following("results", units_of(members, "member_units", _member))
        objectives = following("objectives", groups)
        yield "objectives", objectives
        each = units_of(objectives, "objective_units", _objective)
        yield "objective_evaluations", following("objective_evaluations", each)
        yield "test_results", following("test_results", units_of(group, "test_units", _tests))
        if events:
            window = events_window(EXPORT_DATE, ZoneInfo("Europe/Amsterdam"))
            params = {"fromDate": f"{window.start:{_MOMENT}}", "toDate": f"{window.end:{_MOMENT}}"}
            yield "objective_events", following("objective_events", each, params)

    def made() -> Iterator[Any]:
        seen: set[str] = set()
        for resource, pages in requested():
            rows = pages | dlt.transformer(lambda page: page[2], name=f"{resource}_rows", selected=False)
            yield from tables_of(resource, rows, seen, url=url, arrow=False)

    return dlt.source(made, name="run", max_table_nesting=0)()


def _page(resource: str, unit: Unit, items: Rows) -> Page:
    found_rows: RowsByTable = defaultdict(list)
    for table, rows in READERS[resource](unit, MOMENT.isoformat(), items, str(EXPORT_DATE)):
        found_rows[table] += rows
    return unit, items, found_rows


def _member(unit: Unit, item: dict[str, Any]) -> Iterator[Unit]:
    yield {"group_id": unit["group_id"], "account_id": item["member"]["id"]}


def _objective(unit: Unit, item: dict[str, Any]) -> Iterator[Unit]:
    yield {"group_id": unit["group_id"], "objective_id": item["id"]}


def _tests(unit: Unit, item: dict[str, Any]) -> Iterator[Unit]:
    for test in item["tests"]:
        yield {"group_id": unit["group_id"], "test_id": test["id"]}

"""`check`: before the first night, what works, what does not, and what to do about it.

Every finding has a status. A step that depends on a failed one is not tried. Nothing that is printed holds a secret
or a personal value: counts, names of fields, and ids of things that are no persons.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from drillster_pipeline import answers
from drillster_pipeline.dates import events_window
from drillster_pipeline.errors import ContractError, PipelineError, SettingsError

if TYPE_CHECKING:
    from drillster_pipeline.api.client import Client
    from drillster_pipeline.api.endpoints import Endpoint
    from drillster_pipeline.export.session import Session

OK, WARNING, FAILED = "ok", "warning", "failed"
_MARKS = {OK: "[green]✓ ok[/]", WARNING: "[yellow]! look[/]", FAILED: "[red]✗ failed[/]"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    step: str
    status: str
    told: str
    exit_code: int = 0


def run_check(form: str) -> int:
    """Try everything, print it as ``table`` or ``json``; returns the exit code of the first failure, or 0."""
    from drillster_pipeline.export.session import Session
    from drillster_pipeline.settings import load_settings

    findings: list[Finding] = []
    try:
        settings = load_settings()
    except SettingsError as error:
        findings.append(Finding("settings", FAILED, str(error), error.exit_code))
    else:
        findings.append(Finding("settings", OK, f"all are right; Drillster is {settings.base_url}"))
        with Session(settings=settings) as session:
            findings += _api(session)
            findings += [_try("warehouse", lambda: _warehouse(session)), _try("archive", lambda: _archive(session))]
    _print(findings, form)
    return next((finding.exit_code or 1 for finding in findings if finding.status == FAILED), 0)


def _print(findings: list[Finding], form: str) -> None:
    if form == "json":
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
        return
    console = Console()
    table = Table(show_edge=False, pad_edge=False)
    for heading in ("step", "", "what was found"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(finding.step, _MARKS[finding.status], finding.told.replace("[", "\\["))
    console.print(table)
    failed = sum(finding.status == FAILED for finding in findings)
    console.print(
        f"\n{failed} step(s) failed: mend them, then run check again." if failed else "\nReady: drillster-pipeline run"
    )


def _try(step: str, work: Callable[[], Finding | str]) -> Finding:
    try:
        found = work()
    except PipelineError as error:
        return Finding(step, FAILED, str(error), error.exit_code)
    return found if isinstance(found, Finding) else Finding(step, OK, found)


def _api(session: Session) -> Iterator[Finding]:
    """Token, then one page of every endpoint, with a group, a member and so on that the pages before have named."""
    from drillster_pipeline.api import endpoints as api

    token = _try("access token", lambda: _token(session))
    yield token
    if token.status == FAILED:
        return
    with session.client() as client:
        probe = _Probe(session, client)
        yield probe.version()
        yield from probe.look(api.ORGANIZATION)
        yield from probe.look(api.ACCOUNTS)
        yield from probe.look(api.CATALOGS, learn={"catalog_id": ("catalog", "")})
        yield from probe.look(api.CATALOG)
        yield from probe.look(api.CATALOG_CONTENT)
        yield from probe.look(api.GROUPS, learn={"group_id": ("group", "")})
        yield from probe.look(api.GROUP)
        yield from probe.look(api.GROUP_MEMBERS, learn={"account_id": ("member", "user")})
        yield from probe.look(api.GROUP_STAFF)
        yield from probe.look(api.GROUP_DRILLABLES)
        yield from probe.look(api.OBJECTIVES, learn={"objective_id": ("", "")})
        yield from probe.look(api.OBJECTIVE_EVALUATIONS)
        yield from probe.look(api.OBJECTIVE_EVENTS)
        yield from probe.look(api.RESULTS)
        yield from probe.look(api.TEST_RESULTS)
        yield probe.estimate()


def _token(session: Session) -> str:
    session.tokens.token()
    return "Drillster accepts the client, the service account and its key"


class _Probe:
    """Asks for one page of each endpoint, and remembers what is needed to ask for the next."""

    def __init__(self, session: Session, client: Client) -> None:
        self.session = session
        self.client = client
        self.known: dict[str, str] = {"organization_id": session.settings.organization_id}
        self.groups = self.members = 0
        self.latencies: list[float] = []

    def version(self) -> Finding:
        def ask() -> str:
            self.client.get("version", {}, {})
            return "the API answers"

        return _try("GET version", ask)

    def look(self, endpoint: Endpoint, learn: Mapping[str, tuple[str, str]] | None = None) -> Iterator[Finding]:
        from drillster_pipeline.errors import NotFound, PermissionDenied

        path = endpoint.places[0].path
        step = f"GET {path}"
        missing = [name for name in endpoint.unit if name not in self.known]
        if missing:
            what = missing[0].removesuffix("_id")
            yield Finding(step, WARNING, f"not tried: no {what} was found to ask for")
            return
        try:
            body = self._ask(endpoint)
            yield Finding(step, OK, self._learn(endpoint, body, learn or {}))
        except (NotFound, PermissionDenied) as error:
            yield Finding(step, WARNING, f"{error} Its tables stay empty until then")
        except PipelineError as error:
            yield Finding(step, FAILED, str(error), error.exit_code)

    def _ask(self, endpoint: Endpoint) -> Any:
        from drillster_pipeline.api.endpoints import OBJECTIVE_EVENTS
        from drillster_pipeline.errors import NotFound

        query: dict[str, str | int] = {"resultSize": 10} if endpoint.identify else {}
        if endpoint is OBJECTIVE_EVENTS:
            window = events_window(self.session.newest_complete, self.session.settings.timezone)
            query |= {"fromDate": f"{window.start:%Y-%m-%dT%H:%M:%SZ}", "toDate": f"{window.end:%Y-%m-%dT%H:%M:%SZ}"}
        for place in endpoint.places[:-1]:
            try:
                return self._timed(place.path, query, place.version)
            except NotFound:
                continue
        place = endpoint.places[-1]
        return self._timed(place.path, query, place.version)

    def _timed(self, path: str, query: dict[str, str | int], version: str) -> Any:
        started = time.monotonic()
        body = self.client.get(path, self.known, query, version=version).body
        self.latencies.append(time.monotonic() - started)
        return body

    def _learn(self, endpoint: Endpoint, body: Any, learn: Mapping[str, tuple[str, str]]) -> str:
        """Take ids from a page; returns what to say of it."""
        if endpoint.identify is None:
            self._learn_test(body, "tests")
            return "answers"
        items = answers.items(endpoint.resource, body)
        total = answers.named_total(body)
        for name, inside in learn.items():
            for item in items:
                found = _id(item, inside)
                if found:
                    self.known.setdefault(name, found)
        for item in items:
            if isinstance(item, dict) and item.get("type") == "TEST":
                self._learn_test(item, "playables")
        if endpoint.resource == "groups":
            self._learn_sizes(items, total)
            if not items:
                return "answers, but no group is open to the service account: give it the right to view them"
        return f"{len(items)} on the first page" + (f" of {total:,}" if total is not None else "") + f"; {_form(body)}"

    def _learn_test(self, thing: Any, name: str) -> None:
        for test in thing.get(name) or [] if isinstance(thing, dict) else []:
            if isinstance(test, dict) and isinstance(test.get("id"), str):
                self.known.setdefault("test_id", test["id"])

    def _learn_sizes(self, groups: list[Any], total: int | None) -> None:
        self.groups = total if total is not None else len(groups)
        counts = [group.get("counts") for group in groups if isinstance(group, dict)]
        sizes = [count["members"] for count in counts if isinstance(count, dict) and _whole(count.get("members"))]
        self.members = round(sum(sizes) / len(sizes) * self.groups) if sizes else 0

    def estimate(self) -> Finding:
        """What a night costs."""
        latency = sorted(self.latencies)[len(self.latencies) // 2] if self.latencies else 0.0
        requests = 20 + 9 * self.groups + self.members
        rate = self.session.settings.concurrency / latency if latency else 0.0
        if self.session.settings.requests_per_second:
            rate = min(rate, self.session.settings.requests_per_second)
        minutes = requests / rate / 60 if rate else 0.0
        return Finding(
            "a night",
            OK,
            f"about {requests:,} requests ({self.groups:,} groups, {self.members:,} memberships), "
            f"{minutes:.1f} minutes at {latency * 1000:.0f} ms and {self.session.settings.concurrency} in flight",
        )


def _form(body: Any) -> str:
    """In which of the documented or alternative forms a list came."""
    if isinstance(body, list):
        return "a bare list"
    pages = "by cursor" if isinstance(body.get("pagination"), dict) else "by index or all at once"
    return f"pages {pages}"


def _id(item: Any, inside: tuple[str, str]) -> str | None:
    for name in inside:
        if name and isinstance(item, dict) and isinstance(item.get(name), dict):
            item = item[name]
            break
    found = item.get("id") if isinstance(item, dict) else None
    return found if isinstance(found, str) and found else None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _warehouse(session: Session) -> Finding:
    latest = session.warehouse.latest_loads().get("snapshot")
    told = f"newest snapshot is {latest.export_date}" if latest else "ready, nothing is loaded yet"
    caution = session.warehouse.caution
    status, more = (WARNING, f". {caution}") if caution else (OK, "")
    return Finding("warehouse", status, f"tables and views are in place; {told}{more}")


def _archive(session: Session) -> str:
    name = ".check"
    session.archive.storage.write(name, b"written by drillster-pipeline check")
    if session.archive.storage.read(name) != b"written by drillster-pipeline check":
        raise ContractError("The archive gives back something else than was written: check DRILLSTER_ARCHIVE_URL")
    session.archive.storage.remove(name)
    return f"writable; it holds {len(session.archive.dates())} date(s)"

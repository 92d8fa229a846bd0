"""What the service account sees, and what a night of that comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drillster_pipeline import resources as api
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.resources import Unit
from drillster_pipeline.response_shapes import named_total

from .amounts import Amount, count, lasting, size
from .estimate import estimate
from .probing import HANDFUL
from .report import Notes, Part, Status

if TYPE_CHECKING:
    from drillster_pipeline.api.client import EndpointClient
    from drillster_pipeline.settings import Settings

    from .pages import Probed
    from .probing import Probe

_PERMISSION = 3


def note_access(notes: Notes, probe: Probe, asker: EndpointClient) -> None:
    """What the service account sees: what it does not see is not in the export."""
    closed = [probe.of(each) for each in (api.ORGANIZATION, api.ACCOUNTS, api.GROUPS)]
    if all(probed.outcome == "closed" for probed in closed):
        notes.note(
            Part.ACCESS,
            "permissions",
            Status.FAILED,
            "the service account may read neither the organization nor its accounts nor any group.",
            tried="organization, accounts, groups",
            advice="Give it the right to view them (console, Accounts, the service account, Permissions and Groups).",
            exit_code=_PERMISSION,
        )
        return
    for endpoint, what, empty in (
        (api.ACCOUNTS, "accounts", "No account is listed, not even its own: check its permissions."),
        (api.CATALOGS, "catalogs", ""),
    ):
        probed = probe.of(endpoint)
        if probed.outcome in {"answers", "empty"}:
            found = _number(probed, what)
            status = Status.WARNING if empty and not probed.items else Status.OK
            notes.note(
                Part.ACCESS,
                what,
                status,
                found,
                tried=f"GET {probed.path}",
                advice=empty if status is Status.WARNING else "",
            )
    if probe.of(api.GROUPS).outcome in {"answers", "empty"}:
        _note_groups(notes, probe, asker)


def _number(probed: Probed, what: str) -> str:
    (page, *_) = probed.pages
    if page.total is not None:
        return f"{count(page.total)} {what}"
    return f"{'at least ' if page.more else ''}{count(len(page.items))} {what}"


def _note_groups(notes: Notes, probe: Probe, asker: EndpointClient) -> None:
    groups = probe.of(api.GROUPS)
    tried = f"{'GET groups'}, and again with permission=VIEW and permission=MANAGE"
    with notes.step(Part.ACCESS, "groups", tried) as step:
        if not groups.items:
            step.warning(
                "no group: either there is none, or none is open to the service account.",
                advice="Give it 'Groups administrator', or VIEW on each group: members, objectives and results hang on "
                "groups.",
            )
            return
        shares = [
            f"{number} with {permission}" for permission in ("VIEW", "MANAGE") if (number := _with(asker, permission))
        ]
        closed = {resource for each in probe.probed.values() for resource in _closed_in_groups(each)}
        found = _number(groups, "groups") + (f": {', '.join(shares)}" if shares else "")
        if closed:
            step.warning(
                f"{found}. Of {min(HANDFUL, len(groups.items))} that were looked at, something was closed in some "
                f"({', '.join(sorted(closed))}).",
                advice="Give the service account at least VIEW on them; their rows stay as they are until then.",
            )
        else:
            step.ok(found)


def _closed_in_groups(probed: Probed) -> list[str]:
    in_group = "group_id" in probed.endpoint.unit and probed.endpoint is not api.RESULTS
    return [probed.endpoint.resource] if in_group and probed.refusals else []


def _with(asker: EndpointClient, permission: str) -> str | None:
    """How many groups the service account has exactly this permission on; None where Drillster does not say."""
    try:
        answer, asked = asker.page(Unit(api.GROUPS, {}), {"permission": permission})
    except PipelineError:
        return None
    number = named_total(answer.body)
    if number is not None:
        return count(number)
    items = answer.body if isinstance(answer.body, list) else answer.body.get("groups")
    if not isinstance(items, list):
        return None
    return f"{'at least ' if len(items) >= asked else ''}{count(len(items))}"


def note_night(notes: Notes, probe: Probe, settings: Settings, lifetime: float | None) -> None:
    """What a night costs, and how that is known."""
    tried = "counts, totals, sizes and times of the pages above"

    def _note(what: str, found: str, advice: str = "") -> None:
        notes.note(Part.NIGHT, what, Status.OK, found, tried=tried, advice=advice)

    with notes.step(Part.NIGHT, "requests", tried) as step:
        night = notes.report.night = estimate(probe, settings, lifetime=lifetime)
        if night is None:
            notes.skip(Part.NIGHT, "requests", "there is no list of groups to reckon with")
            return
        costly = sorted(night.by_resource.items(), key=lambda pair: pair[1].likely, reverse=True)[:3]
        most = ", ".join(f"{count(amount.likely)} for {name}" for name, amount in costly)
        basis = f"from the counts of {count(night.groups_counted)} of {count(night.groups)} groups"
        if night.groups_asked < night.groups:
            basis += f" and the objectives of {night.groups_asked}"
        step.ok(f"{_about(night.requests)}, most of them {most} ({basis})")
        speed = f"{settings.concurrency} in flight"
        if settings.requests_per_second:
            speed += f", at most {settings.requests_per_second:g} a second"
        _note(
            "time",
            f"{_minutes(night.minutes)} from start to end, at {lasting(night.latency)} an answer (nine of ten within "
            f"{lasting(night.slow)}) and {speed}",
            "answers were timed one at a time: with more in flight they may take longer."
            if settings.concurrency > 1
            else "",
        )
        _note("tokens", f"{night.tokens}, as one lives {lasting(lifetime)}" if lifetime else f"{night.tokens}")
        _note(
            "data",
            f"{size(night.received_bytes.likely)} received, at most {size(night.archive_bytes.likely)} of archive; "
            f"after the first night the warehouse grows by about {size(night.warehouse_bytes.likely)}",
        )


def _about(amount: Amount) -> str:
    if amount.spread < 1:
        return count(amount.likely)
    return f"about {count(amount.likely)} ({count(amount.low)} to {count(amount.high)})"


def _minutes(amount: Amount) -> str:
    likely, low, high = (lasting(60 * value) for value in (amount.likely, amount.low, amount.high))
    return likely if low == high else f"{likely} ({low} to {high})"

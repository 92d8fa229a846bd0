"""What the endpoints gave, as findings: each page, what the service account sees, and what a night comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drillster_pipeline.answers import named_total
from drillster_pipeline.api import endpoints as api
from drillster_pipeline.api.endpoints import PAGE_SIZES
from drillster_pipeline.api.units import Unit
from drillster_pipeline.errors import PipelineError

from .amounts import Amount, count, lasting, size
from .findings import Notes, Part, Status
from .looking import Reading, look
from .night import estimate
from .probing import HANDFUL, Probe, Probed

if TYPE_CHECKING:
    from datetime import date

    from drillster_pipeline.api.asking import Asker
    from drillster_pipeline.settings import Settings

_PERMISSION, _CONTRACT = 3, 6
_MOST_LISTED = 12


def _step(probed: Probed) -> str:
    return f"GET {probed.path}"


def judge_endpoints(notes: Notes, probe: Probe, export_date: date) -> None:
    """Say of each endpoint what its pages show, and of all of them what is new in them."""
    found = list(probe.probed.values())
    reading = Reading()
    with notes.step(Part.ENDPOINTS, "forms", "the fields of every page beside the documentation") as step:
        reading = look(found, export_date)
        step.is_ok = True
    for probed in found:
        _note_endpoint(notes, probed)
    _note_forms(notes, found)
    _note_unknown(notes, found)
    _note_rejects(notes, found, reading)


def _note_endpoint(notes: Notes, probed: Probed) -> None:
    step, outcome = _step(probed), probed.outcome
    tried = f"a page of at most {PAGE_SIZES[0]} items" if probed.endpoint.identify else "the thing itself"
    if outcome == "not tried":
        notes.skip(Part.ENDPOINTS, step, probed.untried)
    elif outcome == "failed":
        error = probed.trouble
        assert error is not None
        notes.note(Part.ENDPOINTS, step, Status.FAILED, str(error), tried=tried, exit_code=error.exit_code)
    elif outcome in {"closed", "missing"}:
        _note_refused(notes, probed, tried)
    else:
        advice = ""
        if probed.refusals:
            advice = f"{len(probed.refusals)} of those that were tried refused: {probed.refusals[0]}"
        status = Status.WARNING if probed.refusals and probed.endpoint is not api.RESULTS else Status.OK
        notes.note(Part.ENDPOINTS, step, status, _described(probed), tried=tried, advice=advice)


def _note_refused(notes: Notes, probed: Probed, tried: str) -> None:
    # Without groups hardly anything is left of an export, while it can do without any of the others.
    is_grave = probed.endpoint is api.GROUPS
    notes.note(
        Part.ENDPOINTS,
        _step(probed),
        Status.FAILED if is_grave else Status.WARNING,
        str(probed.refusals[0]),
        tried=tried,
        advice="Without groups, hardly anything is exported: accounts, catalogs and the organization."
        if is_grave
        else "Until then its tables stay empty; everything else is exported.",
        exit_code=(probed.refusals[0].exit_code if is_grave else 0),
    )


def _described(probed: Probed) -> str:
    words = [lasting(probed.median)] if probed.median is not None else ["answers"]
    if probed.best is not None and probed.endpoint.identify is not None:
        items = f"{count(len(probed.best.items))} item{'' if len(probed.best.items) == 1 else 's'}"
        total = probed.best.total
        words.append(f"{items} of {count(total)}" if total is not None and total > len(probed.best.items) else items)
    words += probed.notes
    words += [f"{form.aspect} {form.met}" for form in probed.forms if form.aspect in {"items", "paging", "total"}]
    return "; ".join(words)


def _note_forms(notes: Notes, found: list[Probed]) -> None:
    others = [
        f"{probed.endpoint.resource}: {form.aspect} {form.met}"
        for probed in found
        for form in probed.forms
        if form.standing == "alternative"
    ]
    unknown = [
        f"{probed.endpoint.resource}: {form.aspect} {form.met}"
        for probed in found
        for form in probed.forms
        if form.standing == "unknown"
    ]
    if not any(probed.pages for probed in found):
        return
    tried = "the forms of answers that the documentation leaves open"
    if unknown:
        notes.note(
            Part.ENDPOINTS, "forms", Status.WARNING, f"read by guessing: {_listed(unknown)}.", tried=tried,
            advice="Please report it: the guess is right for now, but may not stay so.",
        )  # fmt: skip
    if others:
        notes.note(
            Part.ENDPOINTS, "forms", Status.OK, f"alternatives that are read as well: {_listed(others)}", tried=tried
        )
    elif not unknown:
        notes.note(Part.ENDPOINTS, "forms", Status.OK, "all are the documented ones", tried=tried)


def _note_unknown(notes: Notes, found: list[Probed]) -> None:
    unknown = [
        f"{probed.endpoint.resource}: {path} ({kind})"
        for probed in found
        for path, kind in sorted(probed.unknown.items())
    ]
    if unknown:
        notes.note(
            Part.ENDPOINTS,
            "unknown fields",
            Status.WARNING,
            f"{len(unknown)} that the documentation does not name: {_listed(unknown)}.",
            tried="every field of every page",
            advice="They do no harm, and are kept in the archive. Please report them, so that they get columns.",
        )


def _note_rejects(notes: Notes, found: list[Probed], reading: Reading) -> None:
    rejects = [(reason, rows) for probed in found for reason, rows in probed.rejects.items()]
    if rejects:
        listed = _listed([f"{reason} ({count(rows)})" for reason, rows in sorted(rejects)])
        notes.note(
            Part.ENDPOINTS,
            "rows",
            Status.FAILED if reading.is_refused else Status.WARNING,
            f"{count(reading.rejected)} of {count(reading.rows)} rows of these pages would be rejected: {listed}.",
            tried="reading the pages as a load does",
            advice="So many that a load would be refused. Please report it, with the bundle of `check --bundle`."
            if reading.is_refused
            else "A load with more than 1 % of rejects in a table is refused. Please report it.",
            exit_code=_CONTRACT if reading.is_refused else 0,
        )
    elif any(probed.items for probed in found):
        notes.note(
            Part.ENDPOINTS, "rows", Status.OK, "every row of these pages fits its table",
            tried="reading the pages as a load does",
        )  # fmt: skip


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - _MOST_LISTED} more" if len(words) > _MOST_LISTED else ""
    return "; ".join(words[:_MOST_LISTED]) + more


def note_access(notes: Notes, probe: Probe, asker: Asker) -> None:
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
                Part.ACCESS, what, status, found, tried=_step(probed), advice=empty if status is Status.WARNING else ""
            )
    if probe.of(api.GROUPS).outcome in {"answers", "empty"}:
        _note_groups(notes, probe, asker)


def _number(probed: Probed, what: str) -> str:
    (page, *_) = probed.pages
    if page.total is not None:
        return f"{count(page.total)} {what}"
    return f"{'at least ' if page.more else ''}{count(len(page.items))} {what}"


def _note_groups(notes: Notes, probe: Probe, asker: Asker) -> None:
    groups = probe.of(api.GROUPS)
    tried = f"{_step(groups)}, and again with permission=VIEW and permission=MANAGE"
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
        closed = {refusal_of for each in probe.probed.values() for refusal_of in _closed_groups(each)}
        found = _number(groups, "groups") + (f": {', '.join(shares)}" if shares else "")
        if closed:
            step.warning(
                f"{found}. Of {min(HANDFUL, len(groups.items))} that were looked at, something was closed in some "
                f"({', '.join(sorted(closed))}).",
                advice="Give the service account at least VIEW on them; their rows stay as they are until then.",
            )
        else:
            step.ok(found)


def _closed_groups(probed: Probed) -> list[str]:
    in_group = "group_id" in probed.endpoint.unit and probed.endpoint is not api.RESULTS
    return [probed.endpoint.resource] if in_group and probed.refusals else []


def _with(asker: Asker, permission: str) -> str | None:
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

"""What the endpoints gave, as findings: each page, its form, what is unknown in it, and what would be rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drillster_pipeline import resources as api
from drillster_pipeline.api.paging import PAGE_SIZES

from .amounts import count, lasting
from .looking import Reading, look
from .report import Notes, Part, Status

if TYPE_CHECKING:
    from datetime import date

    from .pages import Probed
    from .probing import Probe

_CONTRACT = 6
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
    tried = f"a page of at most {PAGE_SIZES[0]} items" if probed.endpoint.is_list else "the thing itself"
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
    if probed.best is not None and probed.endpoint.is_list:
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

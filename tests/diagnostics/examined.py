"""What the tests of an examination look up in its report."""

from __future__ import annotations

from collections.abc import Callable

from drillster_pipeline.diagnostics import Finding, Report

Examine = Callable[..., Report]


def steps(report: Report) -> dict[str, Finding]:
    """Findings by step; of several of the same name the worst."""
    order = ("skipped", "ok", "warning", "failed")
    return {each.step: each for each in sorted(report.findings, key=lambda each: order.index(each.status))}


def step(report: Report, name: str) -> Finding:
    """The one finding of a step."""
    return steps(report)[name]


def forms(report: Report) -> dict[str, dict[str, tuple[str, str]]]:
    """Per resource and aspect, the form that was met and what it is."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for probed in report.endpoints:
        found.setdefault(probed.endpoint.resource, {}).update(
            {form.aspect: (form.met, form.standing) for form in probed.forms}
        )
    return found

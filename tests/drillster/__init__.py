"""The Drillster that tests ask: the sandbox, with everything that can go wrong and a record of the requests."""

from __future__ import annotations

from drillster_pipeline.sandbox import (
    Credentials,
    Failure,
    Faults,
    FieldFault,
    How,
    Organization,
    PageFault,
    Record,
    Sandbox,
    Shapes,
    Size,
    closed,
    environment,
    serve,
    write_environment,
)

__all__ = [
    "Credentials",
    "Failure",
    "Faults",
    "FieldFault",
    "How",
    "Organization",
    "PageFault",
    "Record",
    "Sandbox",
    "Shapes",
    "Size",
    "closed",
    "environment",
    "serve",
    "write_environment",
]

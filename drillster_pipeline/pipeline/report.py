"""The report of a date, as a file in the folder of reports."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from drillster_pipeline.archive.archive import open_storage
from drillster_pipeline.archive.local import LocalStorage
from drillster_pipeline.archive.storage import REPORTS
from drillster_pipeline.errors import Refused, Unavailable
from drillster_pipeline.report.figures import Figures, figures_of
from drillster_pipeline.report.page import render

from .context import PipelineContext


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report that was written: its absolute path, or its URL without credentials; ``size`` in bytes."""

    location: str
    size: int
    figures: Figures


def write_report(
    context: PipelineContext, day: date, *, names: bool = False, output: Path | None = None
) -> WrittenReport:
    """Write it; a reader of an older one of the same date never gets half a page.

    Raises Refused without a snapshot of the date, or where names are requested that are not kept; Unavailable where
    it can't be written.
    """
    settings = context.settings
    if names and settings.personal_data != "keep":
        raise Refused(f"DRILLSTER_PERSONAL_DATA is {settings.personal_data}: there are no names. Leave --names out")
    figures = figures_of(context.warehouse, day, names=names)
    content = render(figures, context.language, now=context.now()).encode()
    if output is None:
        name = f"{day}{'-names' if names else ''}.html"
        storage = open_storage(settings.reports_folder.get_secret_value(), REPORTS)
        if not isinstance(storage, LocalStorage):
            storage.write(name, content)
            return WrittenReport(f"{storage.url.rstrip('/')}/{name}", len(content), figures)
        output = storage.root / name
    path = output.absolute()
    try:
        _replace(path, content, mode=0o600 if names else 0o644)
    except OSError as error:
        raise Unavailable(
            f"The report could not be written to {path} ({error.strerror}): make room or give the right to write, or "
            "name another folder in DRILLSTER_REPORTS_FOLDER, or a file with --output; then run "
            "`drillster-pipeline report`"
        ) from None
    return WrittenReport(str(path), len(content), figures)


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(aside).chmod(mode)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise

"""The report of a date, as a file in the folder of reports."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from drillster_pipeline.archive import open_storage
from drillster_pipeline.archive.local import LocalStorage
from drillster_pipeline.archive.storage import REPORTS
from drillster_pipeline.errors import Refused, Unavailable

from .context import PipelineContext

if TYPE_CHECKING:
    from drillster_pipeline.report import Figures


@dataclass(frozen=True, slots=True)
class Written:
    """A report that was written: its absolute path, or its URL without credentials; ``size`` in bytes."""

    location: str
    size: int
    figures: Figures


def write_report(session: PipelineContext, day: date, *, names: bool = False, output: Path | None = None) -> Written:
    """Write it; a reader of an older one of the same date never meets half a page.

    Raises Refused without a snapshot of the date, or where names are asked for that are not kept; Unavailable where
    it can't be written.
    """
    from drillster_pipeline.report import figures_of, render

    if names and session.settings.personal_data != "keep":
        raise Refused(
            f"DRILLSTER_PERSONAL_DATA is {session.settings.personal_data}: no names are kept to show. Leave --names out"
        )
    figures = figures_of(session.warehouse, day, names=names)
    content = render(figures, now=session.now()).encode()
    if output is None:
        name = f"{day}{'-names' if names else ''}.html"
        storage = open_storage(session.settings.reports_folder.get_secret_value(), REPORTS)
        if not isinstance(storage, LocalStorage):
            storage.write(name, content)
            return Written(f"{storage.url.rstrip('/')}/{name}", len(content), figures)
        output = storage.root / name
    path = output.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(aside).chmod(0o600 if names else 0o644)
            Path(aside).replace(path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Unavailable(
            f"The report could not be written to {path} ({error.strerror}): make room or give the right to write, or "
            "name another folder in DRILLSTER_REPORTS_FOLDER, or a file with --output; then run "
            "`drillster-pipeline report`"
        ) from None
    return Written(str(path), len(content), figures)

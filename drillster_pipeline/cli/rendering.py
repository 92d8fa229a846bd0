"""The one way in which commands print, to a console of rich without its highlighting, and write files with names."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from drillster_pipeline.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

PIPED_COLUMNS = 120
"""Of a file or a pipe, where nobody says how wide a line may be."""
LOG_EVERY_SECONDS = 30.0

__all__ = ["console", "escape", "progress_display", "table", "write_private"]


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where a mark can't be printed, the rest of the line still can
    is_known = sys.stdout.isatty() or os.environ.get("COLUMNS")
    return Console(highlight=False, stderr=stderr, width=None if is_known else PIPED_COLUMNS)


def table(title: str, *columns: str) -> Table:
    """A table without a frame; a column whose heading ends in ``>`` is aligned to the right."""
    found = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for heading in columns:
        is_number = heading.endswith(">")
        found.add_column(heading.removesuffix(">"), justify="right" if is_number else "left", no_wrap=True)
    return found


@contextmanager
def progress_display(console: Console, title: str) -> Iterator[Callable[[object], None]]:
    """Returns a function that shows a progress: a live line in a terminal, a line now and then in a log."""
    if console.is_terminal:
        with Status(title, console=console) as status:
            yield lambda progress: status.update(escape(f"{title}: {progress}"))
        return
    last = time.monotonic()

    def log(progress: object) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_EVERY_SECONDS:
            last = time.monotonic()
            console.print(f"{title}: {progress}", markup=False)

    yield log


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read: it may hold names. Raises Unavailable where it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o600)  # of an older file, too
            file.write(content)
    except OSError as error:
        raise Unavailable(
            f"{path} could not be written ({error.strerror}): make room or give the right to write, or name another "
            "file with --output"
        ) from None

"""Progress while a night runs: a live line in a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from drillster_pipeline.api.metrics import Progress

LOG_EVERY_SECONDS = 30.0


@contextmanager
def progress_display(console: Console, title: str) -> Iterator[Callable[[Progress], None]]:
    """Give a function that shows a progress under ``title``."""
    if console.is_terminal:
        with Status(title, console=console) as status:
            yield lambda progress: status.update(f"{title}: {progress}")
        return
    last = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_EVERY_SECONDS:
            last = time.monotonic()
            console.print(f"{title}: {progress}", highlight=False)

    yield tell


def duration(seconds: float) -> str:
    """A duration for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"

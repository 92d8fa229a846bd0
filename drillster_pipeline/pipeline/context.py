"""What the steps of one process share: settings, archive, warehouse, and one source of tokens."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Self

from drillster_pipeline.dates import newest_complete, steady, wall_clock
from drillster_pipeline.errors import Refused
from drillster_pipeline.language import Language
from drillster_pipeline.privacy.pseudonymize import Privacy
from drillster_pipeline.settings import Settings
from drillster_pipeline.tables import DATA_TABLES

if TYPE_CHECKING:
    from drillster_pipeline.api.client import Client
    from drillster_pipeline.api.metrics import Progress
    from drillster_pipeline.api.tokens import TokenSource
    from drillster_pipeline.archive.archive import Archive
    from drillster_pipeline.warehouse import Warehouse
    from drillster_pipeline.warehouse.inspection import Inspection


@dataclass(kw_only=True)
class PipelineContext:
    """Opened lazily, so that a replay needs no network and a capture no database driver. Close it when done."""

    settings: Settings
    tables: Collection[str] = tuple(DATA_TABLES)
    """The tables that this organization loads: a load of all of them is complete."""
    now: Callable[[], datetime] = wall_clock
    sleep: Callable[[float], None] = time.sleep
    steady: Callable[[], float] = steady
    """Seconds that go only forward, also while the machine sleeps."""
    on_progress: Callable[[Progress], None] = field(default=lambda _: None)
    run_id: str | None = None
    """Dagster's id of the run that this context serves; every capture records it."""
    ended_well: Callable[[str], bool] = field(default=lambda _: True)
    """Whether a run came to its end. If it did not, its captures are used again instead of new requests."""

    _newest: date = field(default=date.min, init=False)

    @cached_property
    def archive(self) -> Archive:
        """The archive of the settings."""
        from drillster_pipeline.archive.archive import Archive

        return Archive(self.settings.archive_url.get_secret_value())

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse of the settings, created or migrated where that is needed."""
        from drillster_pipeline.warehouse import Warehouse

        warehouse = Warehouse(self.settings.warehouse_url.get_secret_value(), schema=self.settings.warehouse_schema)
        try:
            warehouse.prepare()
        except BaseException:
            warehouse.close()  # nobody else will
            raise
        return warehouse

    def inspection(self) -> Inspection:
        """A connection of its own to read the warehouse as it is: nothing is created or migrated."""
        from drillster_pipeline.warehouse.inspection import Inspection

        return Inspection(self.settings.warehouse_url.get_secret_value(), schema=self.settings.warehouse_schema)

    @cached_property
    def tokens(self) -> TokenSource:
        """The one source of tokens of this process."""
        from drillster_pipeline.api.auth import TokenEndpoint
        from drillster_pipeline.api.tokens import TokenSource

        return TokenSource(TokenEndpoint(self.settings))

    @cached_property
    def privacy(self) -> Privacy:
        """What becomes of personal values before anything is written."""
        key = self.settings.pseudonym_key
        return Privacy(
            self.settings.personal_data,
            key.get_secret_value() if key else None,
            organization_id=self.settings.organization_id,
        )

    @cached_property
    def language(self) -> Language:
        """The language of what people read."""
        return Language(self.settings.language)

    def client(self, limits: Settings | None = None) -> Client:
        """A client of its own for one crawl, since a crawl that fails closes it; all share the tokens.

        ``limits``: settings with the requests in flight and the rate that are meant.
        """
        from drillster_pipeline.api.client import client_of

        return client_of(limits or self.settings, self.tokens)

    @property
    def newest_complete(self) -> date:
        """The export date that Drillster's responses describe now. A clock that is set back makes it no older."""
        self._newest = max(self._newest, newest_complete(self.now(), self.settings.timezone))
        return self._newest

    def require_ended(self, export_date: date) -> None:
        """Raise Refused for a date that has not ended."""
        if export_date > self.newest_complete:
            raise Refused(
                f"{export_date} has not ended yet in {self.settings.timezone.key}: the newest date that can be "
                f"exported is {self.newest_complete}"
            )

    def close(self) -> None:
        """Close what was opened."""
        for name in {"tokens", "warehouse"} & vars(self).keys():
            getattr(self, name).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def infrequent_gc() -> Iterator[None]:
    """Search for reference cycles less often than after every 700 new objects, in the complete process.

    A page of responses is some thousand objects, and none of them refers back to another: the search through them, and
    at times through everything in the process, is a sixth of the cost of reading and typing, a tenth of a capture.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)

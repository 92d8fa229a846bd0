"""Nights of a fuzzed Drillster through the whole line: capture, archive, extract, stage, publish."""

from __future__ import annotations

import itertools
import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from drillster_pipeline.api.client import Client
from drillster_pipeline.api.retry import Backoff
from drillster_pipeline.archive import Capture
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import PublishOutcome, publish
from drillster_pipeline.pipeline.quality import load_quality
from drillster_pipeline.settings import Settings, load_settings

from .server import FuzzedDrillster, Script, Tale
from .truth import DAY, NIGHT

IMPATIENT = Backoff(attempts=4, seconds=60.0, first=0.0, cap=0.0)


class FastSession(PipelineContext):
    """Never waits before it tries again, and shares its tokens with others on the same Drillster."""

    def client(self) -> Client:
        return Client(
            base_url=self.settings.base_url,
            tokens=self.tokens,
            concurrency=self.settings.concurrency,
            backoff=IMPATIENT,
            random=lambda: 0.0,
        )


@dataclass
class Night:
    """What became of one night, kind by kind."""

    day: date
    tale: Tale
    captures: dict[str, Capture] = field(default_factory=dict)
    outcomes: dict[str, PublishOutcome] = field(default_factory=dict)
    errors: dict[str, PipelineError] = field(default_factory=dict)
    log: str = ""


class House:
    """An archive and an SQLite warehouse in a folder, nights of a fuzzed Drillster in them."""

    def __init__(self, folder: Path, server: FuzzedDrillster, settings: Settings, tokens: Any, template: Path) -> None:
        self.folder, self.server, self.settings, self.tokens = folder, server, settings, tokens
        self.file = folder / "warehouse.sqlite"
        shutil.copyfile(template, self.file)

    def night(
        self,
        script: Script,
        *,
        days: int = 0,
        kinds: tuple[str, ...] = ("snapshot", "events"),
        allow_mass_delete: bool = False,
    ) -> Night:
        """Capture and publish, as the job does; anything but a typed error comes through."""
        day, moment = DAY + timedelta(days=days), NIGHT + timedelta(days=days)
        night = Night(day, self.server.play(script))
        session = self.session(moment)
        listener = _Listener()
        logging.getLogger("drillster_pipeline").addHandler(listener)
        try:
            for kind in kinds:
                try:
                    night.captures[kind] = capture(session, kind, day).capture
                    night.outcomes[kind] = publish(
                        session, kind, day, run_id="run", allow_mass_delete=allow_mass_delete
                    )
                    load_quality(session, night.outcomes[kind])
                except PipelineError as error:
                    night.errors[kind] = error
        finally:
            logging.getLogger("drillster_pipeline").removeHandler(listener)
            session.warehouse.close()
        night.log = listener.text
        return night

    def session(self, moment: datetime) -> PipelineContext:
        session = FastSession(settings=self.settings, now=lambda: moment)
        vars(session)["tokens"] = self.tokens
        return session

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(query, values).fetchall()

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table."""
        names = [name for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(self.rows(f'SELECT * FROM "{name}"'), key=repr) for name in names}


class _Listener(logging.Handler):
    """Keeps what is logged, as text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"


@contextmanager
def houses(folder: Path) -> Iterator[Callable[[], House]]:
    """Makes houses, each with a folder of its own; the Drillster, its tokens and an empty warehouse are shared."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    template, numbers = folder / "template.sqlite", itertools.count()
    with FuzzedDrillster() as server:
        settings = load_settings(
            {
                "DRILLSTER_BASE_URL": server.url,
                "DRILLSTER_CLIENT_ID": "0" * 32,
                "DRILLSTER_CLIENT_SECRET": "1" * 32,
                "DRILLSTER_SERVICE_ACCOUNT_ID": "iqKp0000000000000000AA",
                "DRILLSTER_PRIVATE_KEY": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
                "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{template}",
                "DRILLSTER_TIMEZONE": "UTC",
                "DRILLSTER_CONCURRENCY": "1",
            }
        )

        def make() -> House:
            own = folder / f"house{next(numbers)}"
            own.mkdir()
            places = {"archive_url": str(own / "archive"), "warehouse_url": f"sqlite:///{own}/warehouse.sqlite"}
            secret = type(settings.archive_url)
            moved = settings.model_copy(update={**{name: secret(value) for name, value in places.items()}})
            return House(own, server, moved, session.tokens, template)

        with PipelineContext(settings=settings) as session:
            session.warehouse.close()
            yield make

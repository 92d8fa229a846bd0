"""Readers who poll all along: whatever is written, they see all of it or nothing, from the first table on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.privacy.erase import Person
from drillster_pipeline.warehouse import schema_sync as migration
from drillster_pipeline.warehouse.views import View

from . import loader
from .nights import account, day, group, load, member, playable, result
from .place import Place, sql

Seen = tuple[bool, ...]

# MariaDB commits with every CREATE, so there tables and views do appear one by one (see docs/decisions).
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


class Reader(threading.Thread):
    """Asks the same questions over and over, together in one statement or one by one in a transaction."""

    def __init__(self, place: Place, questions: Sequence[str], *, at_once: bool) -> None:
        super().__init__()
        prefix = "" if place.schema is None else f"{place.schema}."
        self._place, self._at_once = place, at_once
        self._questions = [question.replace("{}", prefix) for question in questions]
        self._over = threading.Event()
        self.seen: set[Seen] = set()
        self.failures: list[BaseException] = []

    def run(self) -> None:
        engine = sa.create_engine(
            self._place.url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool
        )
        while not self._over.is_set():
            try:
                with engine.connect() as connection:
                    self.seen.add(self._answers(connection))
            except sa.exc.DBAPIError as error:
                if not any(words in str(error.orig) for words in ("no such table", "does not exist")):
                    self.failures.append(error)
                    return
                self.seen.add(())  # nothing is there yet

    def _answers(self, connection: sa.Connection) -> Seen:
        if self._at_once:
            together = ", ".join(f"({question})" for question in self._questions)
            return tuple(map(bool, connection.exec_driver_sql(f"SELECT {together}").one()))
        if self._place.schema is None:
            connection.exec_driver_sql("BEGIN")
        else:
            connection.execution_options(isolation_level="REPEATABLE READ")
        return tuple(bool(connection.exec_driver_sql(question).scalar_one()) for question in self._questions)

    def stop(self) -> None:
        self._over.set()
        self.join()


@contextmanager
def readers(place: Place, *questions: str) -> Iterator[set[Seen]]:
    """Both kinds of reader; what they have seen, once they are through. ``()`` is a table or view that is not there."""
    seen: set[Seen] = set()
    polling = [Reader(place, questions, at_once=at_once) for at_once in (True, False)]
    for reader in polling:
        reader.start()
    try:
        yield seen
    finally:
        for reader in polling:
            reader.stop()
    for reader in polling:
        assert reader.failures == []
        seen |= reader.seen


def test_the_first_tables_appear_together_and_so_does_the_first_night(place: Place) -> None:
    questions = [
        f"SELECT count(*) > 0 FROM {{}}{name}" for name in ("loads", "results", "latest_load", "current_results")
    ]
    with place.opened() as warehouse:
        sql(warehouse, "SELECT 1")  # an empty file, where it is one
        with readers(place, *questions) as seen:
            warehouse.prepare()
            loader.publish(warehouse, 1, chunk=10_000)
        with readers(place, *questions) as seen_after:
            sql(warehouse, "SELECT 1")
    assert () in seen
    assert seen <= {(), (False,) * 4, (True,) * 4}
    assert seen_after == {(True,) * 4}


def test_a_person_is_forgotten_everywhere_at_once(place: Place) -> None:
    questions = [
        f"SELECT count(*) > 0 FROM {{}}{table} WHERE account_id = 'a1'"
        for table in ("accounts", "group_members", "results", "current_results")
    ]
    content: dict[str, Any] = {
        "accounts": [account("a1"), account("a2")],
        "groups": [group("g")],
        "group_members": [member("g", "a1"), member("g", "a2")],
        "playables": [playable(f"p{number}") for number in range(300)],
        "results": [result(day(1), "g", who, f"p{number}") for who in ("a1", "a2") for number in range(300)],
    }
    with place.opened() as warehouse:
        warehouse.prepare()
        for _ in range(3):
            load(warehouse, day(1), content)
            with readers(place, *questions) as seen, warehouse.erasing() as erase:
                erase(Person("a1"), erased_text=str, archive_lines=0)
            assert seen <= {(True,) * 4, (False,) * 4}


def test_a_text_in_which_a_person_is_replaced_has_the_hash_that_a_load_of_it_gives(place: Place) -> None:
    said, left = "Team Jan Jansen \U0001f600", "Team [forgotten] \U0001f600"
    made: dict[str, Any] = {"created_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "is_sensitive": True}
    with place.opened() as warehouse:
        warehouse.prepare()
        load(warehouse, day(1), {"groups": [group("g", said, member_count=3, **made), group("h", said.upper())]})
        with warehouse.erasing() as erase:
            erased = erase(Person("a"), erased_text=lambda text: text.replace(said, left), archive_lines=0)
        assert erased == {"groups": 1, "groups_history": 1}
        again = load(
            warehouse, day(1), {"groups": [group("g", left, member_count=3, **made), group("h", said.upper())]}
        )
        assert again.tables["groups"].rows_unchanged == 2
        hashes = [
            sql(warehouse, f"SELECT row_hash FROM {{}}{table} ORDER BY 1") for table in ("groups", "groups_history")
        ]
        assert hashes[0] == hashes[1]


def test_a_view_is_renewed_without_a_moment_in_which_it_is_not_there(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the version before had made it by another query."""
    latest = migration.VIEWS["latest_load"]
    nothing = View(latest.name, latest.description, latest.columns, lambda it: latest.query(it).where(sa.false()))
    with place.opened() as warehouse:
        with monkeypatch.context() as patched:
            patched.setattr(migration, "VIEWS", {**migration.VIEWS, "latest_load": nothing})
            warehouse.prepare()
        load(warehouse, day(1), {"accounts": [account("a")]})
        with readers(place, "SELECT count(*) > 0 FROM {}latest_load") as seen:
            warehouse.prepare()
        assert sql(warehouse, "SELECT count(*) FROM {}latest_load") == [(1,)]
    assert seen <= {(False,), (True,)}

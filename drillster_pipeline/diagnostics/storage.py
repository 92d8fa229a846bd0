"""Where a night's data go: warehouse, archive, reports. All of it is tried, and nothing is left behind."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from drillster_pipeline.archive import Archive, open_storage
from drillster_pipeline.archive.local import WRITING, LocalStorage
from drillster_pipeline.archive.storage import REPORTS
from drillster_pipeline.errors import ContractError, SettingsError, Unavailable
from drillster_pipeline.settings import is_loopback

from .amounts import count, lasting, size
from .report import Notes, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drillster_pipeline.archive.storage import Storage
    from drillster_pipeline.settings import Settings
    from drillster_pipeline.warehouse.inspection import Inspection, Server

    from .report import Step

LITTLE_BYTES = 1_000_000_000
"""So little room is worth a look, however small the organization is."""
_REFUSED = 5
_CONTENT = b"written by drillster-pipeline check"


def examine_warehouse(notes: Notes, settings: Settings, newest: date) -> bool:
    """Connect, try the rights, compare the tables, look at the loads; whether it could be connected to."""
    from drillster_pipeline.warehouse.inspection import Inspection

    with ExitStack() as opened:
        inspection: Inspection | None = None
        with notes.step(Part.WAREHOUSE, "warehouse", "connecting, and asking for the version") as step:
            inspection = opened.enter_context(
                Inspection(settings.warehouse_url.get_secret_value(), schema=settings.warehouse_schema)
            )
            _note_server(step, inspection, inspection.connect())
        if inspection is not None and step.is_ok:
            _examine_inside(notes, inspection, newest)
            return True
    for each in ("rights", "tables", "loads", "room"):
        notes.skip(Part.WAREHOUSE, each, "there is no connection")
    return False


def _note_server(step: Step, inspection: Inspection, server: Server) -> None:
    from drillster_pipeline.warehouse.inspection import NOT_ENCRYPTED

    if inspection.file is not None:
        there = "the file is not there yet: the first load makes it" if server.is_new else "the file opens"
        step.ok(f"{server.product}; {there}")
        return
    how = "not encrypted, by a socket of this machine" if server.encryption is None else server.encryption
    found = f"{server.product} answers in {lasting(server.seconds)}; {how}"
    if not inspection.is_tested:
        step.warning(f"{found}. This kind of database is not tested.", advice="Compare the first runs with Drillster.")
    elif server.encryption == NOT_ENCRYPTED and not is_loopback(inspection.engine.url.host):
        step.warning(
            f"{found}.",
            advice="Names and results travel in the open: let the URL ask for TLS (PostgreSQL: ?sslmode=verify-full), "
            "unless the network is yours alone.",
        )
    else:
        step.ok(found)


def _examine_inside(notes: Notes, inspection: Inspection, newest: date) -> None:
    with notes.step(
        Part.WAREHOUSE, "rights", "making a table, a view and what a load stages in, and undoing it"
    ) as step:
        done = inspection.try_rights()
        if done:
            step.ok(f"may make {', '.join(done)}; nothing of it is left")
        else:
            step.ok("not tried: the database is not there yet, and a load makes it if the user may")
    with notes.step(Part.WAREHOUSE, "tables", "what is there beside what this version needs") as step:
        state = inspection.state()
        if state.problems:
            step.failed("not as this version needs them. " + " ".join(state.problems), exit_code=_REFUSED)
        elif not state.tables:
            step.ok("none yet: the first load makes them, with their views")
        elif state.additions:
            shown = ", ".join(state.additions[:8]) + (" and more" if len(state.additions) > 8 else "")
            step.ok(f"{state.tables} are there; the next load adds {shown}")
        else:
            step.ok(f"all {state.tables} are there, as this version needs them")
    with notes.step(Part.WAREHOUSE, "loads", "the ledger, and who writes at this moment") as step:
        writer = inspection.writer()
        loads = notes.report.loads = inspection.loads()
        newest_load = next((load for load in loads if load["kind"] == "snapshot"), None)
        if newest_load is None:
            found = "nothing is loaded yet"
        else:
            behind = (newest - newest_load["export_date"]).days
            age = "which is the newest that has ended" if behind <= 0 else f"{behind} day{'s' * (behind > 1)} behind"
            found = f"the newest snapshot is of {newest_load['export_date']}, {age}"
        if writer is not None:
            step.warning(f"{found}. {writer}.", advice="That is a load under way; look again when it is done.")
        else:
            step.ok(found)


def examine_archive(notes: Notes, settings: Settings) -> None:
    """Write as a capture does, lock, read back, remove; and what is there."""
    tried = "writing aside, syncing, renaming, reading back, locking, removing"
    with notes.step(Part.ARCHIVE, "archive", tried) as step:
        archive = Archive(settings.archive_url.get_secret_value())
        with _as_it_was(archive.storage):
            _try_storage(archive.storage)
        dates = archive.dates()
        if not dates:
            step.ok("may be written, locked and removed from; it is empty")
            return
        unfinished = sum(not ref.sealed for ref in archive.captures(dates[-1]))
        held = str(dates[0]) if len(dates) == 1 else f"{count(len(dates))} dates, {dates[0]} to {dates[-1]}"
        found = f"may be written, locked and removed from; it holds {held}"
        step.ok(found + (f"; {unfinished} capture(s) of {dates[-1]} are unfinished" if unfinished else ""))


def _try_storage(storage: Storage) -> None:
    name = f".check-{secrets.token_hex(4)}"
    try:
        with storage.locked(name, "checking") as check_lock:
            storage.write(name, _CONTENT)
            check_lock()
            if storage.read(name) != _CONTENT:
                raise ContractError(
                    f"{storage.place.what} gives back something else than was written: check {storage.place.setting}"
                )
    finally:
        for left in (name, f"{name}.lock", f"{name}.lease"):
            with suppress(Unavailable):
                storage.remove(left)


@contextmanager
def _as_it_was(storage: Storage) -> Iterator[None]:
    """Remove the folders that writing to a local archive makes, where they were not there before."""
    root = getattr(storage, "root", None)
    folder = root.absolute() if isinstance(root, Path) else None
    missing = [each for each in (folder / WRITING, folder, *folder.parents) if not each.exists()] if folder else []
    try:
        yield
    finally:
        for each in missing:
            with suppress(OSError):
                each.rmdir()


def examine_room(notes: Notes, settings: Settings, *, warehouse: bool, archive: bool) -> None:
    """How long the disks last, at what a night is estimated to take."""
    night = notes.report.night
    if archive:
        with notes.step(Part.ARCHIVE, "room", "free space where the archive is") as step:
            free = Archive(settings.archive_url.get_secret_value()).storage.free_bytes()
            nightly = night.archive_bytes.likely if night else None
            days = settings.archive_days
            if free is None:
                told = f"; {days} nights take about {size(nightly * days)}" if nightly else ""
                step.ok(f"an object store names no limit{told}")
            else:
                kept = f"DRILLSTER_ARCHIVE_DAYS={days} keeps {size(nightly * days)}" if nightly else ""
                _note_room(step, free, nightly, kept, is_short=nightly is not None and nightly * days > free)
    if warehouse:
        from drillster_pipeline.warehouse.inspection import Inspection

        with (
            notes.step(Part.WAREHOUSE, "room", "free space where the SQLite file is") as step,
            Inspection(settings.warehouse_url.get_secret_value(), schema=settings.warehouse_schema) as inspection,
        ):
            free, now = inspection.free_bytes(), inspection.size_bytes()
            if free is None:
                step.ok("the server does not tell how much it has")
                return
            nightly = night.warehouse_bytes.likely if night else None
            is_large = f"the file has {size(now)}" if now else ""
            # A person who is forgotten has the whole file written anew.
            _note_room(step, free, nightly, is_large, is_short=now is not None and now > free)


def _note_room(step: Step, free: int, nightly: float | None, more: str, *, is_short: bool) -> None:
    lasts = ""
    if nightly:
        nights = free / nightly
        lasts = f": enough for {count(nights)} nights" if nights < 36_500 else ": enough for more than a century"
    found = f"{size(free)} free{lasts}" + (f"; {more}" if more else "")
    if is_short or free < LITTLE_BYTES:
        step.warning(f"{found}.", advice="Make room, or name another place.")
    else:
        step.ok(found)


def examine_reports(notes: Notes, settings: Settings) -> None:
    """Whether the folder of the nightly report may be written."""
    with notes.step(Part.OPERATION, "reports", "making a file in DRILLSTER_REPORTS_FOLDER, and removing it") as step:
        storage = open_storage(settings.reports_folder.get_secret_value(), REPORTS)
        if not isinstance(storage, LocalStorage):
            _try_storage(storage)
            step.ok("may be written, read and removed from")
            return
        folder = storage.root.absolute()
        nearest = next(each for each in (folder, *folder.parents) if each.exists())
        try:
            with tempfile.TemporaryFile(dir=nearest) as file:
                file.write(_CONTENT)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SettingsError(
                f"No file can be made in DRILLSTER_REPORTS_FOLDER ({error.strerror}): check the owner and mode of "
                f"{nearest}, or name another folder"
            ) from None
        step.ok("may be written" if nearest == folder else "is not there yet, and may be made")

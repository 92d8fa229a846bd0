"""Where the data of a run go: warehouse, archive and reports. Each is written to, and nothing is left behind."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING

from drillster_pipeline.archive.archive import Archive, open_storage
from drillster_pipeline.archive.local import WRITING, LocalStorage
from drillster_pipeline.archive.storage import REPORTS
from drillster_pipeline.errors import ContractError, Refused, SettingsError, Unavailable
from drillster_pipeline.formatting import count, duration, listed, size
from drillster_pipeline.pipeline.timestamps import request_stamp, verified
from drillster_pipeline.setting_checks import is_loopback

from .report import DiagnosticsReport, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drillster_pipeline.archive.storage import Storage
    from drillster_pipeline.settings import Settings
    from drillster_pipeline.warehouse.inspection import Inspection

    from .report import Step

LITTLE_BYTES = 1_000_000_000
"""Less free space than this is a warning, however small the organization is."""


def check_warehouse(report: DiagnosticsReport, settings: Settings, newest: date) -> None:
    """Connect, try the rights, compare the tables, read the ledger and the free space."""
    from drillster_pipeline.warehouse.inspection import Inspection

    url = settings.warehouse_url.get_secret_value()
    with (
        report.step(Part.WAREHOUSE, "warehouse", "connecting, and asking for the version") as connecting,
        Inspection(url, schema=settings.warehouse_schema) as inspection,
    ):
        _add_server(connecting, inspection)
        with report.step(Part.WAREHOUSE, "rights", "creating what a load creates, and undoing it") as step:
            created = inspection.try_rights()
            step.ok(
                f"may create {', '.join(created)}; nothing of it is left"
                if created
                else "not tried: the database does not exist yet, and a load creates it if the user may"
            )
        _check_tables(report, inspection)
        _check_loads(report, inspection, newest)
        with report.step(Part.WAREHOUSE, "room", "free space on the disk of the SQLite file") as step:
            used = inspection.size_bytes() or 0  # to erase a person, the complete file is written anew
            growth = report.estimate.warehouse_bytes if report.estimate else 0
            _add_room(step, inspection.free_bytes(), growth, needed=used, more=f"the file has {size(used)}")
    if connecting.has_failed:
        report.skip(Part.WAREHOUSE, "rights, tables, loads, room", "there is no connection")


def _add_server(step: Step, inspection: Inspection) -> None:
    from drillster_pipeline.warehouse.dialects import NOT_ENCRYPTED

    server = inspection.connect()
    if inspection.file is not None:
        state = "the file does not exist yet: the first load creates it" if inspection.is_new else "the file opens"
        step.ok(f"{server.product}; {state}")
        return
    how = "not encrypted, by a socket of this machine" if server.encryption is None else server.encryption
    found = f"{server.product} answers in {duration(server.seconds)}; {how}"
    if not inspection.is_tested:
        step.warning(f"{found}. This kind of database is not tested.", "Compare the first runs with Drillster.")
    elif server.encryption == NOT_ENCRYPTED and not is_loopback(inspection.engine.url.host):
        step.warning(
            f"{found}.",
            "Names and results can be read on the network: let the URL ask for TLS (PostgreSQL: "
            "?sslmode=verify-full), unless the network is private.",
        )
    else:
        step.ok(found)


def _check_tables(report: DiagnosticsReport, inspection: Inspection) -> None:
    with report.step(Part.WAREHOUSE, "tables", "the tables that exist, and those that this version needs") as step:
        state = inspection.state()
        if state.problems:
            step.failed(f"not as this version needs them. {' '.join(state.problems)}", exit_code=Refused.exit_code)
        elif not state.tables:
            step.ok("none yet: the first load creates them, with their views")
        elif state.additions:
            step.ok(f"{state.tables} exist; the next load adds {listed(list(state.additions))}")
        else:
            step.ok(f"all {state.tables} exist, as this version needs them")


def _check_loads(report: DiagnosticsReport, inspection: Inspection, newest: date) -> None:
    with report.step(Part.WAREHOUSE, "loads", "the ledger, and who writes at this moment") as step:
        writer = inspection.writer()
        report.loads = inspection.loads()
        loaded = next((load["export_date"] for load in report.loads if load["kind"] == "snapshot"), None)
        found = "nothing is loaded yet"
        if loaded is not None:
            days = (newest - loaded).days
            state = "which is current" if days <= 0 else f"{days} day{'s' * (days > 1)} behind"
            found = f"the newest snapshot is of {loaded}, {state}"
        if writer is not None:
            step.warning(f"{found}. {writer}.", "A load is under way; check again when it is done.")
        else:
            step.ok(found)


def check_archive(report: DiagnosticsReport, settings: Settings) -> None:
    """Write as a capture does, lock, read back, remove; and list the dates and the free space."""
    with report.step(Part.ARCHIVE, "archive", "writing, locking, reading back and removing a file") as step:
        archive = Archive(settings.archive_url.get_secret_value())
        _try_storage(archive.storage)
        dates = archive.dates()
        state = "it is empty"
        if dates:
            unfinished = sum(not ref.sealed for ref in archive.captures(dates[-1]))
            state = f"it has {count(len(dates))} date{'s' * (len(dates) > 1)}, the newest is {dates[-1]}"
            state += f" with {unfinished} unfinished capture(s)" if unfinished else ""
        step.ok(f"may be written, locked and removed from; {state}")
        step.name = "room"
        growth = report.estimate.archive_bytes if report.estimate else 0
        needed = growth * settings.archive_days
        more = f"DRILLSTER_ARCHIVE_DAYS={settings.archive_days} needs about {size(needed)}"
        _add_room(step, archive.storage.free_bytes(), growth, needed=needed, more=more)


def check_timestamps(report: DiagnosticsReport, settings: Settings) -> None:
    """Request a time stamp, as a seal gets one. A capture goes on without."""
    if settings.timestamp_url is None:
        return
    with report.step(Part.ARCHIVE, "time stamp", "requesting one from DRILLSTER_TIMESTAMP_URL") as step:
        content, certificate = secrets.token_bytes(32), settings.timestamp_certificate
        try:
            stamp = request_stamp(content, settings.timestamp_url.get_secret_value())
            if certificate:
                verified(stamp, sha256(content).hexdigest(), certificate)
        except Unavailable as problem:
            step.warning(f"the authority gave none: {problem}.", "Check DRILLSTER_TIMESTAMP_URL.")
        except SettingsError as problem:
            step.warning(f"{problem}.", "`evidence --verify` needs it; captures do not.")
        except ValueError as problem:
            step.warning(f"the authority gave one that proves nothing: {problem}.", "Check the certificates.")
        else:
            step.ok("the authority gave one" + (", and its certificates prove it" if certificate else ""))


def check_reports(report: DiagnosticsReport, settings: Settings) -> None:
    """Write to the folder of the nightly report."""
    with report.step(Part.OPERATION, "reports", "writing, reading back and removing a file") as step:
        _try_storage(open_storage(settings.reports_folder.get_secret_value(), REPORTS))
        step.ok("may be written, read and removed from")


def _try_storage(storage: Storage) -> None:
    name, content = f".check-{secrets.token_hex(4)}", b"written by drillster-pipeline check"
    with _without_new_folders(storage):
        try:
            with storage.locked(name, "checking") as check_lock:
                storage.write(name, content)
                check_lock()
                if storage.read(name) != content:
                    place = storage.place
                    raise ContractError(f"{place.what} returns something else than was written: check {place.setting}")
        finally:
            for left in (name, f"{name}.lock", f"{name}.lease"):
                with suppress(Unavailable):
                    storage.remove(left)


@contextmanager
def _without_new_folders(storage: Storage) -> Iterator[None]:
    """Remove the folders that writing to a local storage creates, where they did not exist before."""
    folder = storage.root.absolute() if isinstance(storage, LocalStorage) else None
    missing = [each for each in (folder / WRITING, folder, *folder.parents) if not each.exists()] if folder else []
    try:
        yield
    finally:
        for each in missing:
            with suppress(OSError):
                each.rmdir()


def _add_room(step: Step, free: int | None, growth: int, *, needed: int, more: str) -> None:
    """Add how much is free, for how many runs that is enough, and what is ``needed`` of it at once."""
    if free is None:
        step.ok("a server names no limit" + (f"; {more}" if needed else ""))
        return
    found = f"{size(free)} free" + (f": enough for {count(min(free / growth, 100_000))} runs" if growth else "")
    found += f"; {more}" if needed else ""
    if free < max(needed, LITTLE_BYTES):
        step.warning(f"{found}.", "Make room, or choose another place.")
    else:
        step.ok(found)

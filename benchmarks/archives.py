"""Captures to load from: made once by a real capture of a sandbox, then read again and again."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path

from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.archive.captures import Capture, utc_moment
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import Settings, load_settings
from tests.drillster import Size

from .places import EXPORT_DATE, MOMENT, Served, settings_of
from .processes import isolated

RESULTS_PER_MEMBER = 100
MEMBERS_PER_GROUP = 200
_NOBODY = {
    "DRILLSTER_BASE_URL": "http://127.0.0.1:9",
    "DRILLSTER_CLIENT_ID": "nobody",
    "DRILLSTER_CLIENT_SECRET": "nobody",
    "DRILLSTER_SERVICE_ACCOUNT_ID": "nobody",
}
"""A load sends no request to Drillster."""


def results_of(rows: int) -> Size:
    """An organization with so many result rows, and everything that they refer to."""
    members = max(MEMBERS_PER_GROUP, rows // RESULTS_PER_MEMBER)
    return Size(
        accounts=members + 10,
        groups=members // MEMBERS_PER_GROUP,
        members_per_group=MEMBERS_PER_GROUP,
        drillables_per_group=RESULTS_PER_MEMBER,
        objectives_per_group=1,
        tests_per_group=0,
        stable=True,
    )


def people_of(accounts: int) -> Size:
    """An organization of many accounts, of which few are in groups: its large tables are entities."""
    return Size(
        accounts=accounts,
        groups=4,
        members_per_group=200,
        drillables_per_group=10,
        objectives_per_group=1,
        tests_per_group=0,
        stable=True,
    )


class Archives:
    """Archives below a folder, by the size of the organization."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, name: str, size: Size) -> Path:
        """The archive of such an organization, with a snapshot of one date."""
        folder = self._folder / name
        if not folder.exists():
            with Served(size) as sandbox:
                isolated(_capture, sandbox.environment, str(folder))
        return folder


def _capture(environment: dict[str, str], folder: str) -> None:
    settings = load_settings(settings_of(environment, folder))
    with PipelineContext(settings=settings, now=lambda: MOMENT) as session:
        capture(session, "snapshot", EXPORT_DATE)


def replaying(archive: Path, url: str) -> Settings:
    """Settings of a load from an archive, without Drillster."""
    return load_settings({**settings_of(_NOBODY, archive, url), "DRILLSTER_PRIVATE_KEY": _key()})


def _key() -> str:
    from drillster_pipeline.sandbox.oauth import process_key, to_pem

    return to_pem(process_key())


def captured(archive: Path, export_date: date = EXPORT_DATE) -> Capture:
    """The capture of a date."""
    found = Archive(str(archive)).newest_sealed(export_date, "snapshot")
    assert found is not None
    return found


def folder_of(archive: Path, export_date: date = EXPORT_DATE) -> Path:
    """Where the parts of its capture lie."""
    return archive / captured(archive, export_date).ref.folder


def add_next_date(archive: Path, *, every: int) -> date:
    """A capture of the next date, in which every so many accounts have another name and all else is the same."""
    following = EXPORT_DATE + timedelta(days=1)
    store, before = Archive(str(archive)), captured(archive)
    if store.newest_sealed(following, "snapshot") is not None:
        return following
    later = MOMENT + timedelta(days=1)
    writer = store.begin(following, "snapshot", {}, later)
    for resource in before.manifest["resources"]:
        for line in before.pages(resource):
            body = line.body
            if resource == "accounts":
                for item in body["accounts"][::every]:
                    item["account"]["name"] += " (married)"
            content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
            writer.append(resource, line.unit, line.page, _later(line.captured_at), content, end=line.end)
    manifest = {name: value for name, value in before.manifest.items() if name not in {"format", "capture_id"}}
    writer.seal({**manifest, "export_date": str(following)})
    return following


def _later(captured_at: str) -> datetime:
    return utc_moment(captured_at) + timedelta(days=1)

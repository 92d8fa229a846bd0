"""What there is of a person in warehouse, archive and reports, for the person to have (GDPR, article 15).

It is what :mod:`.forget` would erase, found by the same code. Others are left out of it.
"""

from __future__ import annotations

import io
import json
import zipfile
from datetime import date, datetime
from typing import Any

from drillster_pipeline.archive.archive import open_storage
from drillster_pipeline.archive.storage import REPORTS
from drillster_pipeline.language import Language
from drillster_pipeline.privacy.erase import Eraser
from drillster_pipeline.privacy.others import OthersHidden, names_of
from drillster_pipeline.report.disclosure import render
from drillster_pipeline.warehouse import CONTRACT

from .context import PipelineContext
from .evidence import text_of
from .forget import captures, known_person, reports_naming, sealed_captures, without

_NAMED = ("groups", "objectives", "playables")
"""Things that rows refer to, and that a page shows by name."""


def disclose(context: PipelineContext, account_id: str) -> dict[str, Any]:
    """All of a person, as values that JSON has.

    Raises SettingsError where nothing has an account of that id, ArchiveCorrupt for a broken archive.
    """
    others = context.warehouse.names_of_others(account_id)
    person = known_person(context, account_id, on_other=lambda found: others.update(names_of(found)))
    removed: list[tuple[str, Any]] = []
    eraser = Eraser(person, on_removal=lambda place, value: removed.append((place, value)))
    hidden = OthersHidden(eraser, others)
    responses = []
    for capture in sealed_captures(context):
        for resource in capture.manifest["resources"]:
            for line in capture.lines(resource):
                removed.clear()
                if (left := without(eraser, resource, line)) is not line:
                    found = [("", line.body)] if left is None else removed
                    responses.append(
                        {
                            "capture": capture.ref.folder,
                            "resource": resource,
                            "captured_at": line.captured_at,
                            "unit": hidden.unit(line.unit),
                            "found": [hidden.value(value, place) for place, value in found],
                        }
                    )
    rows, texts = context.warehouse.read_person(person, eraser.text)
    shown = {name: [_plain(name, row, hidden) for row in found] for name, found in rows.items()}
    ids = {value for found in shown.values() for row in found for value in row.values() if isinstance(value, str)}
    reports = open_storage(context.settings.reports_folder.get_secret_value(), REPORTS)
    return {
        "account_id": account_id,
        "written_at": text_of(context.now()),
        "names": sorted(person.names),
        "email_addresses": sorted(person.emails),
        "tables": {name: shown[name] for name in CONTRACT if name in shown},
        "texts": {name: [_plain(name, row, hidden) for row in found] for name, found in texts.items()},
        "responses": responses,
        "unfinished_captures": [ref.folder for ref in captures(context) if not ref.sealed],
        "reports": list(reports_naming(reports, eraser)),
        "things": {
            id_: hidden.text(name)
            for table in _NAMED
            for id_, name in context.warehouse.names(table).items()
            if id_ in ids and name
        },
    }


def as_zip(found: dict[str, Any], language: Language) -> bytes:
    """A page to read, and the same as JSON."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        # A response may have half of a surrogate pair, as where Drillster has cut a name in the middle of an emoji.
        archive.writestr("disclosure.html", render(found, CONTRACT, language).encode("utf-8", "replace"))
        written = json.dumps(found, ensure_ascii=False, indent=1)
        archive.writestr("disclosure.json", written.encode("utf-8", "backslashreplace"))
    return content.getvalue()


def _plain(table: str, row: dict[str, Any], hidden: OthersHidden) -> dict[str, Any]:
    """A row as JSON has it, without others in its running texts."""
    prose = {column.name for column in CONTRACT[table].columns if column.prose}
    values = {name: hidden.text(value) if name in prose and value else value for name, value in row.items()}
    return {name: text_of(value) if isinstance(value, date | datetime) else value for name, value in values.items()}

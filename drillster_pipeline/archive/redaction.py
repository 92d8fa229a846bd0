"""Lines taken out of sealed captures, or changed in them; the one exception to what is sealed being final.

Changed parts get new names, then the manifest that names them replaces the old one, then the old parts go. Cut short
anywhere, the capture is complete: with the old parts or with the new ones. A file that no manifest names is removed by
the next redaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from .captures import Capture, utc_text
from .records import PageRecord, Part, body_bytes, gzipped, line_bytes, parse_line, read_lines, unit_key, verified
from .storage import Storage

Change = Callable[[str, PageRecord], PageRecord | None]
"""Given a resource and a line: the same line, another one, or None to take it out."""
ChangeUnit = Callable[[Mapping[str, str]], Mapping[str, str]]
"""Given the parameters of a unit: the same, or others."""


def redact(capture: Capture, change: Change, *, unit: ChangeUnit, now: datetime) -> int:
    """Apply a change to every line of a sealed capture; returns how many lines it changed or took out.

    ``unit`` gives the parameters of a unit as the manifest may name them. A unit that was lost stays one: what it hid
    is as unknown as before.
    """
    storage, folder = capture.storage, capture.ref.folder
    manifest = json.loads(json.dumps(capture.manifest))
    changed = 0
    for resource, entry in manifest["resources"].items():
        for named in (*entry["lost"], *entry["short"]):
            named["unit"] = dict(unit(named["unit"]))
        entry["superseded"] = [[unit_key(unit(json.loads(key))), attempt] for key, attempt in entry["superseded"]]
        for part in entry["parts"]:
            where = f"{folder}/{resource}/{part['name']}"
            content = verified(storage.read(where), part["sha256"], where)
            lines, count = _changed(resource, content, change)
            if count:
                changed += count
                part.update(_write(storage, f"{folder}/{resource}", part["name"], lines))
    if changed or manifest != capture.manifest:
        done = {"at": utc_text(now), "lines": changed, "was_sha256": capture.manifest_sha256}
        manifest["redacted"] = [*manifest.get("redacted", []), done]
        storage.write(f"{folder}/manifest.json", json.dumps(manifest, indent=1).encode())
    _sweep(storage, folder, manifest)
    return changed


def _changed(resource: str, content: bytes, change: Change) -> tuple[list[bytes], int]:
    lines, count = [], 0
    for text in read_lines(content):
        line = parse_line(text)
        new = change(resource, line)
        if new is line:
            lines.append(text + b"\n")
            continue
        count += 1
        if new is not None:
            body = body_bytes(new.body)
            lines.append(line_bytes(new.unit, new.page, new.captured_at, body, attempt=new.attempt, footer=new.footer))
    return lines, count


def _write(storage: Storage, folder: str, name: str, lines: list[bytes]) -> dict[str, Any]:
    content = gzipped(lines)
    digest = hashlib.sha256(content).hexdigest()
    fresh = f"{name.removesuffix('.jsonl.gz').partition('-r')[0]}-r{digest[:8]}.jsonl.gz"
    storage.write(f"{folder}/{fresh}", content)
    return asdict(Part(fresh, len(lines), len(content), sum(map(len, lines)), digest))


def _sweep(storage: Storage, folder: str, manifest: dict[str, Any]) -> None:
    """Remove parts that the manifest does not name."""
    for resource, entry in manifest["resources"].items():
        named = {part["name"] for part in entry["parts"]}
        for name in storage.names(f"{folder}/{resource}"):
            if name not in named:
                storage.remove(f"{folder}/{resource}/{name}")

"""Records and parts are read as they were written, whatever is cut or damaged."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drillster_pipeline.archive.local import LocalStorage
from drillster_pipeline.archive.records import (
    PageRecord,
    PartWriter,
    UnitFooter,
    body_bytes,
    line_bytes,
    parse_line,
    read_lines,
    salvage,
    verified,
)
from drillster_pipeline.errors import ArchiveCorrupt

texts = st.text(max_size=30)
units = st.dictionaries(st.sampled_from(["group_id", "account_id", "objective_id"]), texts)
bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | st.just("body"), inner, max_size=4),
    max_leaves=10,
)
footers = st.none() | st.builds(
    UnitFooter,
    st.integers(0, 1000),
    st.none() | st.integers(0, 1000),
    expected=st.none() | st.integers(0, 1000),
    status=st.sampled_from([200, 403, 404, 503]),
    cut=st.booleans(),
    moved=st.booleans(),
)


@given(units, st.integers(0, 50), texts, bodies, st.integers(1, 9), footers, st.booleans())
@example({"group_id": ',"body":{', "account_id": '","body":"'}, 1, "now", {"a": 1}, 1, None, False)
@example({}, 1, "now", "\ud83d", 1, None, False)
def test_a_record_is_read_as_it_was_written_with_and_without_its_body(
    unit: dict[str, str], page: int, at: str, body: object, attempt: int, footer: UnitFooter | None, ascii_only: bool
) -> None:
    content = json.dumps(body, ensure_ascii=ascii_only, separators=(",", ":")).encode("utf-8", "surrogatepass")
    line = line_bytes(unit, page, at, content, attempt=attempt, footer=footer)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert parse_line(line[:-1]) == PageRecord(unit, page, at, body, attempt, footer)
    assert parse_line(line[:-1], body=False) == PageRecord(unit, page, at, None, attempt, footer)


@given(st.recursive(st.text(st.characters(exclude_categories=())), lambda inner: st.lists(inner, max_size=3)))
def test_a_body_is_encoded_as_utf_8_in_one_line(body: object) -> None:
    content = body_bytes(body)
    content.decode()
    assert b"\n" not in content
    assert json.loads(content) == json.loads(json.dumps(body))


LINES = [f'{{"line":{number},"text":"{"äöü" * (number % 7)}"}}'.encode() for number in range(200)]


def written(folder: Path, lines: list[bytes], *, flush_every: int = 5, close: bool = True) -> bytes:
    storage = LocalStorage(folder)
    part = PartWriter(storage, "r", 1)
    for number, line in enumerate(lines, start=1):
        part.append(line + b"\n", flush=number % flush_every == 0)
    if close:
        described = part.close()
        content = storage.read("r/part-00001.jsonl.gz")
        assert (described.lines, described.bytes) == (len(lines), len(content))
        assert described.raw_bytes == sum(map(len, lines)) + len(lines)
        assert verified(content, described.sha256, "it") is content
        return content
    part.abandon()
    return storage.read("r/part-00001.jsonl.gz.partial")


def test_a_part_is_plain_gzip_that_other_programs_read(tmp_path: Path) -> None:
    content = written(tmp_path, LINES)
    assert gzip.decompress(content).splitlines() == LINES
    assert list(read_lines(content)) == LINES


@given(st.data())
def test_a_part_that_is_cut_anywhere_gives_its_first_lines(data: st.DataObject) -> None:
    content = gzip.compress(b"".join(line + b"\n" for line in LINES))
    cut = data.draw(st.integers(0, len(content) - 1))
    found = list(read_lines(content[:cut], salvage=True))
    assert found == LINES[: len(found)]
    with pytest.raises(ArchiveCorrupt, match=r"part-7 in the archive ends in the middle: restore it"):
        list(read_lines(content[:cut], "part-7"))


@given(st.integers(20, 2000), st.integers(1, 255))
def test_a_damaged_part_never_gives_a_wrong_line(position: int, flip: int) -> None:
    content = bytearray(gzip.compress(b"".join(line + b"\n" for line in LINES)))
    content[position % len(content)] ^= flip
    try:
        found = list(read_lines(bytes(content)))
    except ArchiveCorrupt:
        return
    assert found == LINES  # the damage was where it does no harm, such as the time in the gzip header


def test_zeros_after_a_power_cut_cost_little_of_what_is_before_them(tmp_path: Path) -> None:
    lines = [f"{number:06d}{number * 7919 % 1_000_003:06d}".encode() * 3 for number in range(20_000)]
    content = written(tmp_path, lines, flush_every=50, close=False)
    zeros = content[: len(content) // 2] + bytes(len(content) // 2)
    found = list(read_lines(zeros, salvage=True))
    assert found == lines[: len(found)]
    assert len(found) > 0.45 * len(lines)


def test_salvage_makes_a_finished_part_and_can_be_repeated(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    written(tmp_path, LINES[:10], flush_every=1, close=False)
    partial = storage.read("r/part-00001.jsonl.gz.partial")
    salvage(storage, "r")
    assert storage.names("r") == ["part-00001.jsonl.gz"]
    whole = storage.read("r/part-00001.jsonl.gz")
    assert list(read_lines(whole)) == LINES[:10]
    # Cut short after the finished part was written: the unfinished one goes, and nothing else changes.
    (tmp_path / "r" / "part-00001.jsonl.gz.partial").write_bytes(partial[: len(partial) // 2])
    salvage(storage, "r")
    assert storage.names("r") == ["part-00001.jsonl.gz"]
    assert storage.read("r/part-00001.jsonl.gz") == whole


def test_reading_and_writing_a_part_need_little_memory(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    line = b'{"body":"' + b"practice makes perfect " * 200 + b'"}\n'
    tracemalloc.start()
    try:
        part = PartWriter(storage, "r", 1)
        for _ in range(10_000):
            part.append(line, flush=True)
        part.close()
        read = sum(1 for _ in read_lines(storage.read("r/part-00001.jsonl.gz")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == 10_000
    assert 10_000 * len(line) > 40 * 2**20
    assert peak < 8 * 2**20

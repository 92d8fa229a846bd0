"""The archive in an object store: a real S3 server, the connection to which is cut in the middle of uploads."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import fsspec
import pytest

from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.archive.object_store import RemoteStorage
from drillster_pipeline.archive.records import UnitFooter
from drillster_pipeline.errors import PipelineError, SettingsError, Unavailable
from tests.support.object_store import ObjectStore, endpoint
from tests.support.wires import Wire

from .conftest import DAY, add, again, begin, check_storage, finished, newest, pages, resume, seal, sealed

pytestmark = pytest.mark.slow


@pytest.fixture
def url(store: ObjectStore) -> str:
    """A place of its own in the store."""
    return f"s3://{store.bucket()}/some/archive"


def test_what_is_written_is_read_listed_and_removed(url: str) -> None:
    check_storage(RemoteStorage(url))


def test_a_listing_shows_what_another_process_wrote_or_removed_meanwhile(url: str) -> None:
    ours = RemoteStorage(url)
    fresh = ours.fs.__class__(skip_instance_cache=True)
    ours.write("folder/one", b"1")
    assert ours.names("folder") == ["one"]
    fresh.pipe_file(f"{ours.root}/folder/two", b"2")
    assert ours.names("folder") == ["one", "two"]
    fresh.rm_file(f"{ours.root}/folder/one")
    assert ours.names("folder") == ["two"]
    assert ours.names("") == ["folder"]


def test_an_object_that_stands_for_a_folder_is_no_name_in_it(store: ObjectStore) -> None:
    bucket = store.bucket()
    with closing(boto3.client("s3", endpoint_url=store.address)) as client:
        for key in ("some/archive/", "some/archive/folder/"):
            client.put_object(Bucket=bucket, Key=key, Body=b"")
    storage = RemoteStorage(f"s3://{bucket}/some/archive")
    storage.write("folder/file", b"")
    assert storage.names("") == ["folder"]
    assert storage.names("folder") == ["file"]


def test_a_removal_takes_the_seal_first(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(url)
    ref = sealed(archive, "a").ref
    storage = archive.storage
    assert isinstance(storage, RemoteStorage)
    removed = []
    rm = storage.fs.rm

    def cut_short(path: str, **options: Any) -> None:
        removed.append(path)
        if len(removed) == 2:
            raise ConnectionError
        rm(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(storage.fs, "rm", cut_short)
        with pytest.raises(Unavailable, match=r"failed while removing \(ConnectionError\)"):
            archive.remove(ref)
    assert [one.sealed for one in archive.captures(DAY)] == [False]
    archive.remove(ref)
    assert archive.captures(DAY) == []


def test_an_interrupted_capture_keeps_what_was_finished(url: str) -> None:
    archive = Archive(url)
    writer = begin(archive)
    add(writer, "a")
    add(writer, "b", 1, footer=None)
    writer = resume(archive, writer)
    assert finished(writer, "ab") == {"a": True, "b": False}
    again(writer, "b")
    assert pages(seal(writer)) == pages(newest(archive)) == [("a", 1), ("b", 1)]


def test_a_part_is_uploaded_after_a_while_so_that_a_crash_costs_little(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemoteStorage, "part_seconds", 0.0)
    archive = Archive(url)
    writer = begin(archive)
    add(writer, "a")
    add(writer, "b")
    # This writer is not abandoned: its process was killed.
    assert finished(archive.resume(writer.ref), "ab") == {"a": True, "b": True}


class Uploads(Wire):
    """A wire to the store that breaks in the middle of uploads while ``cut`` is set."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        super().__init__(lambda: socket.create_connection((parts.hostname, parts.port)), lambda: self._passed)
        self.cut = False
        self.cuts = 0

    def _passed(self, data: bytes, is_request: bool) -> bytes:
        if not (is_request and self.cut and data.startswith(b"PUT ")):
            return data
        self.cuts += 1
        return data[:-40]


@pytest.fixture
def wire(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Uploads]:
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    settings = {"retries": {"max_attempts": 0}, "read_timeout": 5}
    running = Uploads(store.address)
    with endpoint(f"http://127.0.0.1:{running.port}"):
        monkeypatch.setitem(fsspec.config.conf["s3"], "config_kwargs", settings)
        yield running
    running.close()


def test_an_upload_that_is_cut_is_reported_and_the_capture_can_be_resumed(
    url: str, wire: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemoteStorage, "part_bytes", 60)
    archive = Archive(url)
    writer = begin(archive)
    add(writer, "a")
    add(writer, "b", 1, footer=None)
    wire.cut = True
    with pytest.raises(Unavailable, match=r"storage failed while writing \(\w+\): check DRILLSTER_ARCHIVE_URL"):
        add(writer, "c")
    assert wire.cuts >= 1
    # Page 1 of b was in what was lost, so its last page must not be written by itself.
    wire.cut = False
    with pytest.raises(Unavailable, match="stopped"):
        add(writer, "b", 2, footer=UnitFooter(2, 2))
    writer = resume(archive, writer)
    assert finished(writer, "abc") == {"a": True, "b": False, "c": False}
    again(writer, "b")
    again(writer, "c")
    assert pages(seal(writer)) == [("a", 1), ("b", 1), ("c", 1)]


def test_a_store_that_does_not_answer_is_unavailable_in_every_way(wire: Uploads) -> None:
    archive = Archive("s3://bucket/archive")
    wire.close()
    for work in (archive.dates, lambda: archive.captures(DAY), lambda: begin(archive)):
        with pytest.raises(Unavailable, match="check DRILLSTER_ARCHIVE_URL, its credentials and its service"):
            work()
    with pytest.raises(Unavailable):
        archive.storage.read("x")


@pytest.mark.usefixtures("store")
def test_a_bucket_that_is_not_there_is_reported() -> None:
    archive = Archive("s3://no-such-bucket-anywhere/archive")
    assert archive.dates() == []
    with pytest.raises(Unavailable, match="the bucket or folder is not there"):
        begin(archive)


def test_a_kind_of_storage_that_is_not_installed_names_its_package() -> None:
    for url, package in (("az://user:secret@host/x", "adlfs"), ("gcs://bucket/x", "gcsfs")):
        with pytest.raises(SettingsError, match=f"is not available .*: .*{package}") as caught:
            RemoteStorage(url)
        assert "secret" not in str(caught.value)


def test_a_kind_of_storage_where_half_a_file_may_stay_is_refused() -> None:
    for protocol in ("sftp", "ftp", "smb", "webdav", "hdfs", "simplecache::s3", "nosuchstore"):
        name = protocol.partition(":")[0]
        with pytest.raises(SettingsError, match=f"'{name}', where .* may leave half a file: use a folder") as caught:
            Archive(f"{protocol}://user:ret-word@127.0.0.1/x")
        assert "ret-word" not in str(caught.value)


def test_a_url_without_its_slashes_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("s3:/bucket/x", "s3:bucket", "file:/srv/archive", "file://srv/archive", "GS:/x"):
        with pytest.raises(SettingsError, match="slashes are missing"):
            Archive(url)
    for folder in ("./s3:bucket", "C:\\archive"):
        assert Archive(folder).dates() == []


def test_credentials_in_the_url_of_a_bucket_are_used_and_not_shown(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.MonkeyPatch.context() as known:
        known.setenv("AWS_ACCESS_KEY_ID", "testing")
        known.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        bucket = store.bucket()
    storage = RemoteStorage(f"s3://AKIA123:sec%2Fret-word@{bucket}/archive")
    storage.write("a/file", b"content")
    assert storage.read("a/file") == b"content"
    assert (storage.fs.key, storage.fs.secret) == ("AKIA123", "sec/ret-word")
    assert storage.url == f"s3://{bucket}/archive"
    assert RemoteStorage("memory://archive?key=secret").url == "memory://archive"


@pytest.mark.parametrize(
    "url",
    ["s3://AKIA123:sec/ret-word@no/such/bucket", "gcs://user:ret-word@127.0.0.1:9/x", "nosuch://u:ret-word@host/x"],
)
@pytest.mark.usefixtures("store")
def test_no_error_has_the_words_of_a_driver_not_even_by_a_chain(url: str) -> None:
    with pytest.raises(PipelineError) as caught:
        RemoteStorage(url).write("x", b"")
    error: BaseException | None = caught.value
    while error is not None:
        assert isinstance(error, PipelineError)
        assert "ret-word" not in repr(error)
        error = error.__cause__ or error.__context__

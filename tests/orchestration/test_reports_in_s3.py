"""The report in an object store: written, linked, and found by `forget`."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import boto3
import dagster as dg
import pytest

from drillster_pipeline.cli.maintenance import run_report
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.orchestration import metadata
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.report import write_report
from tests.support.installation import DAY, Installation
from tests.support.object_store import ObjectStore

pytestmark = pytest.mark.slow
SECRET = "AKIA123:sec%2Fret-word"


class Bucket:
    """A bucket by a client of its own; reports go into its folder ``reports``."""

    def __init__(self, address: str, name: str) -> None:
        self.client: Any = boto3.client("s3", endpoint_url=address)
        self.name = name
        self.url = f"s3://{name}/reports"

    def put(self, name: str, text: str) -> None:
        self.client.put_object(Bucket=self.name, Key=f"reports/{name}", Body=text.encode())

    def pages(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]


@pytest.fixture
def bucket(store: ObjectStore) -> Iterator[Bucket]:
    made = Bucket(store.address, store.bucket())
    yield made
    made.client.close()


def test_a_report_is_written_there_and_its_location_has_no_key(
    bucket: Bucket, loaded: Installation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(loaded.folder)
    loaded.set(DRILLSTER_REPORTS_FOLDER=f"s3://{SECRET}@{bucket.name}/reports/")
    written = write_report(loaded.context, DAY)
    shown = metadata.reported(written).metadata
    assert shown is not None
    assert shown["page"] == dg.MetadataValue.url(f"{bucket.url}/{DAY}.html")
    assert bucket.pages() == [f"reports/{DAY}.html"]
    run_report(loaded.context, None, names=False, output=None)
    assert f"The report of {DAY} is {bucket.url}/{DAY}.html" in (printed := capsys.readouterr().out)
    assert "ret-word" not in repr([loaded.context.settings, written, printed])
    assert not [path for path in loaded.folder.iterdir() if path.name.startswith("s3")]


def test_pages_there_that_name_a_forgotten_person_go_and_others_stay(bucket: Bucket, loaded: Installation) -> None:
    query = "SELECT account_id, name FROM accounts WHERE is_managed AND name LIKE '% %' LIMIT 1"
    ((account, name),) = loaded.query(query)
    bucket.put("2026-06-01-names.html", f"<td>{html.escape(name)}</td>")
    bucket.put("2026-06-01.html", "<td>12 people</td>")
    bucket.put("names.txt", name)  # not a page of ours
    loaded.set(DRILLSTER_REPORTS_FOLDER=bucket.url)
    assert forget(loaded.context, account).reports == ("2026-06-01-names.html",)
    assert {"reports/2026-06-01.html", "reports/names.txt"} <= {*bucket.pages()}
    assert "reports/2026-06-01-names.html" not in bucket.pages()


@pytest.mark.parametrize("url", ["s3://{}@no*such*name/reports", "gcs://{}@bucket/x"], ids=["no bucket", "no driver"])
def test_a_store_that_can_not_be_used_is_reported_by_the_setting_of_the_reports(
    bucket: Bucket, loaded: Installation, url: str
) -> None:
    del bucket
    loaded.set(DRILLSTER_REPORTS_FOLDER=url.format(SECRET))
    ((account,),) = loaded.query("SELECT account_id FROM accounts LIMIT 1")
    for use in (lambda: write_report(loaded.context, DAY), lambda: forget(loaded.context, account)):
        with pytest.raises(PipelineError, match="DRILLSTER_REPORTS_FOLDER") as caught:
            use()
        assert "ARCHIVE" not in str(caught.value)
        assert "ret-word" not in repr(caught.value)

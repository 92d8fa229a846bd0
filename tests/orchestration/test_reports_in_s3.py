"""The nightly report in an object store: written, linked, found by `forget`, and tried by `check`."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import timedelta

import boto3
import dagster as dg
import pytest

from drillster_pipeline.cli.maintenance import run_report
from drillster_pipeline.diagnostics import Diagnostics, Status
from drillster_pipeline.errors import PipelineError, Unavailable
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.report import write_report
from tests.diagnostics.conftest import by_step
from tests.support.object_store import ObjectStore, object_store

from .houses import DAY, House

SECRET = "AKIA123:sec%2Fret-word"


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


class Bucket:
    """A bucket, seen by who does not go through fsspec; the house's reports go into its folder ``reports``."""

    def __init__(self, store: ObjectStore, house: House) -> None:
        self.client = boto3.client("s3", endpoint_url=store.address)
        self.name = store.bucket()
        self.url = f"s3://{self.name}/reports"
        house.set(DRILLSTER_REPORTS_FOLDER=self.url)

    def put(self, name: str, text: str) -> None:
        self.client.put_object(Bucket=self.name, Key=f"reports/{name}", Body=text.encode())

    def pages(self) -> dict[str, str]:
        keys = [found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]
        return {key: self.client.get_object(Bucket=self.name, Key=key)["Body"].read().decode() for key in keys}


@pytest.fixture
def bucket(store: ObjectStore, lived_in: House) -> Iterator[Bucket]:
    made = Bucket(store, lived_in)
    yield made
    made.client.close()


def test_a_night_writes_its_report_there_and_dagster_links_it(bucket: Bucket, lived_in: House) -> None:
    night = lived_in.night()
    assert night.success
    (event,) = lived_in.instance.fetch_materializations(dg.AssetKey(["report", "nightly"]), limit=1).records
    materialization = event.asset_materialization
    assert materialization is not None
    assert materialization.metadata["page"] == dg.MetadataValue.url(f"{bucket.url}/{DAY}.html")
    assert list(bucket.pages()) == [f"reports/{DAY}.html"]
    assert "<html" in bucket.pages()[f"reports/{DAY}.html"]


def test_the_command_says_where_the_page_is_and_not_by_which_key(
    bucket: Bucket, lived_in: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lived_in.folder)
    before = set(lived_in.folder.iterdir())
    lived_in.set(DRILLSTER_REPORTS_FOLDER=f"s3://{SECRET}@{bucket.name}/reports/")
    with lived_in.session() as session:
        run_report(session, None, names=False, output=None)
        assert "ret-word" not in repr(session.settings)
    told = capsys.readouterr().out
    assert f"The report of {DAY} is {bucket.url}/{DAY}.html" in told
    assert "ret-word" not in told
    assert set(lived_in.folder.iterdir()) == before  # no folder of the name "s3:"
    assert list(bucket.pages()) == [f"reports/{DAY}.html"]


def test_pages_there_that_name_a_forgotten_person_go_and_others_stay(bucket: Bucket, lived_in: House) -> None:
    account, name = lived_in.rows("SELECT account_id, name FROM accounts WHERE is_managed AND name LIKE '% %' LIMIT 1")[
        0
    ]
    bucket.put("2026-06-01-names.html", f"<td>{html.escape(name)}</td>")
    bucket.put("2026-06-01.html", "<td>12 people</td>")
    bucket.put("names.txt", name)  # not a page of ours
    with lived_in.session() as session:
        assert forget(session, account).reports == ("2026-06-01-names.html",)
    assert set(bucket.pages()) == {"reports/2026-06-01.html", "reports/names.txt"}


def test_a_bucket_that_can_not_be_used_is_told_by_the_setting_of_the_reports(bucket: Bucket, lived_in: House) -> None:
    lived_in.set(DRILLSTER_REPORTS_FOLDER=f"s3://{SECRET}@no*such*name/reports")
    with lived_in.session() as session:
        with pytest.raises(Unavailable, match="check DRILLSTER_REPORTS_FOLDER, its credentials") as caught:
            write_report(session, DAY)
        account = lived_in.rows("SELECT account_id FROM accounts LIMIT 1")[0][0]
        with pytest.raises(Unavailable, match="DRILLSTER_REPORTS_FOLDER") as not_looked_through:
            forget(session, account)
    for error in (caught.value, not_looked_through.value):
        assert "ARCHIVE" not in str(error)
        assert "ret-word" not in repr(error)
    assert bucket.pages() == {}


def test_a_store_without_a_driver_is_told_by_the_setting_of_the_reports(lived_in: House) -> None:
    lived_in.set(DRILLSTER_REPORTS_FOLDER=f"gcs://{SECRET}@bucket/x")
    with lived_in.session() as session, pytest.raises(PipelineError, match="DRILLSTER_REPORTS_FOLDER names") as caught:
        write_report(session, DAY)
    assert "ret-word" not in repr(caught.value)


def test_check_tries_it_and_leaves_nothing_there(bucket: Bucket, lived_in: House) -> None:
    lived_in.at(lived_in.now + timedelta(hours=1))
    for place, status in ((bucket.url, Status.OK), ("s3://no-such-bucket/reports", Status.FAILED)):
        lived_in.set(DRILLSTER_REPORTS_FOLDER=place)
        report = Diagnostics(environ=lived_in.environment).run()
        assert by_step(report)["reports"].status is status
        assert by_step(report)["archive"].status is Status.OK
    assert "DRILLSTER_REPORTS_FOLDER" in by_step(report)["reports"].found
    assert bucket.pages() == {}

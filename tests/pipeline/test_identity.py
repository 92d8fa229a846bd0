"""Credentials of another organization: nothing of it is put into an archive or a warehouse that has one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from drillster_pipeline.errors import Refused
from tests.api.crawling import TINY
from tests.drillster import Failure, Faults, Sandbox
from tests.support.databases import postgresql_server
from tests.support.installation import NOW, Installation

KINDS = ("snapshot", "events")


@pytest.fixture(scope="module")
def other() -> Iterator[Sandbox]:
    with Sandbox(size=TINY, seed=82, now=NOW + timedelta(days=1)) as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def warehouses(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[dict[str, str]]]:
    """The settings of two empty warehouses."""
    if request.param == "sqlite":
        yield [{"DRILLSTER_WAREHOUSE_URL": f"sqlite:///{tmp_path}/{name}.sqlite"} for name in "ab"]
        return
    with postgresql_server() as url:
        yield [{"DRILLSTER_WAREHOUSE_URL": url, "DRILLSTER_WAREHOUSE_SCHEMA": name} for name in "ab"]


def written(installation: Installation) -> list[str]:
    return sorted(str(path) for path in (installation.folder / "archive").rglob("[!.]*") if path.is_file())


def test_each_organization_needs_an_archive_and_a_warehouse_of_its_own(
    installation: Installation, other: Sandbox, warehouses: list[dict[str, str]]
) -> None:
    installation.set(**warehouses[0])
    for kind in KINDS:
        installation.load(kind)
    own, others = (each.organization.at(NOW).model.id for each in (installation.sandbox, other))
    files, counts = written(installation), installation.context.warehouse.row_counts()

    installation.at(NOW + timedelta(days=1))
    installation.set(**other.environment())
    for kind in KINDS:
        with pytest.raises(Refused, match=rf"has captures of the organization .*{own}.* answers for .*{others}"):
            installation.capture(kind)
    assert written(installation) == files

    installation.set(DRILLSTER_ARCHIVE_URL=str(installation.folder / "archive of the other"))
    for kind in KINDS:
        installation.capture(kind)
        with pytest.raises(Refused, match=rf"The warehouse has the organization .*{own}.* is of .*{others}"):
            installation.publish(kind)
    assert installation.context.warehouse.row_counts() == counts

    installation.set(**warehouses[1])
    for kind in KINDS:
        installation.publish(kind)
    assert installation.rows("organizations").keys() == {(others,)}


def test_the_setting_is_no_identity(installation: Installation) -> None:
    own = installation.load().capture.manifest["organization"]
    installation.set(DRILLSTER_ORGANIZATION_ID=own)
    installation.load_next()
    assert installation.rows("organizations").keys() == {(own,)}


def test_an_archive_of_an_older_version_is_known_by_its_responses(
    installation: Installation, other: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = installation.capture().capture
    del sealed.manifest["organization"]
    monkeypatch.setattr("drillster_pipeline.archive.archive.Archive.newest_sealed", lambda *_: sealed)
    installation.set(**other.environment())
    with pytest.raises(Refused, match="has captures of the organization"):
        installation.capture(again=True)


@pytest.mark.parametrize("closed_to", ["the archive", "the credentials"])
def test_where_the_organization_could_not_be_read_nothing_is_refused(
    installation: Installation, other: Sandbox, closed_to: str
) -> None:
    is_closed = Faults(failures=(Failure(at="organization", statuses=(403,)),))
    (installation.sandbox if closed_to == "the archive" else other).faults = is_closed
    installation.capture()
    installation.at(NOW + timedelta(days=1))
    installation.set(**other.environment())
    assert installation.capture().made_requests
    other.faults = Faults()

"""How alerts arrive, and what tells of a host that is dead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from drillster_pipeline.orchestration.alerts import RECORD
from drillster_pipeline.orchestration.sensors import alerts as sensor
from tests.drillster import Failure, Faults
from tests.support.webhooks import Webhook, running_webhook

from .alerted import begun, look, texts
from .houses import DAY, House, night_after


class TestDelivery:
    def test_a_message_waits_while_the_webhook_is_down(self, house: House, hook: Webhook) -> None:
        hook.status = 503
        house.instance.report_run_failed(begun(house))
        assert look(house) == (0, 1)
        house.instance.report_run_failed(begun(house, DAY - timedelta(days=1)))
        assert look(house) == (0, 2)
        hook.status = 200
        assert (look(house), look(house), len(hook.got)) == ((2, 0), (0, 0), 2)

    def test_of_two_channels_only_the_one_that_failed_hears_it_again(self, house: House, hook: Webhook) -> None:
        with running_webhook() as other:
            house.set(DRILLSTER_ALERT_URLS=other.url.replace("http", "json", 1))
            other.status = 500
            house.instance.report_run_failed(begun(house))
            assert (look(house), look(house), len(hook.got)) == ((0, 1), (0, 1), 1)
            other.status = 200
            assert (look(house), look(house)) == ((1, 0), (0, 0))
            assert (len(hook.got), len(other.got)) == (1, 1)

    def test_a_channel_whose_url_was_put_right_gets_what_waited(self, house: House, hook: Webhook) -> None:
        house.set(DRILLSTER_ALERT_WEBHOOK="http://127.0.0.1:9/very-secret")
        house.instance.report_run_failed(begun(house))
        assert look(house) == (0, 1)
        house.set(DRILLSTER_ALERT_WEBHOOK=hook.url)
        assert (look(house), len(hook.got)) == ((1, 0), 1)

    def test_nothing_is_lost_where_reading_ends_in_an_error(
        self, house: House, hook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.instance.report_run_failed(begun(house))

        def down(*_: object) -> None:
            raise OSError("the disk is gone")

        with monkeypatch.context() as broken:
            broken.setattr("drillster_pipeline.orchestration.alerts._deliver", down)
            with pytest.raises(OSError, match="gone"):
                look(house)
        assert (look(house), len(hook.got)) == ((1, 0), 1)

    def test_two_processes_at_once_report_once(self, house: House, hook: Webhook) -> None:
        """A sensor, and cron on the same instance."""
        house.instance.report_run_failed(begun(house))
        hook.held.clear()
        found = []
        first = threading.Thread(target=lambda: found.append(look(house)))
        first.start()
        while not hook.asked:
            assert first.is_alive()

        def answer(_seconds: float) -> None:
            hook.held.set()
            first.join()

        found.append(look(house, sleep=answer))
        assert (sorted(found), hook.asked) == ([(0, 0), (1, 0)], 1)

    def test_the_record_holds_no_address(self, house: House, hook: Webhook) -> None:
        hook.status = 500
        house.instance.report_run_failed(begun(house))
        look(house)
        stored = house.instance.daemon_cursor_storage.get_cursor_values({RECORD})[RECORD]
        assert "The run of" in stored
        assert "very-secret" not in stored


class TestSensor:
    def test_it_reports_also_while_other_settings_are_wrong(self, house: House, hook: Webhook) -> None:
        house.monkeypatch.chdir(house.folder)
        house.set(DRILLSTER_CONCURRENCY="many", DRILLSTER_WAREHOUSE_URL="warehouse", DRILLSTER_CLIENT_SECRET="")
        assert not house.night().success
        result = sensor(dg.build_sensor_context(instance=house.instance))
        assert isinstance(result, dg.SkipReason)
        assert result.skip_message == "1 sent, 0 waiting."
        assert texts(hook)[0].startswith(f"The capture of {DAY} failed. 3 settings are wrong")
        assert not (house.folder / "data").exists()  # the default of the setting that is wrong

    def test_it_reports_also_while_the_archive_is_down(self, house: House, hook: Webhook) -> None:
        (house.folder / "file").write_text("in the way")
        house.set(DRILLSTER_ARCHIVE_URL=str(house.folder / "file"))
        house.night()
        sensor(dg.build_sensor_context(instance=house.instance))
        assert any("The archive failed while" in text for text in texts(hook))

    def test_without_channels_nothing_is_kept(self, house: House) -> None:
        house.instance.report_run_failed(begun(house))
        sensor(dg.build_sensor_context(instance=house.instance))
        assert house.instance.daemon_cursor_storage.get_cursor_values({RECORD}) == {}


def test_a_stale_warehouse_is_reported_once_and_then_when_it_is_up_to_date_again(lived_in: House) -> None:
    house = lived_in
    with running_webhook() as hook:
        house.set(DRILLSTER_ALERT_WEBHOOK=hook.url)
        missing = DAY + timedelta(days=1)
        house.at(night_after(missing))
        look(house, pending=None)
        assert hook.asked == 0
        house.at(house.now + timedelta(hours=7))
        look(house, pending=missing)
        assert hook.asked == 0
        for _ in range(2):
            look(house, pending=None)
        house.sandbox.faults = Faults(failures=(Failure(at="organization", statuses=(403,)),))
        assert house.night(missing).success  # but not complete
        look(house, pending=None)
        assert hook.asked == 2
        house.sandbox.faults = Faults()
        look(house, pending=missing)
        assert house.night(missing, capture_again=True).success
        for pending in (missing, None):
            look(house, pending=pending)
    stale, unread, healed = texts(hook)
    assert stale.startswith(
        f"The warehouse is stale: there is no complete load of {missing}. The newest complete load describes {DAY}. "
    )
    assert unread.startswith(f"The capture of {missing} could not read organization.")
    assert healed == f"The warehouse is up to date again. Its newest complete load describes {missing} or later"


def test_a_warehouse_that_can_not_be_read_keeps_no_message_from_being_sent(house: House, hook: Webhook) -> None:
    house.set(DRILLSTER_WAREHOUSE_URL="postgresql://a:very-secret@127.0.0.1:9/c")
    house.instance.report_run_failed(begun(house))
    assert (look(house, pending=None), len(hook.got)) == ((1, 0), 1)


class TestHeartbeat:
    @pytest.fixture
    @staticmethod
    def beats(house: House) -> Iterator[Webhook]:
        with running_webhook() as running:
            house.set(DRILLSTER_HEARTBEAT_URL=running.url)
            yield running

    def test_it_beats_when_the_newest_date_is_published_and_for_no_older_one(
        self, house: House, beats: Webhook
    ) -> None:
        assert house.night().success
        assert beats.pings == 1
        house.at(night_after(DAY + timedelta(days=1)))
        assert house.night(DAY).success  # a replay
        assert beats.pings == 1

    def test_it_does_not_beat_where_the_publish_failed(self, house: House, beats: Webhook) -> None:
        house.sandbox.faults = Faults(failures=(Failure(at="groups", statuses=(400,), error="nonsense"),))
        assert not house.night().success
        assert beats.pings == 0

    def test_one_that_fails_is_a_warning(self, house: House, beats: Webhook) -> None:
        beats.status = 500
        night = house.night()
        assert night.success
        told = [entry.user_message for entry in house.instance.all_logs(night.run_id) if entry.level == 30]
        assert "DRILLSTER_HEARTBEAT_URL did not answer (status 500): its service may raise an alarm." in told
        assert "very-secret" not in str(house.instance.all_logs(night.run_id))

"""When incidents open, change and close."""

from __future__ import annotations

import pytest

from monitor.incidents import ChangeKind, EntryKind
from tests.incidents.relay_time import (
    DEGRADED,
    DOWN,
    NOT_ACCEPTING,
    START,
    UNKNOWN,
    UP,
    PlayedRelay,
    down_relay,
    seconds,
)

OPENED, REOPENED, CLOSED = ChangeKind.OPENED, ChangeKind.REOPENED, ChangeKind.CLOSED


class TestOpening:
    @pytest.mark.parametrize("condition", [DEGRADED, NOT_ACCEPTING, DOWN])
    def test_a_bad_condition_opens_one(self, condition: object) -> None:
        played = PlayedRelay()
        played.becomes(UP)
        assert played.becomes(condition) == [OPENED]  # type: ignore[arg-type]  # parametrized
        assert (played.incident.condition, played.incident.worst, played.incident.is_open) == (
            condition,
            condition,
            True,
        )

    @pytest.mark.parametrize("condition", [UP, UNKNOWN])
    def test_a_relay_that_is_up_or_not_observed_has_none(self, condition: object) -> None:
        played = PlayedRelay()
        assert played.becomes(condition) == []  # type: ignore[arg-type]  # parametrized
        assert played.incidents.incident is None

    def test_a_single_lost_message_is_none(self) -> None:
        played = PlayedRelay()
        played.becomes(UP)
        played.loses()
        assert played.incidents.incident is None

    def test_it_begins_with_the_failures_that_led_to_it(self) -> None:
        incident = down_relay().incident
        assert incident.began_at == START.replace(minute=1, second=38)
        assert incident.opened_at == START.replace(minute=1, second=40)
        assert incident.detection_seconds == 2
        assert (incident.failed_attempts, incident.attempts) == (3, 3)
        assert [(cause.name, cause.count) for cause in incident.causes] == [("tcp refused", 3)]
        assert down_relay().texts() == [
            "98 3 attempts failed: tcp refused; the last at 10:01:38 UTC",
            "100 Opened: relay is down: tcp refused, 3 of 3 attempts failed",
        ]

    def test_older_failures_belong_to_a_degradation_only(self) -> None:
        for condition, expected in ((DOWN, []), (DEGRADED, ["deliver lost"])):
            played = PlayedRelay()
            played.becomes(UP)
            played.run_fails(step="deliver", reason="lost")
            played.wait(200)
            played.becomes(condition)
            assert [cause.name for cause in played.incident.causes] == expected

    def test_a_relay_that_was_found_down_has_no_detection_time(self) -> None:
        """A restarted monitor begins with the condition of the one before it."""
        played = PlayedRelay(now=5000)
        played.becomes(DOWN, since=3000)
        assert played.incident.detection_seconds is None
        assert played.incident.began_at == played.wall(3000)


class TestChanges:
    def test_each_change_of_the_condition_is_an_entry(self) -> None:
        played = down_relay()
        played.wait(60)
        played.becomes(NOT_ACCEPTING, "new connections fail (502, 3 of 3)")
        played.wait(30)
        played.becomes(UP)
        assert played.texts()[-2:] == [
            "160 Relay is not accepting new connections after 1 min 02 s down: new connections fail (502, 3 of 3)",
            "190 Relay is up after 30 s not accepting new connections.",
        ]
        assert seconds(played.incident) == {"down": 62, "not_accepting": 30}
        assert played.incident.bad_seconds == 92
        assert played.incident.worst is DOWN
        assert played.incident.recovered_at == played.wall()

    def test_the_same_condition_again_is_none(self) -> None:
        played = down_relay()
        before = played.texts()
        played.wait(10)
        played.becomes(DOWN, "tcp refused, 5 of 5 attempts failed")
        assert played.texts() == before

    def test_repeated_failures_are_counted_and_not_listed(self) -> None:
        played = down_relay()
        for _ in range(100):
            played.attempt_fails()
            played.run_fails()
        assert [cause.count for cause in played.incident.causes] == [203]
        assert [(probe.name, probe.count) for probe in played.incident.probes] == [("steady", 100)]
        assert played.texts()[2:] == [
            "100 100 attempts failed: tcp refused; the last at 10:01:40 UTC",
            "100 Run of steady failed: tcp refused",
        ]

    def test_another_cause_endpoint_or_probe_is_an_entry(self) -> None:
        played = down_relay()
        played.attempt_fails("timeout", endpoint="n2", detail="no answer")
        played.attempt_fails("timeout", endpoint="n2")
        played.run_fails("offline")
        assert played.texts()[2:] == [
            "100 2 attempts failed: tcp timeout at n2; the last at 10:01:40 UTC (no answer)",
            "100 Run of offline failed: tcp refused",
        ]
        assert [(each.name, each.count) for each in played.incident.endpoints] == [("n2", 2)]

    def test_messages_of_a_minute_share_an_entry(self) -> None:
        played = down_relay()
        played.loses()
        played.loses(2)
        played.wait(61)
        played.loses(1)
        played.loses(1, "unrecovered")
        assert played.texts()[2:] == ["100 3 messages lost.", "161 1 message lost.", "161 1 message not recovered."]
        assert played.incident.messages == {"lost": 4, "unrecovered": 1}

    def test_the_first_delivery_is_an_entry_with_its_run(self) -> None:
        played = down_relay()
        played.wait(20)
        for _ in range(3):
            played.attempt_delivers()
        assert played.texts()[2:] == ["120 First message delivered again after 22 s down."]
        assert played.incident.entries[-1].fields == {"runId": "run-ok"}
        assert (played.incident.failed_attempts, played.incident.attempts) == (3, 6)

    def test_so_is_one_over_a_persistent_pair(self) -> None:
        played = down_relay()
        played.becomes(DOWN, up=True)
        assert [entry.kind for entry in played.incident.entries][-1] is EntryKind.DELIVERED

    def test_a_reload_is_an_entry_of_an_open_one(self) -> None:
        played = down_relay()
        played.keep(
            played.incidents.note(played.now, EntryKind.RELOAD, "Configuration reloaded.", {"configHash": "ab"})
        )
        assert played.texts()[-1] == "100 Configuration reloaded."
        fine = PlayedRelay()
        fine.becomes(UP)
        assert fine.incidents.note(fine.now, EntryKind.RELOAD, "Configuration reloaded.") == []


class TestClosing:
    def test_it_closes_after_five_minutes_of_up(self) -> None:
        played = down_relay()
        played.becomes(UP)
        assert played.wait(299) == []
        assert played.wait(1) == [CLOSED]
        assert played.incident.closed_at == played.wall()
        assert played.texts()[-1] == "400 Closed: up for 5 min 00 s."

    def test_a_late_tick_closes_it_at_the_time_it_was_due(self) -> None:
        played = down_relay()
        played.becomes(UP)
        played.wait(1000, step=1000)
        assert played.incident.closed_at == START.replace(minute=6, second=40)
        assert seconds(played.incident) == {"down": 2, "up": 300}

    def test_a_failure_within_them_continues_it(self) -> None:
        played = down_relay()
        played.becomes(UP)
        played.wait(299)
        played.becomes(DOWN)
        assert played.incident.recovered_at is None
        played.becomes(UP)
        assert played.wait(299) == []
        assert played.wait(1) == [CLOSED]
        assert len(played.ids) == 1

    def test_unknown_pauses_it(self) -> None:
        played = down_relay()
        played.becomes(UP)
        played.wait(200)
        played.becomes(UNKNOWN, "the monitor is unhealthy")
        assert played.wait(1000) == []
        played.becomes(UP)
        assert played.wait(99) == []
        assert played.wait(1) == [CLOSED]
        assert seconds(played.incident) == {"down": 2, "up": 300, "unknown": 1000}
        assert "Relay is not observed after 3 min 20 s up: the monitor is unhealthy" in played.texts()[3]

    def test_a_removed_relay_closes_it(self) -> None:
        played = down_relay()
        assert played.keep(played.incidents.removed(played.now)) == [CLOSED]
        assert played.changes[-1].incident.closed_because == "no longer watched"
        assert played.incidents.incident is None


class TestReopening:
    def closed(self) -> PlayedRelay:
        played = down_relay()
        played.becomes(UP)
        played.wait(300)
        assert not played.incident.is_open
        return played

    def test_a_failure_within_half_an_hour_continues_it(self) -> None:
        played = self.closed()
        played.wait(1800)
        played.attempt_fails("timeout")
        assert played.becomes(DOWN, "tcp timeout") == [REOPENED]
        assert len(played.ids) == 1
        assert (played.incident.reopened, played.incident.closed_at) == (1, None)
        assert played.texts()[-1] == "2200 Reopened 30 min 00 s after it was closed: relay is down: tcp timeout"
        assert [cause.name for cause in played.incident.causes] == ["tcp refused", "tcp timeout"]

    def test_a_later_one_is_another(self) -> None:
        played = self.closed()
        played.wait(1801)
        assert played.becomes(DOWN) == [OPENED]
        assert len(played.ids) == 2


class TestMaintenance:
    def test_it_opens_none(self) -> None:
        played = PlayedRelay()
        played.becomes(UP)
        played.maintenance("deploy")
        assert played.becomes(DOWN) == []
        played.wait(600)
        assert played.incidents.incident is None

    def test_one_opens_at_its_end_with_the_true_beginning(self) -> None:
        played = PlayedRelay()
        played.becomes(UP)
        played.maintenance("deploy")
        played.wait(10)
        played.becomes(DOWN)
        played.wait(590)
        assert played.maintenance(None) == [OPENED]
        assert played.incident.began_at == START.replace(second=10)
        assert played.incident.opened_at == START.replace(minute=10)
        assert played.incident.detection_seconds is None

    def test_it_is_marked_in_an_open_one(self) -> None:
        played = down_relay()
        played.maintenance("repair")
        assert played.incident.in_maintenance
        played.wait(50)
        played.maintenance(None)
        assert (played.incident.in_maintenance, played.incident.maintenance_seconds) == (False, 50)
        assert played.texts()[2:] == ["100 Maintenance began: repair", "150 Maintenance ended."]

    def test_it_reopens_none_before_its_end(self) -> None:
        played = down_relay()
        played.becomes(UP)
        played.wait(300)
        played.maintenance("deploy")
        assert played.becomes(DOWN) == []
        played.wait(60)
        assert played.maintenance(None) == [REOPENED]

    def test_one_that_was_closed_in_a_window_is_reopened_without_it(self) -> None:
        played = down_relay()
        played.maintenance("deploy")
        played.becomes(UP)
        played.wait(300)
        assert not played.incident.in_maintenance
        played.maintenance(None)
        played.becomes(DOWN)
        assert (played.incident.reopened, played.incident.in_maintenance) == (1, False)


class TestRestart:
    def test_the_id_stays_and_the_gap_is_noted(self) -> None:
        played = down_relay()
        played.wait(20)
        played.restart(gone=9)
        assert played.becomes(DOWN, since=29) == [ChangeKind.UPDATED]
        played.wait(10)
        played.becomes(UP)
        assert played.texts()[2:] == [
            "129 Monitor restarted: nothing was observed for 9 s, since 10:02:00 UTC.",
            "139 Relay is up after 41 s down.",
        ]
        assert len(played.ids) == 1
        assert played.incident.unobserved_seconds == 9
        assert seconds(played.incident) == {"down": 32}

    def test_a_window_that_goes_on_is_noted_once(self) -> None:
        for reason, expected in (("deploy", []), (None, ["109 Maintenance ended."])):
            played = down_relay()
            played.maintenance("deploy")
            played.restart(gone=9)
            played.maintenance(reason)
            assert played.texts()[4:] == expected

    def test_the_time_of_being_up_continues(self) -> None:
        played = down_relay()
        played.becomes(UP)
        played.wait(200)
        played.restart(gone=1000)
        played.becomes(UP)
        assert played.wait(99) == []
        assert played.wait(1) == [CLOSED]

    @pytest.mark.parametrize(("gone", "kind"), [(1700, REOPENED), (1900, OPENED)])
    def test_a_closed_one_is_reopened_within_half_an_hour(self, gone: float, kind: ChangeKind) -> None:
        played = down_relay()
        played.becomes(UP)
        played.wait(300)
        played.restart(gone)
        assert played.becomes(DOWN)[-1] is kind

"""The table of conditions, as properties of the state harness and as examples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.reachability.condition import NO_VERDICT, UNHEALTHY, RelayCondition
from monitor.results import Cause, RelayStatus
from monitor.vocabulary import Condition, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
REFUSED = Cause(step=Step.UPGRADE, reason=Reason.HTTP_STATUS, status="502")
EVERY = 30.0


class ConditionHarness:
    """A state harness and its time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.condition = RelayCondition("demo", now=0.0, every=EVERY, wall=self._wall)

    def _wall(self, ago: float) -> datetime:
        return EPOCH + timedelta(seconds=self.now - ago)

    @property
    def status(self) -> RelayStatus:
        return self.condition.status

    @property
    def shown(self) -> str:
        return self.status.condition.value

    def wait(self, seconds: float) -> None:
        """Let time pass as the publisher does: a tick whenever one is due."""
        until = self.now + seconds
        while (due := self.condition.due()) < until:
            self.now = due
            self.condition.tick(due)
        self.now = until
        self.condition.tick(until)

    def deliver(self) -> None:
        self.condition.attempt_delivered(self.now)

    def fail(self) -> None:
        self.condition.attempt_failed(self.now, self.now, REFUSED)

    def fail_round(self, *, persistent: bool = False) -> None:
        """Three attempts that fail; a message over a persistent pair is delivered or not."""
        began = self.now
        for _ in range(3):
            self.fail()
            self.wait(2)
        if persistent:
            self.condition.delivered(self.now, began + 1, persistent=True)
        self.condition.round_failed(self.now, began)

    def exchanges(self, good: int, bad: int) -> None:
        for number in range(good + bad):
            self.condition.exchange(self.now, self.now, REFUSED if number < bad else None)


# Examples: one for each row of the table.


def test_at_the_start_it_is_unknown_until_the_first_verdict() -> None:
    harness = ConditionHarness()
    assert (harness.shown, harness.status.up, harness.status.reason_unknown) == ("unknown", None, NO_VERDICT)
    harness.wait(3)
    harness.fail()
    assert (harness.shown, harness.status.reason_unknown) == ("unknown", "first attempt 00:00:03 UTC")
    harness.deliver()
    assert (harness.shown, harness.status.up, harness.status.accepting) == ("up", True, True)


def test_a_failed_round_without_a_persistent_message_is_down_since_its_first_attempt() -> None:
    harness = ConditionHarness()
    harness.deliver()
    harness.wait(60)
    harness.fail_round()
    status = harness.status
    assert (status.condition, status.up, status.accepting) == (Condition.DOWN, False, False)
    assert status.since == EPOCH + timedelta(seconds=60)
    assert (status.cause, status.attempts, status.failed) == (REFUSED, 3, 3)


def test_it_is_up_at_the_first_delivery_accepts_after_three_and_recovers_after_fifteen_seconds() -> None:
    harness = ConditionHarness()
    harness.fail_round()
    seen = []
    for _ in range(4):
        harness.deliver()
        seen.append((harness.shown, harness.status.up, harness.status.accepting))
        harness.wait(5)
    assert seen == [("down", True, False), ("down", True, False), ("down", True, True), ("up", True, True)]
    assert harness.status.cause is None


def test_three_quick_successes_are_no_recovery() -> None:
    harness = ConditionHarness()
    harness.fail_round()
    for _ in range(10):
        harness.deliver()
        harness.wait(1)
    assert harness.shown == "down"


def test_a_failure_between_the_successes_begins_anew() -> None:
    harness = ConditionHarness()
    harness.fail_round()
    for step in (harness.deliver, harness.deliver, harness.fail, harness.deliver, harness.deliver):
        step()
        harness.wait(8)
    assert (harness.shown, harness.status.accepting) == ("down", False)
    harness.deliver()
    assert (harness.shown, harness.status.accepting) == ("up", True)


def test_a_failed_round_beside_a_persistent_message_is_not_accepting_until_three_fresh_successes() -> None:
    harness = ConditionHarness()
    harness.deliver()
    harness.fail_round(persistent=True)
    assert (harness.shown, harness.status.up, harness.status.accepting) == ("not_accepting", True, False)
    harness.deliver()
    harness.condition.delivered(harness.now, harness.now, persistent=True)
    harness.deliver()
    assert harness.shown == "not_accepting"
    harness.deliver()
    assert (harness.shown, harness.status.accepting) == ("up", True)


def test_a_persistent_message_that_was_sent_before_the_round_proves_nothing() -> None:
    harness = ConditionHarness()
    harness.deliver()
    harness.wait(10)
    harness.condition.delivered(harness.now, harness.now - 5, persistent=True)
    harness.fail_round()
    assert harness.shown == "down"


def test_it_goes_from_not_accepting_to_down_and_back_as_persistent_messages_do() -> None:
    harness = ConditionHarness()
    harness.fail_round(persistent=True)
    harness.fail_round()
    assert (harness.shown, harness.status.up) == ("down", False)
    harness.condition.delivered(harness.now, harness.now, persistent=True)
    assert (harness.shown, harness.status.up, harness.status.accepting) == ("down", True, False)
    harness.fail_round(persistent=True)
    assert harness.shown == "not_accepting"


@pytest.mark.parametrize(
    ("good", "bad", "shown"), [(0, 2, "up"), (50, 3, "degraded"), (100, 3, "up"), (95, 5, "degraded")]
)
def test_it_is_degraded_from_three_bad_exchanges_and_five_per_cent_on(good: int, bad: int, shown: str) -> None:
    harness = ConditionHarness()
    harness.deliver()
    harness.exchanges(good, 0)
    harness.exchanges(0, bad)
    assert harness.shown == shown
    if shown == "degraded":
        assert (harness.status.attempts, harness.status.failed) == (good + bad, bad)
        for _ in range(11):
            harness.wait(27)
            harness.deliver()
        assert harness.shown == "degraded"
        harness.wait(10)
        assert harness.shown == "up"


def test_slow_exchanges_lost_messages_an_endpoint_and_a_silent_node_degrade_it() -> None:
    for degrade in (
        lambda it: [it.condition.exchange(it.now, it.now, slow=number < 3) for number in reversed(range(30))],
        lambda it: it.condition.lost(it.now, 2),
        lambda it: it.condition.endpoint_failed(it.now, REFUSED, confirmed=True),
        lambda it: it.condition.degraded(it.now, REFUSED),
    ):
        harness = ConditionHarness()
        harness.deliver()
        degrade(harness)
        assert harness.shown == "degraded"


def test_one_lost_message_and_the_first_failure_of_an_endpoint_do_not() -> None:
    harness = ConditionHarness()
    harness.deliver()
    harness.condition.lost(harness.now, 1)
    harness.condition.endpoint_failed(harness.now, REFUSED, confirmed=False)
    assert harness.shown == "up"


def test_failures_of_the_outage_do_not_degrade_the_relay_after_it() -> None:
    harness = ConditionHarness()
    harness.deliver()
    harness.exchanges(0, 20)
    harness.fail_round()
    harness.exchanges(0, 20)
    for _ in range(4):
        harness.deliver()
        harness.wait(5)
    harness.condition.exchange(harness.now, harness.now - 30, REFUSED)
    assert harness.shown == "up"


def test_an_unhealthy_monitor_makes_it_unknown_after_thirty_seconds_and_up_absent_after_two_minutes() -> None:
    harness = ConditionHarness()
    harness.deliver()
    harness.condition.health(harness.now, healthy=False)
    harness.wait(29)
    assert harness.shown == "up"
    harness.wait(2)
    assert (harness.shown, harness.status.up) == ("unknown", True)
    assert harness.status.reason_unknown == f"{UNHEALTHY}; before that: up"
    harness.wait(90)
    assert (harness.status.up, harness.status.accepting) == (None, None)
    harness.condition.health(harness.now, healthy=True)
    assert harness.shown == "unknown", "the next verdict ends it"
    harness.deliver()
    assert harness.shown == "up"


def test_zero_stays_zero_while_the_monitor_is_unhealthy_and_the_outage_keeps_its_beginning() -> None:
    harness = ConditionHarness()
    harness.fail_round()
    since = harness.status.since
    harness.condition.health(harness.now, healthy=False)
    harness.wait(1000)
    assert (harness.shown, harness.status.up, harness.status.accepting) == ("unknown", False, False)
    harness.condition.health(harness.now, healthy=True)
    harness.fail_round()
    assert (harness.shown, harness.status.since) == ("down", since)


def test_no_finished_attempt_and_a_fault_of_the_settings_make_it_unknown_until_the_next_verdict() -> None:
    harness = ConditionHarness()
    harness.deliver()
    harness.wait(3 * EVERY + 1)
    assert harness.status.reason_unknown == "no attempt finished for 90 s; before that: up"
    harness.deliver()
    assert harness.shown == "up"
    harness.condition.unobserved(harness.now, "the token file hangs")
    assert harness.status.reason_unknown == "the token file hangs; before that: up"
    harness.deliver()
    assert harness.shown == "unknown"
    harness.condition.unobserved(harness.now, "")
    harness.deliver()
    assert harness.shown == "up"


def test_persistent_deliveries_keep_up_at_one_while_no_attempt_finishes() -> None:
    harness = ConditionHarness()
    harness.deliver()
    for _ in range(100):
        harness.wait(10)
        harness.condition.delivered(harness.now, harness.now, persistent=True)
    assert (harness.shown, harness.status.up, harness.status.accepting) == ("unknown", True, None)


# Properties.

INPUTS = st.sampled_from(
    (
        *("deliver", "fail", "round", "round beside persistent", "persistent", "bad", "good", "lost", "endpoint"),
        *("unhealthy", "healthy", "unobserved", "observed", "wait 1", "wait 15", "wait 40", "wait 130"),
    )
)


def apply(harness: ConditionHarness, name: str) -> None:
    condition, now = harness.condition, harness.now
    actions: dict[str, Callable[[], None]] = {
        "deliver": harness.deliver,
        "fail": harness.fail,
        "round": harness.fail_round,
        "round beside persistent": lambda: harness.fail_round(persistent=True),
        "persistent": lambda: condition.delivered(now, now, persistent=True),
        "bad": lambda: harness.exchanges(0, 3),
        "good": lambda: harness.exchanges(10, 0),
        "lost": lambda: condition.lost(now, 2),
        "endpoint": lambda: condition.endpoint_failed(now, REFUSED, confirmed=True),
        "unhealthy": lambda: condition.health(now, healthy=False),
        "healthy": lambda: condition.health(now, healthy=True),
        "unobserved": lambda: condition.unobserved(now, "hung"),
        "observed": lambda: condition.unobserved(now, ""),
    }
    if name in actions:
        actions[name]()
    else:
        harness.wait(float(name.split()[1]))


@given(st.lists(INPUTS, max_size=40))
def test_condition_and_gauges_agree_in_every_order_of_inputs(names: list[str]) -> None:
    harness = ConditionHarness()
    for name in names:
        apply(harness, name)
        status = harness.status
        allowed: dict[Condition, tuple[set[bool | None], set[bool | None]]] = {
            Condition.UP: ({True}, {True, None}),
            Condition.DEGRADED: ({True}, {True, None}),
            Condition.NOT_ACCEPTING: ({True}, {False}),
            Condition.DOWN: ({True, False}, {True, False}),
            Condition.UNKNOWN: ({True, False, None}, {True, False, None}),
        }
        ups, acceptings = allowed[status.condition]
        assert status.up in ups
        assert status.accepting in ({False} if status.up is False else acceptings)
        assert bool(status.reason_unknown) is (status.condition is Condition.UNKNOWN)
        assert status.since <= EPOCH + timedelta(seconds=harness.now)
        assert harness.condition.due() > harness.now


@given(st.lists(INPUTS, max_size=40))
def test_only_a_delivery_ends_a_0_and_only_a_failed_round_begins_one(names: list[str]) -> None:
    harness = ConditionHarness()
    for name in names:
        before = harness.status
        apply(harness, name)
        after = harness.status
        if before.up is False and after.up is not False:
            assert name in {"deliver", "persistent", "round beside persistent"}
        if before.up is not False and after.up is False:
            assert name == "round"
        if before.accepting is False and after.accepting is not False:
            assert name == "deliver"
        if before.condition is Condition.DOWN and after.condition in {Condition.UP, Condition.DEGRADED}:
            assert name in {"deliver", "persistent"}


@given(st.lists(INPUTS, max_size=40))
def test_whatever_came_before_an_unhealthy_monitor_makes_it_unknown(names: list[str]) -> None:
    harness = ConditionHarness()
    for name in names:
        apply(harness, name)
    up = harness.status.up
    harness.condition.health(harness.now, healthy=False)
    harness.wait(130)
    assert harness.shown == "unknown"
    assert harness.status.up is (False if up is False else None)

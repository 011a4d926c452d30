"""What a restarted monitor says of a relay whose condition it has kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.reachability.sentence import ATTEMPTS_ALONE, explain
from tests.reachability.test_condition import REFUSED, ConditionHarness


@pytest.mark.parametrize("condition", ["down", "not_accepting", "up"])
def test_a_restarted_machine_begins_with_the_condition_before_it(condition: str) -> None:
    before = ConditionHarness()
    before.deliver()
    if condition != "up":
        before.fail_round(persistent=condition == "not_accepting")
    after = ConditionHarness()
    after.condition.restore(before.status)
    assert replace(after.status, cause=None) == replace(before.status, cause=None)
    for _ in range(4):
        after.deliver()
        after.wait(5)
    assert after.shown == "up"


def test_a_restart_does_not_repair_a_degraded_relay() -> None:
    before = ConditionHarness()
    before.deliver()
    before.condition.degradation.found(before.now, REFUSED)
    before.wait(1)
    after = ConditionHarness()
    after.condition.restore(before.status)
    assert (after.shown, after.status.since, after.status.cause) == ("degraded", before.status.since, REFUSED)
    for _ in range(31):
        after.deliver()
        after.wait(10)
    assert after.shown == "up"


def test_a_restart_keeps_the_counts_of_a_slow_relay() -> None:
    before = ConditionHarness()
    before.deliver()
    for number in range(20):
        before.condition.exchange(before.now, before.now, slow=number < 5)
    assert explain(before.status) == "5 of 20 exchanges over the latency threshold"
    after = ConditionHarness()
    after.condition.restore(before.status)
    assert explain(after.status) == "5 of 20 exchanges over the latency threshold"
    after.condition.exchange(after.now, after.now)
    assert explain(after.status) == "5 of 21 exchanges over the latency threshold"


def test_a_relay_that_accepts_nothing_is_down_by_the_attempts_alone_after_a_restart_and_says_so() -> None:
    """A restarted monitor cannot have a persistent pair at a relay that accepts no new connections."""
    before = ConditionHarness()
    before.deliver()
    before.fail_round(persistent=True)
    after = ConditionHarness()
    after.condition.restore(before.status)
    assert (after.shown, after.status.attempts_alone) == ("not_accepting", False)
    after.fail_round()
    assert after.shown == "down"
    assert explain(after.status).endswith(f" attempts failed; {ATTEMPTS_ALONE}")
    again = ConditionHarness()
    again.condition.restore(after.status)
    assert again.status.attempts_alone
    again.condition.delivered(again.now, again.now, persistent=True)
    assert not again.status.attempts_alone


def test_a_relay_whose_pairs_were_cut_off_is_down_without_such_words() -> None:
    harness = ConditionHarness()
    harness.deliver()
    harness.fail_round(persistent=True)
    harness.wait(30)
    harness.fail_round()
    assert (harness.shown, harness.status.attempts_alone) == ("down", False)

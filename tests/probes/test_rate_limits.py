"""Rate limits: what exceeds them is not sent and not blamed on the relay."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from monitor.probes.runner import run_slot
from monitor.relay import rate_limit
from monitor.results import Skipped, Untried
from monitor.vocabulary import Outcome, Reason
from tests.probes.harness import (
    PERSISTENT,
    QUICK_SESSION,
    embedded,
    plan,
    probe_at,
    serving,
)
from tests.probes.odd import odd_relay
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from monitor.embedded import EmbeddedRelay

pytestmark = [WITH_SOCKETS, pytest.mark.usefixtures("nothing_is_left_open")]


async def test_connects_past_the_limit_are_not_made_and_not_blamed_on_the_relay(relay: EmbeddedRelay) -> None:
    async with probe_at(relay.url, "realistic-session", None, {"connects_per_minute": 1}, **QUICK_SESSION) as made:
        run = await made.run_once()
        assert run.outcome is Outcome.ABORTED
        assert run.failure is not None
        assert run.failure.reason is Reason.OVERLOADED


async def test_a_relay_that_refuses_is_never_asked_more_often_than_the_limit_allows() -> None:
    few = {"connects_per_minute": 5}
    async with odd_relay(status=503) as odd, probe_at(odd.url, "steady-messaging", None, few, **PERSISTENT) as made:
        made.watch_reachability()
        async with serving(made):
            await made.until(lambda: len(made.runs) >= 6)
        assert 0 < odd.connects <= 5


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_pair_that_was_refused_is_tried_again_under_the_smallest_limit(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(rate_limit, "WINDOW_SECONDS", 0.3)  # a minute is that long here
    relay.plan = plan("error:at=hello,code=107,count=1")
    few = {"connects_per_minute": limit}
    async with (
        probe_at(relay.url, "steady-messaging", None, few, **PERSISTENT | {"timeout": "2s"}) as made,
        serving(made),
    ):
        await made.until(lambda: made.runs and made.runs[-1].outcome is Outcome.OK)
        assert relay.plan.injected


async def test_tries_of_a_message_hold_to_the_limit_too() -> None:
    """The wallet protocol tries each message five times; a relay that refuses them all must not be asked more often."""
    few = {"messages_per_minute": 12}
    async with (
        embedded("error:at=publish,channel=session,code=100") as relay,
        probe_at(relay.url, "steady-messaging", None, few, **PERSISTENT) as made,
        serving(made),
    ):
        assert relay.plan is not None
        await made.until(lambda: "skipped" in made.slots, 30)  # nothing is left of the limit
        await asyncio.sleep(2)  # in which a message that is refused would be tried again and again
        assert 5 <= len(relay.plan.injected) <= 11  # the offer was one


async def test_a_run_that_the_relays_retry_after_forbids_is_an_untried_slot(relay: EmbeddedRelay) -> None:
    """It waited for an hour, and the slots after it were skipped and never seen again."""
    async with probe_at(relay.url, "realistic-session", **QUICK_SESSION) as made:
        context = made.context
        context.admission.connects.pause(3600.0)
        due = context.clock.monotonic()
        await run_slot(made.probe_object(), context)
        (run,) = made.runs
        assert context.clock.monotonic() - due < 1.0
    assert (run.outcome, run.untried, run.due) == (Outcome.ABORTED, Untried(withheld=True), due)
    assert [exchange.outcome for exchange in run.exchanges] == [Outcome.ABORTED]
    assert run.pairing is not None


async def test_slots_that_a_silent_relay_keeps_from_beginning_are_published_with_their_time() -> None:
    """An outage of a silent relay cost a fifth of one whose connections are refused."""
    async with (
        embedded("silent:at=publish,channel=session") as relay,
        probe_at(relay.url, "steady-messaging", **PERSISTENT) as made,
        serving(made),
    ):
        await made.until(lambda: len(made.runs) == 2)
        skipped = [report.run.due for report in made.all(Skipped)]
        assert len(skipped) == made.slots.count("skipped") > 1
        first, second = (run.due for run in made.runs)
        inside = [due for due in skipped if first < due < second]
        assert inside == pytest.approx([first + 0.2 * number for number in range(1, len(inside) + 1)])

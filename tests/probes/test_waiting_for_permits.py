"""Waiting for one's own limits: it takes as long as it takes, and nothing of it is put down to the relay."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

import pytest

from monitor.probes.steady_messaging import SteadyMessaging
from monitor.probes.steady_state import SteadyState
from monitor.relay import rate_limit
from monitor.results import Paired, PairTime
from monitor.vocabulary import Outcome, Reason
from tests.probes.harness import embedded, plan, probe_at
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.embedded import EmbeddedRelay
    from monitor.pairs.admission import RelayAdmission
    from tests.probes.harness import ProbeHarness

pytestmark = WITH_SOCKETS

MINUTE = 2.0
"""How long a minute of the limits is here."""

QUICK = 0.001
"""Seconds within which a handshake is over: it waits for nothing, and virtual time stands still meanwhile."""


@pytest.fixture
async def relay(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedRelay]:
    monkeypatch.setattr(rate_limit, "WINDOW_SECONDS", MINUTE)
    async with embedded() as running:
        yield running


@contextlib.asynccontextmanager
async def serving(probe: SteadyMessaging | SteadyState, made: ProbeHarness) -> AsyncIterator[None]:
    task = asyncio.ensure_future(probe.serve(made.context, made.pairs))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_connection_that_waits_for_its_first_permit_is_not_disconnected(relay: EmbeddedRelay) -> None:
    few = {"connects_per_minute": 1}
    async with (
        probe_at(relay.url, "steady-state", {"duration": 0.4}, few, schedule="continuous", connections="3") as made,
        serving(SteadyState(), made),
    ):
        await made.until(lambda: relay.connections == 3 and made.runs, 30)
        last = len(made.runs)
        await made.until(lambda: len(made.runs) >= last + 6, 30)
    assert {run.outcome for run in made.runs} <= {Outcome.OK, Outcome.ABORTED}
    assert made.runs[last].outcome is Outcome.OK
    assert "skipped" in made.slots
    assert [time.seconds for time in made.all(PairTime) if not time.connected] == []


async def test_pairs_that_wait_for_each_others_permits_come_about_one_after_the_other(relay: EmbeddedRelay) -> None:
    """Each end on its own would wait until its partner's time is up: many pairs at a small limit would never be."""
    few = {"connects_per_minute": 3}
    keys: dict[str, Any] = {"message_interval": "400ms", "settle": "0s", "timeout": "1200ms", "pairs": "5"}
    async with (
        probe_at(relay.url, "steady-messaging", None, few, schedule="continuous", **keys) as made,
        serving(SteadyMessaging(), made),
    ):
        await made.until(lambda: len({run.pair for run in made.runs if run.outcome is Outcome.OK}) == 5, 30)
    assert [paired.pairing.outcome for paired in made.all(Paired)] == [Outcome.OK] * 5
    assert not [run for run in made.runs if run.outcome is Outcome.FAILED]
    assert sum(time.seconds for time in made.all(PairTime) if not time.connected) < QUICK


async def test_a_pair_whose_turn_came_late_owes_nothing_before_its_wallet_is_there(relay: EmbeddedRelay) -> None:
    few = {"connects_per_minute": 3}
    keys: dict[str, Any] = {"message_interval": "400ms", "settle": "0s", "timeout": "1200ms", "pairs": "3"}
    async with (
        probe_at(relay.url, "steady-messaging", {"wallet_delay": 2.0}, few, schedule="continuous", **keys) as made,
        serving(SteadyMessaging(), made),
    ):
        await made.until(lambda: len({run.pair for run in made.runs}) == 3, 30)
    assert {run.outcome for run in made.runs} <= {Outcome.OK, Outcome.ABORTED}  # one may be stopped on its way
    assert sum(time.seconds for time in made.all(PairTime) if not time.connected) < QUICK


async def test_a_relay_that_drops_every_new_pair_is_blamed_though_our_limits_keep_the_pair_away(
    relay: EmbeddedRelay,
) -> None:
    """It comes back until half of the limit is used, and then has to wait: for the relay's sake, not for ours."""
    relay.plan = plan("close:at=subscribe,code=3004")
    few = {"connects_per_minute": 4}
    keys: dict[str, Any] = {"message_interval": "400ms", "settle": "0s", "timeout": "1600ms", "pairs": "1"}
    async with (
        probe_at(relay.url, "steady-messaging", None, few, schedule="continuous", **keys) as made,
        serving(SteadyMessaging(), made),
    ):
        await made.until(lambda: len(made.all(Paired)) >= 1 and len(made.runs) >= 2, 30)
    assert {paired.pairing.outcome for paired in made.all(Paired)} == {Outcome.FAILED}
    assert made.runs[0].outcome is Outcome.FAILED
    assert made.runs[0].failure is not None
    assert made.runs[0].failure.reason is Reason.DISCONNECTED
    assert sum(time.seconds for time in made.all(PairTime) if not time.connected) > 0


class TestAfterAnOutage:
    """An outage uses up what those who come back may take; a share of it is for when the relay is found up."""

    KEYS: Final[dict[str, Any]] = {
        "schedule": "continuous",
        "message_interval": "200ms",
        "settle": "0s",
        "timeout": "800ms",
        "pairs": "1",
    }

    @pytest.fixture(autouse=True)
    def a_whole_minute(self, relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG002 - after it
        monkeypatch.setattr(rate_limit, "WINDOW_SECONDS", 60.0)

    @contextlib.asynccontextmanager
    async def held_back(self, relay: EmbeddedRelay) -> AsyncIterator[tuple[ProbeHarness, RelayAdmission]]:
        """A pair whose tries to come back have used up what a minute's 20 connects have for that in an outage."""
        few = {"connects_per_minute": 20}
        async with (
            probe_at(relay.url, "steady-messaging", None, few, **self.KEYS) as made,
            serving(SteadyMessaging(), made),
        ):
            await made.until(lambda: made.runs)
            relay.plan = plan("reset:at=hello")
            relay.disconnect_all(3001)
            pair = made.pair(0)
            await made.until(lambda: pair.dapp.client.awaiting_permit and pair.wallet.client.awaiting_permit)
            relay.plan = plan()
            yield made, made.context.admission

    async def test_a_pair_comes_back_when_the_relay_is_found_up(self, relay: EmbeddedRelay) -> None:
        async with self.held_back(relay) as (made, admission):
            await asyncio.sleep(1.5)
            assert made.runs[-1].outcome is Outcome.FAILED
            admission.mark_up()
            await made.until(lambda: made.runs[-1].outcome is Outcome.OK, 5)

    async def test_it_has_one_try_then_and_waits_as_before(self, relay: EmbeddedRelay) -> None:
        async with self.held_back(relay) as (made, admission):
            admission.mark_up()
            await made.until(lambda: made.runs[-1].outcome is Outcome.OK, 5)
            relay.disconnect_all(3001)
            await made.until(lambda: made.runs[-1].outcome is Outcome.FAILED)
            await asyncio.sleep(1.5)
            assert made.runs[-1].outcome is Outcome.FAILED

    async def test_whoever_still_waits_says_what_for(self, relay: EmbeddedRelay) -> None:
        async with self.held_back(relay) as (made, admission):
            while admission.connects.try_acquire():
                pass
            admission.mark_up()
            known = len(made.runs)
            await made.until(lambda: len(made.runs) >= known + 4, 5)
            failures = [run.failure for run in made.runs[known:] if run.failure is not None]
            assert len(failures) == len(made.runs[known:])  # nothing shows yet that the relay lets it in
            assert all("the next attempt waits for the rate limit" in failure.detail for failure in failures)

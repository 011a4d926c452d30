"""New connections that fail while existing ones go on, at a real relay in this process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from monitor.config import attempts
from monitor.embedded import parse_fault
from monitor.reachability import rhythm
from monitor.vocabulary import Condition
from tests.probes.harness import PERSISTENT, ProbeHarness, embedded, probe_at, serving
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.embedded import EmbeddedRelay
    from monitor.reachability.verdict import RelayVerdict

pytestmark = [WITH_SOCKETS, pytest.mark.usefixtures("nothing_is_left_open")]

REFUSALS = {
    "upgrade 502": "status:code=502",
    "503 with Retry-After": "status:code=503,by=3600",
    "hello 103": "error:at=hello,code=103",
    "hello closed": "close:at=hello,code=3501",
    "subscribe 100": "error:at=subscribe,code=100",
    "subscribe 100 on session channels": "error:at=subscribe,channel=session,code=100",
    "publish 100": "error:at=publish,channel=handshake,code=100",
    "TLS or nothing": "silent:at=upgrade",
}
FAST: dict[str, Any] = PERSISTENT | {"pairs": "2", "timeout": "3s"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "CONFIRMATION_SPACING", 0.1)
    monkeypatch.setattr(rhythm, "FAILING_INTERVAL", 0.3)
    monkeypatch.setattr(rhythm, "REDUCED_INTERVAL", 0.5)


def condition(made: ProbeHarness) -> str:
    return made.monitored_relays.relays["demo"].verdict.status.condition.value


def refuse(relay: EmbeddedRelay, spec: str) -> None:
    assert relay.plan is not None
    relay.plan.set([parse_fault(spec)] if spec else [])


@asynccontextmanager
async def two_pairs() -> AsyncIterator[tuple[EmbeddedRelay, ProbeHarness, RelayVerdict]]:
    """Run a relay that is up, and two persistent pairs at it."""
    many = {"connects_per_minute": 6000, "messages_per_minute": 60000}
    async with embedded() as relay, probe_at(relay.url, "steady-messaging", None, many, **FAST) as made:
        made.watch_reachability()
        async with serving(made):
            await made.until(lambda: made.ups == [True])
            yield relay, made, made.monitored_relays.relays["demo"].verdict


@pytest.mark.parametrize("spec", REFUSALS.values(), ids=REFUSALS.keys())
async def test_it_is_not_accepting_beside_relay_up_1_and_recovers(spec: str) -> None:
    """Before, `relay_up` went to 0 and back half a second later, for as long as users could not connect."""
    async with two_pairs() as (relay, made, verdict):
        refuse(relay, spec)
        verdict._confirmation.request_attempt()  # nothing else fails: the regular attempt finds it
        await made.until(lambda: condition(made) == Condition.NOT_ACCEPTING, 30)
        assert verdict.status.accepting is False
        since = len(made.runs)
        await made.until(lambda: len(made.runs) > since + 20, 30)
        assert made.ups == [True]
        assert condition(made) == Condition.NOT_ACCEPTING
        refuse(relay, "")
        await made.until(lambda: condition(made) == Condition.UP, 30)
        assert verdict.status.accepting is True


async def test_pairs_that_were_cut_off_come_back_at_once_when_an_attempt_delivers() -> None:
    """Before, they sat in back-offs of up to 30 s, or in the pause of a Retry-After."""
    async with two_pairs() as (relay, made, verdict):
        refuse(relay, "status:code=503,by=3600")
        relay.disconnect_all(3001)
        await made.until(lambda: made.ups == [True, False], 60)
        assert verdict.status.cause is not None
        assert verdict.status.cause.status == "503"
        refuse(relay, "")
        await made.until(lambda: made.ups == [True, False, True], 30)
        since = made.context.clock.monotonic()
        await made.until(lambda: made.pair(0).ready and made.pair(1).ready, 30)
        assert made.context.clock.monotonic() - since < 5


@pytest.mark.parametrize("spec", ["error:at=history,code=108", "silent:at=history"])
async def test_a_refused_history_beside_live_delivery_is_degraded(spec: str) -> None:
    """Before, it was "no message crosses the relay"."""
    async with two_pairs() as (relay, made, verdict):
        refuse(relay, spec)
        relay.disconnect_all(3001)
        await made.until(lambda: condition(made) == Condition.DEGRADED, 60)
        await made.until(lambda: verdict.status.cause is not None and verdict.status.cause.step == "history", 60)
        since = len(made.runs)
        await made.until(lambda: len(made.runs) > since + 30, 60)
        assert made.ups == [True]
        assert verdict.status.accepting is True

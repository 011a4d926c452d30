"""*async-delivery* in virtual time."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from monitor.errors import LocalError, ProbeError, RateLimitedError
from monitor.load.plan import Plan
from monitor.results import Paired
from monitor.scenarios import Scenario
from monitor.session.envelope import decode, encode
from monitor.vocabulary import Reason, Step
from tests.load.recording import TARGET, RecordedRun
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.load.in_memory_relay import InMemoryRelay

pytestmark = WITHOUT_SOCKETS


async def test_async_delivery_resumes_a_new_wallet_on_the_same_store(relay: InMemoryRelay) -> None:
    recorded = await RecordedRun(relay, Scenario.ASYNC_DELIVERY, connection_pairs=1, delay=30.0).run()
    _, wallet, new_wallet = recorded.dialled
    assert wallet < 1.0  # no scan in this scenario
    published = recorded.exchanges(0)[0]
    # The message is accepted 10 ms after the pairing, then the delay; the new wallet is a connection of its own.
    assert new_wallet == pytest.approx(recorded.times(Paired)[0] + 0.01 + 30.0)
    recovery = recorded.totals.sketches["recovery"]
    assert (recovery.count, recovery.maximum) == (1, pytest.approx(published - new_wallet))
    assert recovery.maximum == pytest.approx(0.03)  # hello, subscribe, history
    assert (
        recorded.totals.recoveries_attempted,
        recorded.totals.recoveries_received,
        recorded.totals.recoveries_failed,
    ) == (
        1,
        1,
        0,
    )
    assert recorded.totals.verdicts == {"delivered": 1}


def while_offline(act: Callable[..., object], *arguments: object) -> None:
    """Call `act` while the wallet of `run_offline` is offline."""
    asyncio.get_running_loop().call_later(20.0, act, *arguments)


async def run_offline(relay: InMemoryRelay, **keys: Any) -> RecordedRun:
    """Run one pair whose wallet is offline for 30 s."""
    return await RecordedRun(relay, Scenario.ASYNC_DELIVERY, connection_pairs=1, delay=30.0, **keys).run()


@pytest.mark.parametrize(
    ("fault", "tries", "least"),
    [
        ("reset:at=hello,count=1", 2, 0.1),
        ("error:at=hello,code=100,count=6", 7, 0.1 + (0.2 + 0.4 + 0.8 + 1.6 + 3.2) / 2),
        ("silent:at=history,count=1", 2, 10.1),
        ("error:at=subscribe,code=100,count=3", 4, 0.1 + (0.2 + 0.4) / 2),
    ],
)
async def test_a_wallet_that_cannot_resume_retries_and_the_latency_includes_it(
    relay: InMemoryRelay, fault: str, tries: int, least: float
) -> None:
    while_offline(relay.arm, fault)
    recorded = await run_offline(relay)
    back = recorded.dialled[2:]
    assert len(back) == tries
    recovery = recorded.totals.sketches["recovery"]
    assert (recovery.count, recovery.maximum) == (1, pytest.approx(back[-1] - back[0] + 0.03))
    assert least < recovery.maximum < 60.0
    assert (recorded.totals.recoveries_received, recorded.totals.recoveries_failed, recorded.totals.reasons) == (
        1,
        0,
        {},
    )
    assert recorded.totals.verdicts == {"delivered": 1}
    assert not any(connection.open for connection in relay.connections)


async def test_a_wallet_retries_after_retry_after(relay: InMemoryRelay) -> None:
    relay.refusal = RateLimitedError(Step.UPGRADE, Reason.RATE_LIMITED, "HTTP 503", retry_after=7.0)
    while_offline(setattr, relay, "refuse", 1)
    recorded = await run_offline(relay)
    assert recorded.dialled[3] - recorded.dialled[2] == pytest.approx(7.0)
    assert recorded.totals.recoveries_received == 1


async def test_a_wallet_that_never_resumes_fails_with_the_last_reason(relay: InMemoryRelay) -> None:
    """Its message has a verdict before the test ends."""
    relay.refusal = ProbeError(Step.UPGRADE, Reason.HTTP_STATUS, "HTTP 502")
    while_offline(setattr, relay, "refuse", 2)
    while_offline(relay.arm, "error:at=hello,code=100")
    recorded = await run_offline(relay)
    assert recorded.exchanges(0)[0] - recorded.dialled[2] <= 60.0
    assert len(recorded.dialled) > 2 + 2
    assert (recorded.totals.recoveries_failed, recorded.totals.reasons) == (1, {"hello/relay_error": 1})
    assert recorded.totals.verdicts == {"unrecovered": 1}
    assert not recorded.runner.interrupted


async def test_a_retry_after_beyond_the_timeout_fails_at_once(relay: InMemoryRelay) -> None:
    relay.refusal = RateLimitedError(Step.UPGRADE, Reason.RATE_LIMITED, "HTTP 503", retry_after=90.0)
    while_offline(setattr, relay, "refuse", 1)
    recorded = await run_offline(relay)
    assert recorded.exchanges(0) == pytest.approx(recorded.dialled[2:])
    assert (recorded.totals.recoveries_failed, recorded.totals.reasons) == (1, {"upgrade/rate_limited": 1})
    assert recorded.totals.verdicts == {"unrecovered": 1}


async def test_no_wallet_retries_after_a_local_fault(relay: InMemoryRelay) -> None:
    relay.refusal = LocalError(Step.TCP, Reason.UNREACHABLE, "no local route")
    while_offline(setattr, relay, "refuse", 1)
    recorded = await run_offline(relay)
    assert len(recorded.dialled) == 3
    assert (recorded.totals.recoveries_attempted, recorded.totals.aborted) == (0, 1)
    assert recorded.totals.verdicts == {}


async def test_no_wallet_retries_after_it_received_an_altered_message(relay: InMemoryRelay) -> None:
    relay.arm("delay:at=publish,channel=session,by=0")  # records what it injects

    def garble() -> None:
        (sent,) = relay.plan.injected
        envelope = decode(json.loads(sent.data))
        unread = encode(*envelope._replace(nonce=envelope.nonce + 1, payload="bm90aGluZw=="))
        relay.broker.publish(sent.channel, json.dumps(unread), "{}", relay.clock.monotonic())

    while_offline(garble)
    recorded = await run_offline(relay, crypto="real")
    assert len(recorded.dialled) == 3
    assert (recorded.totals.recoveries_failed, recorded.totals.reasons) == (1, {"resume/undecryptable": 1})


async def test_a_message_stored_without_an_ack_is_not_lost(relay: InMemoryRelay) -> None:
    relay.arm("unacked:at=publish,channel=session")
    recorded = await run_offline(relay)
    assert (recorded.totals.recoveries_failed, recorded.totals.reasons) == (1, {"publish/silent": 1})
    assert recorded.totals.verdicts == {"delivered": 1}


async def test_a_message_without_an_ack_that_no_wallet_receives_is_unrecovered(relay: InMemoryRelay) -> None:
    relay.arm("unacked:at=publish,channel=session", "reset:at=hello,skip=2")
    recorded = await run_offline(relay)
    assert recorded.totals.reasons == {"publish/silent": 1}
    assert recorded.totals.verdicts == {"unrecovered": 1}


async def test_a_recovery_has_60_s_or_20_ms_a_pair(relay: InMemoryRelay) -> None:
    while_offline(setattr, relay, "silent", True)  # noqa: FBT003 - the attribute's value
    recorded = await run_offline(relay)
    resumed = recorded.dialled[2]
    assert recorded.exchanges(0)[0] - resumed == pytest.approx(60.0)
    assert (recorded.totals.recoveries_failed, recorded.totals.reasons) == (1, {"hello/silent": 1})
    assert recorded.totals.verdicts == {"unrecovered": 1}
    assert Plan(target=TARGET, scenario=Scenario.ASYNC_DELIVERY, connection_pairs=5000).recovery_timeout == 100.0

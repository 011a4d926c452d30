"""When a fault of a relay's own settings counts, and when it is over."""

from __future__ import annotations

import asyncio

from monitor.clock import LoopClock
from monitor.errors import LocalError, ProbeError, SettingsError
from monitor.reachability.settings_fault import SettingsFault
from monitor.vocabulary import Reason, Step
from tests.virtual_time import WITHOUT_SOCKETS

pytestmark = WITHOUT_SOCKETS

MISSING = SettingsError(Step.HELLO, Reason.INTERNAL, "the secret in /token cannot be read")
REFUSED = ProbeError(Step.TCP, Reason.REFUSED)
LIMITS = LocalError(Step.RESOLVE, Reason.OVERLOADED)


class Recorded:
    def __init__(self) -> None:
        self.seen: list[str | None] = []
        self.fault = SettingsFault("demo", LoopClock(), lambda error: self.seen.append(error.detail if error else None))


async def test_a_fault_that_lasts_is_reported_once() -> None:
    recorded = Recorded()
    for _ in range(5):
        recorded.fault.observe("dapp", MISSING)
        await asyncio.sleep(2)
    assert recorded.seen == [MISSING.detail]


async def test_a_file_that_is_being_replaced_is_no_fault() -> None:
    recorded = Recorded()
    for error in (MISSING, None, None, MISSING):
        recorded.fault.observe("dapp", error)
        await asyncio.sleep(2)
    assert recorded.seen == []


async def test_two_connects_at_the_same_moment_do_not_last() -> None:
    recorded = Recorded()
    recorded.fault.observe("dapp", MISSING)
    recorded.fault.observe("dapp", MISSING)
    assert recorded.seen == []


async def test_a_fault_of_one_side_leaves_no_pair_although_the_other_connects() -> None:
    recorded = Recorded()
    for _ in range(3):
        recorded.fault.observe("wallet", None)
        recorded.fault.observe("dapp", MISSING)
        await asyncio.sleep(2)
    assert recorded.seen == [MISSING.detail]
    recorded.fault.observe("dapp", None)
    assert recorded.seen == [MISSING.detail, None]


async def test_what_the_relay_answers_ends_the_fault_and_the_monitors_own_limits_do_not() -> None:
    recorded = Recorded()
    for error in (MISSING, LIMITS, MISSING, LIMITS, MISSING):
        recorded.fault.observe("dapp", error)
        await asyncio.sleep(2)
    assert recorded.seen == [MISSING.detail]
    recorded.fault.observe("dapp", REFUSED)
    assert recorded.seen == [MISSING.detail, None]


async def test_one_endpoint_of_several_with_such_a_fault_hides_no_verdict() -> None:
    """An endpoint with an IPv6 address only, beside one that this machine reaches."""
    recorded = Recorded()
    for _ in range(10):
        recorded.fault.observe("dapp", MISSING)
        await asyncio.sleep(5)
        recorded.fault.observe("dapp", REFUSED)
        await asyncio.sleep(5)
    assert recorded.seen == []


async def test_another_text_replaces_the_reason() -> None:
    recorded = Recorded()
    other = SettingsError(Step.PROXY, Reason.REFUSED, "proxy 10.0.0.1:3128: Connection refused")
    for error in (MISSING, MISSING, other):
        recorded.fault.observe("dapp", error)
        await asyncio.sleep(4)
    assert recorded.seen == [MISSING.detail, other.detail]

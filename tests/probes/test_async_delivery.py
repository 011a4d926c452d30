"""Offline delivery that is cancelled or refused: what becomes of the stored messages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from monitor.embedded import parse_fault
from monitor.vocabulary import Reason, Step, Verdict
from tests.probes.harness import (
    acks,
    assert_failed,
    plan,
    probe_at,
)
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from monitor.embedded import EmbeddedRelay

pytestmark = [WITH_SOCKETS, pytest.mark.usefixtures("nothing_is_left_open")]


@pytest.mark.parametrize("pairing", ["fresh", "reuse"])
async def test_what_an_absent_wallet_had_yet_to_get_when_its_run_is_stopped_is_not_lost(
    relay: EmbeddedRelay, pairing: str
) -> None:
    keys: dict[str, Any] = {"delay": "30s", "messages": "2", "timeout": "400ms", "pairing": pairing}
    async with probe_at(relay.url, "async-delivery", **keys) as made:
        running = asyncio.ensure_future(made.run_once())
        await made.until(lambda: acks(made) == 3)  # of the offer, and of both messages
        running.cancel()
        await asyncio.wait({running})
        await made.all_judged()
        assert [item.verdict for item in made.judged] == [None, None]


async def test_what_a_relay_keeps_from_a_wallet_that_it_refuses_is_not_recovered(relay: EmbeddedRelay) -> None:
    relay.plan = plan()
    keys: dict[str, Any] = {"delay": "300ms", "messages": "1", "timeout": "400ms"}
    async with probe_at(relay.url, "async-delivery", **keys) as made:
        running = asyncio.ensure_future(made.run_once())
        await made.until(lambda: acks(made) == 2)
        relay.plan.set([parse_fault("error:at=hello,code=103")])
        assert_failed(await running, Step.HELLO, Reason.UNAUTHORIZED)
        await made.all_judged()
        assert [item.verdict for item in made.judged] == [Verdict.UNRECOVERED]


async def test_a_wallet_that_cannot_connect_loses_nothing(relay: EmbeddedRelay) -> None:
    keys: dict[str, Any] = {"delay": "300ms", "messages": "2", "timeout": "400ms"}
    async with probe_at(relay.url, "async-delivery", **keys) as made:
        running = asyncio.ensure_future(made.run_once())
        await made.until(lambda: acks(made) == 3)
        await relay.stop()
        assert_failed(await running, Step.TCP, Reason.REFUSED)
        await made.all_judged()
        assert [item.verdict for item in made.judged] == [Verdict.UNRECOVERED] * 2


async def test_a_message_that_the_history_lacks_is_lost(relay: EmbeddedRelay) -> None:
    relay.plan = plan("unstored:channel=session,count=1")
    keys: dict[str, Any] = {"delay": "0s", "messages": "2", "timeout": "400ms"}
    async with probe_at(relay.url, "async-delivery", **keys) as made:
        assert_failed(await made.run_once(), Step.RECOVER, Reason.LOST)
        await made.all_judged()
        assert sorted(str(item.verdict) for item in made.judged) == [Verdict.DELIVERED, Verdict.LOST]


async def test_a_history_that_cannot_be_read_loses_nothing(relay: EmbeddedRelay) -> None:
    relay.plan = plan()
    keys: dict[str, Any] = {"delay": "300ms", "messages": "1", "timeout": "400ms"}
    async with probe_at(relay.url, "async-delivery", **keys) as made:
        running = asyncio.ensure_future(made.run_once())
        await made.until(lambda: acks(made) == 2)
        relay.plan.set([parse_fault("error:at=history,code=108")])
        assert_failed(await running, Step.HISTORY, Reason.RELAY_ERROR)
        await made.all_judged()
        assert [item.verdict for item in made.judged] == [Verdict.UNRECOVERED]


async def test_what_a_relay_stored_before_it_refused_the_rest_is_not_lost(relay: EmbeddedRelay) -> None:
    """A new wallet looks for it, though the run is over."""
    relay.plan = plan("error:at=publish,channel=session,skip=1,code=100")
    keys: dict[str, Any] = {"delay": "0s", "messages": "2", "timeout": "400ms"}
    async with probe_at(relay.url, "async-delivery", **keys) as made:
        assert_failed(await made.run_once(), Step.PUBLISH, Reason.RELAY_ERROR)
        await made.all_judged()
        assert sorted(str(item.verdict) for item in made.judged) == [Verdict.DELIVERED, Verdict.UNRECOVERED]

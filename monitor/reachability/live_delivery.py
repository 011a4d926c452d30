"""Live delivery alone: one message between two bare connections, for a relay that refuses its history."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor.errors import LocalError, ProbeError
from monitor.relay.client import Client
from monitor.results import uuid7
from monitor.vocabulary import Reason, Step
from monitor.wire.commands import Publish, Subscribe
from monitor.wire.events import Replied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.pairs.context import ProbeContext
    from monitor.relay.rate_limit import Permit
    from monitor.vocabulary import Phase
    from monitor.wire.commands import Command
    from monitor.wire.events import Publication


async def delivers_live(context: ProbeContext, endpoint_index: int, timeout: float) -> bool | None:
    """Return whether a message published over one connection reaches another one within `timeout` seconds.

    None if this monitor or its limits kept the connections back.
    """
    try:
        async with asyncio.timeout(timeout):
            permits = await context.admission.acquire_attempt(context.priority)
    except TimeoutError:
        return None
    try:
        return await _deliver(context, endpoint_index, timeout, permits)
    except LocalError:
        return None
    except (ProbeError, TimeoutError):
        return False
    finally:
        for permit in permits:
            permit.release()


async def _deliver(context: ProbeContext, endpoint_index: int, timeout: float, permits: Sequence[Permit]) -> bool:
    """Publish a message over one connection and wait for it at another one. Raises `ProbeError`, `TimeoutError`."""
    channel = f"session:{uuid7(context.clock.time(), context.rng)}"
    arrived = asyncio.Event()

    def receive(publication: Publication) -> None:
        if publication.channel == channel:
            arrived.set()

    first, second, *_ = (*permits, None, None)
    sender, receiver = (
        Client(
            context.admission.endpoint(side, endpoint_index, timeout, context.priority, permit),
            reporter=_NoReports(),
            on_event=lambda _: None,
            on_publication=receive,
        )
        for side, permit in (("dapp", first), ("wallet", second))
    )
    try:
        async with asyncio.timeout(timeout):
            await receiver.open()
            await _command(receiver, Subscribe(channel=channel, positioned=False, recoverable=False))
            await sender.open()
            await _command(sender, Publish(channel=channel, data="live"))
            await arrived.wait()
    finally:
        sender.close()
        receiver.close()
    return True


async def _command(client: Client, command: Command) -> None:
    """Send a command and wait until the relay has accepted it. Raises `ProbeError`."""
    event = await client.request(command)
    if isinstance(event, Replied) and event.error is None:
        return
    raise ProbeError(Step.SUBSCRIBE if isinstance(command, Subscribe) else Step.PUBLISH, Reason.RELAY_ERROR)


class _NoReports:
    """A `relay.reporter.Reporter` that reports nothing."""

    def phase(self, phase: Phase, seconds: float) -> None:
        """Ignore it."""

    def address_failed(self, family: str) -> None:
        """Ignore it."""

    def certificate(self, not_after: float) -> None:
        """Ignore it."""

    def step_completed(self, step: Step, started: float, ended: float) -> None:
        """Ignore it."""

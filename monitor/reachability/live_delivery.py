"""Live delivery alone: one message between two bare connections, for a relay that refuses its history."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor.errors import ProbeError
from monitor.relay.client import Client
from monitor.results import uuid7
from monitor.vocabulary import Reason, Step
from monitor.wire.commands import Publish, Subscribe
from monitor.wire.events import Replied

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext
    from monitor.vocabulary import Phase
    from monitor.wire.commands import Command
    from monitor.wire.events import Publication


async def delivers_live(context: ProbeContext, endpoint_index: int, timeout: float) -> bool:
    """Return whether a message published over one connection reaches another one within `timeout` seconds."""
    channel = f"session:{uuid7(context.clock.time(), context.rng)}"
    arrived = asyncio.Event()

    def receive(publication: Publication) -> None:
        if publication.channel == channel:
            arrived.set()

    sender, receiver = (
        Client(
            context.admission.endpoint(side, endpoint_index, timeout, context.priority),
            reporter=_NoReports(),
            on_event=lambda _: None,
            on_publication=receive,
        )
        for side in ("dapp", "wallet")
    )
    try:
        async with asyncio.timeout(timeout):
            await receiver.open()
            await _command(receiver, Subscribe(channel=channel, positioned=False, recoverable=False))
            await sender.open()
            await _command(sender, Publish(channel=channel, data="live"))
            await arrived.wait()
    except (ProbeError, TimeoutError):
        return False
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

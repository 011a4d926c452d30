"""Idle connections: they connect, answer pings and carry no messages."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from monitor.errors import ProbeError
from monitor.relay import obstacles
from monitor.relay.client import Client
from monitor.vocabulary import Phase, Step
from monitor.wire.events import Connected, Dropped

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.relay.endpoint import EndpointProvider
    from monitor.wire.backoff import Backoff
    from monitor.wire.events import Event


PERMIT_TIMEOUT: Final = 60.0
"""Seconds for which a certificate check waits for a permit of the rate limit."""


async def check_certificate(context: ProbeContext) -> None:
    """Connect once, so that the certificate's expiry is published. Failures are ignored: the probes report them."""
    connection = IdleConnection(context, context.recorder())
    with suppress(ProbeError, TimeoutError):
        async with asyncio.timeout(PERMIT_TIMEOUT + context.probe.timeout):
            await connection.open()
    connection.close()


class IdleConnection:
    """One idle connection.

    reconnect: makes it come back after a drop; None does not.
    on_change: called with None when it is connected, and with the event when it is dropped or a reconnect fails.
    endpoint: replaces the next one of the relay.
    """

    def __init__(
        self,
        context: ProbeContext,
        recorder: RunRecorder,
        *,
        reconnect: Backoff | None = None,
        on_change: Callable[[Dropped | None], None] = lambda _: None,
        endpoint: EndpointProvider | None = None,
    ) -> None:
        self.recorder = recorder
        self.error: ProbeError | None = None
        self.lost = asyncio.Event()
        self._on_change = on_change
        endpoint = endpoint or context.endpoint("dapp", context.admission.endpoint_index())
        self.client = Client(
            endpoint, reporter=self, on_event=self._on_event, on_publication=lambda _: None, reconnect=reconnect
        )

    @property
    def connected(self) -> bool:
        """True while it is connected."""
        return self.client.connected

    @property
    def terminated(self) -> bool:
        """True if it will not come back by itself."""
        return self.client.closed

    def why_lost(self) -> ProbeError:
        """Return why it was lost, or why it is not connected yet."""
        return (self.error or self.client.deadline_error(self.client.step)).noticed_by("dapp")

    async def open(self) -> None:
        """Connect. Raises `ProbeError`."""
        await self.client.open()

    def close(self) -> None:
        """Disconnect with a close frame."""
        self.client.close()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Connected):
            self.error = None
            self._on_change(None)
        elif isinstance(event, Dropped):
            self.error = self.client.error or obstacles.of_drop(Step.HOLD, event)
            self.recorder.log("debug", "connection lost", code=event.code, error=self.error)
            self.lost.set()
            self._on_change(event)

    # relay.reporter.Reporter.

    def step_completed(self, step: Step, started: float, ended: float) -> None:
        """Record a step of the connect."""
        self.recorder.mark("dapp", step, started, ended)

    def phase(self, phase: Phase, seconds: float) -> None:
        """Publish the duration of a phase."""
        self.recorder.phase(phase, seconds)

    def address_failed(self, family: str) -> None:
        """Publish that an address could not be reached."""
        self.recorder.address_failed(family)

    def certificate(self, not_after: float) -> None:
        """Publish when the relay's certificate expires."""
        self.recorder.certificate(not_after)

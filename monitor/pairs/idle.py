"""Bare connections that say hello and answer pings: what steady-state and connection-storm are made of."""

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


PERMIT_WAIT: Final = 60.0
"""Seconds that a look at the certificate waits for the relay's limits to allow it."""


async def check_certificate(context: ProbeContext) -> None:
    """Connect once, and leave: what the handshake showed is published. What fails is for probes to tell."""
    held = IdleConnection(context, context.recorder())
    with suppress(ProbeError, TimeoutError):
        async with asyncio.timeout(PERMIT_WAIT + context.probe.timeout):
            await held.open()
    held.close()


class IdleConnection:
    """One bare connection. `drops` counts how often it was lost; `on_change` is called when it comes or goes."""

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
        """Whether it stands."""
        return self.client.connected

    @property
    def terminated(self) -> bool:
        """Whether it will not come back by itself."""
        return self.client.closed

    def why_lost(self) -> ProbeError:
        """What became of it: why it was lost, or why it does not stand yet."""
        return self.error or self.client.deadline_error(self.client.step)

    async def open(self) -> None:
        """Connect. Raises `ProbeError`."""
        await self.client.open()

    def close(self) -> None:
        """Leave in good order."""
        self.client.close()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Connected):
            self.error = None
            self._on_change(None)
        elif isinstance(event, Dropped):
            self.error = self.client.error or obstacles.of_drop(Step.HOLD, event)
            self.lost.set()
            self._on_change(event)

    # What the client reports (`relay.client.Reporter`).

    def step_completed(self, step: Step, started: float, ended: float) -> None:
        """A step of the connect is behind us."""
        self.recorder.mark("dapp", step, started, ended)

    def phase(self, phase: Phase, seconds: float) -> None:
        """A phase took `seconds`."""
        self.recorder.phase(phase, seconds)

    def address_failed(self, family: str) -> None:
        """An address could not be reached."""
        self.recorder.address_failed(family)

    def certificate(self, not_after: float) -> None:
        """The relay's certificate was seen."""
        self.recorder.certificate(not_after)

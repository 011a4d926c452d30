"""The client: step and reason of a connect that times out by its own deadlines."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from monitor.clock import Arrivals
from monitor.deadlines import Deadlines
from monitor.errors import ProbeError
from monitor.relay.client import Client
from monitor.relay.endpoint import EndpointProvider
from monitor.relay.target import Target
from monitor.vocabulary import Phase, Reason, Step
from monitor.wire.commands import Connect
from tests.relay.harness import CLOCK, TEXT, accepting, frame, idle, read_request, serving

if TYPE_CHECKING:
    from tests.relay.harness import Reader, Writer


class NullReporter:
    """A reporter that drops what is reported."""

    def phase(self, phase: Phase, seconds: float) -> None: ...

    def address_failed(self, family: str) -> None: ...

    def certificate(self, not_after: float) -> None: ...

    def step_completed(self, step: Step, started: float, ended: float) -> None: ...


def client_for(port: int, timeout: float) -> Client:
    async def admit(_: float | None) -> None: ...

    async def target() -> Target:
        return Target(url=f"ws://127.0.0.1:{port}")

    async def hello() -> Connect:
        return Connect(name="relay-monitor", version="test")

    endpoint = EndpointProvider(
        target=target,
        hello=hello,
        admit=admit,
        postpone=lambda _: None,
        clock=CLOCK,
        arrivals=Arrivals(CLOCK),
        deadlines=Deadlines(CLOCK),
        rng=random.Random(1),
        timeout=timeout,
    )
    return Client(endpoint, reporter=NullReporter(), on_event=lambda _: None, on_publication=lambda _: None)


@pytest.mark.parametrize(("frame_started", "reason"), [(False, Reason.SILENT), (True, Reason.TIMEOUT)])
async def test_a_hello_reply_that_has_begun_to_arrive_times_out_and_is_not_silent(
    frame_started: bool,
    reason: Reason,
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        writer.write(accepting(await read_request(reader)))
        if frame_started:
            writer.write(frame(TEXT, b'{"id":1,"connect":{}}')[:9])
        await idle(reader, writer)

    async with serving(script) as port:
        with pytest.raises(ProbeError) as caught:
            async with asyncio.timeout(5):
                await client_for(port, timeout=0.5).open()
    assert (caught.value.step, caught.value.reason) == (Step.HELLO, reason)

"""Why a message was lost: its channel's history, read from several places, names the layer that broke.

The history is read over the connection that should have brought the message, over a fresh one to the same endpoint
and, where the relay has several, over another endpoint; all at once, each bounded by `Bench.probe.autopsy`. What was
read is compared with what was sent and goes nowhere else: the wallet protocol hears nothing of it, so that a message
found here is still lost. The finding is a note in the run's timeline.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from monitor.catalogue import Finding, Reason, Step
from monitor.errors import Obstacle
from monitor.probes.holding import Held
from monitor.relay import obstacles
from monitor.wire.commands import History
from monitor.wire.events import HistoryRead, Replied

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from monitor.probes.bench import Bench, Recorder
    from monitor.probes.ledger import Message
    from monitor.relay.client import Client
    from monitor.relay.end import End

HISTORY_LIMIT: Final = 50
"""Publications asked for: as many as the protocol's own clients ask for."""

SPACING: Final = 20.0
"""Seconds between two autopsies at one relay: its limits are for probes, and the first loss tells the most."""

_LOSSES: Final = frozenset({Reason.LOST, Reason.EPOCH_CHANGED, Reason.SILENT, Reason.WRONG_PEER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one place had: the data of the history's publications, or why it could not be read."""

    over: str
    data: frozenset[object] | None
    detail: str = ""

    def says(self, message: Message) -> str:
        """In words, whether the message is there."""
        if self.data is None:
            return f"{self.over}: {self.detail}"
        return f"{self.over}: {'stored' if message.data in self.data else 'not stored'}"


async def examine(
    bench: Bench, recorder: Recorder, receiver: End, turn: int, obstacle: Obstacle, messages: Sequence[Message]
) -> None:
    """Note in the timeline what became of `messages` that did not come, if `obstacle` is a loss. Raises nothing.

    `turn` is the pair's turn round the relay's endpoints, `receiver` the end that should have got them.
    """
    missing = [message for message in messages if message.arrived_at is None or message.overtaken]
    if obstacle.reason not in _LOSSES or not missing:
        return
    readings: list[Reading] = []
    if any(message.arrived_at is None for message in missing):
        if not bench.guest.may_examine(SPACING):
            return
        readings = await _read(bench, receiver, turn, missing[0].key.channel)
    now = bench.clock.monotonic()
    for message in missing:
        finding = find(message, readings)
        said = "; ".join(reading.says(message) for reading in readings)
        note = f"{finding.value if finding is not None else 'not known'}{': ' + said if said else ''}"
        recorder.mark(receiver.side, Step.HISTORY, now, now, note)


def find(message: Message, readings: Sequence[Reading]) -> Finding | None:
    """The broken layer, as far as it can be told."""
    if message.arrived_at is not None:
        return Finding.DROPPED_BY_REFERENCE_CLIENT
    answered = [reading.data for reading in readings if reading.data is not None]
    if any(message.data in data for data in answered):
        return Finding.STORED_NOT_PUSHED
    if not message.acked:
        return Finding.NOT_ACCEPTED
    return Finding.NOT_STORED if answered else None


async def _read(bench: Bench, receiver: End, turn: int, channel: str) -> list[Reading]:
    command = History(channel=channel, limit=HISTORY_LIMIT)
    reads = [_read_fresh(bench, receiver.side, turn, command)]
    if bench.guest.has_several_endpoints:
        reads.append(_read_fresh(bench, receiver.side, turn + 1, command))
    names = ("the standing connection", "a fresh connection", "another endpoint")
    every = [_read_over(receiver.client, command), *reads]
    return await asyncio.gather(
        *(_bounded(bench.probe.autopsy, over, read) for over, read in zip(names, every, strict=False))
    )


async def _bounded(seconds: float, over: str, read: Awaitable[frozenset[object]]) -> Reading:
    try:
        async with asyncio.timeout(seconds):
            return Reading(over=over, data=await read)
    except TimeoutError:
        return Reading(over=over, data=None, detail=f"no answer within {seconds:g} s")
    except Obstacle as obstacle:
        return Reading(over=over, data=None, detail=str(obstacle))


async def _read_over(client: Client, command: History) -> frozenset[object]:
    """The data in the history. Raises `Obstacle`."""
    if not client.connected:
        raise Obstacle(Step.HISTORY, Reason.DISCONNECTED)
    event = await client.ask(command)
    if isinstance(event, HistoryRead):
        return frozenset(item.data for item in event.publications if isinstance(item.data, str))
    if isinstance(event, Replied) and event.error is not None:
        raise obstacles.of_error(Step.HISTORY, event.error)
    raise Obstacle(Step.HISTORY, Reason.DISCONNECTED)


async def _read_fresh(bench: Bench, side: str, turn: int, command: History) -> frozenset[object]:
    silent = replace(bench, publish=lambda _: None)  # in no SLI
    held = Held(silent, silent.recorder(), access=silent.guest.access(side, turn, bench.probe.autopsy))
    try:
        await held.open()
        return await _read_over(held.client, command)
    finally:
        held.close()

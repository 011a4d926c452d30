"""Why a message was lost: its channel's history, read from several places, names the layer that broke.

The history is read over the connection that should have brought the message, over a fresh one to the same endpoint
and, where the relay has several, over another endpoint; all at once, each bounded by `ProbeContext.probe.autopsy`.
What was read is compared with what was sent and goes nowhere else: the wallet protocol hears nothing of it, so
that a message found here is still lost. The finding is a note in the run's timeline.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from monitor.errors import ProbeError
from monitor.pairs.idle import IdleConnection
from monitor.relay import obstacles
from monitor.vocabulary import Finding, Reason, Step
from monitor.wire.commands import History
from monitor.wire.events import HistoryRead, Replied

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.pairs.ledger import Message
    from monitor.pairs.participant import Participant
    from monitor.relay.client import Client

SPACING: Final = 20.0
"""Seconds between two autopsies at one relay: its limits are for probes, and the first loss tells the most."""

_LOSSES: Final = frozenset({Reason.LOST, Reason.EPOCH_CHANGED, Reason.SILENT, Reason.WRONG_PEER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one place had: the data of the history's publications, or why it could not be read.

    `is_whole`: the newest that is stored came too. A relay gives the oldest first, and no more than it cares to.
    """

    over: str
    data: frozenset[object] | None
    is_whole: bool = True
    detail: str = ""

    def says(self, message: Message) -> str:
        """In words, whether the message is there."""
        if self.data is None:
            return f"{self.over}: {self.detail}"
        if message.data in self.data:
            return f"{self.over}: stored"
        return f"{self.over}: {'not stored' if self.is_whole else f'not among the oldest {len(self.data)}'}"


async def examine(
    context: ProbeContext,
    recorder: RunRecorder,
    receiver: Participant,
    endpoint_index: int,
    error: ProbeError,
    messages: Sequence[Message],
) -> None:
    """Note in the timeline what became of `messages` that did not come, if `obstacle` is a loss. Raises nothing.

    `turn` is the pair's turn round the relay's endpoints, `receiver` the end that should have got them.
    """
    missing = [message for message in messages if message.arrived_at is None or message.overtaken]
    if error.reason not in _LOSSES or not missing:
        return
    readings: list[Reading] = []
    if any(message.arrived_at is None for message in missing):
        if not context.admission.start_diagnosis(SPACING):
            return
        readings = await _read(context, receiver, endpoint_index, missing[0].key.channel)
    now = context.clock.monotonic()
    for message in missing:
        finding = find(message, readings)
        said = "; ".join(reading.says(message) for reading in readings)
        note = f"{finding.value if finding is not None else 'not known'}{': ' + said if said else ''}"
        recorder.mark(receiver.side, Step.HISTORY, now, now, note)


def find(message: Message, readings: Sequence[Reading]) -> Finding | None:
    """The broken layer, as far as it can be told."""
    if message.arrived_at is not None:
        return Finding.DROPPED_BY_REFERENCE_CLIENT
    answered = [reading for reading in readings if reading.data is not None]
    if any(message.data in (reading.data or ()) for reading in answered):
        return Finding.STORED_NOT_PUSHED
    if not message.acked:
        return Finding.NOT_ACCEPTED
    return Finding.NOT_STORED if answered and all(reading.is_whole for reading in answered) else None


async def _read(context: ProbeContext, receiver: Participant, endpoint_index: int, channel: str) -> list[Reading]:
    command = History(channel=channel, limit=context.admission.history)
    reads = [_read_fresh(context, receiver.side, endpoint_index, command)]
    if context.admission.has_several_endpoints:
        reads.append(_read_fresh(context, receiver.side, endpoint_index + 1, command))
    names = ("the standing connection", "a fresh connection", "another endpoint")
    every = [_read_over(receiver.client, command), *reads]
    return await asyncio.gather(
        *(_bounded(context.probe.autopsy, over, read) for over, read in zip(names, every, strict=False))
    )


async def _bounded(seconds: float, over: str, read: Awaitable[HistoryRead]) -> Reading:
    try:
        async with asyncio.timeout(seconds):
            return reading_of(over, await read)
    except TimeoutError:
        return Reading(over=over, data=None, detail=f"no answer within {seconds:g} s")
    except ProbeError as error:
        return Reading(over=over, data=None, detail=str(error))


def reading_of(over: str, event: HistoryRead) -> Reading:
    """What one place had, by its reply."""
    publications, newest = event.publications, event.position.offset if event.position is not None else 0
    return Reading(
        over=over,
        data=frozenset(item.data for item in publications if isinstance(item.data, str)),
        is_whole=not publications or publications[-1].offset >= newest,
    )


async def _read_over(client: Client, command: History) -> HistoryRead:
    """The history. Raises `ProbeError`."""
    if not client.connected:
        raise ProbeError(Step.HISTORY, Reason.DISCONNECTED)
    event = await client.request(command)
    if isinstance(event, HistoryRead):
        return event
    if isinstance(event, Replied) and event.error is not None:
        raise obstacles.of_error(Step.HISTORY, event.error)
    raise ProbeError(Step.HISTORY, Reason.DISCONNECTED)


async def _read_fresh(context: ProbeContext, side: str, endpoint_index: int, command: History) -> HistoryRead:
    silent = replace(context, publish=lambda _: None)  # in no SLI
    held = IdleConnection(
        silent, silent.recorder(), endpoint=silent.admission.endpoint(side, endpoint_index, context.probe.autopsy)
    )
    try:
        await held.open()
        return await _read_over(held.client, command)
    finally:
        held.close()

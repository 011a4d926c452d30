"""Diagnosis of a lost message: its channel's history, read over several connections, shows which layer lost it.

The history is read over the connection that should have delivered the message, over a new one to the same endpoint
and, if the relay has several, over another endpoint; all at once, each bounded by `ProbeConfig.diagnosis_timeout`. What
was read is compared with what was sent and not passed to the wallet protocol: a message found here remains lost.
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

DIAGNOSIS_INTERVAL: Final = 20.0
"""Seconds from one diagnosis with new connections at a relay to the next: they use the relay's rate limit, and the
first says most. In between the history is read over the connection that should have delivered the message."""

SKIPPED: Final = (
    f"no other connection asked: the relay's last diagnosis began less than {DIAGNOSIS_INTERVAL:g} s before"
)
"""Said of a diagnosis that its interval limited to the persistent connection."""

_LOSSES: Final = frozenset({Reason.LOST, Reason.UNRECOVERED, Reason.EPOCH_CHANGED, Reason.SILENT, Reason.WRONG_PEER})

_STORED: Final = {Finding.STORED_NOT_PUSHED: True, Finding.NOT_STORED: False}
"""Whether the history has a message, by the finding that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The history as one connection returned it.

    via: the connection, in words.
    data: the data of the publications; None if it could not be read, for the reason `detail`.
    complete: the newest stored publication was included; a relay returns the oldest first, up to its own limit.
    """

    via: str
    data: frozenset[object] | None
    complete: bool = True
    detail: str = ""

    def describe(self, message: Message) -> str:
        """Say in words whether the history has the message."""
        if self.data is None:
            return f"{self.via}: {self.detail}"
        if message.data in self.data:
            return f"{self.via}: stored"
        return f"{self.via}: {'not stored' if self.complete else f'not among the oldest {len(self.data)}'}"


async def diagnose(
    context: ProbeContext,
    recorder: RunRecorder,
    receiver: Participant,
    endpoint_index: int,
    error: ProbeError,
    messages: Sequence[Message],
) -> None:
    """Record in the timeline why `receiver` did not get `messages`, if `error` is a loss. Raises nothing.

    Notes in the messages whether the history has them.
    `endpoint_index` is the pair's position in the rotation of the relay's endpoints.
    """
    missing = [message for message in messages if message.arrived_at is None or message.overtaken]
    if error.reason not in _LOSSES or not missing:
        return
    readings: list[Reading] = []
    alone = False
    if any(message.arrived_at is None for message in missing):
        alone = not context.admission.start_diagnosis(DIAGNOSIS_INTERVAL)
        readings = await _read(context, receiver, endpoint_index, missing[0].key.channel, alone=alone)
    now = context.clock.monotonic()
    for message in missing:
        finding = find(message, readings)
        if finding in _STORED:
            message.in_history = _STORED[finding]
        described = [reading.describe(message) for reading in readings] + [SKIPPED] * alone
        details = "; ".join(described)
        note = f"{finding.value if finding is not None else 'not known'}{': ' + details if details else ''}"
        recorder.mark(receiver.side, Step.HISTORY, now, now, note)
        recorder.log("debug", "diagnosis", message=f"{message.direction} {message.sequence}", finding=note)


def find(message: Message, readings: Sequence[Reading]) -> Finding | None:
    """Return the layer that lost the message; None if the readings do not show it."""
    if message.arrived_at is not None:
        return Finding.DROPPED_BY_REFERENCE_CLIENT
    successful = [reading for reading in readings if reading.data is not None]
    if any(message.data in (reading.data or ()) for reading in successful):
        return Finding.STORED_NOT_PUSHED
    if not message.acked:
        return Finding.NOT_ACCEPTED
    return Finding.NOT_STORED if successful and all(reading.complete for reading in successful) else None


async def _read(
    context: ProbeContext, receiver: Participant, endpoint_index: int, channel: str, *, alone: bool
) -> list[Reading]:
    """Read the history over every connection, or over the persistent one `alone`."""
    command = History(channel=channel, limit=context.admission.history)
    reads = {"the persistent connection": _read_history(receiver.client, command)}
    if not alone:
        reads["a new connection"] = _read_over_new(context, receiver.side, endpoint_index, command)
    if context.admission.has_several_endpoints and not alone:
        reads["another endpoint"] = _read_over_new(context, receiver.side, endpoint_index + 1, command)
    return await asyncio.gather(*(_bounded(context.probe.diagnosis_timeout, via, read) for via, read in reads.items()))


async def _bounded(seconds: float, via: str, read: Awaitable[HistoryRead]) -> Reading:
    try:
        async with asyncio.timeout(seconds):
            return reading_of(via, await read)
    except TimeoutError:
        return Reading(via=via, data=None, detail=f"no reply within {seconds:g} s")
    except ProbeError as error:
        return Reading(via=via, data=None, detail=str(error))


def reading_of(via: str, event: HistoryRead) -> Reading:
    """Return the reading that a history reply contains."""
    publications, newest = event.publications, event.position.offset if event.position is not None else 0
    return Reading(
        via=via,
        data=frozenset(item.data for item in publications if isinstance(item.data, str)),
        complete=not publications or publications[-1].offset >= newest,
    )


async def _read_history(client: Client, command: History) -> HistoryRead:
    """Read the history over a connection. Raises `ProbeError`."""
    if not client.connected:
        raise ProbeError(Step.HISTORY, Reason.DISCONNECTED)
    event = await client.request(command)
    if isinstance(event, HistoryRead):
        return event
    if isinstance(event, Replied) and event.error is not None:
        raise obstacles.of_error(Step.HISTORY, event.error)
    raise ProbeError(Step.HISTORY, Reason.DISCONNECTED)


async def is_stored(receiver: Participant, message: Message, limit: int, seconds: float) -> bool:
    """Return whether the history, read over the receiver's own connection, has a message that was not pushed to it."""
    command = History(channel=message.key.channel, limit=limit)
    reading = await _bounded(seconds, "the persistent connection", _read_history(receiver.client, command))
    return reading.data is not None and message.data in reading.data


async def _read_over_new(context: ProbeContext, side: str, endpoint_index: int, command: History) -> HistoryRead:
    unpublished = replace(context, publish=lambda _: None)  # in no SLI
    endpoint = context.admission.endpoint(side, endpoint_index, context.probe.diagnosis_timeout)
    connection = IdleConnection(unpublished, unpublished.recorder(), endpoint=endpoint)
    try:
        await connection.open()
        return await _read_history(connection.client, command)
    finally:
        connection.close()

"""A session that injects the faults of a plan."""

from __future__ import annotations

import heapq
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.embedded.faults import Fault, FaultStep
from monitor.embedded.session import _METHODS, Session
from monitor.jsontext import raw_members, raw_string

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.embedded.broker import Broker, Item
    from monitor.embedded.plan import FaultPlan
    from monitor.embedded.session import ServerSettings

CUT: Final = -1
"""Pseudo close code: the connection is dropped without a close frame."""

_STEPS: Final = {
    "connect": FaultStep.HELLO,
    "subscribe": FaultStep.SUBSCRIBE,
    "publish": FaultStep.PUBLISH,
    "history": FaultStep.HISTORY,
}
_FRAME_FAULTS: Final = frozenset({"garbage", "oversize", "endless", "binary", "drip"})
_ALSO_PUSHED: Final = frozenset({"duplicate", "misroute"})  # the publication itself is pushed unchanged
_EDITS_REPLY: Final = frozenset({"epoch", "offset", "reorder"})  # apply only to replies without an error
_OFFSET_SHIFT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFault:
    """How the next frame is to be sent instead of as a valid one."""

    kind: str
    by: float
    bytes: int


class FaultySession(Session):
    """One connection. `side` is empty if the client named none."""

    def __init__(
        self, broker: Broker, settings: ServerSettings, now: float, wake: Callable[[], None], plan: FaultPlan, side: str
    ) -> None:
        super().__init__(broker, settings, now, wake)
        self.side = side
        self.frame_fault: FrameFault | None = None
        self.on_frame_fault: Callable[[], None] = lambda: None  # called before a frame that may never end
        self._plan = plan
        self._later: list[tuple[float, int, str, str]] = []  # due, order, channel or "", line
        self._order = itertools.count()
        self._delayed: dict[str, list[str]] = {}  # by channel: lines to push after the next publication
        self._fault: Fault | None = None  # of the present command
        broker.sides[self.client] = side

    def disconnected(self) -> None:
        """Handle the end of the connection."""
        super().disconnected()
        self._broker.sides.pop(self.client, None)

    # Publications.

    def push(self, channel: str, item: Item, epoch: str) -> None:
        """Push a publication, with a fault unless it is the client's own."""
        publisher = raw_string(raw_members(item.info).get("client"))
        plan = self._plan
        fault = None
        if publisher != self.client:
            sender = self._broker.sides.get(publisher, "")
            fault = plan.select(FaultStep.PUSH, channel=channel, to=self.side, sender=sender, data=item.data)
        if fault is None:
            super().push(channel, item, epoch)
        else:
            self._inject_push_fault(fault, channel, item, epoch)
        if publisher != self.client and (fault is None or fault.kind in _ALSO_PUSHED):
            for line in self._delayed.pop(channel, ()):
                self.emit(line)

    def _inject_push_fault(self, fault: Fault, channel: str, item: Item, epoch: str) -> None:  # noqa: C901 - one case a kind
        match fault.kind:
            case "drop":
                pass
            case "delay":
                self._emit_later(fault.by, self._line_of(channel, item, epoch))
            case "reorder":
                line = self._line_of(channel, item, epoch)
                self._delayed.setdefault(channel, []).append(line)
                self._emit_later(fault.by, line, until_next_of=channel)
            case "corrupt":
                super().push(channel, item._replace(data=corrupt(item.data, self._plan.rng.random())), epoch)
            case "truncate":
                super().push(channel, item._replace(data=truncate(item.data)), epoch)
            case "close":
                self.close(fault.code)
            case "reset":
                self.close(CUT, "")
            case _:
                super().push(channel, item, epoch)
                if fault.kind == "duplicate":
                    super().push(channel, item, epoch)
                elif fault.kind == "misroute":
                    self._misroute(channel, item)
                elif fault.kind == "unsubscribe":
                    self._unsubscribe_client(channel, fault.code)

    def _misroute(self, channel: str, item: Item) -> None:
        other_channel = self._broker.other_channel(channel)
        if other_channel is None:
            self._plan.injected.pop()  # no other channel to misroute to
            return
        other, stream, subscriber = other_channel
        if isinstance(subscriber, Session):
            Session.push(subscriber, other, item._replace(offset=stream.offset), stream.epoch)

    def _unsubscribe_client(self, channel: str, code: int) -> None:
        self.channels.discard(channel)
        self._broker.unsubscribe(channel, self)
        self.emit(f'{{"push":{{"channel":"{channel}","unsubscribe":{{"code":{code},"reason":"fault"}}}}}}')

    def _line_of(self, channel: str, item: Item, epoch: str) -> str:
        """Return the line that a push would send."""
        before, self._lines = self._lines, []
        buffered = self._buffered
        super().push(channel, item, epoch)
        (line,), self._lines, self._buffered = self._lines, before, buffered
        return line

    # Commands.

    def _command(self, members: dict[str, str], now: float) -> None:
        method = next((name for name in _METHODS if name in members), "")
        step = _STEPS.get(method)
        identifier = members.get("id", "")
        if step is None or not identifier.isdigit():
            super()._command(members, now)
            return
        body = raw_members(members[method])
        channel = raw_string(body.get("channel"))
        fault = self._plan.select(step, channel=channel, to=self.side, sender=self.side, data=body.get("data", ""))
        if fault is None:
            super()._command(members, now)
        else:
            self._inject_command_fault(fault, identifier, channel, members, now)

    def _inject_command_fault(
        self, fault: Fault, identifier: str, channel: str, members: dict[str, str], now: float
    ) -> None:
        match fault.kind:
            case "silent":
                self._stale_at = None  # silent for ever, without a close
                return
            case "close":
                self.close(fault.code)
                return
            case "reset":
                self.close(CUT, "")
                return
            case "error":
                self.emit(f'{{"id":{identifier},"error":{{"code":{fault.code},"message":"fault"}}}}')
                return
            case "unstored":
                self.emit(f'{{"id":{identifier},"publish":{{}}}}')
                return
            case "junk":
                self.emit("this is not JSON")
                return
            case "forget":
                self._broker.forget(channel)
            case kind if kind in _FRAME_FAULTS:
                self.on_frame_fault()
                self.frame_fault = FrameFault(kind=kind, by=fault.by, bytes=fault.bytes)
        self._fault = fault
        super()._command(members, now)
        self._fault = None

    def emit(self, line: str) -> None:
        """Send a line to the client."""
        fault = self._fault
        if line == "{}" and self._plan.select(FaultStep.PING, to=self.side) is not None:
            self._pong_by = None
            return
        if fault is None or not line.startswith('{"id":'):
            super().emit(line)
        elif fault.kind in _EDITS_REPLY and line.partition(",")[2].startswith('"error":'):
            self._plan.injected.pop()  # nothing to change
            super().emit(line)
        elif fault.kind == "delay":
            self._emit_later(fault.by, line)
        elif fault.kind == "epoch":
            super().emit(line.replace('"epoch":"', '"epoch":"not', 1))
        elif fault.kind == "offset":
            super().emit(f'{line[:-2]},"offset":{_OFFSET_SHIFT}}}}}')
        elif fault.kind == "reorder":
            super().emit(_reversed_history(line))
        elif fault.kind != "unacked":
            super().emit(line)

    # Delayed lines.

    def _emit_later(self, seconds: float, line: str, *, until_next_of: str = "") -> None:
        heapq.heappush(self._later, (self._plan.now() + seconds, next(self._order), until_next_of, line))
        self._wake()

    def tick(self, now: float) -> None:
        """Handle deadlines that have passed."""
        while self._later and self._later[0][0] <= now and self.closing is None:
            _, _, channel, line = heapq.heappop(self._later)
            if channel:
                if line not in self._delayed.get(channel, ()):
                    continue  # pushed after the next publication
                self._delayed[channel].remove(line)
                self._plan.note("delayed", FaultStep.PUSH, channel, line)
            super().emit(line)
        super().tick(now)

    def deadline(self) -> float | None:
        """Time at which `tick` is due, or None."""
        due = super().deadline()
        if not self._later or self.closing is not None:
            return due
        return self._later[0][0] if due is None else min(due, self._later[0][0])

    def close(self, code: int, reason: str | None = None) -> None:
        """Close the connection."""
        super().close(code, reason)
        self._later.clear()


def _reversed_history(line: str) -> str:
    """Return a history reply with its publications in reverse order."""
    reply = json.loads(line)
    publications = reply["history"].get("publications", [])
    for publication, data in zip(publications, [item["data"] for item in reversed(publications)], strict=True):
        publication["data"] = data
    return json.dumps(reply, separators=(",", ":"))


def corrupt(data: str, chance: float) -> str:
    """Return a JSON string with one character of its second half replaced; null for another value."""
    text = json.loads(data)
    if not isinstance(text, str) or not text:
        return "null"
    index = len(text) // 2 + int(chance * (len(text) - len(text) // 2))
    other = "A" if text[index] != "A" else "B"
    return json.dumps(text[:index] + other + text[index + 1 :])


def truncate(data: str) -> str:
    """Return the first half of a JSON string; null for another value."""
    text = json.loads(data)
    return json.dumps(text[: len(text) // 2]) if isinstance(text, str) else "null"

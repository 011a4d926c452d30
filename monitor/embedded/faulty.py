"""A client's session at a relay that makes faults: as `session.Session`, but for what its plan says."""

from __future__ import annotations

import heapq
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.embedded import verbatim
from monitor.embedded.faults import Fault, Stage
from monitor.embedded.session import _METHODS, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.embedded.broker import Broker, Item
    from monitor.embedded.plan import FaultPlan
    from monitor.embedded.session import Terms

CUT: Final = -1
"""In the place of a close code: the connection ends without a word."""

_STAGES: Final = {
    "connect": Stage.HELLO,
    "subscribe": Stage.SUBSCRIBE,
    "publish": Stage.PUBLISH,
    "history": Stage.HISTORY,
}
_MANNERS: Final = frozenset({"garbage", "oversize", "endless", "binary", "drip"})
_INTACT: Final = frozenset({"duplicate", "misroute"})  # the publication comes at once and whole all the same
_REWORDING: Final = frozenset({"epoch", "offset", "reorder"})  # they need what only a reply without an error has
_AHEAD: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFault:
    """How the next frame is sent, where it is not sent as a frame should be."""

    kind: str
    by: float
    bytes: int


class FaultySession(Session):
    """One connection of side `side`, "" where it named none."""

    def __init__(
        self, broker: Broker, terms: Terms, now: float, wake: Callable[[], None], plan: FaultPlan, side: str
    ) -> None:
        super().__init__(broker, terms, now, wake)
        self.side = side
        self.manner: FrameFault | None = None
        self.on_mistreatment: Callable[[], None] = lambda: None  # told before a frame that may never end
        self._plan = plan
        self._later: list[tuple[float, int, str, str]] = []  # due, order, channel whose next publication ends it, line
        self._order = itertools.count()
        self._held: dict[str, list[str]] = {}  # by channel: lines that wait for the next one
        self._fault: Fault | None = None  # of the command at hand
        broker.sides[self.client] = side

    def gone(self) -> None:
        """The connection is over."""
        super().gone()
        self._broker.sides.pop(self.client, None)

    # Publications.

    def push(self, channel: str, item: Item, epoch: str) -> None:
        """A publication for this client. One's own comes back untouched: the client learns nothing from it."""
        publisher = verbatim.text(verbatim.members(item.info).get("client"))
        plan = self._plan
        fault = None
        if publisher != self.client:
            sender = self._broker.sides.get(publisher, "")
            fault = plan.strikes(Stage.PUSH, channel=channel, to=self.side, sender=sender, data=item.data)
        if fault is None:
            super().push(channel, item, epoch)
        else:
            self._mistreat(fault, channel, item, epoch)
        if publisher != self.client and (fault is None or fault.kind in _INTACT):
            for line in self._held.pop(channel, ()):
                self.emit(line)

    def _mistreat(self, fault: Fault, channel: str, item: Item, epoch: str) -> None:  # noqa: C901 - one case a kind
        match fault.kind:
            case "drop":
                pass
            case "delay":
                self._emit_later(fault.by, self._line_of(channel, item, epoch))
            case "reorder":
                line = self._line_of(channel, item, epoch)
                self._held.setdefault(channel, []).append(line)
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
                    self._take_away(channel, fault.code)

    def _misroute(self, channel: str, item: Item) -> None:
        elsewhere = self._broker.elsewhere(channel)
        if elsewhere is None:
            self._plan.deeds.pop()  # there is nowhere to go astray
            return
        other, stream, subscriber = elsewhere
        if isinstance(subscriber, Session):
            Session.push(subscriber, other, item._replace(offset=stream.offset), stream.epoch)

    def _take_away(self, channel: str, code: int) -> None:
        self.channels.discard(channel)
        self._broker.unsubscribe(channel, self)
        self.emit(f'{{"push":{{"channel":"{channel}","unsubscribe":{{"code":{code},"reason":"fault"}}}}}}')

    def _line_of(self, channel: str, item: Item, epoch: str) -> str:
        """What a push would send."""
        before, self._lines = self._lines, []
        queued = self._queued
        super().push(channel, item, epoch)
        (line,), self._lines, self._queued = self._lines, before, queued
        return line

    # Commands.

    def _command(self, members: dict[str, str], now: float) -> None:
        method = next((name for name in _METHODS if name in members), "")
        stage = _STAGES.get(method)
        identifier = members.get("id", "")
        if stage is None or not identifier.isdigit():
            super()._command(members, now)
            return
        body = verbatim.members(members[method])
        channel = verbatim.text(body.get("channel"))
        fault = self._plan.strikes(stage, channel=channel, to=self.side, sender=self.side, data=body.get("data", ""))
        if fault is None:
            super()._command(members, now)
        else:
            self._strike(fault, identifier, channel, members, now)

    def _strike(self, fault: Fault, identifier: str, channel: str, members: dict[str, str], now: float) -> None:
        match fault.kind:
            case "silent":
                self._stale_at = None  # silent for ever: not even a close
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
            case kind if kind in _MANNERS:
                self.on_mistreatment()
                self.manner = FrameFault(kind=kind, by=fault.by, bytes=fault.bytes)
        self._fault = fault
        super()._command(members, now)
        self._fault = None

    def emit(self, line: str) -> None:
        """Everything this client is sent passes here."""
        fault = self._fault
        if line == "{}" and self._plan.strikes(Stage.PING, to=self.side) is not None:
            self._pong_by = None
            return
        if fault is None or not line.startswith('{"id":'):
            super().emit(line)
        elif fault.kind in _REWORDING and line.partition(",")[2].startswith('"error":'):
            self._plan.deeds.pop()  # there is nothing to change
            super().emit(line)
        elif fault.kind == "delay":
            self._emit_later(fault.by, line)
        elif fault.kind == "epoch":
            super().emit(line.replace('"epoch":"', '"epoch":"not', 1))
        elif fault.kind == "offset":
            super().emit(f'{line[:-2]},"offset":{_AHEAD}}}}}')
        elif fault.kind == "reorder":
            super().emit(_backwards(line))
        elif fault.kind != "unacked":
            super().emit(line)

    # Later.

    def _emit_later(self, seconds: float, line: str, *, until_next_of: str = "") -> None:
        heapq.heappush(self._later, (self._plan.now() + seconds, next(self._order), until_next_of, line))
        self._wake()

    def tick(self, now: float) -> None:
        """Time passed: what was held back may be due."""
        while self._later and self._later[0][0] <= now and self.closing is None:
            _, _, channel, line = heapq.heappop(self._later)
            if channel:
                if line not in self._held.get(channel, ()):
                    continue  # the next one came, and this one after it
                self._held[channel].remove(line)
                self._plan.note("held", Stage.PUSH, channel, line)
            super().emit(line)
        super().tick(now)

    def deadline(self) -> float | None:
        """When `tick` is due."""
        due = super().deadline()
        if not self._later or self.closing is not None:
            return due
        return self._later[0][0] if due is None else min(due, self._later[0][0])

    def close(self, code: int, reason: str | None = None) -> None:
        """End the connection from the server's side."""
        super().close(code, reason)
        self._later.clear()


def _backwards(line: str) -> str:
    """A history reply as if its publications had been stored in the opposite order."""
    reply = json.loads(line)
    publications = reply["history"].get("publications", [])
    for publication, data in zip(publications, [item["data"] for item in reversed(publications)], strict=True):
        publication["data"] = data
    return json.dumps(reply, separators=(",", ":"))


def corrupt(data: str, chance: float) -> str:
    """Published JSON with one character of its second half changed, still JSON; of anything but a string, null."""
    text = json.loads(data)
    if not isinstance(text, str) or not text:
        return "null"
    place = len(text) // 2 + int(chance * (len(text) - len(text) // 2))
    other = "A" if text[place] != "A" else "B"
    return json.dumps(text[:place] + other + text[place + 1 :])


def truncate(data: str) -> str:
    """Published JSON of which the second half is missing; of anything but a string, null."""
    text = json.loads(data)
    return json.dumps(text[: len(text) // 2]) if isinstance(text, str) else "null"

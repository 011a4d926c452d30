"""A world without I/O for dApps and wallets: a clock moved by hand, and a relay that is a dictionary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.session import actions, notices

if TYPE_CHECKING:
    from monitor.session.peer import Peer


@dataclass(slots=True)
class ManualClock:
    """Both clocks, standing still until they are moved."""

    now: float = 1_000.0
    wall: float = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.wall

    def move(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


@dataclass(slots=True)
class Relay:
    """Carries out what peers want at once, in order; keeps every publication; `refusing` accepts none."""

    clock: ManualClock
    history: dict[str, list[str]] = field(default_factory=dict)
    present: dict[str, list[Peer]] = field(default_factory=dict)
    online: list[Peer] = field(default_factory=list)
    refusing: bool = False
    published: list[actions.Publish] = field(default_factory=list)
    heard: list[tuple[Peer, notices.Notice]] = field(default_factory=list)

    def settle(self, *peers: Peer) -> None:
        """Until nobody wants anything any more."""
        busy = True
        while busy:
            busy = False
            for peer in peers:
                wanted, told = peer.drain()
                for action in wanted:
                    self._carry_out(peer, action)
                self.heard += [(peer, notice) for notice in told]
                busy = busy or bool(wanted or told)

    def said(self, peer: Peer, kind: type[Any]) -> list[Any]:
        """What a peer was told, of one kind, in order."""
        return [notice for owner, notice in self.heard if owner is peer and isinstance(notice, kind)]

    def leave(self, peer: Peer) -> None:
        """The peer's connection drops."""
        self.online.remove(peer)
        for subscribers in self.present.values():
            if peer in subscribers:
                subscribers.remove(peer)
        peer.on_disconnected(self.clock.now)

    def _carry_out(self, peer: Peer, action: actions.Action) -> None:
        now = self.clock.now
        match action:
            case actions.Connect():
                self.online.append(peer)
                peer.on_connected(now)
            case actions.Subscribe(channel=channel):
                self.present.setdefault(channel, []).append(peer)
                peer.on_subscribed(channel, now)
            case actions.FetchHistory(channel=channel, limit=limit):
                peer.on_history(channel, self.history.get(channel, [])[:limit], now)
            case actions.Unsubscribe(channel=channel):
                self.present[channel].remove(peer)
            case actions.Publish():
                self.published.append(action)
                if self.refusing:
                    peer.on_published(action.message_id, ok=False, now=now)
                    return
                self.history.setdefault(action.key.channel, []).append(action.data)
                peer.on_published(action.message_id, ok=True, now=now)
                for subscriber in list(self.present.get(action.key.channel, [])):
                    subscriber.on_publication(action.key.channel, action.data, now)
            case actions.Close():
                if peer in self.online:
                    self.leave(peer)

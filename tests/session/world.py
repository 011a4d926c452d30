"""A clock and a relay without I/O, for dApps and wallets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.session import actions, notices

if TYPE_CHECKING:
    from monitor.session.peer import Peer


@dataclass(slots=True)
class ManualClock:
    """Monotonic and wall clock; time passes only in `move`."""

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
    """Performs the actions of peers in order and keeps every publication; `rejects_publishes` refuses them."""

    clock: ManualClock
    history: dict[str, list[str]] = field(default_factory=dict)
    subscribers: dict[str, list[Peer]] = field(default_factory=dict)
    online: list[Peer] = field(default_factory=list)
    rejects_publishes: bool = False
    published: list[actions.Publish] = field(default_factory=list)
    notices_by_peer: list[tuple[Peer, notices.Notice]] = field(default_factory=list)

    def run_until_idle(self, *peers: Peer) -> None:
        """Perform actions until no peer requests one."""
        busy = True
        while busy:
            busy = False
            for peer in peers:
                requested, emitted = peer.drain()
                for action in requested:
                    self._perform(peer, action)
                self.notices_by_peer += [(peer, notice) for notice in emitted]
                busy = busy or bool(requested or emitted)

    def notices_of(self, peer: Peer, kind: type[Any]) -> list[Any]:
        """Return the notices of one kind that a peer has emitted, in order."""
        return [notice for owner, notice in self.notices_by_peer if owner is peer and isinstance(notice, kind)]

    def leave(self, peer: Peer) -> None:
        """Drop the peer's connection."""
        self.online.remove(peer)
        for peers in self.subscribers.values():
            if peer in peers:
                peers.remove(peer)
        peer.on_disconnected(self.clock.now)

    def _perform(self, peer: Peer, action: actions.Action) -> None:
        now = self.clock.now
        match action:
            case actions.Connect():
                self.online.append(peer)
                peer.on_connected(now)
            case actions.Subscribe(channel=channel):
                self.subscribers.setdefault(channel, []).append(peer)
                peer.on_subscribed(channel, now)
            case actions.FetchHistory(channel=channel, limit=limit):
                peer.on_history(channel, self.history.get(channel, [])[:limit], now)
            case actions.Unsubscribe(channel=channel):
                self.subscribers[channel].remove(peer)
            case actions.Publish():
                self.published.append(action)
                if self.rejects_publishes:
                    peer.on_published(action.message_id, ok=False, now=now)
                    return
                self.history.setdefault(action.key.channel, []).append(action.data)
                peer.on_published(action.message_id, ok=True, now=now)
                for subscriber in list(self.subscribers.get(action.key.channel, [])):
                    subscriber.on_publication(action.key.channel, action.data, now)
            case actions.Close():
                if peer in self.online:
                    self.leave(peer)

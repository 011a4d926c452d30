"""The network of one relay as seen from one location: what faults do to its connections and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.simulation.year.kinds import New, Persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from monitor.simulation.year.plan import Fault

CONNECT: Final = 0.3
"""Seconds that a pairing and a message take, or a refusal."""

CLOSED_AFTER: Final = 0.01
"""Seconds from the start of a fault to when persistent connections are closed."""

_CLOSING: Final = frozenset({Persistent.CLOSED, Persistent.RECONNECT})


class Network:
    """The persistent pairs, and what happens to connections and messages at a time, in seconds.

    connected: by the number of a persistent pair, whether its connections are there.
    """

    def __init__(self, faults: Sequence[Fault], pairs: int, rng: np.random.Generator) -> None:
        self._faults, self._rng = faults, rng
        self.connected = [True] * pairs
        self._hit: dict[tuple[int, int], bool] = {}  # by fault and pair: the pair is on the node that fails

    def new(self, at: float) -> New:
        """Return what happens to a new connection and its message."""
        worst = New.OK
        for fault in self._active(at):
            kind = fault.kind
            outcome = kind.new
            if outcome is not New.OK and kind.nodes > 1 and self._rng.random() < (1 - 1 / kind.nodes) ** 2:
                outcome = New.OK
            if kind.loss and self._rng.random() < kind.loss:
                outcome = New.SILENT
            worst = outcome if worst is New.OK else worst
        return worst

    def delivers(self, number: int, at: float) -> bool:
        """Return whether a message over a connected persistent pair is delivered."""
        for fault in self._active(at):
            kind = fault.kind
            if kind.persistent is Persistent.SILENT and self._is_hit(fault, number):
                return False
            if kind.loss and self._rng.random() < kind.loss:
                return False
        return True

    def stores(self, number: int, at: float) -> bool:
        """Return whether a silent node stores the messages of a pair: the others, which share the store, work."""
        return any(
            fault.kind.nodes > 1 and fault.kind.persistent is Persistent.SILENT and self._is_hit(fault, number)
            for fault in self._active(at)
        )

    def is_slow(self, at: float) -> bool:
        """Return whether a round trip exceeds the latency threshold."""
        return any(fault.kind.slow and self._rng.random() < fault.kind.slow for fault in self._active(at))

    def closings(self, start: float) -> list[float]:
        """Return when faults close persistent connections, from `start` on."""
        return [
            edge + CLOSED_AFTER
            for fault in self._faults
            if fault.kind.persistent in _CLOSING
            for edge in fault.edges()[::2]
            if edge >= start
        ]

    def close(self, at: float) -> list[int]:
        """Close the connections that a fault which has just come closes; return the numbers of their pairs."""
        closing = [fault for fault in self._active(at) if fault.kind.persistent in _CLOSING]
        closed = [
            number
            for number, connected in enumerate(self.connected)
            if connected and any(self._is_hit(fault, number) for fault in closing)
        ]
        for number in closed:
            self.connected[number] = False
        return closed

    def reconnect(self, number: int, at: float) -> bool:
        """Connect a pair again; return whether it is connected."""
        self.connected[number] = self.connected[number] or self.new(at) is New.OK
        return self.connected[number]

    def wake(self, at: float) -> None:
        """Connect all pairs again without waiting: the relay serves."""
        for number in range(len(self.connected)):
            self.reconnect(number, at)

    def _active(self, at: float) -> list[Fault]:
        return [fault for fault in self._faults if fault.active(at)]

    def _is_hit(self, fault: Fault, number: int) -> bool:
        """Return whether a pair needs the node that fails: of several nodes each of its two connections has one."""
        if fault.kind.nodes == 1:
            return True
        key = id(fault), number
        if key not in self._hit:
            self._hit[key] = self._rng.random() > (1 - 1 / fault.kind.nodes) ** 2
        return self._hit[key]

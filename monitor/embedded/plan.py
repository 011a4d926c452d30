"""Which fault strikes when: decided by a seeded generator, and noted, so that verdicts can be held against it."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.embedded.faults import Fault, Stage

MAX_DEEDS: Final = 200_000
"""Deeds remembered; past it the oldest are forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectedFault:
    """What a fault did: to which channel's publication (`data` as JSON text), or to whose command.

    Kind `held`: what was to be reordered was pushed alone, since no other publication came; `data` is the whole push.
    """

    kind: str
    stage: Stage
    channel: str
    data: str
    at: float  # seconds since the plan was made


class FaultPlan:
    """The faults of one node; `clock` gives seconds that never go back.

    The first fault that strikes is the only one: two never meet in one publication or reply. `set` changes them while
    the relay runs; the deeds stay.
    """

    def __init__(
        self, faults: Iterable[Fault] = (), *, seed: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.deeds: deque[InjectedFault] = deque(maxlen=MAX_DEEDS)
        self._clock = clock
        self._started = clock()
        self._rng = random.Random(seed)  # noqa: S311 - faults are no secret
        self._faults: tuple[Fault, ...] = ()
        self._seen: Counter[int] = Counter()
        self._struck: Counter[int] = Counter()
        self.set(faults)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults in force."""
        return self._faults

    @property
    def rng(self) -> random.Random:
        """Where all its chance comes from."""
        return self._rng

    def set(self, faults: Iterable[Fault]) -> None:
        """Put other faults in force; none switches all of them off."""
        self._faults = tuple(faults)
        self._seen.clear()
        self._struck.clear()

    def now(self) -> float:
        """The clock's reading."""
        return self._clock()

    def strikes(
        self, stage: Stage, *, channel: str = "", to: str = "", sender: str = "", data: str = "", only: str = ""
    ) -> Fault | None:
        """The fault that strikes here, if one does; `only` asks for one kind. It counts as done."""
        since = self._clock() - self._started
        namespace = channel.partition(":")[0]
        for number, fault in enumerate(self._faults):
            if (
                fault.at is not stage
                or (only and fault.kind != only)
                or fault.channel not in {None, namespace}
                or fault.to not in {None, to}
                or fault.sender not in {None, sender}
                or not fault.after <= since < fault.until
            ):
                continue
            self._seen[number] += 1
            if self._seen[number] <= fault.skip or (fault.count is not None and self._struck[number] >= fault.count):
                continue
            if fault.probability < 1 and self._rng.random() >= fault.probability:
                continue
            self._struck[number] += 1
            self.note(fault.kind, stage, channel, data)
            return fault
        return None

    def note(self, kind: str, stage: Stage, channel: str, data: str) -> None:
        """Write down what was done."""
        self.deeds.append(
            InjectedFault(kind=kind, stage=stage, channel=channel, data=data, at=self._clock() - self._started)
        )

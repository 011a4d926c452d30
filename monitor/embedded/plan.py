"""Select faults by a seeded generator and record each one, so that tests can compare verdicts with them."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.embedded.faults import Fault, FaultStep

MAX_INJECTED: Final = 200_000
"""Injected faults remembered; the oldest are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectedFault:
    """A fault that was injected into a publication (`data` is its JSON text) or a command.

    Kind `delayed`: a publication to be reordered was pushed alone, since no other one followed; `data` is the push.
    """

    kind: str
    step: FaultStep
    channel: str
    data: str
    at: float  # seconds since the plan was made


class FaultPlan:
    """The faults of one node. `clock` returns monotonic seconds.

    At most one fault applies to a publication or reply: the first that matches. `set` replaces the faults while the
    relay runs; the record stays.
    """

    def __init__(
        self, faults: Iterable[Fault] = (), *, seed: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.injected: deque[InjectedFault] = deque(maxlen=MAX_INJECTED)
        self._clock = clock
        self._started = clock()
        self._rng = random.Random(seed)  # noqa: S311 - faults are not secret
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
        """The generator of all random choices."""
        return self._rng

    def set(self, faults: Iterable[Fault]) -> None:
        """Replace the faults; an empty iterable disables all."""
        self._faults = tuple(faults)
        self._seen.clear()
        self._struck.clear()

    def now(self) -> float:
        """Return the clock's time."""
        return self._clock()

    def select(
        self, step: FaultStep, *, channel: str = "", to: str = "", sender: str = "", data: str = "", only: str = ""
    ) -> Fault | None:
        """Return the fault to inject here, and record it; None for no fault. `only` restricts the kind."""
        since = self._clock() - self._started
        namespace = channel.partition(":")[0]
        for number, fault in enumerate(self._faults):
            if (
                fault.at is not step
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
            self.note(fault.kind, step, channel, data)
            return fault
        return None

    def note(self, kind: str, step: FaultStep, channel: str, data: str) -> None:
        """Record an injected fault."""
        self.injected.append(
            InjectedFault(kind=kind, step=step, channel=channel, data=data, at=self._clock() - self._started)
        )

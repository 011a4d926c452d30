"""What the verdict on a relay calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.reachability.local_fault import never_local

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.errors import ProbeError
    from monitor.results import RelayStatus, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictHooks:
    """What a verdict calls.

    on_change: with each change of the status.
    on_resolved: when the origin of a failure is known. Until then `unresolved` is true.
    on_attempt: with the run of each attempt that confirms something, for the journal.
    is_local_fault: finds out whether the fault is this monitor's own, given the error, if one is known.
    is_slow: whether a round trip of a probe is over its latency threshold.
    """

    on_change: Callable[[RelayStatus], None]
    on_resolved: Callable[[], None] = lambda: None
    on_attempt: Callable[[Run], None] = lambda _: None
    is_local_fault: Callable[[ProbeError | None], Awaitable[bool]] = never_local
    is_slow: Callable[[str, float], bool] = lambda _probe, _seconds: False

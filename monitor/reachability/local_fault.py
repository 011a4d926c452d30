"""The question whether a failure is this monitor's own fault."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.clock import Clock
    from monitor.errors import ProbeError


async def never_local(_: ProbeError | None) -> bool:
    """Answer that no fault is local, for programs without self-checks."""
    return False


class LocalFaultCheck:
    """Runs `is_local_fault`, one check at a time, and calls `on_result` after each.

    A check that ends by a bug is reported by `on_bug` and finds no local fault. `cleared_at` is when a check last found
    none, on the monotonic clock.
    """

    def __init__(
        self,
        is_local_fault: Callable[[ProbeError | None], Awaitable[bool]],
        on_result: Callable[[], None],
        on_bug: Callable[[Exception], None],
    ) -> None:
        self.task: asyncio.Task[bool] | None = None
        self.cleared_at = float("-inf")
        self._is_local_fault = is_local_fault
        self._on_result = on_result
        self._on_bug = on_bug

    def start(self, clock: Clock, error: ProbeError | None) -> asyncio.Task[bool]:
        """Return the running check, or start one for `error`. Its result is whether the fault is local."""
        if self.task is None or self.task.done():
            self.task = asyncio.ensure_future(self._check(clock, error))
        return self.task

    async def _check(self, clock: Clock, error: ProbeError | None) -> bool:
        try:
            local = await self._is_local_fault(error)
        except Exception as bug:  # noqa: BLE001 - a fault of this program; the round must not wait for its result
            self._on_bug(bug)
            local = False
        if not local:
            self.cleared_at = clock.monotonic()
        self._on_result()
        return local

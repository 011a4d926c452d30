"""Whether a fault of one relay's own settings, or of this machine's way to it, prevents a verdict on it.

Every connect reports how it ended. A fault counts once it has lasted: a file that is being replaced, or one endpoint
of several, is no reason to call the whole relay unobserved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from monitor.errors import LocalError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock
    from monitor.errors import ProbeError

_log = structlog.get_logger(__name__)

PERSISTENCE: Final = 3.0
"""Seconds between the first and the latest of some connects that all fail by such a fault, until it counts."""


class SettingsFault:
    """The fault of one relay's settings, `error`; None while there is none that has lasted.

    `on_change` is called with each change of the error's text, and with None when the fault is gone. The two sides of a
    pair have headers of their own: a fault of either leaves no pair.
    """

    def __init__(self, relay: str, clock: Clock, on_change: Callable[[SettingsError | None], None]) -> None:
        self.error: SettingsError | None = None
        self._relay = relay
        self._clock = clock
        self._on_change = on_change
        self._since: dict[str, float] = {}  # side → when the first of its latest connects failed by such a fault
        self._lasting: dict[str, SettingsError] = {}  # side → its fault that has lasted

    @property
    def in_doubt(self) -> bool:
        """True if a connect failed by such a fault, and it is not known yet whether that lasts."""
        return bool(self._since) and not self._lasting

    def observe(self, side: str, error: ProbeError | None) -> None:
        """Take the end of a connect of `side` into account; None is one that the relay accepted."""
        if isinstance(error, SettingsError):
            now = self._clock.monotonic()
            if now - self._since.setdefault(side, now) >= PERSISTENCE:
                self._lasting[side] = error
        elif not isinstance(error, LocalError):  # the relay was reached, whatever it answered
            self._since.pop(side, None)
            self._lasting.pop(side, None)
        self._update(next(iter(self._lasting.values()), None))

    def clear(self) -> None:
        """Note that the relay can be reached, by whatever a check found."""
        self._since.clear()
        self._lasting.clear()
        self._update(None)

    def _update(self, error: SettingsError | None) -> None:
        before, self.error = self.error, error
        if (before and before.detail) == (error and error.detail):
            return
        if error is not None:
            _log.error("relay cannot be observed", relay=self._relay, why=error.detail)
        else:
            _log.info("relay can be observed again", relay=self._relay)
        self._on_change(error)

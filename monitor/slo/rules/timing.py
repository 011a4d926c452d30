"""Windows and waits of rules, as functions of the scrape and the evaluation interval of Prometheus.

Prometheus evaluates a rule several times on one scrape if evaluations are more frequent, and less than once a scrape if
they are rarer. A condition that must not follow from a single scrape therefore waits longer than a scrape interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_SCRAPES
from monitor.config import show_duration

if TYPE_CHECKING:
    from monitor.config import Config


LAG: Final = 60.0
"""Seconds by which samples may be late: rulers of Mimir and Thanos read what Prometheus has sent them."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The configured intervals; all times in seconds."""

    scrape: float
    evaluation: float

    @classmethod
    def of(cls, config: Config) -> Timing:
        """Return the intervals of a configuration."""
        return cls(config.prometheus.scrape_interval, config.prometheus.evaluation_interval)

    @property
    def step(self) -> float:
        """The longer interval: within it at least one evaluation sees a new scrape."""
        return max(self.scrape, self.evaluation)

    def window(self, seconds: float) -> float:
        """Return the length of a range of scraped samples: `seconds`, and enough for `MIN_SCRAPES` of them at least.

        What one scrape changes is in the range at one evaluation at least.
        """
        return max(seconds, self._enough, LAG + 2 * self.evaluation)

    @property
    def _enough(self) -> float:
        return LAG + MIN_SCRAPES * self.scrape + self.evaluation

    def recorded(self, seconds: float) -> float:
        """Return the length of a range of recorded samples: `seconds`, and two of the longer interval at least."""
        return max(seconds, 2 * self.step)

    def wait(self, seconds: float) -> float:
        """Return the `for` of an alert: `seconds`, and more than a scrape interval; 0 stays 0."""
        return max(seconds, self.scrape + 1) if seconds else 0.0

    def absent(self, seconds: float) -> float:
        """Return the `for` of an alert about series that are absent: one missed scrape, or a first one, is none."""
        return max(seconds, LAG + 2 * self.scrape + self.evaluation)

    def keep(self, seconds: float) -> float:
        """Return the `keep_firing_for` of an alert: `seconds`, and two missed scrapes at least."""
        return max(seconds, 2 * self.step)

    def counter_range(self) -> str:
        """Return the range in which the last sample of a counter is looked for, so that a missed scrape hides none."""
        return show_duration(self._enough)

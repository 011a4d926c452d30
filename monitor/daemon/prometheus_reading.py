"""What Prometheus says of the whole install, read at intervals while `prometheus.url` is set.

A Prometheus that fails harms nothing: the last reading stays for `MAX_AGE` seconds, with why there is no newer one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from monitor.clock import utc
from monitor.threads import BoundedCalls
from monitor.web.prometheus import PrometheusClient, PrometheusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from monitor.clock import Clock
    from monitor.config import Config
    from monitor.web.model import AlertView, LocationView
    from monitor.web.prometheus import SloEvents

_log = structlog.get_logger(__name__)

INTERVAL: Final = 10.0
"""Seconds between two readings of alerts and conditions."""

EVENTS_INTERVAL: Final = 300.0
"""Seconds between two readings of the SLOs' events: Prometheus reads the samples of their whole window."""

TIMEOUT: Final = 30.0
"""Seconds for one reading."""

MAX_AGE: Final = 120.0
"""Seconds for which a reading is shown while Prometheus fails; older alerts and conditions would mislead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What Prometheus said. `at` is None before the first answer; `failure` is why the newest request failed.

    conditions: of each relay, what the locations say. events: by relay and SLO; empty if `events_failure` says why
    they alone are not known.
    """

    url: str
    at: datetime | None = None
    failure: str | None = None
    alerts: tuple[AlertView, ...] = ()
    conditions: Mapping[str, tuple[LocationView, ...]] = field(default_factory=dict)
    events: Mapping[tuple[str, str], SloEvents] = field(default_factory=dict)
    events_failure: str | None = None


class PrometheusReader:
    """Reads at intervals; `reading` is the newest, None without `prometheus.url`. `config` returns that in force."""

    def __init__(self, config: Callable[[], Config], clock: Clock) -> None:
        self.reading: Reading | None = None
        self._config = config
        self._clock = clock
        self._calls = BoundedCalls()
        self._read_at = self._events_at = float("-inf")

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(INTERVAL)

    async def read(self) -> None:
        """Read once, with the configuration in force."""
        config = self._config()
        url = config.prometheus.url
        if url is None:
            self.reading = None
            return
        if self.reading is None or self.reading.url != url:
            self.reading = Reading(url=url)
            self._events_at = float("-inf")
        now = self._clock.monotonic()
        with_events = now - self._events_at >= EVENTS_INTERVAL
        try:
            work = partial(self._request, config, self.reading, with_events=with_events)
            found = await self._calls.call("prometheus", work, TIMEOUT)
        except (PrometheusError, TimeoutError) as error:
            self._failed(str(error) or f"no answer within {TIMEOUT:.0f} s")
            return
        if found.failure is not None and found.failure != self.reading.failure:
            _log.warning("prometheus cannot be read", url=url, why=found.failure)
        self.reading = replace(found, at=utc(self._clock))
        if with_events:
            self._events_at = now
        self._read_at = self._clock.monotonic()

    def _failed(self, why: str) -> None:
        assert self.reading is not None
        if self.reading.failure is None:
            _log.warning("prometheus cannot be read", url=self.reading.url, why=why)
        if self._clock.monotonic() - self._read_at >= MAX_AGE:
            self.reading = Reading(url=self.reading.url, at=self.reading.at, failure=why)
            self._events_at = float("-inf")
        else:
            self.reading = replace(self.reading, failure=why)

    def _request(self, config: Config, before: Reading, *, with_events: bool) -> Reading:
        client = PrometheusClient(before.url, config.install, config.prometheus)
        alerts, conditions = client.alerts(), client.conditions()
        events, failure = before.events, before.events_failure
        if with_events:
            # A query of weeks may fail each time, by the limit of samples: alerts must not depend on it.
            try:
                events, failure = _read_events(client, config), None
            except PrometheusError as error:
                events, failure = {}, f"events of the SLOs: {error}"
        return Reading(
            url=before.url,
            failure=failure,
            alerts=alerts,
            conditions=conditions,
            events=events,
            events_failure=failure,
        )


def _read_events(client: PrometheusClient, config: Config) -> dict[tuple[str, str], SloEvents]:
    events: dict[tuple[str, str], SloEvents] = {}
    for window in sorted({slo.window for slo in config.slos if slo.objective is not None}):
        names = {slo.name for slo in config.slos if slo.window == window}
        found = client.events(window, config.prometheus.scrape_interval)
        events |= {key: value for key, value in found.items() if key[1] in names}
    return events

"""Drills of the page chain: starts them, on demand or by the schedule, and observes each link.

The series of a drill is in memory only, so that it ends with the process. The results of the last drill and of
the last that succeeded are kept in `state_dir`, so that the warning about one that failed outlasts a restart.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.config import Cron, drill_timeout, drill_webhook, min_drill_timeout
from monitor.drill import RELAY, Drill, Result
from monitor.errors import MonitorError, RequestError, printable
from monitor.state import StateFile
from monitor.threads import BoundedCalls
from monitor.web.prometheus import PrometheusClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from monitor.clock import Clock
    from monitor.config import Config
    from monitor.metrics import Metrics
    from monitor.schedule import Schedule
    from monitor.state import StateFolder
    from monitor.supervision import Supervision

_log = structlog.get_logger(__name__)

NAME: Final = "drill.json"

SCHEDULED: Final = "the schedule"
"""The author of a drill that the configuration starts."""

POLL_INTERVAL: Final = 2.0
"""Seconds between two requests to Prometheus whether the alert fires."""

POLL_TIMEOUT: Final = 10.0
"""Seconds for one of them."""

MAX_TEXT: Final = 100
"""Largest length of a text of a request, in characters."""

ID_BYTES: Final = 8
"""Length of an id: who cannot read /metrics cannot guess it."""


class Drills:
    """Runs one drill at a time. To be used on the event loop; only `read` and `close` may block.

    config: returns the configuration in force. shard: "0/1" for the only one.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        *,
        shard: str,
        clock: Clock,
        metrics: Metrics,
        schedule: Schedule,
        supervision: Supervision,
        folder: StateFolder | None = None,
    ) -> None:
        self.shard = shard
        self.newest: Drill | None = None
        self.last: Drill | None = None
        self._last_success: Drill | None = None
        self._config = config
        self._clock, self._metrics, self._schedule, self._supervision = clock, metrics, schedule, supervision
        self._file = StateFile(folder, NAME) if folder is not None else None
        self._calls = BoundedCalls()
        self._began = 0.0  # on the monotonic clock
        self._timer: asyncio.TimerHandle | None = None
        self._polling: asyncio.Task[None] | None = None
        self._prometheus_error = ""  # why it did not say whether the alert fires; "" if it did
        self._scheduled: Cron | None = None

    @property
    def running(self) -> Drill | None:
        """The drill that runs, None if none does."""
        return self.newest if self.newest is not None and self.newest.is_running else None

    @property
    def min_timeout(self) -> float:
        """A drill of this many seconds or fewer cannot succeed."""
        return min_drill_timeout(self._config())

    @property
    def token_file(self) -> Path | None:
        """See `DrillControl`."""
        return self._config().drill.token_file

    def start(self, timeout: float | None, author: str) -> Drill:
        """Start a drill; `timeout` in seconds, None for that of the configuration.

        Raises `RequestError` if one runs.
        """
        if (running := self.running) is not None:
            raise RequestError(
                f"drill {running.id} of {running.author} runs, for at most {running.timeout - self._now():.0f} s more; "
                "only one runs at a time"
            )
        self._began = self._clock.monotonic()
        drill = self.newest = Drill(
            id=secrets.token_hex(ID_BYTES),
            author=author,
            started_at=self._clock.time(),
            timeout=drill_timeout(self._config()) if timeout is None else timeout,
        )
        self._prometheus_error = "it has not answered yet"
        self._metrics.begin_drill(drill.id)
        self._timer = asyncio.get_running_loop().call_later(drill.timeout, self._expire)
        self._polling = self._supervision.spawn("drill", self._poll())
        _log.info("drill started", drill=drill.id, started_by=drill.author, timeout=drill.timeout)
        return drill

    def cancel(self, id: str) -> Drill:  # noqa: A002 - the field's name
        """End the drill with this id. Raises `RequestError` if it does not run."""
        if (running := self.running) is None or running.id != id:
            raise RequestError(f"no drill {printable(id[:MAX_TEXT])!r} runs")
        return self._apply(running.cancel(self._now()))

    def see_scrape(self, id: str, scraper: str) -> None:  # noqa: A002 - the field's name
        """Note that /metrics was scraped with the series of the drill with this id."""
        if (running := self.running) is not None and running.id == id:
            self._apply(running.see_scrape(self._now(), printable(scraper[:MAX_TEXT])))

    def see_notification(self, id: str, fired_at: float | None) -> bool:  # noqa: A002 - the field's name
        """Note the notification of a drill; return whether it is the one that runs.

        `fired_at` is the Unix time at which its alert began to fire.
        """
        running = self.running
        if running is None or not secrets.compare_digest(running.id.encode(), id.encode("utf-8", "replace")):
            return False
        self._apply(running.see_notification(self._now(), fired_at))
        return True

    def configure(self, config: Config) -> None:
        """Start drills at the times of this configuration from now on."""
        drill = config.drill
        wanted = None if drill.cron is None else Cron(cron=drill.cron, timezone=drill.timezone)
        if wanted == self._scheduled:
            return
        # The name of the relay is reserved: no probe has this place in the schedule.
        if self._scheduled is not None:
            self._schedule.remove(RELAY, RELAY)
        if wanted is not None:
            self._schedule.add(relay=RELAY, probe=RELAY, schedule=wanted, run=self._start_scheduled)
        self._scheduled = wanted

    def stop(self) -> None:
        """End the drill that runs."""
        if (running := self.running) is not None:
            self._apply(running.cancel(self._now()))

    def read(self) -> None:
        """Take over the results of the last process. May block."""
        content = self._file.read() if self._file is not None else None
        if content is None:
            return
        try:
            self.last, self._last_success = _from_json(content)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            _log.warning("result of the last drill ignored: damaged", why=repr(error)[:200])
            return
        self.newest = self.last
        for drill in (self._last_success, self.last):
            if drill is not None:
                self._metrics.set_last_drill(drill)

    def close(self, timeout: float) -> None:
        """Wait until the result is written, for at most `timeout` seconds. May block."""
        if self._file is not None:
            self._file.close(timeout)

    def _now(self) -> float:
        return self._clock.monotonic() - self._began

    async def _start_scheduled(self, _: datetime) -> None:
        try:
            self.start(None, SCHEDULED)
        except RequestError as error:
            _log.warning("scheduled drill skipped", why=str(error))

    def _expire(self) -> None:
        if (running := self.running) is not None:
            # The timer's clock may be behind by a little.
            self._apply(running.expire(max(self._now(), running.timeout)))

    def _apply(self, drill: Drill) -> Drill:
        """Keep the new state of the drill; see to its end."""
        self.newest = drill
        if not drill.is_running:
            drill = self.newest = replace(drill, why=self._explain(drill))
            self._close_drill(drill)
        return drill

    def _explain(self, drill: Drill) -> str:
        config = self._config()
        webhook = drill_webhook(config, config.location, int(self.shard.partition("/")[0]))
        url, error = config.prometheus.url, ""
        if url is not None and self._prometheus_error:
            error = f"Prometheus at {url} did not say whether the alert fires: {printable(self._prometheus_error)}"
        return drill.explain(webhook, asks_prometheus=url is not None, prometheus_error=error)

    def _close_drill(self, drill: Drill) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._polling is not None:
            self._polling.cancel()
        self._metrics.end_drill(drill)
        if drill.result is Result.OK:
            _log.info("drill succeeded", drill=drill.id, seconds=round(drill.received or 0.0, 1))
        elif drill.result is Result.CANCELLED:
            _log.info("drill cancelled", drill=drill.id)
        else:
            _log.warning("drill failed", drill=drill.id, missing=drill.missing, why=drill.why)
        if drill.result is not Result.CANCELLED:
            self.last = drill
            if drill.result is Result.OK:
                self._last_success = drill
            if self._file is not None:
                self._file.write(_to_json(drill, self._last_success))

    async def _poll(self) -> None:
        """Request from Prometheus whether the alert fires, until it does."""
        while (running := self.running) is not None and running.firing is None:
            await asyncio.sleep(POLL_INTERVAL)
            config = self._config()
            if config.prometheus.url is None:
                continue
            try:
                fires = await self._calls.call(f"drill {running.id}", partial(_fires, config, running.id), POLL_TIMEOUT)
            except MonitorError as error:
                self._prometheus_error = str(error)
                continue
            except TimeoutError:
                self._prometheus_error = f"no answer within {POLL_TIMEOUT:.0f} s"
                continue
            self._prometheus_error = ""
            if fires and (now := self.running) is not None:
                self._apply(now.see_firing(self._now()))


def _fires(config: Config, drill: str) -> bool:
    """Return whether the alert of a drill fires. May block; raises `PrometheusError`."""
    settings = config.prometheus
    return settings.url is not None and PrometheusClient(settings.url, config.install, settings).drill_fires(drill)


def _to_json(last: Drill, last_success: Drill | None) -> bytes:
    """Return the content of a file with the last drill and the last that succeeded."""
    success = None if last_success is None else asdict(last_success)
    return json.dumps({"last": asdict(last), "last_success": success}).encode()


def _from_json(content: bytes) -> tuple[Drill, Drill | None]:
    """Return the drills that a file has. Raises `ValueError`, `TypeError` or `KeyError` for another content."""
    values = json.loads(content)
    success = values["last_success"]
    return _drill(values["last"]), None if success is None else _drill(success)


def _drill(values: dict[str, Any]) -> Drill:
    drill = Drill(**(values | {"result": Result(values["result"])}))
    texts = (drill.id, drill.author, drill.scraper, drill.why)
    numbers = (drill.started_at, drill.timeout, drill.ended)
    times = (drill.scraped, drill.firing, drill.received)
    if not all(isinstance(text, str) for text in texts) or not all(_is_number(number) for number in numbers):
        raise ValueError("another type")
    if not all(time is None or _is_number(time) for time in times):
        raise ValueError("another type")
    return drill


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)

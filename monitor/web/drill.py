"""Drills over HTTP: `/api/v1/drill` to start, follow and end one, and the webhook for Alertmanager.

`write_guard` decides who may start one. The webhook needs no right to write: a notification counts if it has the id of
the running drill, which all who can read /metrics know, and the token of `drill.token_file`, which Alertmanager has.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from monitor.config import parse_duration, reveal, show_duration
from monitor.drill import ALERT, LABEL, WEBHOOK, Link
from monitor.errors import RequestError, StartupError, printable
from monitor.threads import BoundedCalls
from monitor.web.bodies import author_of, json_body, read_body
from monitor.web.rendering import Json

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from monitor.drill import Drill
    from monitor.web.state import DrillControl, WebState

_log = structlog.get_logger(__name__)

MAX_TIMEOUT: Final = 1800.0
"""Longest time after which a drill has failed, in seconds."""

MAX_AUTHOR: Final = 100
"""Largest length of the name of who starts a drill, in characters."""

READ_TIMEOUT: Final = 2.0
"""Seconds for reading the token that a notification needs."""

MAX_NOTIFICATIONS: Final = 30
"""Notifications of no running drill that are accepted at once; each second one more."""

MAX_ALERTS: Final = 100
"""Alerts of a notification that are looked at: a generated route sends one."""

_KEYS: Final = frozenset({"timeout", "by"})


class _Alert(msgspec.Struct):
    labels: dict[str, str]
    status: str = ""
    startsAt: str = ""  # noqa: N815 - Alertmanager's name


class _Notification(msgspec.Struct):
    """What Alertmanager sends (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config)."""

    alerts: list[_Alert]


class DrillEndpoints:
    """The endpoints."""

    def __init__(self, state: WebState) -> None:
        self._state = state
        self._tokens = float(MAX_NOTIFICATIONS)
        self._filled_at = time.monotonic()
        self._calls = BoundedCalls()

    async def newest(self, _: Request) -> Response:
        """Serve the drill that runs, or the last one; null if there was none."""
        control = self._control()
        return Json({"drill": None if control.newest is None else drill_json(control.newest)})

    async def start(self, request: Request) -> Response:
        """Start a drill: `{"timeout": "3m", "by": "…"}`, both optional."""
        asked = await json_body(request)
        if unknown := sorted(asked.keys() - _KEYS):
            raise HTTPException(400, f"unknown key {unknown[0][:40]!r}; expected {', '.join(sorted(_KEYS))}")
        timeout, by = asked.get("timeout"), asked.get("by", "")
        if not isinstance(by, str) or not (timeout is None or isinstance(timeout, str)):
            raise HTTPException(400, "timeout and by must be text")
        author = author_of(request, by)
        if len(author) > MAX_AUTHOR or not author.isprintable():
            raise HTTPException(400, f"by must be up to {MAX_AUTHOR} printable characters, with the user's name")
        control = self._control()
        seconds = None if timeout is None else _seconds(timeout, control.min_timeout)
        try:
            drill = control.start(seconds, author)
        except RequestError as error:
            raise HTTPException(409, str(error)) from None
        return Json({"drill": drill_json(drill)}, 201)

    async def end(self, request: Request) -> Response:
        """End a drill."""
        try:
            drill = self._control().cancel(request.path_params["id"])
        except RequestError as error:
            raise HTTPException(404, str(error)) from None
        return Json({"drill": drill_json(drill)})

    def has_own_credential(self, path: str) -> bool:
        """Return True for the webhook if its notifications need a token: then they need no user."""
        return path == WEBHOOK and self._state.drills is not None and self._state.drills.token_file is not None

    async def webhook(self, request: Request) -> Response:
        """Receive a notification of Alertmanager; 200 whether it is that of the running drill or not."""
        control = self._control()
        await self._check_token(request, control.token_file)
        try:
            notification = msgspec.json.decode(await read_body(request, "application/json"), type=_Notification)
        except (msgspec.DecodeError, RecursionError):
            raise HTTPException(400, "the body is not a notification of Alertmanager (version 4)") from None
        drills = [
            alert
            for alert in notification.alerts[:MAX_ALERTS]
            if alert.labels.get("alertname") == ALERT and alert.status == "firing"
        ]
        if any(control.see_notification(each.labels.get(LABEL, ""), _unix_time(each.startsAt)) for each in drills):
            return PlainTextResponse("received\n")
        # That of the running drill is never too many: other ones cannot make it fail.
        if not self._is_admitted():
            # Alertmanager tries again after a 5xx, and drops the notification after a 429.
            return PlainTextResponse("too many notifications\n", 503, headers={"Retry-After": "1"})
        for each in drills:
            # One of another monitor at the same address, or one that arrives after the drill.
            monitor = {
                name: printable(each.labels.get(name, "")[:100]) for name in ("install", "location", "shard", LABEL)
            }
            _log.info("notification of another drill ignored", **monitor)
        return PlainTextResponse("ignored: no alert of the running drill\n")

    async def _check_token(self, request: Request, token_file: Path | None) -> None:
        """Raise `HTTPException` unless a request has the token in a file, or there is no file."""
        if token_file is None:
            return
        try:
            token = await self._calls.call(f"read of {token_file}", partial(reveal, token_file), READ_TIMEOUT)
        except (StartupError, TimeoutError) as error:
            why = str(error) or f"{token_file} does not answer: its mount hangs"
            _log.error("notification of a drill rejected", why=why, repeats=True)
            raise HTTPException(503, "the token of drills cannot be read; see the log of the monitor") from None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), token.encode()):
            why = "its token is not that in drill.token_file" if scheme else "it has no token, see drill.token_file"
            _log.warning("notification of a drill rejected", why=why, repeats=True)
            raise HTTPException(
                401, "the token of drill.token_file is required", headers={"WWW-Authenticate": "Bearer"}
            )

    def _control(self) -> DrillControl:
        if self._state.drills is None:
            raise HTTPException(501, "this monitor has no drills")
        return self._state.drills

    def _is_admitted(self) -> bool:
        now = time.monotonic()
        self._tokens = min(float(MAX_NOTIFICATIONS), self._tokens + now - self._filled_at)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def drill_json(drill: Drill) -> dict[str, Any]:
    """Return a drill as JSON values."""
    seconds = {
        Link.BROKEN: 0.0,
        Link.SCRAPED: drill.scraped,
        Link.FIRING: drill.firing,
        Link.RECEIVED: drill.received,
    }
    started_at = datetime.fromtimestamp(drill.started_at, UTC)
    return {
        "id": drill.id,
        "by": drill.author,
        "startedAt": started_at.isoformat(),
        "timeoutSeconds": drill.timeout,
        "endedAt": None if drill.ended is None else (started_at + timedelta(seconds=drill.ended)).isoformat(),
        "result": "running" if drill.result is None else drill.result.value,
        "links": [{"link": link.value, "seconds": at} for link, at in seconds.items()],
        "scraper": drill.scraper,
        "missing": drill.missing.value if drill.why and drill.missing is not None else None,
        "why": drill.why,
    }


def _seconds(text: str, least: float) -> float:
    """Return a duration of more than `least` seconds."""
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    if not least < seconds <= MAX_TIMEOUT:
        raise HTTPException(
            400,
            f"timeout: {text[:40]!r} is not a duration such as 90s or 3m, of at most {show_duration(MAX_TIMEOUT)} and "
            f"more than {show_duration(least)}, which a scrape, an evaluation and Alertmanager's wait take",
        )
    return seconds


def _unix_time(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text)
        return at.timestamp() if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None

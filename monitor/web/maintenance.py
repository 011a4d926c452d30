"""Maintenance on demand: `/api/v1/maintenance`, and the page `/maintenance` with a form.

`write_guard` decides who may change something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from monitor.config import parse_duration
from monitor.errors import RequestError
from monitor.web.bodies import author_of, json_body, read_body
from monitor.web.rendering import Json, html

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from monitor.schedule import Window
    from monitor.web.state import MaintenanceControl, WebState

MAX_FIELDS: Final = 1_100
"""Largest number of fields of a form: one for each relay, and the others."""

_KEYS: Final = frozenset({"relays", "all", "for", "reason", "by"})


class MaintenancePages:
    """The endpoints."""

    def __init__(self, state: WebState) -> None:
        self._state = state

    async def api_list(self, _: Request) -> Response:
        """Serve the open windows as JSON: those on demand, and those of the configuration; and all relays."""
        control = self._control()
        return Json(
            {
                "windows": [window_json(window) for window in control.list()],
                "configured": [window_json(window) for window in control.configured()],
                "relays": sorted(control.relays()),
            }
        )

    async def api_start(self, request: Request) -> Response:
        """Start a window: `{"relays": ["a"], "for": "20m", "reason": "…", "by": "…"}`, or `"all": true` for all."""
        window = self._start(request, _started(await json_body(request)))
        return Json({"window": window_json(window)}, 201)

    async def api_end(self, request: Request) -> Response:
        """End a window."""
        return Json({"window": window_json(self._end(request))})

    async def page(self, request: Request) -> Response:
        """Serve the open windows and a form to start one."""
        return await self._page(request.query_params.getlist("relay")[:MAX_FIELDS])

    async def form_start(self, request: Request) -> Response:
        """Start a window from the form; the response is the page."""
        fields = await _form_fields(request)
        asked: dict[str, Any] = {name: fields.get(name, [""])[0].strip() for name in ("for", "reason", "by")}
        relays = fields.get("relays", [])
        asked |= {"all": True} if "all" in fields else {"relays": relays}
        try:
            self._start(request, _started(asked))
        except HTTPException as error:
            return await self._page(relays, error=error.detail, status_code=error.status_code, filled=asked)
        return RedirectResponse("/maintenance", 303)

    async def form_end(self, request: Request) -> Response:
        """End a window from its button; the response is the page."""
        try:
            self._end(request)
        except HTTPException as error:
            return await self._page([], error=error.detail, status_code=error.status_code)
        return RedirectResponse("/maintenance", 303)

    async def _page(
        self, selected: Sequence[str], *, error: str = "", status_code: int = 200, filled: dict[str, Any] | None = None
    ) -> Response:
        control = self._control()
        return await html(
            "maintenance.html",
            status_code,
            now=control.now(),
            windows=control.list(),
            configured=control.configured(),
            relays=sorted(control.relays()),
            selected=selected,
            error=error,
            filled=filled or {},
        )

    def _control(self) -> MaintenanceControl:
        if self._state.maintenance is None:
            raise HTTPException(501, "this monitor has no maintenance on demand")
        return self._state.maintenance

    def _start(self, request: Request, asked: tuple[Sequence[str] | None, float, str, str]) -> Window:
        relays, seconds, reason, by = asked
        try:
            return self._control().start(relays, seconds, reason, author_of(request, by))
        except RequestError as error:
            raise HTTPException(400, str(error)) from None

    def _end(self, request: Request) -> Window:
        try:
            return self._control().end(
                request.path_params["id"], author_of(request, request.query_params.get("by", ""))
            )
        except RequestError as error:
            raise HTTPException(404, str(error)) from None


def window_json(window: Window) -> dict[str, Any]:
    """Return a window as JSON values."""
    return {
        "id": window.id,
        "relays": list(window.relays),
        "start": window.start.isoformat(),
        "until": window.end.isoformat(),
        "reason": window.reason,
        "by": window.by,
    }


def _started(asked: dict[str, Any]) -> tuple[Sequence[str] | None, float, str, str]:
    """Return relays, seconds, reason and author. Raises `HTTPException`."""
    if unknown := sorted(asked.keys() - _KEYS):
        raise HTTPException(400, f"unknown key {unknown[0][:40]!r}; expected {', '.join(sorted(_KEYS))}")
    relays, everything = asked.get("relays"), "all" in asked
    if everything and asked["all"] is not True:
        raise HTTPException(400, "all can only be true")
    if everything == ("relays" in asked) or relays == []:
        raise HTTPException(400, "name the relays, or set all to true")
    if not everything and not (isinstance(relays, list) and all(isinstance(name, str) for name in relays)):
        raise HTTPException(400, "relays must be a list of names")
    texts = [asked.get(name, "") for name in ("for", "reason", "by")]
    if not all(isinstance(text, str) for text in texts):
        raise HTTPException(400, "for, reason and by must be text")
    length, reason, by = texts
    try:
        return relays or None, parse_duration(length), reason, by
    except ValueError:
        raise HTTPException(400, f"for: {length[:40]!r} is not a duration such as 20m or 1h30m, at most 4h") from None


async def _form_fields(request: Request) -> dict[str, list[str]]:
    body = await read_body(request, "application/x-www-form-urlencoded")
    try:
        return parse_qs(body.decode(), max_num_fields=MAX_FIELDS)
    except ValueError:  # UnicodeDecodeError is one
        raise HTTPException(400, "the form cannot be read") from None

"""HTML and JSON responses. HTML is rendered in a thread, since the event loop also runs the probes."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, Response

from monitor.web.failure_lines import failure_lines
from monitor.web.formats import FILTERS
from monitor.web.static_files import address

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def templates() -> dict[str, Template]:
    """Compile every template, once in a process."""
    environment = Environment(
        loader=PackageLoader("monitor.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= FILTERS | {"failure_lines": failure_lines}
    environment.globals["static"] = address
    return {name: environment.get_template(name) for name in environment.list_templates()}


async def html(template: str, status_code: int = 200, **values: Any) -> Response:
    """Return a page: a template rendered with `values`."""
    page: str = await run_in_threadpool(templates()[template].render, **values)
    return HTMLResponse(page.encode(errors="replace"), status_code)  # see Json


class Json(JSONResponse):
    """JSON in ASCII, since a relay's texts may contain lone surrogates, which UTF-8 cannot encode."""

    def render(self, content: Any) -> bytes:
        """See `starlette.responses.Response`."""
        return encoded(content).encode("ascii")


def encoded(content: Any) -> str:
    """Return JSON values as text."""
    return json.dumps(content, allow_nan=False, separators=(",", ":"))

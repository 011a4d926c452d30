"""The OpenAPI document of `/api/v1`, served at `/api/v1/openapi.json`."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

import monitor
from monitor.vocabulary import Outcome
from monitor.web.api import MAX_RUNS
from monitor.web.incident_api import MAX_INCIDENTS
from monitor.web.openapi_schemas import reference, schemas
from monitor.web.rendering import Json

if TYPE_CHECKING:
    from starlette.requests import Request

    from monitor.web.openapi_schemas import Schema

PATH: Final = "/api/v1/openapi.json"

_ERRORS: Final = {
    "400": "a parameter or the body is not valid",
    "401": "the credentials are missing or wrong",
    "403": "the user, or this host, may not change anything",
    "404": "not found, or expired",
    "409": "one runs already",
    "413": "the body is too large",
    "415": "the body is not JSON",
    "501": "this monitor does not have it",
    "503": "the journal does not reply",
}


async def serve(_: Request) -> Response:
    """Serve the document."""
    return Response(await run_in_threadpool(_encoded), media_type=Json.media_type)


@cache
def _encoded() -> bytes:
    return json.dumps(document(), separators=(",", ":")).encode()


def document() -> dict[str, Any]:
    """Return the document as JSON values."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "relay-monitor",
            "version": monitor.__version__,
            "description": "What a relay-monitor says. Times are in UTC (RFC 3339), durations in seconds.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": _paths(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
        },
        "security": [{}, {"basic": []}],
    }


def _paths() -> dict[str, Any]:
    relay = _query("relay", {"type": "string"}, "only those of this relay")
    since = _query("since", _TIME, "only those that began then or later")
    open_since = _query("since", _TIME, "only those that were open then or later")
    windows = _object_of("windows", "configured", items="Window")
    windows["properties"] = windows["properties"] | {"relays": {"type": "array", "items": {"type": "string"}}}
    return {
        "/api/v1/status": {"get": _get("status", "The monitor and its relays, worst first", reference("MonitorView"))},
        "/api/v1/relays/{name}": {
            "get": _get("relay", "One relay, with its strips", reference("RelayView"), _path("name"), errors=("404",))
        },
        "/api/v1/runs": {
            "get": _get(
                "runs",
                "Stored runs, newest first",
                _object_of("runs", items="Run"),
                relay,
                _query("probe", {"type": "string"}, "only those of this probe"),
                _query("outcome", {"type": "string", "enum": [item.value for item in Outcome]}, "with this outcome"),
                since,
                _query("until", _TIME, "only those that began then or before"),
                _limit(MAX_RUNS),
                errors=("400", "503"),
            )
        },
        "/api/v1/runs/{id}": {
            "get": _get(
                "run",
                "One run with its timeline and its lines of the log",
                reference("RunWithLog"),
                _path("id"),
                errors=("404", "503"),
            )
        },
        "/api/v1/incidents": {
            "get": _get(
                "incidents",
                "Incidents: the open ones, then the newest",
                _object_of("incidents", items="Incident"),
                relay,
                open_since,
                _query("open", {"type": "boolean"}, "only open ones, or only closed ones"),
                _limit(MAX_INCIDENTS),
                errors=("400", "501", "503"),
            )
        },
        "/api/v1/incidents/{id}": {
            "get": _get(
                "incident",
                "One incident with its entries",
                reference("IncidentWithEntries"),
                _path("id"),
                errors=("404", "501", "503"),
            )
        },
        "/api/v1/drill": {
            "get": _get("drill", "The drill that runs, or the last one", _MAYBE_DRILL, errors=("501",)),
            "post": {
                "operationId": "startDrill",
                "summary": "Start a drill of the page chain",
                "requestBody": {"required": True, "content": _json(reference("DrillRequest"))},
                "responses": _responses(
                    "201", _object_of("drill", item="Drill"), ("400", "403", "409", "413", "415", "501")
                ),
            },
        },
        "/api/v1/drill/{id}": {
            "delete": {
                "operationId": "endDrill",
                "summary": "End a drill",
                "parameters": [_path("id")],
                "responses": _responses("200", _object_of("drill", item="Drill"), ("403", "404", "501")),
            }
        },
        "/api/v1/maintenance": {
            "get": _get("maintenance", "Open maintenance windows", windows, errors=("501",)),
            "post": {
                "operationId": "startMaintenance",
                "summary": "Open a maintenance window",
                "requestBody": {"required": True, "content": _json(reference("WindowRequest"))},
                "responses": _responses(
                    "201", _object_of("window", item="Window"), ("400", "403", "413", "415", "501")
                ),
            },
        },
        "/api/v1/maintenance/{id}": {
            "delete": {
                "operationId": "endMaintenance",
                "summary": "End a maintenance window",
                "parameters": [_path("id"), _query("by", {"type": "string"}, "who ends it")],
                "responses": _responses("200", _object_of("window", item="Window"), ("403", "404", "501")),
            }
        },
    }


_MAYBE_DRILL: Final[Schema] = {
    "type": "object",
    "properties": {"drill": {"anyOf": [reference("Drill"), {"type": "null"}]}},
    "required": ["drill"],
}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}


def _get(name: str, summary: str, schema: Schema, *parameters: Schema, errors: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": _responses("200", schema, errors),
    }


def _responses(code: str, schema: Schema, errors: tuple[str, ...]) -> dict[str, Any]:
    failed = {error: {"description": _ERRORS[error], "content": _json(reference("Error"))} for error in errors}
    unauthorized = {"401": {"description": _ERRORS["401"]}}
    return {code: {"description": "success", "content": _json(schema)}, **unauthorized, **failed}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _object_of(*names: str, items: str = "", item: str = "") -> Schema:
    schema = reference(item) if item else {"type": "array", "items": reference(items)}
    return {"type": "object", "properties": dict.fromkeys(names, schema), "required": list(names)}


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _limit(maximum: int) -> Schema:
    return _query("limit", {"type": "integer", "minimum": 1, "maximum": maximum, "default": 50}, "largest number")


def _path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}

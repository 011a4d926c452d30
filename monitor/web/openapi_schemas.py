"""JSON Schemas of what the API serves, for the OpenAPI document.

Those of the view model come from its classes; runs, incidents and maintenance have their own JSON form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.drill import Link, Result
from monitor.vocabulary import Condition, Outcome, Reason, Step, Verdict
from monitor.web.serialization import monitor_adapter, relay_adapter

if TYPE_CHECKING:
    from enum import StrEnum

Schema = dict[str, Any]

REFERENCE: Final = "#/components/schemas/{model}"


def reference(name: str) -> Schema:
    """Return a reference to a schema."""
    return {"$ref": REFERENCE.format(model=name)}


def schemas() -> dict[str, Schema]:
    """Return every schema by name."""
    found: dict[str, Schema] = {}
    for adapter in (monitor_adapter(), relay_adapter()):
        schema = adapter.json_schema(mode="serialization", ref_template=REFERENCE)
        found |= schema.pop("$defs", {})
        if "title" in schema and "properties" in schema:
            found[schema["title"]] = schema
    return found | {
        "Run": _RUN,
        "RunWithLog": {"allOf": [reference("Run"), _object({"log": _array(_LOG_LINE)})]},
        "Failure": _FAILURE,
        "Incident": _INCIDENT,
        "IncidentWithEntries": {
            "allOf": [reference("Incident"), _object({"entries": _array(_ENTRY)})],
        },
        "Window": _WINDOW,
        "WindowRequest": _WINDOW_REQUEST,
        "Drill": _DRILL,
        "DrillRequest": _DRILL_REQUEST,
        "Error": _object({"error": _TEXT}),
    }


def _object(properties: dict[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _one_of(values: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": [item.value for item in values]}


_TEXT: Final = {"type": "string"}
_TIME: Final = {"type": "string", "format": "date-time"}
_NUMBER: Final = {"type": "number"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_FLAG: Final = {"type": "boolean"}
_SECONDS: Final = _maybe({"type": "number"})
_MAYBE_FAILURE: Final = _maybe(reference("Failure"))

_FAILURE: Final = _object(
    {"step": _one_of(Step), "reason": _one_of(Reason), "detail": _TEXT, "status": _TEXT, "endpoint": _TEXT},
    optional=("status", "endpoint"),
)

_RUN: Final = _object(
    {
        "id": _TEXT,
        "relay": _TEXT,
        "probe": _TEXT,
        "scenario": _TEXT,
        "startedAt": _TIME,
        "durationSeconds": _NUMBER,
        "outcome": _one_of(Outcome),
        "failure": _MAYBE_FAILURE,
        "failedAt": _maybe(_TIME) | {"description": "when its fault was, which may be long after its start"},
        "pair": _maybe(_COUNT),
        "pairing": _maybe(_object({"outcome": _one_of(Outcome), "seconds": _SECONDS, "failure": _MAYBE_FAILURE})),
        "exchanges": _array(
            _object(
                {
                    "outcome": _one_of(Outcome),
                    "failure": _MAYBE_FAILURE,
                    "roundTripSeconds": _SECONDS,
                    "wireRequestSeconds": _SECONDS,
                    "wireResponseSeconds": _SECONDS,
                    "recoverySeconds": _SECONDS,
                    "endedSeconds": _SECONDS,
                }
            )
        ),
        "timeline": _array(
            _object(
                {
                    "side": _TEXT,
                    "step": _one_of(Step),
                    "from": _NUMBER,
                    "to": _NUMBER,
                    "note": _TEXT,
                    "failed": _FLAG,
                }
            )
        ),
        "messages": _array(
            _object(
                {
                    "direction": _TEXT,
                    "sequence": {"type": "integer"},
                    "verdict": _maybe(_one_of(Verdict)),
                    "legSeconds": _SECONDS,
                    "wireSeconds": _SECONDS,
                    "note": _TEXT,
                    "sentSeconds": _SECONDS,
                }
            )
        ),
        "omitted": _COUNT | {"description": "exchanges, messages and steps that were not stored"},
    }
)

_LOG_LINE: Final = _object({"at": _TIME, "level": _TEXT, "event": _TEXT, "fields": {"type": "object"}})

_STATISTICS: Final = _object({"name": _TEXT, "count": _COUNT, "first": _TIME, "last": _TIME, "runId": _TEXT})

_ENTRY: Final = _object({"at": _TIME, "kind": _TEXT, "text": _TEXT, "fields": {"type": "object"}})

_INCIDENT: Final = _object(
    {
        "id": _TEXT,
        "relay": _TEXT,
        "sentence": _TEXT,
        "open": _FLAG,
        "condition": _one_of(Condition),
        "worst": _one_of(Condition),
        "beganAt": _TIME,
        "openedAt": _TIME,
        "updatedAt": _TIME,
        "recoveredAt": _maybe(_TIME),
        "closedAt": _maybe(_TIME),
        "closedBecause": _TEXT,
        "detectionSeconds": _SECONDS,
        "badSeconds": _NUMBER,
        "upSeconds": _NUMBER,
        "secondsByCondition": {"type": "object", "additionalProperties": _NUMBER},
        "maintenanceSeconds": _NUMBER,
        "unobservedSeconds": _NUMBER,
        "inMaintenance": _FLAG,
        "reopened": _COUNT,
        "attempts": _COUNT,
        "failedAttempts": _COUNT,
        "messages": {"type": "object", "additionalProperties": _COUNT},
        "causes": _array(
            _object(
                {
                    "step": _TEXT,
                    "reason": _TEXT,
                    "status": _TEXT,
                    "detail": _TEXT,
                    "count": _COUNT,
                    "first": _TIME,
                    "last": _TIME,
                    "runId": _TEXT,
                }
            )
        ),
        "probes": _array(_STATISTICS),
        "endpoints": _array(_STATISTICS),
    }
)

_WINDOW: Final = _object(
    {
        "id": _TEXT | {"description": "empty for a window of the configuration"},
        "relays": _array(_TEXT) | {"description": "empty for all"},
        "start": _TIME,
        "until": _TIME,
        "reason": _TEXT,
        "by": _TEXT,
    }
)

_WINDOW_REQUEST: Final = _object(
    {
        "relays": _array(_TEXT) | {"minItems": 1},
        "all": {"const": True},
        "for": _TEXT | {"pattern": "^[0-9]{1,3}[smh]$", "description": "at most 4h", "examples": ["20m"]},
        "reason": _TEXT | {"minLength": 1},
        "by": _TEXT,
    },
    optional=("relays", "all", "by"),
) | {"additionalProperties": False, "oneOf": [{"required": ["relays"]}, {"required": ["all"]}]}

_DRILL: Final = _object(
    {
        "id": _TEXT,
        "by": _TEXT,
        "startedAt": _TIME,
        "timeoutSeconds": _NUMBER,
        "endedAt": _maybe(_TIME),
        "result": {"type": "string", "enum": ["running", *(result.value for result in Result)]},
        "links": _array(_object({"link": _one_of(Link), "seconds": _SECONDS | {"description": "since the start"}})),
        "scraper": _TEXT | {"description": "the User-Agent of who scraped first"},
        "missing": _maybe(_one_of(Link)) | {"description": "the first link that was not seen, if the drill failed"},
        "why": _TEXT | {"description": "what to check, if the drill failed"},
    }
)

_TIMEOUT: Final = "up to 30m, and more than a scrape, an evaluation and Alertmanager's wait take"

_DRILL_REQUEST: Final = _object(
    {
        "timeout": _TEXT | {"pattern": "^[0-9]{1,3}[sm]$", "description": _TIMEOUT, "examples": ["3m"]},
        "by": _TEXT | {"maxLength": 100},
    },
    optional=("timeout", "by"),
) | {"additionalProperties": False}

"""The API keeps to its OpenAPI document: schemathesis makes requests of it, and checks the responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from monitor.web import build_app
from monitor.web.openapi import PATH, document
from tests.journal.sample import FULL
from tests.json_schema import validator
from tests.web.site import state
from tests.web.test_drill import FakeDrills
from tests.web.test_incident_api import recorder
from tests.web.test_maintenance import control

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

EXAMPLES = 12
"""Requests for each operation; enough for each parameter to be wrong in several ways."""


class Local:
    """The application, called from this host, so that it accepts changes."""

    def __init__(self) -> None:
        self._app = build_app(state(incidents=recorder(), maintenance=control(), drills=FakeDrills()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "client": ("127.0.0.1", 40_000)}, receive, send)


schema = schemathesis.openapi.from_asgi(PATH, Local())


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
def test_responses_are_as_documented(case: schemathesis.Case[Any]) -> None:
    # Which relays exist, and that a window is at most four hours long, the document cannot say.
    # Nor how long a drill may last, and that one runs at a time.
    starts = case.operation.label in {"POST /api/v1/maintenance", "POST /api/v1/drill"}
    case.call_and_validate(excluded_checks=[positive_data_acceptance] if starts else [])


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/v1/relays/{name}", {"name": "demo"}),
        ("/api/v1/runs/{id}", {"id": FULL.id}),
        ("/api/v1/incidents/{id}", {"id": "i1"}),
    ],
)
def test_what_exists_is_as_documented(path: str, parameters: dict[str, Any]) -> None:
    case = schema[path]["GET"].Case(path_parameters=parameters)
    assert case.call_and_validate().status_code == 200


SCHEMAS = document()["components"]["schemas"]


def properties(each: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of an object's schema, with those of the schemas that it refers to."""
    if "$ref" in each:
        return properties(SCHEMAS[each["$ref"].rpartition("/")[2]])
    found = dict(each.get("properties", {}))
    for part in (*each.get("allOf", ()), *each.get("anyOf", ())):
        found |= properties(part)
    return found


def undocumented(value: Any, each: dict[str, Any], where: str = "") -> list[str]:
    """Return the keys of a JSON value that its schema does not have."""
    if isinstance(value, list):
        return [key for item in value for key in undocumented(item, each.get("items", {}), where)]
    known = properties(each)
    if not isinstance(value, dict) or not known:  # not an object, or one with any keys
        return []
    missing = [f"{where}.{key}" for key in value if key not in known]
    for name in value.keys() & known.keys():
        missing += undocumented(value[name], known[name], f"{where}.{name}")
    return missing


@pytest.mark.parametrize(
    ("path", "parameters", "name"),
    [
        ("/api/v1/status", {}, "MonitorView"),
        ("/api/v1/relays/{name}", {"name": "demo"}, "RelayView"),
        ("/api/v1/runs/{id}", {"id": FULL.id}, "RunWithLog"),
        ("/api/v1/incidents/{id}", {"id": "i1"}, "IncidentWithEntries"),
    ],
)
def test_every_key_of_a_response_is_documented(path: str, parameters: dict[str, Any], name: str) -> None:
    case = schema[path]["GET"].Case(path_parameters=parameters)
    assert undocumented(case.call().json(), {"$ref": f"#/components/schemas/{name}"}) == []


def test_every_schema_is_valid() -> None:
    for each in SCHEMAS.values():
        validator(each)


def test_every_route_of_the_api_is_documented() -> None:
    app: Any = build_app(state())
    app = app._app._app._app  # behind security headers, host guard and write guard
    served = {
        (route.path, method)
        for route in app.routes
        if route.path.startswith("/api/")
        for method in route.methods - {"HEAD"}
    }
    documented = {(path, method.upper()) for path, operations in document()["paths"].items() for method in operations}
    assert served - documented == {(PATH, "GET")}
    assert documented - served == set()

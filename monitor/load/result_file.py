"""Reads and checks the file of a result, of a load test or of the relay team's Node tool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import NonNegativeFloat, NonNegativeInt, ValidationError

from monitor.errors import StartupError
from monitor.load.result import LoadResult, Part

if TYPE_CHECKING:
    from pathlib import Path


class _NodeLatency(Part):
    p50: NonNegativeFloat
    p95: NonNegativeFloat
    p99: NonNegativeFloat


class _NodeConnections(Part):
    attempted: NonNegativeInt
    successful: NonNegativeInt


class _NodeHandshake(Part):
    latency: _NodeLatency | None = None


class _NodeMessages(Part):
    sent: NonNegativeInt
    received: NonNegativeInt
    latency: _NodeLatency | None = None


class _NodeRecovery(Part):
    attempted: NonNegativeInt
    received: NonNegativeInt
    latency: _NodeLatency | None = None


class _NodeSteadyState(Part):
    peak_disconnects: NonNegativeInt


class _NodeSteadyMessaging(Part):
    disconnects: NonNegativeInt


class _NodeResults(Part):
    connections: _NodeConnections | None = None
    connect_time: _NodeLatency | None = None
    handshake: _NodeHandshake | None = None
    messages: _NodeMessages | None = None
    recovery: _NodeRecovery | None = None
    steady_state: _NodeSteadyState | None = None
    steady_messaging: _NodeSteadyMessaging | None = None


class NodeResult(Part):
    """A result of the relay team's Node tool: what `compare` reads of it. Any part may be absent or null."""

    scenario: str
    results: _NodeResults


def parse(name: str, data: Any) -> LoadResult | NodeResult:
    """Check the JSON of the file `name`: of a load test if it has sketches, else of the Node tool.

    Raises `StartupError`, which says what is wrong, and where.
    """
    if not (isinstance(data, dict) and isinstance(data.get("results"), dict) and "scenario" in data):
        raise StartupError(f"{name}: not a result of a load test: it has no `scenario` and `results`")
    model = LoadResult if "sketches" in data["results"] else NodeResult
    try:
        # From text: strict types take lists as tuples, and strings as enumerations, only from JSON.
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise StartupError(f"{name}: not a complete result: {f'{path}: ' if path else ''}{message}") from None


def read(path: Path) -> LoadResult | NodeResult:
    """Read the file of a result. Raises `StartupError`."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StartupError(f"{path}: cannot be read as a result: {error}") from error
    return parse(str(path), data)

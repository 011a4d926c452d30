"""The JSON of a load test's result: one schema to write and to read.

Keys and units are those of the relay team's Node tool: latencies in whole milliseconds, rates in percent. The keys
`schemaVersion`, `meta` and `passed`, and under `results` those from `stability` on, are additional. `conversion` turns
totals into a `LoadResult` and back, `result_file` reads one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainSerializer,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from monitor.load.plan import Plan
from monitor.load.verdict import Aim
from monitor.scenarios import SPECS, Scenario

SCHEMA_VERSION: Final = 1

WholeMs = Annotated[NonNegativeFloat, PlainSerializer(round)]
"""Milliseconds, written without decimals, as the Node tool does."""

Number = Annotated[NonNegativeFloat, PlainSerializer(lambda value: int(value) if value.is_integer() else value)]
"""A number, written as an integer if it is one."""


class Part(BaseModel):
    """A part of a result: strict types, camelCase keys."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


def _if_any() -> Any:
    """Return a field whose key is left out of the JSON if its value is None."""
    return Field(default=None, exclude_if=lambda value: value is None)


# Parts of a result that the Node tool writes too.


class WholeLatency(Part):
    """Figures of one latency, in whole milliseconds."""

    min: WholeMs
    max: WholeMs
    avg: WholeMs
    p50: WholeMs
    p95: WholeMs
    p99: WholeMs


class Connections(Part):
    """Pairs or connections."""

    attempted: NonNegativeInt
    successful: NonNegativeInt
    failed: NonNegativeInt
    success_rate: float
    immediate: NonNegativeInt
    recovered: NonNegativeInt


class Timing(Part):
    """Duration of the test."""

    total_time_ms: NonNegativeFloat
    connections_per_sec: NonNegativeFloat


class Retries(Part):
    """Retries of bare connections."""

    total_retries: NonNegativeInt
    avg_retries_per_connection: NonNegativeFloat


class Handshake(Part):
    """Pairings."""

    attempted: NonNegativeInt
    successful: NonNegativeInt
    failed: NonNegativeInt
    success_rate: float
    latency: WholeLatency | None


class Messages(Part):
    """Exchanges."""

    sent: NonNegativeInt
    received: NonNegativeInt
    failed: NonNegativeInt
    delivery_rate: float
    latency: WholeLatency | None


class Recovery(Part):
    """Messages to absent wallets."""

    attempted: NonNegativeInt
    received: NonNegativeInt
    failed: NonNegativeInt
    delivery_rate: float
    latency: WholeLatency | None


class SteadyState(Part):
    """Connections that were held."""

    hold_duration_ms: NonNegativeFloat
    current_disconnects: NonNegativeInt
    peak_disconnects: NonNegativeInt
    reconnects_during_hold: NonNegativeInt
    connection_stability: float


class LatencyWindow(Part):
    """Round trips of ten seconds; times in milliseconds."""

    timestamp_ms: WholeMs
    p50: WholeMs
    p99: WholeMs
    exchanges: NonNegativeInt
    p50_ms: NonNegativeFloat
    p99_ms: NonNegativeFloat


class SteadyMessaging(Part):
    """Persistent pairs."""

    duration_seconds: NonNegativeFloat
    message_interval_seconds: NonNegativeFloat
    disconnects: NonNegativeInt
    reconnects: NonNegativeInt
    latency_over_time: list[LatencyWindow]


# Additional parts.


class Stability(Part):
    """Connected time."""

    connected_seconds: NonNegativeFloat
    due_seconds: NonNegativeFloat


class Latency(Part):
    """Figures of one latency, in milliseconds with decimals."""

    count: NonNegativeInt
    min: NonNegativeFloat
    max: NonNegativeFloat
    avg: NonNegativeFloat
    p50: NonNegativeFloat
    p90: NonNegativeFloat
    p95: NonNegativeFloat
    p99: NonNegativeFloat
    p999: NonNegativeFloat


class LatencyMs(Part):
    """Latencies that users see."""

    connect_time: Latency | None
    handshake: Latency | None
    messages: Latency | None
    recovery: Latency | None


class WireMs(Part):
    """The relay's own part of each leg."""

    request: Latency | None
    response: Latency | None


class WindowSketch(Part):
    """The sketch of ten seconds' round trips and its exact figures in milliseconds."""

    timestamp_ms: WholeMs
    hdr: str
    min: NonNegativeFloat
    max: NonNegativeFloat
    avg: NonNegativeFloat


class Sketches(Part):
    """Latencies as HDR histograms (V2, compressed, base64)."""

    connect_time: str
    handshake: str
    messages: str
    recovery: str
    wire_request: str
    wire_response: str
    over_time: list[WindowSketch]


class Slo(Part):
    """An objective and what was measured: shares in percent, times in milliseconds."""

    name: str
    aim: Aim
    objective: NonNegativeFloat
    measured: float | None = None
    passed: bool = False
    threshold_ms: NonNegativeFloat | None = _if_any()


class Results(Part):
    """What was measured."""

    connections: Connections
    timing: Timing
    connect_time: WholeLatency | None = None
    retries: Retries
    handshake: Handshake | None = _if_any()
    messages: Messages | None = _if_any()
    recovery: Recovery | None = _if_any()
    steady_state: SteadyState | None = _if_any()
    steady_messaging: SteadyMessaging | None = _if_any()
    stability: Stability | None = _if_any()
    latency_ms: LatencyMs
    wire_ms: WireMs
    reasons: dict[str, NonNegativeInt]
    verdicts: dict[str, NonNegativeInt]
    aborted: NonNegativeInt
    unfinished: NonNegativeInt = 0
    sketches: Sketches
    slos: list[Slo]


class ShownConfig(Part):
    """The flags of the test that the Node tool also shows."""

    connections: NonNegativeInt
    duration_sec: Number
    ramp_up_sec: Number
    messages_per_session: NonNegativeInt | None = _if_any()
    delay_sec: Number | None = _if_any()
    message_interval_sec: Number | None = _if_any()
    crypto: str | None = _if_any()


class Meta(Part):
    """The whole test, who ran it, and what it cost."""

    version: str
    interrupted: bool
    workers: NonNegativeInt
    included_workers: Annotated[list[int], Field(min_length=1)] | None = _if_any()  # absent in older results
    missing_workers: list[int] = []
    config: Plan
    machine: dict[str, Any]
    cost: dict[str, NonNegativeFloat]

    @model_validator(mode="after")
    def _check_workers(self) -> Self:
        index, count = self.config.worker
        if not all(0 <= each < count for each in (index, *(self.included_workers or ()))):
            raise ValueError(f"a test of {count} workers has workers 0 to {count - 1}")
        return self


def _required_parts(scenario: Scenario) -> list[str]:
    """Return the parts of `results` that this scenario has, besides those that all have."""
    spec = SPECS[scenario]
    parts = ["messages"] if spec.exchanging else []
    parts += ["recovery"] if spec.offline else []
    if spec.continuous:
        parts.append("steady_messaging" if spec.paired else "steady_state")
    return parts


class LoadResult(Part):
    """A result of a load test."""

    schema_version: int = SCHEMA_VERSION
    scenario: Scenario
    timestamp: str
    target: str
    config: ShownConfig
    results: Results
    meta: Meta
    passed: bool | None = _if_any()
    """Whether every objective was met; a worker's part has none."""

    @field_validator("timestamp")
    @classmethod
    def _check_timestamp(cls, value: str) -> str:
        datetime.fromisoformat(value)
        return value

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        for name in _required_parts(self.scenario):
            if getattr(self.results, name) is None:
                raise ValueError(f"{self.scenario} has results.{to_camel(name)}")
        return self

    @property
    def began(self) -> float:
        """When the test began, in seconds since the epoch."""
        return datetime.fromisoformat(self.timestamp).timestamp()

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return self.model_dump(mode="json")

"""What a result must have, checked once, where it is read: who reads on need not doubt any key.

`Result` is what `compare` looks at, in ours or in that of the relay team's own tool, where whole parts may be absent or
null. `Ours` is all that the totals are made of again. What else is there is nobody's concern.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from monitor.errors import StartupError
from monitor.load.plan import Plan
from monitor.load.verdict import Aim
from monitor.scenarios import Scenario


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class _Latency(_Part):
    """Whole milliseconds."""

    p50: NonNegativeFloat
    p95: NonNegativeFloat
    p99: NonNegativeFloat


class _Connections(_Part):
    attempted: NonNegativeInt
    successful: NonNegativeInt


class _Handshake(_Part):
    latency: _Latency | None = None


class _Messages(_Part):
    sent: NonNegativeInt
    received: NonNegativeInt
    latency: _Latency | None = None


class _Recovery(_Part):
    attempted: NonNegativeInt
    received: NonNegativeInt
    latency: _Latency | None = None


class _SteadyState(_Part):
    peak_disconnects: NonNegativeInt


class _SteadyMessaging(_Part):
    disconnects: NonNegativeInt


class _Results(_Part):
    connections: _Connections | None = None
    connect_time: _Latency | None = None
    handshake: _Handshake | None = None
    messages: _Messages | None = None
    recovery: _Recovery | None = None
    steady_state: _SteadyState | None = None
    steady_messaging: _SteadyMessaging | None = None


class Result(_Part):
    """Any result."""

    scenario: str
    results: _Results


class _OurConnections(_Connections):
    immediate: NonNegativeInt
    recovered: NonNegativeInt
    failed: NonNegativeInt


class _Timing(_Part):
    total_time_ms: NonNegativeFloat


class _Retries(_Part):
    total_retries: NonNegativeInt


class _OurMessages(_Messages):
    failed: NonNegativeInt


class _OurRecovery(_Recovery):
    failed: NonNegativeInt


class _OurSteadyState(_SteadyState):
    hold_duration_ms: NonNegativeFloat
    current_disconnects: NonNegativeInt
    reconnects_during_hold: NonNegativeInt


class _Stability(_Part):
    """Seconds."""

    connected_seconds: NonNegativeFloat
    due_seconds: NonNegativeFloat


class _OurSteadyMessaging(_SteadyMessaging):
    reconnects: NonNegativeInt


class _Figures(_Part):
    """What stands beside a sketch."""

    min: NonNegativeFloat
    max: NonNegativeFloat
    avg: NonNegativeFloat


class _LatencyMs(_Part):
    connect_time: _Figures | None
    handshake: _Figures | None
    messages: _Figures | None
    recovery: _Figures | None


class _WireMs(_Part):
    request: _Figures | None
    response: _Figures | None


class _Window(_Figures):
    timestamp_ms: NonNegativeFloat
    hdr: str


class _Sketches(_Part):
    connect_time: str
    handshake: str
    messages: str
    recovery: str
    wire_request: str
    wire_response: str
    over_time: list[_Window]


class _Slo(_Part):
    name: str
    aim: Aim
    objective: NonNegativeFloat
    threshold_ms: NonNegativeFloat = 0.0


class _OurResults(_Results):
    connections: _OurConnections
    timing: _Timing
    retries: _Retries
    messages: _OurMessages | None = None
    recovery: _OurRecovery | None = None
    steady_state: _OurSteadyState | None = None
    steady_messaging: _OurSteadyMessaging | None = None
    latency_ms: _LatencyMs
    wire_ms: _WireMs
    reasons: dict[str, NonNegativeInt]
    verdicts: dict[str, NonNegativeInt]
    aborted: NonNegativeInt
    unfinished: NonNegativeInt = 0
    stability: _Stability | None = None
    sketches: _Sketches
    slos: list[_Slo]


class _Meta(_Part):
    interrupted: bool
    config: Plan
    cost: dict[str, NonNegativeFloat]
    included_workers: Annotated[list[int], Field(min_length=1)] | None = None  # not in those of before it was written
    missing_workers: list[int] = []

    @model_validator(mode="after")
    def _workers_are_of_the_test(self) -> Self:
        index, count = self.config.worker
        if not all(0 <= each < count for each in (index, *(self.included_workers or ()))):
            raise ValueError(f"a test of {count} workers has those from 0 to {count - 1}")
        return self


PARTS: Final = {
    Scenario.REALISTIC_SESSION: ("messages",),
    Scenario.ASYNC_DELIVERY: ("recovery",),
    Scenario.STEADY_MESSAGING: ("messages", "steady_messaging"),
    Scenario.CONNECTION_STORM: (),
    Scenario.STEADY_STATE: ("steady_state",),
}
"""The parts of our results that only some scenarios have, and these always."""


class Ours(_Part):
    """A result of ours."""

    scenario: Scenario
    timestamp: str
    results: _OurResults
    meta: _Meta

    @model_validator(mode="after")
    def _each_part_is_there(self) -> Self:
        for name in PARTS[self.scenario]:
            if getattr(self.results, name) is None:
                raise ValueError(f"{self.scenario} has results.{to_camel(name)}")
        return self


def check(name: str, data: dict[str, Any]) -> None:
    """Raise `StartupError`, which says what is wrong and where, unless `data` of the file `name` is a whole result."""
    ours = isinstance(data.get("results"), dict) and "sketches" in data["results"]
    try:
        # By way of its text: where types are strict, only JSON's lists may be tuples, and its strings scenarios.
        (Ours if ours else Result).model_validate_json(json.dumps(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        what = first["msg"].removeprefix("Value error, ")
        raise StartupError(f"{name}: is no complete result: {f'{place}: ' if place else ''}{what}") from None

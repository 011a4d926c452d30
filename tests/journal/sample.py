"""Runs to store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.results import Exchange, Failure, Mark, MessageFate, Pairing, Run
from monitor.scenarios import Scenario
from monitor.vocabulary import Outcome, Reason, Step, Verdict

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
LOST = Failure(step=Step.DELIVER, reason=Reason.LOST, detail="acked, never delivered")


def run(number: int, *, failed: bool = False, **fields: Any) -> Run:
    """Return run `number`, one per minute."""
    outcome = Outcome.FAILED if failed else Outcome.OK
    defaults: dict[str, Any] = {
        "id": f"018f2f3a-0000-7000-8000-{number:012x}",
        "relay": "demo",
        "probe": "steady",
        "scenario": Scenario.STEADY_MESSAGING,
        "started_at": START + timedelta(minutes=number),
        "duration": 0.25,
        "outcome": outcome,
        "failure": LOST if failed else None,
        "exchanges": (Exchange(outcome=outcome, failure=LOST if failed else None, round_trip=None if failed else 0.1),),
    }
    return Run(**(defaults | fields))


FULL = run(
    7,
    failed=True,
    pair=1,
    pairing=Pairing(outcome=Outcome.OK, seconds=0.3),
    exchanges=(
        Exchange(outcome=Outcome.FAILED, failure=LOST, wire_request=0.01, ended=0.2),
        Exchange(outcome=Outcome.OK, round_trip=0.1, wire_request=0.01, wire_response=0.02, recovery=0.5),
    ),
    timeline=(
        Mark(side="dapp", step=Step.TCP, started=0.0, ended=0.01),
        Mark(side="wallet", step=Step.PUBLISH, started=0.1, ended=0.12, note="sent <again>", failed=True),
    ),
    messages=(
        MessageFate(direction="request", sequence=1, verdict=Verdict.LOST),
        MessageFate(direction="response", sequence=2, verdict=None, latency=0.1, wire=0.05, note="late", sent=0.1),
    ),
)
"""A run with all fields."""


def failed_at(run_id: str, at: datetime, detail: str) -> Run:
    """Return a run with one exchange that failed at this time, with this detail."""
    failure = Failure(step=Step.DELIVER, reason=Reason.LOST, detail=detail)
    exchange = Exchange(outcome=Outcome.FAILED, failure=failure, ended=0.0)
    return run(0, failed=True, id=run_id, started_at=at, failure=failure, exchanges=(exchange,))

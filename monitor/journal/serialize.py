"""Convert a run to JSON values and back: seconds, UTC, camelCase keys as in the rest of the API."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from monitor.results import Exchange, Failure, Mark, MessageFate, Pairing, Run
from monitor.scenarios import Scenario
from monitor.vocabulary import Outcome, Reason, Step, Verdict


def run_to_json(run: Run, omitted: int = 0) -> dict[str, Any]:
    """Return a run as JSON values. `omitted` is the number of exchanges, messages and marks left out of it."""
    return {
        "id": run.id,
        "relay": run.relay,
        "probe": run.probe,
        "scenario": run.scenario.value,
        "startedAt": run.started_at.isoformat(),
        "durationSeconds": round(run.duration, 6),
        "outcome": run.outcome.value,
        "failure": _failure(run.failure),
        "failedAt": None if run.failed_at is None else run.failed_at.isoformat(),
        "pair": run.pair,
        "pairing": None
        if run.pairing is None
        else {
            "outcome": run.pairing.outcome.value,
            "seconds": run.pairing.seconds,
            "failure": _failure(run.pairing.failure),
        },
        "exchanges": [
            {
                "outcome": item.outcome.value,
                "failure": _failure(item.failure),
                "roundTripSeconds": item.round_trip,
                "wireRequestSeconds": item.wire_request,
                "wireResponseSeconds": item.wire_response,
                "recoverySeconds": item.recovery,
                "endedSeconds": item.ended,
            }
            for item in run.exchanges
        ],
        "timeline": [
            {
                "side": mark.side,
                "step": mark.step.value,
                "from": mark.started,
                "to": mark.ended,
                "note": mark.note,
                "failed": mark.failed,
            }
            for mark in sorted(run.timeline, key=lambda mark: (mark.started, mark.ended))
        ],
        "messages": [
            {
                "direction": fate.direction,
                "sequence": fate.sequence,
                "verdict": fate.verdict.value if fate.verdict is not None else None,
                "legSeconds": fate.latency,
                "wireSeconds": fate.wire,
                "note": fate.note,
                "sentSeconds": fate.sent,
            }
            for fate in run.messages
        ],
        "omitted": omitted,
    }


def _failure(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    fields = {"step": failure.step.value, "reason": failure.reason.value, "detail": failure.detail}
    return fields | {key: text for key in ("status", "endpoint") if (text := getattr(failure, key))}


def run_from_json(data: Any) -> tuple[Run, int]:
    """Return the run that `run_to_json` converted, and its `omitted`.

    Every field is checked. Raises `ValueError`, `KeyError`, `TypeError` or `OverflowError` for other data.
    """
    pairing = data["pairing"]
    started_at = datetime.fromisoformat(_text(data["startedAt"]))
    if started_at.tzinfo is None:
        raise ValueError("time without a time zone")
    run = Run(
        id=_text(data["id"]),
        relay=_text(data["relay"]),
        probe=_text(data["probe"]),
        scenario=Scenario(data["scenario"]),
        started_at=started_at.astimezone(UTC),
        duration=_number(data["durationSeconds"]),
        outcome=Outcome(data["outcome"]),
        failure=_read_failure(data["failure"]),
        pair=_count_or_none(data["pair"]),
        pairing=None
        if pairing is None
        else Pairing(
            outcome=Outcome(pairing["outcome"]),
            seconds=_number_or_none(pairing["seconds"]),
            failure=_read_failure(pairing["failure"]),
        ),
        exchanges=tuple(
            Exchange(
                outcome=Outcome(item["outcome"]),
                failure=_read_failure(item["failure"]),
                round_trip=_number_or_none(item["roundTripSeconds"]),
                wire_request=_number_or_none(item["wireRequestSeconds"]),
                wire_response=_number_or_none(item["wireResponseSeconds"]),
                recovery=_number_or_none(item["recoverySeconds"]),
                ended=_number_or_none(item.get("endedSeconds")),
            )
            for item in data["exchanges"]
        ),
        timeline=tuple(
            Mark(
                side=_text(item["side"]),
                step=Step(item["step"]),
                started=_number(item["from"]),
                ended=_number(item["to"]),
                note=_text(item["note"]),
                failed=item.get("failed") is True,
            )
            for item in data["timeline"]
        ),
        messages=tuple(
            MessageFate(
                direction=_text(item["direction"]),
                sequence=_count(item["sequence"]),
                verdict=None if item["verdict"] is None else Verdict(item["verdict"]),
                latency=_number_or_none(item["legSeconds"]),
                wire=_number_or_none(item["wireSeconds"]),
                note=_text(item["note"]),
                sent=_number_or_none(item.get("sentSeconds")),
            )
            for item in data["messages"]
        ),
    )
    _ = run.failed_at  # raises if it is no date
    return run, _count(data["omitted"])


def _read_failure(data: Any) -> Failure | None:
    if data is None:
        return None
    return Failure(
        step=Step(data["step"]),
        reason=Reason(data["reason"]),
        detail=_text(data["detail"]),
        status=_text(data.get("status", "")),
        endpoint=_text(data.get("endpoint", "")),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)


def _number_or_none(value: object) -> float | None:
    return None if value is None else _number(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("not an integer")
    return value


def _count_or_none(value: object) -> int | None:
    return None if value is None else _count(value)

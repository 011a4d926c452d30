"""Convert an incident to JSON values and back, for the journal and the API: seconds, UTC, camelCase keys."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from monitor.incidents.incident import CauseCount, Entry, EntryKind, FailureCount, Incident
from monitor.vocabulary import Condition


def incident_to_json(incident: Incident, *, entries: bool = True) -> dict[str, Any]:
    """Return an incident as JSON values, without its entries for a list."""
    data = {
        "id": incident.id,
        "relay": incident.relay,
        "open": incident.is_open,
        "condition": incident.condition.value,
        "worst": incident.worst.value,
        "beganAt": incident.began_at.isoformat(),
        "openedAt": incident.opened_at.isoformat(),
        "updatedAt": incident.updated_at.isoformat(),
        "recoveredAt": _iso(incident.recovered_at),
        "upSeconds": round(incident.up_seconds, 3),
        "closedAt": _iso(incident.closed_at),
        "closedBecause": incident.closed_because,
        "detectionSeconds": incident.detection_seconds,
        "badSeconds": round(incident.bad_seconds, 3),
        "secondsByCondition": {name: round(seconds, 3) for name, seconds in incident.seconds.items()},
        "maintenanceSeconds": round(incident.maintenance_seconds, 3),
        "unobservedSeconds": round(incident.unobserved_seconds, 3),
        "inMaintenance": incident.in_maintenance,
        "reopened": incident.reopened,
        "attempts": incident.attempts,
        "failedAttempts": incident.failed_attempts,
        "messages": dict(incident.messages),
        "causes": [
            {
                "step": cause.step,
                "reason": cause.reason,
                "status": cause.status,
                "detail": cause.detail,
                "count": cause.count,
                "first": cause.first.isoformat(),
                "last": cause.last.isoformat(),
                "runId": cause.run_id,
            }
            for cause in incident.causes
        ],
        "probes": [_count(each) for each in incident.probes],
        "endpoints": [_count(each) for each in incident.endpoints],
    }
    if entries:
        data["entries"] = [
            {"at": entry.at.isoformat(), "kind": entry.kind.value, "text": entry.text, "fields": dict(entry.fields)}
            for entry in incident.entries
        ]
    return data


def incident_from_json(data: Any) -> Incident:
    """Return the incident that `incident_to_json` converted with its entries.

    Raises `ValueError`, `KeyError`, `TypeError`, `AttributeError` or `OverflowError` for other data.
    """
    return Incident(
        id=_text(data["id"]),
        relay=_text(data["relay"]),
        began_at=_time(data["beganAt"]),
        opened_at=_time(data["openedAt"]),
        updated_at=_time(data["updatedAt"]),
        detection_seconds=None if data["detectionSeconds"] is None else _number(data["detectionSeconds"]),
        recovered_at=_time_or_none(data["recoveredAt"]),
        up_seconds=_number(data["upSeconds"]),
        closed_at=_time_or_none(data["closedAt"]),
        closed_because=_text(data["closedBecause"]),
        condition=Condition(data["condition"]),
        worst=Condition(data["worst"]),
        attempts=int(_number(data["attempts"])),
        failed_attempts=int(_number(data["failedAttempts"])),
        reopened=int(_number(data["reopened"])),
        in_maintenance=bool(data["inMaintenance"]),
        maintenance_seconds=_number(data["maintenanceSeconds"]),
        unobserved_seconds=_number(data["unobservedSeconds"]),
        seconds={Condition(name).value: _number(value) for name, value in data["secondsByCondition"].items()},
        messages={_text(name): int(_number(value)) for name, value in data["messages"].items()},
        causes=tuple(
            CauseCount(
                step=_text(cause["step"]),
                reason=_text(cause["reason"]),
                status=_text(cause["status"]),
                detail=_text(cause["detail"]),
                count=int(_number(cause["count"])),
                first=_time(cause["first"]),
                last=_time(cause["last"]),
                run_id=_text(cause["runId"]),
            )
            for cause in data["causes"]
        ),
        probes=tuple(_read_count(each) for each in data["probes"]),
        endpoints=tuple(_read_count(each) for each in data["endpoints"]),
        entries=tuple(
            Entry(_time(entry["at"]), EntryKind(entry["kind"]), _text(entry["text"]), dict(entry["fields"]))
            for entry in data["entries"]
        ),
    )


def _count(counted: FailureCount) -> dict[str, Any]:
    return {
        "name": counted.name,
        "count": counted.count,
        "first": counted.first.isoformat(),
        "last": counted.last.isoformat(),
        "runId": counted.run_id,
    }


def _read_count(data: Any) -> FailureCount:
    return FailureCount(
        name=_text(data["name"]),
        count=int(_number(data["count"])),
        first=_time(data["first"]),
        last=_time(data["last"]),
        run_id=_text(data["runId"]),
    )


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:
        raise ValueError(f"a time without its zone: {value}")
    return time.astimezone(UTC)


def _time_or_none(value: Any) -> datetime | None:
    return None if value is None else _time(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)

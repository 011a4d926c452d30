"""The view model as JSON and back, by pydantic: names in camel case, times in ISO 8601.

One large JSON text would hold the GIL for tens of milliseconds, and the event loop with it; so a view is encoded relay
by relay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from monitor.web.model import IncidentView, MonitorView, RelayView

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE: Final = 10
"""Relays that are encoded in one piece: in 1 ms."""

_RELAYS: Final = b'"relays":[]'


@dataclass(frozen=True, slots=True)
class _Incidents:
    incidents: tuple[IncidentView, ...]


@cache
def monitor_adapter() -> TypeAdapter[MonitorView]:
    """Return the adapter of the whole view, created when it is first needed: that takes some time and memory."""
    return TypeAdapter(MonitorView)


@cache
def relay_adapter() -> TypeAdapter[RelayView]:
    """Return the adapter of one relay."""
    return TypeAdapter(RelayView)


def monitor_to_json(view: MonitorView) -> Iterator[bytes]:
    """Yield a view as JSON, in pieces; without strips, which are most of it and which each relay's own JSON has."""
    shell = monitor_adapter().dump_json(replace(view, relays=()))
    head, found, tail = shell.partition(_RELAYS)
    assert found
    yield head + b'"relays":['
    for start in range(0, len(view.relays), PIECE):
        relays = [relay_to_json(replace(relay, hour=(), day=())) for relay in view.relays[start : start + PIECE]]
        yield (b"," if start else b"") + b",".join(relays)
    yield b"]" + tail


def relay_to_json(relay: RelayView) -> bytes:
    """Return one relay as JSON."""
    return relay_adapter().dump_json(relay)


def monitor_from_json(text: bytes) -> MonitorView:
    """Return the view that `monitor_to_json` encoded. Raises `ValueError` (pydantic's) for another text."""
    return monitor_adapter().validate_json(text)


def incidents_from_json(text: bytes) -> tuple[IncidentView, ...]:
    """Return the incidents of a response of `/api/v1/incidents`. Raises `ValueError` (pydantic's) for another text."""
    return TypeAdapter(_Incidents).validate_json(text).incidents

"""What a replay cannot show, and what its figures lack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.durations import duration, utc_time
from monitor.simulation.replay.rolling import DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config, SloConfig
    from monitor.simulation.replay.run import Replay


def notes(found: Replay) -> Iterator[str]:
    """Yield the notes, each of a sentence or two."""
    yield from _data(found)
    new, old = found.new.config, found.old.config if found.old is not None else None
    if new is not None and old is not None:
        yield from _measured(old, new)
    if found.old is not None and found.old.config is None:
        yield (
            f"{found.old.name} is a rule file: its alerts take the routes of {found.new.name}, and settings of relays "
            "such as page_after are those that were recorded."
        )
    if new is not None:
        unknown = sorted({each.relay for each in found.covered if each.share} - {relay.name for relay in new.relays})
        if unknown:
            yield f"Not in {found.new.name}, so without pages of its rules: {', '.join(unknown)}."


def _data(found: Replay) -> Iterator[str]:
    warm = found.first + found.history
    if found.first > found.start:
        yield f"Data begin at {utc_time(found.first)} UTC: there are no pages before."
    if warm > found.start + found.history / 100:
        yield f"Rules read up to {duration(found.history)} of samples: until {utc_time(warm)} UTC they had less."
    if found.version is None:
        yield (
            "The server does not report the version of Prometheus: rules are evaluated as Prometheus "
            f"{DEFAULT_VERSION} does."
        )
    if found.unrecorded:
        down = sum(end - start for start, end in found.unrecorded)
        yield f"Prometheus itself recorded nothing for {duration(down)} in total: no rule is evaluated then."


def _measured(old: Config, new: Config) -> Iterator[str]:
    """Yield what differs in what the monitors measure: recorded data are those of the configuration in force then."""
    differing = [name for name in ("probes", "degraded", "maintenance") if getattr(old, name) != getattr(new, name)]
    before, after = ({relay.name: relay for relay in config.relays} for config in (old, new))
    differing += [
        f"relays[].{key}"
        for key in ("confirm", "limits", "url", "endpoints")
        if any(getattr(before[name], key) != getattr(after[name], key) for name in before.keys() & after.keys())
    ]
    judged, judging = ({slo.name: _judgement(slo) for slo in config.slos} for config in (old, new))
    if any(judged[name] != judging[name] for name in judged.keys() & judging.keys()):
        differing.append("slos[].threshold")
    if differing:
        yield (
            f"{', '.join(differing)} differ too. They change what monitors measure, which recorded data do not show: "
            "`relay-monitor simulate` forecasts it."
        )
    if added := sorted(judging.keys() - judged.keys()):
        yield f"New SLOs have no recorded events: {', '.join(added)}."


def _judgement(slo: SloConfig) -> tuple[Any, ...]:
    overrides = {relay: each.threshold for relay, each in slo.overrides.items()}
    return slo.sli, slo.threshold, tuple(slo.probe), overrides

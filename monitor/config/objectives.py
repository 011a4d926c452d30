"""What an SLO must be for its alerts to work: it has what its SLI needs, and its probes make enough events.

An SLO is judged for each relay, probe and location apart, as the rules do it.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_FAILURES, REFERENCE_WINDOW, burn_conditions
from monitor.config.faults import listed, suggestion
from monitor.config.slo import produces
from monitor.config.traffic import shortest_span, within
from monitor.config.units import parse_duration, show_duration, show_ratio
from monitor.scenarios import SPECS
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.config.document import KeyPath
    from monitor.config.faults import Findings
    from monitor.config.model import Config
    from monitor.config.probe import ProbeConfig
    from monitor.config.slo import OverrideConfig, SloConfig

LONGEST_WINDOW: Final = parse_duration("90d")
_MORE: Final = Context(prec=2, rounding=ROUND_CEILING)
_LESS: Final = Context(prec=2, rounding=ROUND_FLOOR)
_UNITS: Final = ((86_400.0, 3600.0), (3600.0, 60.0))
"""Durations from the first on are shown in whole ones of the second; seconds."""


class Objectives:
    """Checks SLOs. Faults go to `found`; paths are those of what is checked."""

    def __init__(self, config: Config, found: Findings) -> None:
        self._config, self._found = config, found
        self._relays = [relay.name for relay in config.relays]
        self._probes = {probe.name: (("probes", index), probe) for index, probe in enumerate(config.probes)}

    def slo(self, path: KeyPath, slo: SloConfig) -> None:
        """An objective has what its SLI needs and nothing else, and its probes produce that SLI, often enough."""
        self._keys(path, slo)
        sli = (*path, "sli")
        watched: dict[str, list[tuple[KeyPath, ProbeConfig]]] = {}
        known = [("probes", index, "name") for index in range(len(self._config.probes))]
        for index, name in enumerate(slo.probe):
            place = (*path, "probe", index)
            if name not in self._probes:
                self._found.add(place, f"{name!r} is not a probe; {suggestion(name, self._probes)}", *known)
                continue
            if name in slo.probe[:index]:
                self._found.add(place, f"{name!r} is there twice; expected each probe once")
            probe_path, probe = self._probes[name]
            if not produces(probe, slo.sli):
                rests_on = [(*probe_path, key) for key in ("name", "scenario", "schedule")]
                self._found.add(place, f"{_no_events(name, probe, slo.sli)}", sli, *rests_on)
            elif slo.sli is not Sli.TREND and (probe.is_continuous or probe.is_scheduled):
                self._often_enough(path, place, slo, probe_path, probe)
            for relay in probe.relays or self._relays:
                watched.setdefault(relay, []).append((probe_path, probe))
        probes = {name: self._probes[name] for name in slo.probe if name in self._probes}
        self._threshold(path, slo.threshold, probes.values(), sli)
        for relay, override in slo.overrides.items():
            self._override((*path, "overrides", relay), relay, override, watched, slo)

    def _keys(self, path: KeyPath, slo: SloConfig) -> None:
        for key, users in (
            ("threshold", {Sli.LATENCY}),
            ("objective", set(Sli) - {Sli.TREND}),
            ("factor", {Sli.TREND}),
            ("overrides", set(Sli) - {Sli.TREND}),
        ):
            sli = (*path, "sli")
            given = getattr(slo, key) if key != "factor" else key in slo.model_fields_set
            if given and slo.sli not in users:
                self._found.add((*path, key), f"is not used by {slo.sli}; it belongs to {listed(sorted(users))}", sli)
            elif not getattr(slo, key) and slo.sli in users and key in {"threshold", "objective"}:
                example = "400ms" if key == "threshold" else "99.9%"
                self._found.add((*path, key), f"is missing; {slo.sli} needs one, such as {example}", sli)

    def _override(
        self,
        path: KeyPath,
        relay: str,
        override: OverrideConfig,
        watched: dict[str, list[tuple[KeyPath, ProbeConfig]]],
        slo: SloConfig,
    ) -> None:
        known = [("relays", index, "name") for index in range(len(self._relays))]
        sli = (*path[:2], "sli")
        if relay not in self._relays:
            self._found.add(path, f"{relay!r} is not a relay; {suggestion(relay, self._relays)}", *known)
        elif relay not in watched:
            rests_on = [("probes", index, "relays") for index in range(len(self._config.probes))]
            self._found.add(path, f"no probe of this SLO watches {relay!r}; expected one of {listed(sorted(watched))}",
                            (*path[:2], "probe"), *known, *rests_on)  # fmt: skip
        if override.threshold is None and override.objective is None:
            self._found.add(path, "changes nothing; expected threshold or objective")
        if override.threshold is not None and slo.sli is not Sli.LATENCY:
            self._found.add((*path, "threshold"), f"is not used by {slo.sli}; it belongs to latency", sli)
        self._threshold(path, override.threshold, watched.get(relay, ()), sli)

    def _threshold(
        self, path: KeyPath, threshold: float | None, probes: Iterable[tuple[KeyPath, ProbeConfig]], sli: KeyPath
    ) -> None:
        """An exchange is over at its probe's time-out: a threshold from there on never judges one that succeeds."""
        for probe_path, probe in probes:
            if threshold is not None and threshold >= probe.timeout:
                self._found.add(
                    (*path, "threshold"),
                    f"{show_duration(threshold)} is not below the timeout of probe {probe.name}, at which an exchange "
                    f"fails anyway; expected less than {show_duration(probe.timeout)}",
                    (*probe_path, "timeout"),
                    sli,
                )

    # Enough events.

    def _often_enough(
        self, path: KeyPath, place: KeyPath, slo: SloConfig, probe_path: KeyPath, probe: ProbeConfig
    ) -> None:
        """The SLO's page can come, and its budget has room for a failure."""
        rests_on = (probe_path, (*path, "sli"), (*path, "window"), ("prometheus", "scrape_interval"))
        objectives = dict(self._objectives(path, slo, probe))
        if any(objective < 1 for objective in objectives.values()):
            self._frequent(place, slo, probe, rests_on)
        for where, objective in objectives.items():
            if objective < 1:
                self._reachable(where, slo, objective)
                self._roomy(where, slo, objective, probe, rests_on)

    def _objectives(self, path: KeyPath, slo: SloConfig, probe: ProbeConfig) -> Iterator[tuple[KeyPath, Decimal]]:
        """The objectives in force for a probe, and where they stand."""
        for relay in probe.relays or self._relays:
            objective = slo.objective_for(relay)
            own = relay in slo.overrides and slo.overrides[relay].objective is not None
            if objective is not None:
                yield ((*path, "overrides", relay, "objective") if own else (*path, "objective")), objective

    def _frequent(self, place: KeyPath, slo: SloConfig, probe: ProbeConfig, rests_on: tuple[KeyPath, ...]) -> None:
        """The longest window of a page can hold the failures that it asks for."""
        scrape, evaluation = self._config.prometheus.scrape_interval, self._config.prometheus.evaluation_interval
        long = _longest_page(slo.window, scrape)
        takes = shortest_span(probe, slo.sli, MIN_FAILURES)
        # A failure is seen at the scrape after it, and only if the window holds a scrape before it too. They are all
        # seen at once for an evaluation long, or always, where the window holds one more.
        needs = takes + 2 * scrape + min(evaluation, takes / (MIN_FAILURES - 1))
        if needs <= long:
            return
        gap = max((long - 2 * scrape - evaluation) / (MIN_FAILURES - 1), (long - 2 * scrape) / MIN_FAILURES)
        wanted = [f"one at least every {_down(gap)}"]
        if (window := needs * REFERENCE_WINDOW / _longest_page(REFERENCE_WINDOW, scrape)) <= LONGEST_WINDOW:
            wanted.append(f"a window of at least {_up(window)}")
        self._found.add(
            place,
            f"{probe.name!r} makes events too rarely for a window of {show_duration(slo.window)}: a page asks for "
            f"{MIN_FAILURES} failures within {show_duration(long)}; expected {' or '.join(wanted)}",
            *rests_on,
        )

    def _reachable(self, where: KeyPath, slo: SloConfig, objective: Decimal) -> None:
        """A budget can burn as fast as a page asks for: not where it is most of all events."""
        factor = min(burn.factor for burn in burn_conditions(slo.window, 1.0) if burn.severity == "critical")
        if factor * (1 - objective) >= 1:
            self._found.add(
                where,
                f"{show_ratio(objective)} never pages: a page asks for a budget that burns more than {factor:f} times "
                f"too fast, and all events failing burn it {1 / (1 - objective):.2g} times as fast; "
                f"expected at least {show_ratio(1 - _LESS.create_decimal(1 / factor))}",
                (*where[:2], "sli"),
            )

    def _roomy(
        self, where: KeyPath, slo: SloConfig, objective: Decimal, probe: ProbeConfig, rests_on: tuple[KeyPath, ...]
    ) -> None:
        """A budget is at least one event: else the first failure misses the objective, as if it were 100 %."""
        events = within(probe, slo.sli, slo.window)
        allowed = events * float(1 - objective)
        # What makes exactly one is enough, however it was rounded.
        if allowed >= 1 - 1e-9:
            return
        wanted = [f"an event at least every {_down(slo.window * float(1 - objective))}"]
        if events > 1:
            wanted.insert(0, f"at most {show_ratio(1 - _MORE.create_decimal(Decimal(1) / Decimal(events)))}")
        self._found.add(
            where,
            f"{show_ratio(objective)} cannot be told from 100%: probe {probe.name} makes {events:.0f} events in "
            f"{show_duration(slo.window)}, and the first failure spends all they may; expected {', '.join(wanted)}, "
            "or 100%, where each failure is told",
            *rests_on,
        )


def _longest_page(window: float, scrape: float) -> float:
    """Seconds that the longest window of a page looks back."""
    return max(burn.long_window for burn in burn_conditions(window, scrape) if burn.severity == "critical")


def _down(seconds: float) -> str:
    unit = _unit(seconds)
    return show_duration(math.floor(seconds / unit) * unit)


def _up(seconds: float) -> str:
    unit = _unit(seconds)
    return show_duration(math.ceil(seconds / unit) * unit)


def _unit(seconds: float) -> float:
    return next((unit for least, unit in _UNITS if seconds >= least), 1.0 if seconds >= 10 else 0.001)  # noqa: PLR2004 - a few seconds are said exactly


def _no_events(name: str, probe: ProbeConfig, sli: Sli) -> str:
    allowed = listed(sorted(scenario for scenario, spec in SPECS.items() if sli in spec.slis))
    continuous = "continuous " if sli is Sli.STABILITY else ""
    kind = f"{'continuous' if probe.is_continuous else 'bounded'} {probe.scenario}"
    return f"{name!r} is {kind}, which has no {sli}; expected a probe of {continuous}{allowed}"

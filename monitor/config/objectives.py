"""Checks of SLOs: each has the keys that its SLI needs, and its probes produce enough events for its alerts.

As in the rules, each relay, probe and location is checked separately.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_FAILURES, REFERENCE_WINDOW, burn_conditions
from monitor.config.problems import listed, suggestion
from monitor.config.slo import produces
from monitor.config.traffic import TREND_EVENTS, shortest_span, within
from monitor.config.units import parse_duration, show_duration, show_ratio
from monitor.scenarios import SPECS
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.config.document import KeyPath
    from monitor.config.model import Config
    from monitor.config.probe import ProbeConfig
    from monitor.config.problems import ProblemCollector
    from monitor.config.slo import OverrideConfig, SloConfig

TREND_MARGIN: Final = 1.1
"""Factor by which a probe must exceed the round trips that a trend needs: some fail, or their scrape does."""

LONGEST_WINDOW: Final = parse_duration("90d")
_MORE: Final = Context(prec=2, rounding=ROUND_CEILING)
_LESS: Final = Context(prec=2, rounding=ROUND_FLOOR)
_UNITS: Final = ((86_400.0, 3600.0), (3600.0, 60.0))
"""Durations of at least the first are shown in multiples of the second; seconds."""


class Objectives:
    """Checks SLOs and adds problems to `problems`; `path` is where a value is in the file."""

    def __init__(self, config: Config, problems: ProblemCollector) -> None:
        self._config, self._problems = config, problems
        self._relays = [relay.name for relay in config.relays]
        self._probes = {probe.name: (("probes", index), probe) for index, probe in enumerate(config.probes)}

    def slo(self, path: KeyPath, slo: SloConfig) -> None:
        """Check the keys, the probes and the overrides of an SLO."""
        self._keys(path, slo)
        sli = (*path, "sli")
        watchers: dict[str, list[tuple[KeyPath, ProbeConfig]]] = {}
        known = [("probes", index, "name") for index in range(len(self._config.probes))]
        for index, name in enumerate(slo.probe):
            name_path = (*path, "probe", index)
            if name not in self._probes:
                self._problems.add(name_path, f"{name!r} is not a probe; {suggestion(name, self._probes)}", *known)
                continue
            if name in slo.probe[:index]:
                self._problems.add(name_path, f"{name!r} is listed twice; expected each probe once")
            probe_path, probe = self._probes[name]
            if not produces(probe, slo.sli):
                depends_on = [(*probe_path, key) for key in ("name", "scenario", "schedule")]
                self._problems.add(name_path, f"{_no_events(name, probe, slo.sli)}", sli, *depends_on)
            elif slo.sli is not Sli.TREND and (probe.is_continuous or probe.is_scheduled):
                self._often_enough(path, name_path, slo, probe_path, probe)
            elif slo.sli is Sli.TREND and (probe.is_continuous or probe.is_scheduled):
                self._enough_for_a_trend(name_path, probe_path, probe)
            for relay in probe.relays or self._relays:
                watchers.setdefault(relay, []).append((probe_path, probe))
        probes = {name: self._probes[name] for name in slo.probe if name in self._probes}
        self._threshold(path, slo.threshold, probes.values(), sli)
        for relay, override in slo.overrides.items():
            self._override((*path, "overrides", relay), relay, override, watchers, slo)

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
                self._problems.add(
                    (*path, key), f"is not used by {slo.sli}; it belongs to {listed(sorted(users))}", sli
                )
            elif not getattr(slo, key) and slo.sli in users and key in {"threshold", "objective"}:
                example = "400ms" if key == "threshold" else "99.9%"
                self._problems.add((*path, key), f"is missing; {slo.sli} needs one, such as {example}", sli)

    def _override(
        self,
        path: KeyPath,
        relay: str,
        override: OverrideConfig,
        watchers: dict[str, list[tuple[KeyPath, ProbeConfig]]],
        slo: SloConfig,
    ) -> None:
        known = [("relays", index, "name") for index in range(len(self._relays))]
        sli = (*path[:2], "sli")
        if relay not in self._relays:
            self._problems.add(path, f"{relay!r} is not a relay; {suggestion(relay, self._relays)}", *known)
        elif relay not in watchers:
            depends_on = [("probes", index, "relays") for index in range(len(self._config.probes))]
            message = f"no probe of this SLO watches {relay!r}; expected one of {listed(sorted(watchers))}"
            self._problems.add(path, message, (*path[:2], "probe"), *known, *depends_on)
        if override.threshold is None and override.objective is None:
            self._problems.add(path, "is empty; expected threshold or objective")
        if override.threshold is not None and slo.sli is not Sli.LATENCY:
            self._problems.add((*path, "threshold"), f"is not used by {slo.sli}; it belongs to latency", sli)
        self._threshold(path, override.threshold, watchers.get(relay, ()), sli)

    def _threshold(
        self, path: KeyPath, threshold: float | None, probes: Iterable[tuple[KeyPath, ProbeConfig]], sli: KeyPath
    ) -> None:
        """Check that a threshold is below the timeout, after which no exchange succeeds."""
        for probe_path, probe in probes:
            if threshold is not None and threshold >= probe.timeout:
                self._problems.add(
                    (*path, "threshold"),
                    f"{show_duration(threshold)} is not below the timeout of probe {probe.name}, at which an exchange "
                    f"fails anyway; expected less than {show_duration(probe.timeout)}",
                    (*probe_path, "timeout"),
                    sli,
                )

    # Enough events.

    def _often_enough(
        self, path: KeyPath, name_path: KeyPath, slo: SloConfig, probe_path: KeyPath, probe: ProbeConfig
    ) -> None:
        """Check that an SLO's alerts can fire, and that its error budget is at least one failure."""
        depends_on = (probe_path, (*path, "sli"), (*path, "window"), ("prometheus", "scrape_interval"))
        objectives = dict(self._objectives(path, slo, probe))
        if any(objective < 1 for objective in objectives.values()):
            self._frequent(name_path, slo, probe, depends_on)
        for where, objective in objectives.items():
            if objective < 1:
                self._reachable(where, slo, objective)
                self._roomy(where, slo, objective, probe, depends_on)

    def _enough_for_a_trend(self, name_path: KeyPath, probe_path: KeyPath, probe: ProbeConfig) -> None:
        """Check that a P99 of an hour has enough round trips."""
        events = within(probe, Sli.TREND, 3600.0)
        if events <= TREND_EVENTS * TREND_MARGIN:
            self._problems.add(
                name_path,
                f"{probe.name!r} makes {events:.0f} round trips an hour, and a trend needs more than {TREND_EVENTS}; "
                "expected more pairs or messages, or shorter intervals",
                probe_path,
            )

    def _objectives(self, path: KeyPath, slo: SloConfig, probe: ProbeConfig) -> Iterator[tuple[KeyPath, Decimal]]:
        """The objectives of a probe's relays, each with its path."""
        for relay in probe.relays or self._relays:
            objective = slo.objective_for(relay)
            own = relay in slo.overrides and slo.overrides[relay].objective is not None
            if objective is not None:
                yield ((*path, "overrides", relay, "objective") if own else (*path, "objective")), objective

    def _frequent(
        self, name_path: KeyPath, slo: SloConfig, probe: ProbeConfig, depends_on: tuple[KeyPath, ...]
    ) -> None:
        """Check that the longest window of a paging alert can contain the failures that it needs."""
        scrape, evaluation = self._config.prometheus.scrape_interval, self._config.prometheus.evaluation_interval
        step = self._config.prometheus.step
        long = _longest_page(slo.window, step)
        takes = shortest_span(probe, slo.sli, MIN_FAILURES)
        # A failure shows at the scrape after it, and only if the window also has a scrape before it. All failures must
        # be in the window for one evaluation, or for as long as it takes one more to be added.
        needs = takes + 2 * scrape + min(evaluation, takes / (MIN_FAILURES - 1))
        if needs <= long:
            return
        gap = max((long - 2 * scrape - evaluation) / (MIN_FAILURES - 1), (long - 2 * scrape) / MIN_FAILURES)
        wanted = [f"one at least every {_down(gap)}"]
        if (window := needs * REFERENCE_WINDOW / _longest_page(REFERENCE_WINDOW, step)) <= LONGEST_WINDOW:
            wanted.append(f"a window of at least {_up(window)}")
        self._problems.add(
            name_path,
            f"{probe.name!r} makes events too rarely for a window of {show_duration(slo.window)}: a page needs "
            f"{MIN_FAILURES} failures within {show_duration(long)}; expected {' or '.join(wanted)}",
            *depends_on,
        )

    def _reachable(self, where: KeyPath, slo: SloConfig, objective: Decimal) -> None:
        """Check that the burn rate at which an SLO pages is possible: a large budget cannot burn that fast."""
        factor = min(each.factor for each in burn_conditions(slo.window, 1.0) if each.severity == "critical")
        if factor * (1 - objective) >= 1:
            self._problems.add(
                where,
                f"{show_ratio(objective)} never pages: a page needs a burn rate above {factor:f}, "
                f"and if all events fail it is {1 / (1 - objective):.2g}; "
                f"expected at least {show_ratio(1 - _LESS.create_decimal(1 / factor))}",
                (*where[:2], "sli"),
            )

    def _roomy(
        self, where: KeyPath, slo: SloConfig, objective: Decimal, probe: ProbeConfig, depends_on: tuple[KeyPath, ...]
    ) -> None:
        """Check that the error budget is at least one event: otherwise the first failure misses the objective."""
        events = within(probe, slo.sli, slo.window)
        allowed = events * float(1 - objective)
        # Exactly one event is enough, whatever the rounding.
        if allowed >= 1 - 1e-9:
            return
        wanted = [f"an event at least every {_down(slo.window * float(1 - objective))}"]
        if events > 1:
            wanted.insert(0, f"at most {show_ratio(1 - _MORE.create_decimal(Decimal(1) / Decimal(events)))}")
        self._problems.add(
            where,
            f"{show_ratio(objective)} has the same effect as 100%: probe {probe.name} makes {events:.0f} events in "
            f"{show_duration(slo.window)}, and the first failure exceeds the error budget; "
            f"expected {', '.join(wanted)}, or 100%, with which each failure is an alert",
            *depends_on,
        )


def _longest_page(window: float, step: float) -> float:
    """The longest window of a paging alert, in seconds."""
    return max(each.long_window for each in burn_conditions(window, step) if each.severity == "critical")


def _down(seconds: float) -> str:
    unit = _unit(seconds)
    return show_duration(math.floor(seconds / unit) * unit)


def _up(seconds: float) -> str:
    unit = _unit(seconds)
    return show_duration(math.ceil(seconds / unit) * unit)


def _unit(seconds: float) -> float:
    return next((unit for least, unit in _UNITS if seconds >= least), 1.0 if seconds >= 10 else 0.001)  # noqa: PLR2004 - a few seconds are shown exactly


def _no_events(name: str, probe: ProbeConfig, sli: Sli) -> str:
    allowed = listed(sorted(scenario for scenario, spec in SPECS.items() if sli in spec.slis))
    continuous = "continuous " if sli is Sli.STABILITY else ""
    kind = f"{'continuous' if probe.is_continuous else 'bounded'} {probe.scenario}"
    return f"{name!r} is {kind}, which does not produce {sli}; expected a probe of {continuous}{allowed}"

"""Hypothesis strategies: valid configurations, and histories of their series."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml
from hypothesis import assume
from hypothesis import strategies as st

from monitor.config import Config, parse
from monitor.config.slo import produces
from monitor.config.traffic import sources
from monitor.errors import ConfigError
from monitor.vocabulary import Sli
from tests.slo.rules.explained import Events, History, Key

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCATIONS: Final = ("here", "there", "third")
RELAYS: Final = ("relay.1", "relay-1", "relay_1")
"""Names that an unescaped dot in a pattern would confuse."""

OBJECTIVES: Final = ("90%", "95%", "99%", "99.5%", "99.9%", "99.99%", "100%", "100%")
WINDOWS: Final = ("1h", "6h", "1d", "7d", "28d", "30d", "90d")
PROBES: Final[dict[str, dict[str, Any]]] = {
    "steady": {"scenario": "steady-messaging"},
    "idle": {"scenario": "steady-state"},
    "offline": {"scenario": "async-delivery", "schedule": {"every": "1m"}, "pairing": "fresh"},
    "session": {"scenario": "realistic-session", "schedule": {"every": "5m"}},
    "journey": {"scenario": "realistic-session", "schedule": {"every": "20m"}},
}
MADE_BY: Final = {
    "availability": ("steady", "idle", "offline", "session", "journey"),
    "latency": ("steady", "session", "journey"),
    "pairing": ("steady", "offline", "session", "journey"),
    "stability": ("steady", "idle"),
    "trend": ("steady", "session"),
}


@st.composite
def configs(draw: st.DrawFn, *, trend: bool = True) -> Config:
    """Draw a valid configuration of up to three locations and relays, and up to five SLOs."""
    relays = [
        {"name": name, "url": "embedded", "max_severity": draw(st.sampled_from(("critical", "warning")))}
        for name in RELAYS[: draw(st.integers(1, len(RELAYS)))]
    ]
    names = [relay["name"] for relay in relays]
    some = st.lists(st.sampled_from(names), min_size=1, unique=True)
    chosen = draw(st.lists(st.sampled_from(tuple(PROBES)), min_size=1, unique=True))
    probes = [{"name": name, **PROBES[name], "relays": draw(some)} for name in chosen]
    names = [name for name in names if any(name in probe["relays"] for probe in probes)]
    relays = [relay for relay in relays if relay["name"] in names]  # a relay without a probe is rejected
    slos = [
        slo
        for number in range(draw(st.integers(1, 5)))
        if (slo := draw(_slo(f"slo-{number}", chosen, names, trend=trend))) is not None
    ]
    locations = list(LOCATIONS[: draw(st.integers(1, 3))])
    return _accepted(
        {
            "location": "here",
            "locations": locations,
            "shards": draw(st.integers(1, len(relays))),
            "relays": relays,
            "probes": probes,
            "slos": slos,
            "prometheus": {"scrape_interval": draw(st.sampled_from(("15s", "30s"))), "evaluation_interval": "30s"},
        }
    )


def _accepted(document: dict[str, Any]) -> Config:
    """Return the document as a configuration, without the SLOs that `check` rejects."""
    try:
        return parse(yaml.safe_dump(document), "config.yaml", {})
    except ConfigError as error:
        refused = {int(found[1]) for problem in error.problems if (found := re.match(r"slos\[(\d+)\]", problem.key))}
        kept = [slo for number, slo in enumerate(document["slos"]) if number not in refused]
    return parse(yaml.safe_dump(document | {"slos": kept}), "config.yaml", {})


@st.composite
def _slo(draw: st.DrawFn, name: str, chosen: Sequence[str], relays: Sequence[str], *, trend: bool) -> Any:
    sli = draw(st.sampled_from([each for each in MADE_BY if trend or each != "trend"]))
    able = [probe for probe in MADE_BY[sli] if probe in chosen]
    if not able:
        return None
    made: dict[str, Any] = {
        "name": name,
        "sli": sli,
        "probe": draw(st.lists(st.sampled_from(able), min_size=1, unique=True)),
        "window": draw(st.sampled_from(WINDOWS)),
    }
    if sli == "trend":
        return made
    if sli == "latency":
        made["threshold"] = draw(st.sampled_from(("100ms", "400ms", "1s500ms")))
    made["objective"] = draw(st.sampled_from(OBJECTIVES))
    if draw(st.booleans()):
        made["overrides"] = {draw(st.sampled_from(relays)): {"objective": draw(st.sampled_from(OBJECTIVES))}}
    return made


def keys_of(config: Config) -> list[Key]:
    """Return the error budgets that have events."""
    return [
        Key(slo.name, relay, probe.name, location)
        for slo in config.slos
        if slo.sli is not Sli.TREND
        for probe in config.probes
        if probe.name in slo.probe and produces(probe, slo.sli)
        for relay in probe.relays
        if sources(config, slo, relay)
        for location in config.locations
    ]


# Stretches of a counter: good and bad events at each scrape, and the number of scrapes.
GROWTH: Final = st.sampled_from(((3, 0), (3, 0), (6, 0), (0, 3), (0, 1), (2, 1), (40, 1), (0, 0), (9, 1), (200, 1)))
STRETCH: Final = st.tuples(
    st.sampled_from(("grows", "grows", "grows", "resets", "is not scraped")), GROWTH, st.integers(1, 60)
)
MISSED: Final = 6
"""Most failed scrapes in a row: three minutes, less than Prometheus' staleness interval."""


@st.composite
def _events(draw: st.DrawFn, scrapes: int) -> Events:
    good: list[int | None] = []
    bad: list[int | None] = []
    sums = [draw(st.integers(0, 50)), draw(st.sampled_from((0, 0, 2)))]
    every = draw(st.sampled_from((1, 1, 10, 40)))  # in scrapes, for probes with a long interval
    while len(good) < scrapes:
        kind, growth, length = draw(STRETCH)
        if kind == "resets":
            sums = [0, 0]
        for _ in range(min(length, MISSED) if kind == "is not scraped" else length):
            if len(good) % every == 0:
                sums = [total + more for total, more in zip(sums, growth, strict=True)]
            missed = kind == "is not scraped" and good
            good.append(None if missed else sums[0])
            bad.append(None if missed else sums[1])
        # One successful scrape, so that failed stretches do not add up.
        good.append(sums[0])
        bad.append(sums[1])
    return Events(good[:scrapes], bad[:scrapes])


@st.composite
def _dip(draw: st.DrawFn, scrapes: int) -> list[int]:
    """Draw a gauge that is 1, then 0, then 1 again."""
    falls, rises = sorted((draw(st.integers(1, scrapes)), draw(st.integers(1, scrapes))))
    return [1] * falls + [0] * (rises - falls) + [1] * (scrapes - rises)


@st.composite
def histories(draw: st.DrawFn, config: Config, *, most: int) -> History:
    """Draw 90 minutes of some of the series of a configuration."""
    scrape = round(config.prometheus.scrape_interval)
    scrapes = 5400 // scrape + 1
    keys = keys_of(config)
    assume(keys)
    picked = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=most, unique=True))
    ups = {}
    for relay in config.relays:
        if draw(st.booleans()):
            for location in config.locations:
                ups[relay.name, location] = draw(_dip(scrapes))
    healthy = {location: draw(st.just([1] * scrapes) | _dip(scrapes)) for location in config.locations}
    events = {key: draw(_events(scrapes)) for key in sorted(picked)}
    gone = {}
    for key, made in events.items():
        # Each failure loses a message, or none does.
        if key.probe != "idle" and draw(st.booleans()):
            lost = draw(st.booleans())
            gone[key.relay, key.probe, key.location] = [value if lost or value is None else 0 for value in made.bad]
    return History(
        scrape=scrape,
        evaluation=round(config.prometheus.evaluation_interval),
        events=events,
        up=ups,
        healthy=healthy,
        gone=gone,
    )

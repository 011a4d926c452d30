"""Properties of the verdict alerts: no page of a relay that is up, and a page of every relay that is down.

Random verdicts of several locations, restarts, missed scrapes, unhealthy monitors and maintenance windows, evaluated by
the generated rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from monitor.config import parse
from monitor.simulation.promql import Series, Store
from monitor.simulation.ruler import Ruler
from monitor.slo.rules import groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.config import Config
    from monitor.simulation.promql.series import Labels
    from monitor.simulation.ruler import Firing

STEPS: Final = 240
"""Scrapes of one example."""

# No shrinking, which takes minutes.
PROPERTY: Final = settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))

ALERTS: Final = frozenset({"RelayDown", "RelayNotAccepting", "RelayInMaintenance"})

KEEP: Final = 120.0
DISAGREEMENT: Final = 300.0
"""Seconds after which two locations that disagree page."""


@st.composite
def verdicts(draw: st.DrawFn) -> list[float]:
    """Draw `relay_up` of one location: long and short outages, missed scrapes, restarts; it is up at first."""
    values = [1.0] * draw(st.integers(8, 40))
    while len(values) < STEPS:
        kind = draw(st.sampled_from((0.0, 1.0, 0.0, 1.0, np.nan)))
        values += [kind] * draw(st.integers(1, 4) if np.isnan(kind) else st.integers(1, 60))
    return values[:STEPS]


@st.composite
def windows(draw: st.DrawFn) -> list[float]:
    start, length = draw(st.integers(0, STEPS)), draw(st.integers(0, 80))
    return [float(start <= step < start + length) for step in range(STEPS)]


def config_of(scrape: int, page_after: int, locations: int, scope: str) -> Config:
    names = ", ".join(f"l{number}" for number in range(locations))
    return parse(
        f"""
location: l0
locations: [{names}]
relays: [{{name: demo, url: embedded, page_after: {page_after}s, scope: {scope}}}]
probes: [{{name: steady, scenario: steady-messaging}}]
prometheus: {{scrape_interval: {scrape}s, evaluation_interval: {scrape}s}}
""",
        "config.yaml",
        {},
    )


def run(
    config: Config,
    up: Sequence[Sequence[float]],
    maintenance: Sequence[Sequence[float]],
    accepting: Sequence[Sequence[float]] | None = None,
) -> list[Firing]:
    """Evaluate the rules at each scrape; a relay accepts new clients while it is up, if nothing else is said."""
    step, relay = config.prometheus.scrape_interval, config.relays[0]
    times = step * np.arange(STEPS, dtype=np.float64)
    store = Store()

    def add(name: str, values: Sequence[float], **labels: str) -> None:
        of: Labels = tuple(sorted({"install": "default", **labels}.items()))
        store.add(Series(name, of, times, np.array(values)))

    for location, values, window, accepted in zip(config.locations, up, maintenance, accepting or up, strict=True):
        add("relay_up", values, location=location, relay="demo")
        add("relay_accepting", accepted, location=location, relay="demo")
        add("relay_maintenance", window, location=location, relay="demo")
        page_after = f"{relay.page_after:.0f}s" if relay.page_after % 60 else f"{relay.page_after / 60:.0f}m"
        settings_of = {"max_severity": "critical", "page_after": page_after, "scope": relay.scope}
        add("relay_probe_relay_info", [1.0] * STEPS, location=location, relay="demo", **settings_of)
    ruler = Ruler(groups(config), step, lambda *_: 0.0, wanted=lambda rule: rule.name in ALERTS)
    return ruler.run(store, 0.0, step * (STEPS - 1))


def shares(up: Sequence[Sequence[float]]) -> Iterator[float]:
    """Yield the share of the locations that report up at each scrape; NaN if none reports."""
    for votes in zip(*up, strict=True):
        known = [vote for vote in votes if not np.isnan(vote)]
        yield sum(known) / len(known) if known else np.nan


def fires(firings: Sequence[Firing], name: str, at: float) -> bool:
    return any(each.alert == name and each.start <= at < each.end for each in firings if each.severity != "warning")


@pytest.mark.slow
@PROPERTY
@given(st.data())
def test_pages_are_those_of_relays_that_are_down(data: st.DataObject) -> None:
    scrape = data.draw(st.sampled_from((5, 15, 30, 60)))
    page_after = data.draw(st.sampled_from((30, 120)))
    locations = data.draw(st.integers(1, 3))
    up = [data.draw(verdicts()) for _ in range(locations)]
    none = [[0.0] * STEPS] * locations
    firings = run(config_of(scrape, page_after, locations, "global"), up, none)
    waited = max(page_after, scrape + 1)
    share = list(shares(up))
    for step in range(STEPS):
        at = float(step * scrape)
        recent = [share[before] for before in range(step + 1) if before * scrape >= at - max(KEEP, 2 * scrape) - scrape]
        if fires(firings, "RelayDown", at):
            assert any(each <= 0.5 for each in recent), f"a page of a relay that is up, at {at}"
        # Down all the time, and reported at each scrape.
        lasting = [share[before] for before in range(step + 1) if before * scrape >= at - waited - scrape]
        if at > waited + scrape and all(each < 0.5 for each in lasting):
            assert fires(firings, "RelayDown", at), f"no page of a relay that is down, at {at}"
        disagreeing = [
            share[before] for before in range(step + 1) if before * scrape >= at - DISAGREEMENT - waited - 2 * scrape
        ]
        if at > DISAGREEMENT + waited + 2 * scrape and all(each <= 0.5 for each in disagreeing):
            assert fires(firings, "RelayDown", at), f"no page although half of the locations report down, at {at}"


@st.composite
def gauges(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    """Draw `relay_up` and `relay_accepting` of one location; what is down does not accept."""
    kinds = {"up": (1.0, 1.0), "not accepting": (1.0, 0.0), "down": (0.0, 0.0), "absent": (np.nan, np.nan)}
    values = [kinds["up"]] * draw(st.integers(8, 40))
    while len(values) < STEPS:
        kind = draw(st.sampled_from(("up", "not accepting", "not accepting", "down", "absent")))
        values += [kinds[kind]] * draw(st.integers(1, 4) if kind == "absent" else st.integers(1, 60))
    return [up for up, _ in values[:STEPS]], [accepting for _, accepting in values[:STEPS]]


@pytest.mark.slow
@PROPERTY
@given(st.data())
def test_pages_are_those_of_relays_that_accept_no_new_clients(data: st.DataObject) -> None:
    scrape = data.draw(st.sampled_from((5, 15, 30, 60)))
    page_after = data.draw(st.sampled_from((30, 120)))
    locations = data.draw(st.integers(1, 3))
    drawn = [data.draw(gauges()) for _ in range(locations)]
    up, accepting = [each for each, _ in drawn], [each for _, each in drawn]
    firings = run(config_of(scrape, page_after, locations, "global"), up, [[0.0] * STEPS] * locations, accepting)
    waited = max(page_after, scrape + 1)
    up_share, share = list(shares(up)), list(shares(accepting))
    for step in range(STEPS):
        at = float(step * scrape)
        recent = [share[before] for before in range(step + 1) if before * scrape >= at - max(KEEP, 2 * scrape) - scrape]
        if fires(firings, "RelayNotAccepting", at):
            assert any(each <= 0.5 for each in recent), f"a page of a relay that accepts new clients, at {at}"
        lasting = [before for before in range(step + 1) if before * scrape >= at - waited - scrape]
        refuses = all(share[before] < 0.5 < up_share[before] for before in lasting)
        if at > waited + scrape and refuses:
            assert fires(firings, "RelayNotAccepting", at), f"no page of a relay that refuses new clients, at {at}"


@pytest.mark.slow
@PROPERTY
@given(st.data())
def test_maintenance_mutes_the_relay_in_its_windows_alone(data: st.DataObject) -> None:
    """A page that is not inhibited belongs to a relay that was down outside of its windows."""
    locations = data.draw(st.integers(1, 3))
    up = [data.draw(verdicts()) for _ in range(locations)]
    planned = [data.draw(windows()) for _ in range(locations)]
    firings = run(config_of(15, 30, locations, "global"), up, planned)
    share = list(shares(up))
    for step in range(STEPS):
        at = step * 15.0
        votes = [window[step] for window, values in zip(planned, up, strict=True) if not np.isnan(values[step])] or [
            window[step] for window in planned
        ]
        if all(votes):
            assert fires(firings, "RelayInMaintenance", at)
        if fires(firings, "RelayInMaintenance", at) and not all(votes):
            # The relay is up again, and its alerts still fire.
            assert share[step] > 0.5


@pytest.mark.slow
@PROPERTY
@given(st.data())
def test_a_regional_relay_pages_for_each_location_that_is_down(data: st.DataObject) -> None:
    up = [data.draw(verdicts()) for _ in range(3)]
    config = config_of(15, 30, 3, "regional")
    firings = run(config, up, [[0.0] * STEPS] * 3)
    for location, values in zip(config.locations, up, strict=True):
        here = [each for each in firings if dict(each.labels).get("location") == location]
        for step in range(STEPS):
            at = step * 15.0
            if fires(here, "RelayDown", at):
                assert 0.0 in values[max(0, step - 9) : step + 1], f"a page of {location}, where it is up, at {at}"

"""Promtool cases with long intervals between runs: pages fire, and resolve when a run has succeeded."""

from __future__ import annotations

from typing import Final

from tests.slo.rules.series import CONFIRMED, Case

SCRAPE: Final = 120
"""Scrape interval in seconds; half a day of shorter ones takes minutes to evaluate."""

HOUR: Final = 3600 // SCRAPE
PROBES: Final = f"""
prometheus: {{scrape_interval: {SCRAPE}s, evaluation_interval: {SCRAPE}s}}
relays: [{{name: demo, url: embedded}}]
probes:
  - {{name: hourly, scenario: realistic-session, schedule: {{every: 1h}}, messages: 1}}
  - {{name: rarely, scenario: realistic-session, schedule: {{every: 2h40m}}, messages: 1}}
slos:
  - {{name: journey, probe: hourly, sli: availability, objective: 99%}}
  - {{name: trip, probe: rarely, sli: availability, objective: 99%}}
"""
ALONE: Final = PROBES
SPREAD: Final = f"location: a\nlocations: [a, b, c]\n{PROBES}"
PERIODS: Final = {"hourly": HOUR, "rarely": 8 * HOUR // 3}
SLOS: Final = {"hourly": "journey", "rarely": "trip"}


def runs(probe: str, bad: int, good: int, *, location: str = "local", first: int = 4) -> dict[str, str]:
    """Return the events of a probe whose runs first fail and then succeed; `first` is the scrape of the first run."""
    period = PERIODS[probe]
    stop_at = first + (bad + good) * period
    counted = [first + run * period for run in range(bad + good)]
    counters = {"bad": counted[:bad], "good": counted[bad:]}
    return {
        f'relay_slo_events_total{{location="{location}", relay="demo", probe="{probe}", '
        f'slo="{SLOS[probe]}", outcome="{outcome}"}}': " ".join(
            f"{before}x{stop - start - 1}"
            for before, (start, stop) in enumerate(zip([0, *times], [*times, stop_at], strict=True))
        )
        for outcome, times in counters.items()
    }


def everywhere(probe: str, bad: int, good: int) -> dict[str, str]:
    """Return the same at three locations, each a third of the interval after the one before."""
    made = {f'relay_up{{location="{location}", relay="demo"}}': "1x1000" for location in "abc"}
    for index, location in enumerate("abc"):
        made |= runs(probe, bad, good, location=location, first=4 + index * PERIODS[probe] // 3)
    return made


def pages(minutes: range, count: int) -> list[tuple[str, str, str, int]]:
    return [(f"{minute}m", "RelayErrorBudgetBurn", "critical", count) for minute in minutes]


SLOW: Final = """
relays: [{name: demo, url: embedded}]
probes: [{name: steady, scenario: steady-messaging, message_interval: 2m, pairs: 1}]
slos: [{name: delivery, probe: steady, sli: availability, objective: 99%}]
"""
CASES_SLOW: Final = (
    Case(
        name="RelayPartialFailure: a pair that fails every four minutes is one page until the repair",
        # A failure is seen every 16 scrapes, from 10m to 26m.
        series={CONFIRMED: " ".join(["0x39", *(f"{count}x15" for count in range(1, 5)), "5x80"])},
        expect=[
            ("9m", "RelayPartialFailure", "critical", 0),
            *((f"{minute}m", "RelayPartialFailure", "critical", 1) for minute in range(10, 31)),
            ("33m", "RelayPartialFailure", "critical", 0),
        ],
    ),
)

CASES_ALONE: Final = (
    Case(
        name="RelayErrorBudgetBurn: an hourly probe that always fails is one page until a run succeeds",
        # The third failure is at 2h8m, the last at 7h8m, the first success at 8h8m.
        series=runs("hourly", 8, 4),
        expect=[*pages(range(0, 128, 10), 0), *pages(range(130, 488, 7), 1), *pages(range(500, 720, 10), 0)],
    ),
    Case(
        name="RelayErrorBudgetBurn: two failures an hour apart do not page",
        series=runs("hourly", 2, 6),
        expect=pages(range(0, 480, 10), 0),
    ),
    Case(
        name="RelayErrorBudgetBurn: three failures that just fit into the longest window are one page",
        # The third failure is at 5h28m, the first success at 13h28m.
        series=runs("rarely", 5, 2),
        expect=[*pages(range(0, 328, 10), 0), *pages(range(330, 808, 13), 1), *pages(range(820, 1000, 30), 0)],
    ),
)

CASES_SPREAD: Final = (
    Case(
        name="RelayErrorBudgetBurn: hourly probes that fail at three locations at different times are one page",
        # Two of three have failed three times at 2h28m; two of three succeed from 8h28m on.
        series=everywhere("hourly", 8, 4),
        expect=[*pages(range(0, 148, 10), 0), *pages(range(150, 508, 7), 1), *pages(range(520, 720, 10), 0)],
    ),
    Case(
        name="RelayErrorBudgetBurn: an hourly probe that fails at one location of three does not page",
        series=everywhere("hourly", 0, 12) | runs("hourly", 12, 0, location="b", first=14),
        expect=pages(range(0, 720, 10), 0),
    ),
    Case(
        name="RelayErrorBudgetBurn: three failures that just fit into the longest window, at three locations",
        series=everywhere("rarely", 6, 1),
        expect=pages(range(390, 960, 15), 1),
    ),
)

LARGE: Final = """
relays: [{name: demo, url: embedded}]
probes: [{name: steady, scenario: steady-messaging}]
slos: [{name: delivery, probe: steady, sli: availability, objective: 90%}]
"""


def _events(outcome: str, values: str) -> dict[str, str]:
    labels = f'location="local", relay="demo", probe="steady", slo="delivery", outcome="{outcome}"'
    return {f"relay_slo_events_total{{{labels}}}": values}


CASES_LARGE: Final = (
    Case(
        name="RelayErrorBudgetBurn: an objective of 90 % pages within an hour if all events fail",
        # A burn rate of 14.4 would be failures of 144 %.
        series=_events("good", "0+3x240 720x300") | _events("bad", "0x240 0+3x300"),
        expect=[
            ("1h", "RelayErrorBudgetBurn", "critical", 0),
            ("1h50m", "RelayErrorBudgetBurn", "critical", 0),
            ("1h57m", "RelayErrorBudgetBurn", "critical", 1),
        ],
    ),
    Case(
        name="RelayErrorBudgetBurn: an objective of 90 % does not page if half of all events fail",
        series=_events("good", "0+3x540") | _events("bad", "0+3x540"),
        expect=[("2h", "RelayErrorBudgetBurn", "critical", 0)],
    ),
)

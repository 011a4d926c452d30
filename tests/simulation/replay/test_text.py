"""A replay as tables, notes and JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from monitor.simulation.promql import Series, labels
from monitor.simulation.replay.compare import Change, Kind, Page
from monitor.simulation.replay.coverage import Coverage
from monitor.simulation.replay.rule_set import RuleSet
from monitor.simulation.replay.run import Replay
from monitor.simulation.replay.text import lines, to_json
from monitor.simulation.ruler import Firing
from tests.simulation.replay import world

START = world.DAY
HOUR = world.HOUR


def page(at: float, end: float, alert: str = "RelayDown", **changes: Any) -> Page:
    known: dict[str, Any] = {"relay": "alpha", "group": "", "slo": "", "locations": ()}
    return Page(alert=alert, at=START + at, end=START + end, **(known | changes))


def rules(name: str, **changes: Any) -> RuleSet:
    return RuleSet.of_config(name, world.load(world.config(**changes)))


def found(**changes: Any) -> Replay:
    known: dict[str, Any] = {
        "start": START,
        "end": START + 24 * HOUR,
        "new": rules("new.yaml"),
        "old": rules("old.yaml"),
        "first": START - 9 * HOUR,
        "history": 8 * HOUR,
        "samples": 1_000_000,
        "version": 2,
        "unrecorded": (),
        "covered": (),
        "pages": (),
        "changes": (),
    }
    return Replay(**(known | changes))


def test_changes_are_rows_the_lost_ones_first() -> None:
    alert = {"alertname": "RelayDown", "relay": "alpha", "severity": "warning"}
    warning = Firing(alert="RelayDown", labels=tuple(sorted(alert.items())), start=START, end=START + 60)
    other = page(80.0, 200.0, "RelayNotAccepting")
    changes = (
        Change(kind=Kind.UNCHANGED, old=(page(0, 60),), new=(page(0, 60),)),
        Change(kind=Kind.MOVED, old=(page(10, 600),), new=(page(280, math.inf),)),
        Change(kind=Kind.GAINED, old=(), new=(page(30, 90_000, locations=("eu", "us")),)),
        Change(kind=Kind.LOST, old=(page(20, 60),), new=(), firing=(warning,), instead=(other,)),
        Change(kind=Kind.LOST, old=(page(25, 60),), new=(), firing=(warning,), inhibited=("RelayGroupDown",)),
    )
    text = [line.split("  ") for line in lines(found(changes=changes))]
    rows = {tuple(cell.strip() for cell in line if cell.strip()) for line in text}
    assert (
        "lost", "RelayDown", "alpha", "all", "2026-02-03 00:00:20 – 00:01:00", "–",
        "fires as a warning, RelayNotAccepting pages at 00:01:20",
    ) in rows  # fmt: skip
    assert any(row[0] == "lost" and row[-1] == "fires, inhibited by RelayGroupDown" for row in rows if row)
    assert (
        "gained", "RelayDown", "alpha", "eu, us", "–", "2026-02-03 00:00:30 – 2026-02-04 01:00:00",
    ) in rows  # fmt: skip
    assert (
        "moved", "RelayDown", "alpha", "all", "2026-02-03 00:00:10 – 00:10:00", "2026-02-03 00:04:40 – still fires",
        "begins 4 min 30 s later, no longer ends",
    ) in rows  # fmt: skip
    assert ("Pages: 2 lost, 1 gained, 1 moved, 1 unchanged.",) in rows
    kinds = [line[0].strip() for line in text if line[0].strip() in set(Kind)]
    assert kinds == ["lost", "lost", "gained", "moved"]


@pytest.mark.parametrize(
    ("old", "new", "what"), [(600, math.inf, "no longer ends"), (math.inf, 600, "ends: before, it did not")]
)
def test_a_page_that_still_fires_by_the_rules_of_one_side_is_said_to_end_or_not(
    old: float, new: float, what: str
) -> None:
    moved = Change(kind=Kind.MOVED, old=(page(10, old),), new=(page(10, new),))
    assert any(line.endswith(f"  {what}") for line in lines(found(changes=(moved,))))


def test_pages_of_one_side_are_listed() -> None:
    text = "\n".join(lines(found(old=None, changes=None, pages=(page(20, 80, slo="delivery"),))))
    assert "RelayDown  alpha, delivery  all       2026-02-03 00:00:20  1 min 00 s" in text
    assert "1 page." in text
    assert "No pages." in "\n".join(lines(found(old=None, changes=None)))


def test_json_has_times_as_text_and_open_ends_as_null() -> None:
    moved = Change(kind=Kind.MOVED, old=(page(10, 600),), new=(page(280, math.inf),))
    values = json.loads(json.dumps(to_json(found(changes=(moved,), unrecorded=[(START, START + 600)]))))
    (change,) = values["changes"]["moved"]
    assert change["old"][0]["at"] == "2026-02-03T00:00:10+00:00"
    assert (change["new"][0]["end"], change["beginsLaterSeconds"], change["endsLaterSeconds"]) == (None, 270, None)
    assert values["prometheusDown"] == [{"from": "2026-02-03T00:00:00+00:00", "to": "2026-02-03T00:10:00+00:00"}]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        (
            {"version": None},
            "The server does not report the version of Prometheus: rules are evaluated as Prometheus 3 does.",
        ),
        ({"first": START + HOUR}, "Data begin at 2026-02-03 01:00:00 UTC: there are no pages before."),
        ({"first": START}, "Rules read up to 8 h 00 min of samples: until 2026-02-03 08:00:00 UTC they had less."),
        ({"unrecorded": [(START, START + 600)]}, "Prometheus itself recorded nothing for 10 min 00 s in total"),
        ({"old": rules("old.yaml", alpha_confirm={"attempts": 5})}, "relays[].confirm differ too."),
    ],
)
def test_what_the_data_lack_is_said(changes: dict[str, Any], note: str) -> None:
    assert note in "\n".join(lines(found(**changes)))


def test_a_replay_of_all_data_says_nothing_more() -> None:
    assert list(lines(found()))[3:] == ["Pages: 0 lost, 0 gained, 0 moved, 0 unchanged.", ""]


def test_coverage_has_the_share_and_the_longest_gap() -> None:
    coverage = Coverage(START, START + HOUR, 15.0)
    times = START + np.arange(0.0, HOUR, 15.0)
    kept = times[(times < START + 600) | (times >= START + 1500)]
    for relay, at in (("alpha", kept), ("beta", times)):
        series = Series("relay_up", labels(relay=relay, location="eu"), at, np.ones(len(at)))
        coverage.add([series], START - 1)
    covered = coverage.of([rules("new.yaml")])
    by_key = {(each.relay, each.location): each for each in covered}
    assert len(by_key) == 9
    assert by_key["beta", "eu"].share == 1.0
    alpha = by_key["alpha", "eu"]
    assert (alpha.share, alpha.gap, alpha.gap_at) == (0.75, 900.0, START + 600)
    assert by_key["gamma", "us"].share == 0.0
    text = "\n".join(lines(found(covered=covered)))
    assert "alpha  eu                   75.00%  15 min 00 s  2026-02-03 00:10:00" in text
    assert "The others (1) have samples of the whole time." in text

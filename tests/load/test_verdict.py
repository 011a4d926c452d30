from __future__ import annotations

import pytest
import typer

from monitor.cli.flags import share_of
from monitor.config import parse
from monitor.load.conversion import objective_of, slo_of
from monitor.load.text import GREEN, RED, YELLOW, Summary
from monitor.load.totals import Totals
from monitor.load.verdict import Aim, Judged, Objective, judge, objectives, passed
from monitor.scenarios import Scenario
from tests.load.sample import finished_with, plan_of, totals_of_samples

SCENARIO = Scenario.STEADY_MESSAGING

CONFIG = """
relays: [{name: demo, url: embedded}]
probes:
  - {name: steady, scenario: steady-messaging, message_interval: 1s}
  - {name: offline, scenario: async-delivery, schedule: {every: 1h}}
slos:
  - {name: quick, probe: steady, sli: latency, threshold: 100ms, objective: 90%, window: 30d}
  - {name: delivery, probe: steady, sli: availability, objective: 99%, window: 30d}
  - {name: trend, probe: steady, sli: trend, factor: 1.5, window: 1d}
  - {name: recovery, probe: offline, sli: availability, objective: 100%, window: 30d}
"""


def verdicts(totals: Totals, scenario: Scenario = SCENARIO, **given: float) -> dict[str, bool]:
    wanted = objectives(scenario, None, {Aim[name.upper()]: limit for name, limit in given.items()})
    return {item.objective.name: item.passed for item in judge(scenario, totals, wanted)}


def test_the_default_objectives_are_the_relay_teams() -> None:
    totals = totals_of_samples([(1.0, 0.4)] * 100)
    assert verdicts(totals) == {"round trip P99": True, "success": True, "delivery": True, "stability": True}
    totals.sketches["messages"].record(0.5)
    totals.sketches["messages"].record(0.5)
    totals.unanswered = 1
    totals.sent += 1
    totals.failed = 2
    totals.attempted += 2
    totals.connected_seconds -= 7.0
    assert verdicts(totals) == {"round trip P99": False, "success": False, "delivery": False, "stability": False}


def test_every_message_must_be_recovered() -> None:
    totals = Totals(attempted=1000, immediate=1000, recoveries_attempted=1000, recoveries_received=1000)
    assert verdicts(totals, Scenario.ASYNC_DELIVERY) == {"success": True, "historical recovery": True}
    totals.recoveries_received, totals.recoveries_failed = 999, 1
    assert verdicts(totals, Scenario.ASYNC_DELIVERY)["historical recovery"] is False


@pytest.mark.parametrize("scenario", [SCENARIO, Scenario.STEADY_STATE])
def test_stability_is_seconds_connected_of_seconds_due(scenario: Scenario) -> None:
    totals = Totals(attempted=3, immediate=3, due_seconds=180.0, connected_seconds=171.0)
    (stability,) = [item for item in judge(scenario, totals, objectives(scenario, None, {})) if _is_stability(item)]
    assert (stability.value, stability.passed) == (0.95, False)
    what = "pairs" if scenario is SCENARIO else "connections"
    line = f"Stability     95.00 %  connected 171.0 of 180.0 s due, summed over all {what}"
    assert line in Summary(plan_of(scenario), finished_with(totals), []).lines()


def test_stability_of_a_hold_that_never_began_is_not_measured() -> None:
    scenario = Scenario.STEADY_STATE
    totals = Totals(attempted=3, immediate=3)
    (stability,) = [item for item in judge(scenario, totals, objectives(scenario, None, {})) if _is_stability(item)]
    assert stability.value is None


def _is_stability(item: Judged) -> bool:
    return item.objective.aim is Aim.STABILITY


def test_given_objectives_replace_the_defaults() -> None:
    totals = totals_of_samples([(1.0, 0.02), (11.0, 0.05)])
    assert verdicts(totals, round_trip=0.04, trend=2.0) == {
        "round trip P99": False, "success": True, "delivery": True, "stability": True, "latency trend": False
    }  # fmt: skip


def test_a_configurations_objectives_are_those_of_its_probes_of_the_scenario() -> None:
    config = parse(CONFIG, "test", {})
    wanted = objectives(SCENARIO, config, {})
    assert [(item.name, item.aim, item.limit, item.threshold) for item in wanted] == [
        ("quick", Aim.WITHIN, 0.9, 0.1),
        ("delivery", Aim.DELIVERY, 0.99, 0.0),
        ("trend", Aim.TREND, 1.5, 0.0),
    ]
    totals = totals_of_samples([(1.0, 0.05)] * 8 + [(1.0, 0.2)] * 2)
    judged = judge(SCENARIO, totals, wanted)
    assert [(item.value, item.passed) for item in judged] == [(0.8, False), (1.0, True), (None, False)]
    assert [item.name for item in objectives(Scenario.ASYNC_DELIVERY, config, {})] == ["recovery"]


@pytest.mark.parametrize("scenario", Scenario)
def test_no_test_is_without_an_objective(scenario: Scenario) -> None:
    usual = objectives(scenario, None, {})
    assert Aim.SUCCESS in {item.aim for item in usual}
    nothing_said = parse(CONFIG, "test", {}).model_copy(update={"slos": ()})
    assert objectives(scenario, nothing_said, {}) == usual
    (given,) = (item for item in objectives(scenario, nothing_said, {Aim.SUCCESS: 0.5}) if item.aim is Aim.SUCCESS)
    assert given.limit == 0.5


def test_objectives_are_read_back_from_a_result() -> None:
    for item in objectives(SCENARIO, parse(CONFIG, "test", {}), {Aim.ROUND_TRIP: 0.4}):
        assert objective_of(slo_of(Judged(objective=item, value=0.123))) == item


@pytest.mark.parametrize("percent", ["99.9", "99.99", "99.7%", "0.7", "28.9", "57.3"])
def test_exactly_the_objective_passes_given_by_a_flag_and_read_back(percent: str) -> None:
    good = round(float(percent.removesuffix("%")) * 100)
    asked = Objective(name="delivery", aim=Aim.DELIVERY, limit=share_of(percent))
    read_back = objective_of(slo_of(Judged(objective=asked, value=None)))
    for number, passes in ((good, True), (good - 1, False)):
        totals = Totals(attempted=1, immediate=1, sent=10_000, received=number)
        assert [item.passed for item in judge(SCENARIO, totals, [asked, read_back])] == [passes, passes]


@pytest.mark.parametrize("text", ["", "much", "nan", "-inf", "inf", "0", "100.1", "9 9"])
def test_other_texts_are_no_percentage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a percentage"):
        share_of(text)


def test_a_threshold_is_read_back_to_the_last_digit() -> None:
    for micros in range(1000, 100_000, 7):
        asked = Objective(name="quick", aim=Aim.WITHIN, limit=0.9, threshold=float(f"{micros}e-6"))
        assert objective_of(slo_of(Judged(objective=asked, value=None))) == asked


@pytest.mark.parametrize("scenario", Scenario)
def test_a_test_without_a_successful_exchange_fails(scenario: Scenario) -> None:
    ended = finished_with(Totals(attempted=3, failed=3))
    assert not passed(scenario, ended, [])
    lines = list(Summary(plan_of(scenario), ended, []).lines())
    assert lines[-1] == "FAIL"
    assert lines[-2].startswith("FAIL  no ")


def test_aborted_pairs_are_shown_and_count_in_no_rate() -> None:
    totals = Totals(attempted=4, immediate=4, aborted=7, unfinished=5, sent=4, received=4)
    assert verdicts(totals)["success"] is True
    lines = list(Summary(plan_of(), finished_with(totals, interrupted=True), []).lines())
    assert "9 pairs in" in lines[0]
    assert "Pairs         100.00 %  4 of 4 connected" in lines
    assert "Aborted       7 aborted by this program, in no rate; 5 were still pairing" in lines


@pytest.mark.parametrize("scenario", Scenario)
def test_a_test_that_only_aborted_fails(scenario: Scenario) -> None:
    ended = finished_with(Totals(aborted=3, unfinished=3))
    judged = judge(scenario, ended.totals, objectives(scenario, None, {}))
    assert not any(item.passed for item in judged)
    assert not passed(scenario, ended, judged)


@pytest.mark.parametrize(("aborted", "good"), [(1, True), (2, False), (99, False)])
def test_a_test_that_aborted_more_than_one_percent_fails(aborted: int, good: bool) -> None:
    totals = Totals(attempted=100, immediate=100, aborted=aborted, unfinished=aborted)
    scenario = Scenario.CONNECTION_STORM
    ended = finished_with(totals)
    judged = judge(scenario, totals, objectives(scenario, None, {}))
    assert passed(scenario, ended, judged) is good
    line = f"FAIL  this program aborted {aborted}: too many to judge the relay"
    assert (line in Summary(plan_of(scenario), ended, judged).lines()) is not good
    stopped = finished_with(totals, interrupted=True)
    assert passed(scenario, stopped, judged)


@pytest.mark.parametrize(("successful", "colour"), [(100, GREEN), (99, GREEN), (98, YELLOW), (95, YELLOW), (94, RED)])
def test_success_is_coloured_as_the_relay_team_reads_it(successful: int, colour: str) -> None:
    totals = Totals(attempted=100, immediate=successful, failed=100 - successful)
    lines = list(Summary(plan_of(Scenario.CONNECTION_STORM), finished_with(totals), [], colour=True).lines())
    assert f"{colour}{successful:.2f} %" in lines[2]


@pytest.mark.parametrize(("received", "colour"), [(1000, GREEN), (999, GREEN), (990, YELLOW), (989, RED)])
def test_delivery_is_coloured_as_the_relay_team_reads_it(received: int, colour: str) -> None:
    totals = Totals(attempted=1, immediate=1, sent=1000, received=received, unanswered=1000 - received)
    lines = "\n".join(Summary(plan_of(), finished_with(totals), [], colour=True).lines())
    assert f"{colour}{received / 10:.2f} %\x1b[0m  {received} of 1000 delivered" in lines


def test_a_test_without_one_of_its_workers_fails() -> None:
    ended = finished_with(totals_of_samples([(1.0, 0.01)] * 9), missing_workers=(1, 3))
    judged = judge(SCENARIO, ended.totals, objectives(SCENARIO, None, {}))
    assert all(item.passed for item in judged)
    assert not passed(SCENARIO, ended, judged)
    lines = list(Summary(plan_of(), ended, judged).lines())
    assert lines[-2:] == ["FAIL  no result of workers 1, 3: missing in the figures above", "FAIL"]


def test_the_summary_has_the_settings_of_the_test() -> None:
    lines = list(Summary(plan_of(seed=3), finished_with(Totals()), []).lines())
    assert (
        "Settings      --connection-pairs 100, --duration 60 s, --message-interval 5 s, --crypto real, --ramp-up 10 s, "
        "--timeout 10 s, --seed 3"
    ) in lines


def test_a_terminal_of_80_columns_is_wide_enough() -> None:
    totals = totals_of_samples([(1.0, 0.01)] * 9)
    totals.reasons.update({f"{step}/{reason}": 10_000 for step in ("tcp", "tls") for reason in ("timeout", "reset")})
    ended, judged = finished_with(totals), judge(SCENARIO, totals, objectives(SCENARIO, None, {}))
    assert max(map(len, Summary(plan_of(), ended, judged, width=80).lines())) <= 80


def test_the_summary_of_an_interrupted_test_says_so() -> None:
    ended = finished_with(totals_of_samples([(1.0, 0.01)] * 9), interrupted=True)
    assert list(Summary(plan_of(), ended, []).lines())[-1] == "PASS (interrupted; only what was measured until then)"

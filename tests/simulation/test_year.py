"""The simulated year: single faults with the right pages, and a short year as a whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import Config, load
from monitor.simulation.year.kinds import KINDS, Due, Kind
from monitor.simulation.year.plan import Fault, draw_faults
from monitor.simulation.year.processes import MIN_CLUSTERS, simulate_year
from monitor.simulation.year.score import score
from monitor.simulation.year.simulate import Simulated, enlarged, simulate_faults
from tests.relays import ROOT

BY_NAME = {kind.name: kind for kind in KINDS}
DAY = 86_400.0
MUST = [kind.name for kind in KINDS if kind.due is Due.MUST]


@pytest.fixture(scope="module")
def config() -> Config:
    return enlarged(load(ROOT / "config.yaml", {}), 12, 3)


def one(config: Config, kind: Kind, duration: float, seed: int = 1) -> Simulated:
    """Simulate one fault of a kind."""
    fixed = replace(kind, duration=(duration, duration), a_year=3650.0)
    names = [relay.name for relay in config.relays]
    (fault, *_) = draw_faults(names, config.locations, 40 * DAY, np.random.default_rng(seed), [fixed])
    return simulate_faults(config, [fault], seed=seed, seconds=40 * DAY)


@pytest.mark.parametrize("name", MUST)
def test_an_outage_of_five_minutes_pages(config: Config, name: str) -> None:
    for seed in range(3):
        found = score(one(config, BY_NAME[name], 300.0, seed))
        (kind,) = found.kinds
        assert (kind.must > 0, kind.missed, len(found.false)) == (True, 0, 0), (seed, found)


@pytest.mark.parametrize("name", ["killed", "silent", "unavailable, 503", "asks for less, 429", "newcomers refused"])
@pytest.mark.parametrize("duration", [150.0, 900.0])
def test_an_outage_is_one_page(name: str, duration: float) -> None:
    """Budgets burn before a slow verdict: Alertmanager waits for it, and sends nothing about them after it."""
    config = load(ROOT / "config.yaml", {})
    (relay,), faults = config.relays, []
    for number in range(1, 21):
        start = 6 * 3600.0 * number + 37.3 * number
        names, places = frozenset({relay.name}), frozenset(config.locations)
        faults.append(Fault(kind=BY_NAME[name], start=start, end=start + duration, relays=names, locations=places))
    found = simulate_faults(config, faults, seed=3, seconds=6 * DAY)
    for fault in faults:
        pages = [page for page in found.notifications if page.pages and 0 <= page.at - fault.start < 3 * 3600.0]
        alerts = [sorted({each.alert for each in page.new}) for page in pages]
        assert alerts == [["RelayNotAccepting" if name == "newcomers refused" else "RelayDown"]], fault


def test_the_same_seed_gives_the_same_pages(config: Config) -> None:
    first, again, other = (simulate_year(config, seed=seed, seconds=3 * DAY) for seed in (5, 5, 6))
    pages = [[(page.at, page.group) for page in each.notifications] for each in (first, again, other)]
    assert pages[0] == pages[1] != pages[2]


def test_faults_that_repeat_come_and_go() -> None:
    fault = Fault(
        kind=BY_NAME["flaps, 45 s"], start=0.0, end=45.0 * 17, relays=frozenset({"a"}), locations=frozenset({"x"})
    )
    assert [fault.active(at) for at in (0, 44, 46, 89, 91, 764, 766)] == [True, True, False, False, True, True, False]
    assert fault.edges()[:3] == [0.0, 45.0, 90.0]


def test_the_command_prints_a_table() -> None:
    command = ["simulate", "--config", str(ROOT / "config.yaml"), "--year", "--relays", "3", "--days", "20"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    rows = done.output.splitlines()
    assert any(re.match(r"failover, 10–25 s +\d+ +– +– +0 +0 +– +– +–$", row) for row in rows)
    assert "must not page:" in rows
    assert "|" not in done.output
    assert "false pages a relay-year" in done.output
    found = json.loads(CliRunner().invoke(app, [*command, "--output", "json"]).output)
    assert 0 <= found["precision"] <= 1


def test_several_processes_give_the_same_pages_as_one(config: Config) -> None:
    one_process, two = (simulate_year(config, seed=5, seconds=30 * DAY, processes=number) for number in (1, 2))
    assert len(one_process.faults) >= MIN_CLUSTERS
    assert [(page.at, page.group) for page in one_process.notifications] == [
        (page.at, page.group) for page in two.notifications
    ]

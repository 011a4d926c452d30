"""Recorded outages in a real Prometheus, and changes of the rules: each page that is gained, lost or moved."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from monitor.cli import app
from monitor.cli.replay import replay_recorded
from monitor.cli.shared import Output
from monitor.config.units import parse_duration
from monitor.errors import MonitorError, RequestError
from monitor.simulation.replay.compare import Kind
from monitor.simulation.replay.notes import notes
from monitor.simulation.replay.rule_set import RuleSet, load_rule_set
from monitor.simulation.replay.run import replay
from monitor.slo.rules import rules_file
from monitor.web.prometheus import QUERY_TIMEOUT, PrometheusClient
from tests.cli.commands import monitor
from tests.dashboards import backfill
from tests.e2e.programs import PROMETHEUS, find
from tests.simulation.replay import world
from tests.sockets import closed_port

OUTAGES = (
    ("killed", 10 * world.MINUTE, 10 * world.MINUTE, "alpha", world.LOCATIONS),
    ("monitor dead", 35 * world.MINUTE, 15 * world.MINUTE, "", ("us",)),
    ("killed", 60 * world.MINUTE, 3 * world.MINUTE, "alpha", world.LOCATIONS),
    ("path down from one location", 80 * world.MINUTE, 10 * world.MINUTE, "gamma", ("asia",)),
)
DOWN = (100 * world.MINUTE, 115 * world.MINUTE)
"""Seconds of the day in which Prometheus recorded nothing."""

HOURS = 2.0
UNTIL = "2026-02-03T02:00"


def named(page: dict[str, Any]) -> tuple[str, str, list[str], str]:
    """Return alert, relay, locations and the minute at which it pages."""
    return page["alert"], page["relay"], page["locations"], page["at"][11:16]


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.required_counterpart("prometheus")
async def test_each_page_that_a_change_gains_loses_or_moves_is_named(tmp_path: Path) -> None:
    before = world.config()
    (tmp_path / "old.yaml").write_text(before)
    (tmp_path / "new.yaml").write_text(world.config(alpha_page_after="5m", gamma_scope="regional"))
    (tmp_path / "rules.yml").write_bytes(rules_file(world.load(before)))
    store = world.recorded(world.load(before), OUTAGES, HOURS)
    world.write(store, tmp_path, gap=DOWN)
    # Queries of more samples are refused: they are divided.
    async with backfill.opened(tmp_path, "--query.max-samples=15000") as prometheus:
        options = (
            "--config",
            tmp_path / "new.yaml",
            "--against",
            tmp_path / "old.yaml",
            "--prometheus",
            prometheus.url,
        )
        changed = monitor("simulate", "--replay", *options, "--since", "2h", "--until", UNTIL, "--output", "json")
        # The same rules, from a file, over a day of which Prometheus has the end only.
        rules = RuleSet.of_config("old.yaml", world.load(before))
        client = PrometheusClient(prometheus.url, "default")
        stop = world.DAY + HOURS * world.HOUR
        equal = replay(client, rules, load_rule_set(tmp_path / "rules.yml", {}, rules), stop - 86_400.0, stop)
        # What judged nothing must not look like a change that loses nothing.
        with pytest.raises(RequestError, match="no samples of this time that the rules select"):
            replay(client, rules, rules, stop - 50 * 86_400.0, stop - 49 * 86_400.0)
    assert (changed.returncode, changed.stderr) == (1, "")  # a page is lost
    found = json.loads(changed.stdout)
    changes = found["changes"]
    (lost,) = changes["lost"]
    assert named(lost["old"][0]) == ("RelayDown", "alpha", [], "01:00")
    # No page explains the failures of this outage now, so they burn the error budget.
    assert [named(each["new"][0]) for each in changes["gained"]] == [
        ("RelayErrorBudgetBurn", "alpha", [], "01:06"),
        ("RelayDown", "gamma", ["asia"], "01:21"),
    ]
    (moved,) = changes["moved"]
    assert named(moved["old"][0]) == ("RelayDown", "alpha", [], "00:10")
    assert named(moved["new"][0]) == ("RelayDown", "alpha", [], "00:15")
    assert (moved["beginsLaterSeconds"], moved["endsLaterSeconds"]) == (270, 0)
    assert changes["unchanged"] == []
    # Nobody is paged by what Prometheus did not see, and it is said.
    assert [(each["from"][11:16], each["to"][11:16]) for each in found["prometheusDown"]] == [("01:42", "01:55")]
    shares = {(each["relay"], each["location"]): each["share"] for each in found["coverage"]}
    assert shares["alpha", "eu"] == pytest.approx(0.875, abs=0.02)
    assert shares["alpha", "us"] == pytest.approx(0.75, abs=0.02)

    assert [change.kind for change in equal.changes or ()] == [Kind.UNCHANGED, Kind.UNCHANGED]
    assert not equal.lost
    assert any(note.startswith("Data begin at 2026-02-02 16:0") for note in notes(equal))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"since": "soon"}, "'soon' is not a time; expected a duration such as 7d, or 2026-11-28T14:00"),
        ({"since": "2y"}, "'2y': the replay must begin before its end, by a year at most"),
        ({"until": "noon"}, "'noon' is not a time; expected 2026-11-28T14:00"),
        ({"prometheus": None}, "since the configuration has no prometheus.url"),
        ({}, ": Connection refused"),
        ({"against": Path("missing.yml")}, "missing.yml: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_replayed_is_said(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(world.config())
    usual = {"prometheus": f"http://127.0.0.1:{closed_port()}", "since": "30d", "until": None, "against": None}
    with pytest.raises((typer.BadParameter, MonitorError)) as raised:
        replay_recorded(config, Output.TEXT, **(usual | options))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--against", "old.yaml"], "--prometheus, --since, --until and --against need it"),
        (["--since", "7d"], "--prometheus, --since, --until and --against need it"),
        (["--replay", "--year"], "cannot be used with --year"),
        (["--replay", "--seed", "1"], "cannot be used with --seed"),
        (["--replay", "--noise", "0.01", "--nodes=3", "--days", "7"], "cannot be used with --nodes, --noise, --days"),
    ],
)
def test_options_that_need_a_replay_or_are_not_valid_for_one_are_refused(options: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["simulate", *options])
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.integration
@pytest.mark.required_counterpart("prometheus")
def test_a_query_ends_by_itself_before_the_client_stops_waiting() -> None:
    """The status that it ends with is what divides it, and says why a report cannot be made."""
    described = subprocess.run([find(PROMETHEUS), "--help"], capture_output=True, text=True, timeout=20, check=True)
    default = re.search(r"--query\.timeout=(\w+)", described.stdout + described.stderr)
    assert default is not None
    assert parse_duration(default[1]) < QUERY_TIMEOUT

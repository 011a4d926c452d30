"""`relay-monitor status` against a daemon in this process, and its text."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from monitor import __version__
from monitor.cli import app
from monitor.cli.status_text import is_bad, report
from monitor.vocabulary import Condition
from monitor.web import WebServer, build_app
from monitor.web.model import (
    AlertView,
    BudgetView,
    DrillView,
    IncidentView,
    LocationView,
    MaintenanceView,
    PrometheusView,
    Source,
    WindowView,
)
from tests.cli.commands import monitor as command_line
from tests.daemon.harness import config, exchanged, running, until
from tests.web.site import NOW, relay_view, view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.web.model import MonitorView

EVIL = "\x1b[2J\x07 boo"


def text(shown: MonitorView, incidents: Sequence[IncidentView] = (), *, width: int | None = None) -> str:
    return "\n".join(report(shown, incidents, "8h", width=width))


def incident(**changes: object) -> IncidentView:
    shown = IncidentView(
        id="demo-1",
        relay="demo",
        began_at=NOW - timedelta(minutes=10, seconds=6),
        opened_at=NOW - timedelta(minutes=10),
        recovered_at=None,
        closed_at=None,
        worst=Condition.DOWN,
        sentence="down for 2 min 4 s: tcp refused",
    )
    return replace(shown, **changes)  # type: ignore[arg-type] # fields of the class


def with_budget(**figures: Any) -> str:
    """Return what is shown of one budget whose figures cover two hours."""
    budget = BudgetView(slo="delivery", span_seconds=7200, window_seconds=7200, source=Source.JOURNAL, **figures)
    return text(view(relays=(relay_view("demo", Condition.UP, budgets=(budget,)),)))


class TestText:
    def test_it_begins_with_the_banner(self) -> None:
        assert text(view()).splitlines()[0] == "2 of 4 relays are down: demo (in maintenance), fresh; 1 is not observed"

    def test_a_relay_that_is_not_up_has_its_reason_and_not_its_age_again(self) -> None:
        shown = text(view(relays=(relay_view("demo", Condition.DOWN, incident="demo-1"),)))
        assert "DOWN" in shown
        assert "\n  no attempt has finished yet · incident demo-1\n" in shown

    def test_maintenance_is_said_with_its_end(self) -> None:
        window = MaintenanceView(reason="deploy 1234", until=NOW, by="ops")
        shown = text(view(relays=(relay_view("demo", Condition.UP, maintenance=window),)))
        assert "in maintenance until 2024-05-01 12:09:05 UTC (deploy 1234, ops)" in shown

    @pytest.mark.parametrize(
        ("drill", "line"),
        [
            (
                DrillView(ended_at=NOW - timedelta(hours=3), seconds=16.93, why=""),
                "The last drill, 3 h 00 min ago: a page in 16.9 s.",
            ),
            (
                DrillView(ended_at=NOW - timedelta(hours=3), seconds=None, why=EVIL),
                "The last drill failed 3 h 00 min ago: \ufffd[2J",
            ),
        ],
    )
    def test_the_last_drill_is_a_line(self, drill: DrillView, line: str) -> None:
        assert line in text(view(drill=drill))
        assert "drill" not in text(view())

    def test_incidents_are_listed(self) -> None:
        closed = incident(id="demo-0", recovered_at=NOW - timedelta(minutes=5), closed_at=NOW)
        shown = text(view(), (incident(), closed))
        assert "Incidents of the last 8h (2)" in shown
        assert "demo-1    demo   2024-05-01 11:58:59 UTC  open" in shown
        assert "demo-0    demo   2024-05-01 11:58:59 UTC  2024-05-01 12:04:05 UTC" in shown

    def test_windows_are_listed(self) -> None:
        window = WindowView(id="m1", relays=("demo",), start=NOW, until=NOW, reason="deploy", by="ops")
        assert "m1      demo    2024-05-01 12:09:05 UTC  deploy  ops" in text(view(maintenance=(window,)))

    def test_the_lowest_budgets_are_listed_with_the_time_that_they_cover(self) -> None:
        budgets = tuple(
            BudgetView(
                slo=f"slo-{number}",
                objective=0.99,
                left=number / 20,
                good=990,
                bad=10,
                span_seconds=7200,
                window_seconds=2_592_000,
                source=Source.JOURNAL,
            )
            for number in range(20)
        )
        shown = text(view(relays=(relay_view("demo", Condition.UP, budgets=budgets),)))
        assert "Error budgets (the lowest 12 of 20)" in shown
        assert "demo   slo-0     99.00 %  exhausted   10  2 h 00 min of 30 d" in shown
        assert "slo-12" not in shown

    def test_an_overspent_budget_is_exhausted_as_on_the_page(self) -> None:
        assert "exhausted   16  2 h 00 min" in with_budget(objective=0.99, left=-0.6033, good=983.967, bad=16.033)

    def test_a_budget_of_connection_time_counts_seconds(self) -> None:
        text = with_budget(in_seconds=True, objective=0.99, left=0.5, good=995, bad=5)
        assert "50 %  5 connection-seconds  2 h 00 min" in text

    def test_thousands_are_separated_by_a_space(self) -> None:
        shown = with_budget(objective=0.9999, left=-4999.0, good=1180.2, bad=1180.2)
        assert "exhausted  1 180  2 h 00 min" in shown

    def test_what_prometheus_says_is_shown(self) -> None:
        alert = AlertView(
            name="RelayDown", severity="critical", relay="demo", location=None, since=NOW, summary="Relay demo is down"
        )
        relay = relay_view(
            "other-shard",
            Condition.DOWN,
            observed=False,
            locations=(LocationView(location="eu", condition=Condition.DOWN),),
        )
        of = PrometheusView(url="http://prometheus.example", asked_at=NOW, failure="status 500", alerts=(alert,))
        shown = text(view(relays=(relay,), prometheus=of))
        assert "Firing alerts (1)" in shown
        assert "critical  RelayDown  2024-05-01 12:09:05 UTC  Relay demo is down" in shown
        assert "Prometheus at http://prometheus.example was not read: status 500" in shown
        assert "as seen from eu: DOWN" in shown
        assert re.search(r"^other-shard +DOWN +– ", shown, re.MULTILINE)

    def test_a_journal_that_does_not_answer_is_named(self) -> None:
        assert "The journal cannot be read or written" in text(view(journal_healthy=False))

    @pytest.mark.parametrize("width", [80, 120])
    def test_it_fits_the_terminal(self, width: int) -> None:
        long = incident(sentence="down for 2 min 4 s: tcp refused, and then some more words " * 3)
        relay = relay_view("a-relay-with-a-long-name", Condition.NOT_ACCEPTING, why="new connections fail " * 9)
        assert max(map(len, text(view(relays=(relay,)), (long,), width=width).splitlines())) <= width

    def test_a_relays_words_do_not_control_the_terminal(self) -> None:
        relay = relay_view("demo", Condition.DOWN, why=EVIL)
        shown = text(view(relays=(relay,)), (incident(sentence=EVIL),))
        assert "boo" in shown
        assert shown.replace("\n", "").isprintable()

    @pytest.mark.parametrize(
        ("condition", "bad"),
        [
            (Condition.UP, False),
            (Condition.DEGRADED, False),
            (Condition.DOWN, True),
            (Condition.NOT_ACCEPTING, True),
            (Condition.UNKNOWN, True),
        ],
    )
    def test_what_fails_the_command(self, condition: Condition, bad: bool) -> None:
        assert is_bad(view(relays=(relay_view("demo", condition),))) is bad

    def test_an_unhealthy_monitor_fails_the_command(self) -> None:
        assert is_bad(view(relays=(relay_view("demo", Condition.UP),), healthy=False))

    def test_so_does_a_monitor_that_observes_no_relay(self) -> None:
        assert is_bad(view(relays=()))


@pytest.mark.integration
async def test_it_asks_a_running_monitor() -> None:
    async with running(config()) as monitor:
        web = WebServer(build_app(monitor.web_state()), "127.0.0.1", 0)
        await web.start()
        try:
            await until(lambda: monitor.monitored_relays.relays["demo"].verdict.up is True)
            await until(lambda: exchanged(monitor, "ok") >= 1)
            url = f"http://127.0.0.1:{web.port}"
            shown, as_json = await asyncio.gather(
                asyncio.to_thread(command_line, "status", "--url", url),
                asyncio.to_thread(command_line, "status", "--url", url, "--output", "json"),
            )
            assert (shown.returncode, shown.stderr) == (0, "")
            assert shown.stdout.startswith("The relay demo is up\n")
            assert json.loads(as_json.stdout)["relays"][0]["name"] == "demo"
        finally:
            await web.stop()


def test_a_wrong_span_is_refused() -> None:
    done = CliRunner().invoke(app, ["status", "--since", "long"])
    assert done.exit_code == 2
    assert "Invalid value for --since: 'long' is not a duration" in done.stderr


def test_the_version_is_shown() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"relay-monitor {__version__}\n")

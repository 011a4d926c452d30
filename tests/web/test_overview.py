from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.scenarios import Scenario
from monitor.vocabulary import Condition, Step
from monitor.web.model import Banner, Level, LocationView, MaintenanceView
from tests.web.site import client, serving
from tests.web.test_pages import text_of
from tests.web.views import NOW, budget, degraded_relay, down_relay, forty, incident, monitor, probe, relay, run_id

if TYPE_CHECKING:
    from monitor.web.model import MonitorView


async def page_of(view: MonitorView, query: str = "") -> str:
    async with client(status=serving(view)) as web:
        response = await web.get(f"/{query}")
    assert response.status_code == 200
    return response.text


async def shown_for(view: MonitorView, query: str = "") -> str:
    async with client(status=serving(view)) as web:
        return text_of(await web.get(f"/{query}"))


def relays_in(page: str) -> list[tuple[str, str]]:
    """Return kind and name of the relays of a page, in their order."""
    return [
        ("card" if "card" in classes else "row", name)
        for name, classes in re.findall(r'<article id="relay-([^"]+)" class="([^"]+)"', page)
    ]


class TestWhatIsShown:
    async def test_a_relay_that_is_down_says_since_when_why_and_what_was_lost(self) -> None:
        shown = await shown_for(monitor(down_relay("staging"), relay("prod")))
        for part in (
            "staging down 2 min 04 s since 03:08:16 UTC tcp refused, 25 of 25 attempts failed",
            "connect to 192.0.2.7:443 refused",
            "Success, 1 h 96.2 % P50 · P99 39 ms · 171 ms of 400 ms Lost, 1 h 0",
            "Budget left exhausted in 6 d 4 h of data Certificate 61 d",
            "Incident Runbook History Maintenance",
            "last message delivered 2 min 08 s ago, 03:08:12 UTC",
            "tcp refused · 73 × · 03:08:16 – 03:10:18 UTC · steady 71, offline-30s 2 · last run",
            "delivery 99.90 % exhausted",
            "in 6 d 4 h of 30 d",
            "steady steady-messaging continuous failed 2 s ago tcp refused 2 min 11 s ago",
            "offline-30s async-delivery every 1m ok 18 s ago 18 s ago 03:11:02 UTC",
        ):
            assert part in shown

    async def test_a_budget_of_connection_time_counts_seconds(self) -> None:
        stability = replace(budget("stability", 0.4, 0.99), in_seconds=True)
        shown = await shown_for(monitor(replace(down_relay("demo"), budgets=(stability,))))
        assert re.search("1.210 bad of 202.810 connection-seconds in 6 d 4 h", shown)

    async def test_an_ok_from_before_the_outage_is_not_called_ok_now(self) -> None:
        shown = await shown_for(monitor(down_relay("demo")))
        assert "session realistic-session every 5m ok, 3 min 21 s ago , before the outage" in shown

    async def test_a_failed_probe_names_the_cause_as_everything_else_does(self) -> None:
        failed = probe("steady", Scenario.STEADY_MESSAGING, ok=False, step=Step.UPGRADE, status="503")
        shown = await shown_for(monitor(replace(down_relay("demo"), probes=(failed,))))
        assert "steady steady-messaging continuous failed 4 s ago upgrade 503" in shown

    async def test_a_cell_links_to_its_worst_run(self) -> None:
        page = await page_of(monitor(down_relay("demo")))
        assert f'<a href="/runs/{run_id(59)}" tabindex="-1" aria-label="03:10 UTC: 4 failed">' in page

    async def test_the_banner_sets_the_level_of_page_and_icon(self) -> None:
        page = await page_of(monitor(relay("demo"), banner=Banner(level=Level.WARNING, sentence="1 is degraded")))
        assert '<section id="banner" class="banner is-warning" data-level="warning"' in page
        assert 'href="/static/warning.svg' in page

    async def test_an_incident_that_is_closed_is_named_at_the_top(self) -> None:
        shown = await shown_for(monitor(relay("demo"), incidents=(incident("demo"),)))
        assert "Last incident: demo , down for 2 min 04 s: tcp refused, closed 1 min 30 s ago." in shown

    async def test_maintenance_is_beside_the_condition(self) -> None:
        window = MaintenanceView(reason="deploy", until=NOW + timedelta(minutes=20), by="ci")
        shown = await shown_for(monitor(replace(down_relay("demo"), maintenance=window)))
        assert "demo down maintenance until 03:30:20 2 min 04 s" in shown

    async def test_an_unhealthy_monitor_and_journal_are_said(self) -> None:
        reason = Banner(level=Level.CRITICAL, sentence="This monitor is unhealthy: event loop blocked")
        view = monitor(relay("demo"), healthy=False, journal_healthy=False, banner=reason)
        shown = await shown_for(view)
        assert "Monitor unhealthy · relay-monitor" in shown
        assert "This monitor is unhealthy: event loop blocked" in shown
        assert "The journal is not written" in shown
        assert "The journal is not written" not in await shown_for(monitor(relay("demo")))

    async def test_a_monitor_without_relays_has_a_page(self) -> None:
        assert "No failed runs." in await shown_for(monitor())

    async def test_it_refreshes_without_a_script(self) -> None:
        assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in await page_of(forty())


class TestOrder:
    async def test_relays_with_a_problem_come_first_and_are_larger(self) -> None:
        shown = relays_in(await page_of(forty()))
        assert shown[:4] == [("card", "relay-01"), ("card", "relay-02"), ("card", "relay-03"), ("row", "relay-04")]
        assert len(shown) == 40

    async def test_of_many_with_a_problem_some_are_rows_with_their_reason(self) -> None:
        page = await page_of(forty(down=20))
        assert [kind for kind, _ in relays_in(page)] == ["card"] * 12 + ["row"] * 28
        assert page.count("tcp refused, 25 of 25 attempts failed") == 20

    async def test_the_only_card_is_open(self) -> None:
        assert (await page_of(forty(down=1))).count('data-key="more" open>') == 1
        assert (await page_of(forty(down=2))).count('data-key="more" open>') == 0


class TestFilter:
    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("", ["a-down", "b-degraded", "c-up", "d-up"]),
            ("?q=A-D", ["a-down"]),
            ("?q=up.example.com", ["c-up", "d-up"]),
            ("?state=degraded", ["b-degraded"]),
            ("?state=up&q=d-", ["d-up"]),
            ("?state=maintenance", ["d-up"]),
            ("?state=unknown", []),
            ("?state=nonsense&q=c-up", ["c-up"]),
            ("?relay=c-up", ["c-up"]),
            ("?relay=c-u", []),
        ],
    )
    async def test_text_and_state_choose_the_relays(self, query: str, names: list[str]) -> None:
        window = MaintenanceView(reason="deploy")
        view = monitor(
            down_relay("a-down"), degraded_relay("b-degraded"), relay("c-up"), relay("d-up", maintenance=window)
        )
        page = await page_of(view, query)
        assert [name for _, name in relays_in(page)] == names
        assert f'data-events="/events?{query[1:].replace("&", "&amp;")}' in page or "nonsense" in query or "&" in query

    async def test_a_filter_without_a_match_says_so(self) -> None:
        assert "No relay matches this filter." in await shown_for(forty(), "?q=nothing")
        assert "This monitor has no relay named gone." in await shown_for(forty(), "?relay=gone")

    async def test_the_form_shows_the_filter_and_counts(self) -> None:
        page = await page_of(forty(), "?q=relay-0&state=down")
        assert 'name="q" type="search" value="relay-0"' in page
        assert '<option value="down" selected>Down (3)</option>' in page
        assert '<option value="up">Up (37)</option>' in page

    async def test_a_chosen_relay_is_open_even_if_it_is_up(self) -> None:
        page = await page_of(forty(), "?relay=relay-30")
        assert relays_in(page) == [("card", "relay-30")]
        assert 'data-key="more" open>' in page
        assert "<title>relay-30 up · relay-monitor</title>" in page


@pytest.mark.parametrize(
    ("view", "title"),
    [
        (monitor(relay("demo")), "Up"),
        (forty(0), "All 40 up"),
        (forty(), "3 down"),
        (
            monitor(down_relay("a"), degraded_relay("b"), relay("c", condition=Condition.UNKNOWN)),
            "1 down, 1 unknown, 1 degraded",
        ),
        (monitor(relay("a", maintenance=MaintenanceView(reason="x"))), "Up, 1 in maintenance"),
        (monitor(), "No relays"),
    ],
)
async def test_the_title_carries_the_state(view: MonitorView, title: str) -> None:
    assert f"<title>{title} · relay-monitor</title>" in await page_of(view)


async def test_a_time_of_another_day_has_its_date() -> None:
    shown = await shown_for(monitor(relay("demo")))
    assert "3 d 4 h since 2026-02-25 23:10:20 UTC" in shown


async def test_a_relay_of_another_shard_has_its_locations_and_no_age() -> None:
    seen = (LocationView(location="us-1", condition=Condition.DOWN),)
    shown = await shown_for(monitor(relay("other", condition=Condition.DOWN, observed=False, locations=seen)))
    assert "other down observed by another monitor Runbook History Locations us-1 down" in shown


async def test_a_name_in_the_banner_is_kept_on_one_line_and_escaped() -> None:
    reason = Banner(level=Level.CRITICAL, sentence="1 relay is down: relay-1, <b>")
    page = await page_of(monitor(relay("demo"), banner=reason))
    assert '<h1>1 relay is down: <span class="name">relay-1,</span> &lt;b&gt;</h1>' in page

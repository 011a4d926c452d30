"""The pages of incidents."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import TYPE_CHECKING

import pytest

from monitor.clock import SYSTEM_CLOCK
from monitor.daemon.incidents import IncidentRecorder
from monitor.incidents import to_markdown
from monitor.journal import Journal
from tests.incidents.relay_time import DOWN, START, UNKNOWN, UP, PlayedRelay, down_relay
from tests.metrics.sample import exporter
from tests.web.site import EVIL, client, serving, view
from tests.web.test_journal_unavailable import HangingJournal

if TYPE_CHECKING:
    import httpx

    from monitor.incidents import Incident


def stored(*incidents: Incident) -> IncidentRecorder:
    journal = Journal()
    for incident in incidents:
        journal.save_incident(incident)
    return IncidentRecorder(journal, exporter(), SYSTEM_CLOCK, install="default", location="here")


def closed_relay(relay: str = "demo") -> PlayedRelay:
    played = PlayedRelay(relay)
    played.becomes(UP)
    played.wait(50)
    played.becomes(DOWN, "tcp refused")
    played.run_fails()
    played.wait(124)
    played.becomes(UP)
    played.wait(300)
    return played


async def shown(path: str, played: PlayedRelay, *more: PlayedRelay) -> httpx.Response:
    """Return a page at the present time of the first relay."""
    incidents = stored(played.incident, *(other.incident for other in more))
    async with client(incidents=incidents, status=serving(view(now=played.wall(), location="here"))) as browser:
        return await browser.get(path)


def text_of(page: str) -> str:
    """Return what a person reads, in one line."""
    return " ".join(
        unescape(re.sub(r"<(textarea|title|script)[^>]*>.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)).split()
    )


class TestList:
    async def test_open_ones_come_first(self) -> None:
        played, other = down_relay(), closed_relay("other")
        played.wait(80)
        text = text_of((await shown("/incidents", played, other)).text)
        assert "Open (1)" in text
        assert f"down demo {played.incident.id} Down for 1 min 22 s: tcp refused" in text
        assert text.index(played.incident.id) < text.index(other.incident.id)
        assert "other down down for 2 min 04 s: tcp refused 1128-" in text

    async def test_those_of_one_relay(self) -> None:
        page = (await shown("/incidents?relay=other", down_relay(), closed_relay("other"))).text
        assert "<h1>Incidents of other</h1>" in page
        assert "No open incident of other." in page
        assert "/incidents/1128-" in page
        assert down_relay().incident.id not in page

    async def test_none(self) -> None:
        async with client() as browser:
            page = (await browser.get("/incidents?relay=demo")).text
        assert "No open incident of demo." in page
        assert "No closed incident of demo is stored." in page


class TestPage:
    async def test_an_open_one(self) -> None:
        played = down_relay()
        played.attempt_fails("timeout", endpoint="n2")
        played.wait(20)
        page = (await shown(f"/incidents/{played.incident.id}", played)).text
        text = text_of(page)
        assert "<h1>demo: down for 22 s: tcp timeout</h1>" in page
        assert "Open. demo has been down since 10:01:38 UTC." in text
        assert f"Id {played.incident.id} Not up for 22 s" in text
        assert "First failure 10:01:38 UTC Verdict 10:01:40 UTC, after 2 s Location " in text
        assert "Fresh attempts 4 of 4 failed" in text
        assert "10:01:40 Opened: relay is down: tcp refused, 3 of 3 attempts failed" in text
        assert "critical.svg" in page
        assert 'href="/runs/run-attempt"' in page

    async def test_messages_that_were_not_recovered_are_told_from_lost_ones(self) -> None:
        played = down_relay()
        played.loses(3, "unrecovered")
        page = (await shown(f"/incidents/{played.incident.id}", played)).text
        assert "Messages lost 0 Not recovered 3" in text_of(page)

    async def test_one_that_waits_to_be_closed(self) -> None:
        played = down_relay()
        played.becomes(UP)
        played.wait(60)
        text = text_of((await shown(f"/incidents/{played.incident.id}", played)).text)
        assert "demo has been up for 1 min 00 s ; the incident closes at 10:06:40 UTC if it stays up." in text

    async def test_what_was_not_observed_delays_the_end(self) -> None:
        played = down_relay()
        played.becomes(UP)
        played.wait(60)
        played.becomes(UNKNOWN, "the monitor is unhealthy")
        played.wait(200)
        played.becomes(UP)
        played.wait(10)
        text = text_of((await shown(f"/incidents/{played.incident.id}", played)).text)
        assert "the incident closes at 10:10:00 UTC if it stays up." in text
        played.wait(230)
        assert played.incident.closed_at == played.wall() == START + timedelta(minutes=10)

    async def test_one_whose_relay_is_not_observed(self) -> None:
        played = down_relay()
        played.becomes(UNKNOWN, "the monitor is unhealthy")
        text = text_of((await shown(f"/incidents/{played.incident.id}", played)).text)
        assert "demo is not observed at present." in text

    async def test_a_closed_one(self) -> None:
        played = closed_relay()
        page = (await shown(f"/incidents/{played.incident.id}", played)).text
        assert "10:07:54 UTC</time>: up for 5 min 00 s." in page
        assert "data-live" not in page
        assert page.count("<rect") == 2  # down, up

    async def test_its_markdown_is_on_the_page_and_at_an_address_of_its_own(self) -> None:
        played = closed_relay()
        address = f"/incidents/{played.incident.id}"
        page = await shown(address, played)
        markdown = await shown(f"{address}.md", played)
        expected = to_markdown(
            played.incident,
            now=played.wall(),
            seen_from="here (relay-monitor 1.2.3, install default, config 0123456789ab)",
            page_url=f"http://127.0.0.1:9464{address}",
        )
        assert markdown.text == expected
        assert markdown.headers["content-type"] == "text/plain; charset=utf-8"
        found = re.search(r"<textarea[^>]*>(.*)</textarea>", page.text, re.DOTALL)
        assert found is not None
        assert unescape(found[1]) == expected

    @pytest.mark.parametrize("path", ["/incidents/1128-lusab-babad", "/incidents/1128-lusab-babad.md", "/incidents/x"])
    async def test_an_unknown_one(self, path: str) -> None:
        response = await shown(path, down_relay())
        assert response.status_code == 404
        assert "incident not found or expired" in response.text


async def test_open_ones_are_shown_while_the_journal_does_not_answer() -> None:
    played = down_relay()
    recorder = stored(played.incident)
    recorder.restore(recorder.left_by_predecessor()(), ["demo"])
    async with client(incidents=recorder, journal=HangingJournal()) as browser:
        listed = await browser.get("/incidents")
        one = await browser.get(f"/incidents/{played.incident.id}")
        older = await browser.get("/incidents/1128-lusab-babad")
    assert played.incident.id in listed.text
    assert "Older incidents cannot be shown: the journal did not answer within 2 s." in listed.text
    assert (one.status_code, older.status_code) == (200, 503)


async def test_the_words_of_a_relay_are_harmless() -> None:
    played = down_relay()
    played.attempt_fails(detail=f"{EVIL}</textarea>{EVIL} \x1b[31m \ud800", endpoint=EVIL)
    played.becomes(UNKNOWN, EVIL)
    for path in ("/incidents", f"/incidents/{played.incident.id}", f"/incidents/{played.incident.id}.md"):
        response = await shown(path, played)
        assert response.status_code == 200
        if not path.endswith(".md"):
            assert EVIL not in response.text
        assert "\x1b" not in response.text

"""The page of a run."""

from __future__ import annotations

from datetime import timedelta

from monitor.journal import Journal
from monitor.relay.obstacles import of_drop
from monitor.results import ATTEMPT, Failure, LogLine, Mark, MessageFate
from monitor.vocabulary import Reason, Step
from monitor.wire.events import Dropped
from tests.journal.sample import FULL, START, run
from tests.web.site import EVIL, client
from tests.web.test_pages import UNKNOWN, text_of

LOST = (
    Mark("dapp", Step.PUBLISH, 0.0, 0.001),
    Mark("wallet", Step.DELIVER, 0.0, 0.2, "lost: acknowledged but not delivered", failed=True),
    Mark("wallet", Step.HISTORY, 0.2, 0.2, "not_stored: the persistent connection: not stored"),
)


def journal() -> Journal:
    store = Journal()
    store.add(run(1, timeline=(Mark("wallet", Step.DELIVER, 0.0, 0.004),)))
    store.add(run(2, failed=True, timeline=LOST, messages=(MessageFate("request", 1, None, sent=0.0),)))
    store.add(run(3, probe=ATTEMPT, started_at=START + timedelta(minutes=2, seconds=4)))
    store.add(run(4))
    return store


async def test_it_shows_the_messages_and_the_exchanges() -> None:
    async with client() as web:
        shown = text_of(await web.get(f"/runs/{FULL.id}"))
    assert "failed steady at demo: deliver lost" in shown
    assert "sent <again>" in shown
    assert "2 response not judged late 100 ms 50 ms late" in shown
    assert "2 ok 100 ms 500 ms" in shown
    assert "left out" not in shown


async def test_a_failure_says_what_was_expected_what_came_and_what_followed() -> None:
    async with client(journal=journal()) as web:
        shown = text_of(await web.get(f"/runs/{run(2).id}"))
    assert "Expected the dApp's request at the wallet Observed lost: acked, never delivered" in shown
    assert "Diagnosis Acknowledged by the relay, and not in the channel's history;" in shown
    assert "Attempts 1 fresh attempt with a new pair within 4 s: delivered. 12:02:04 ok" in shown
    assert "deliver 200 ms 4.0 ms expected the dApp's request at the wallet; observed: lost: acknowledged" in shown
    assert "1 request not judged" in shown


async def test_a_failure_names_its_endpoint() -> None:
    store = Journal()
    store.add(run(1, failed=True, failure=Failure(step=Step.TCP, reason=Reason.REFUSED, endpoint="n2:8000")))
    async with client(journal=store) as web:
        shown = text_of(await web.get(f"/runs/{run(1).id}"))
    assert "(endpoint n2:8000)" in shown


async def test_a_missing_token_is_not_a_lost_connection() -> None:
    """Centrifugo closes with 3501 upon a connect command without the token that it requires."""
    closed = of_drop(Step.HELLO, Dropped(code=3501, reason="bad request", fault=None, reconnect_at=None, at=0.0))
    failure = Failure(step=closed.step, reason=closed.reason, detail=closed.detail, status=closed.status)
    store = Journal()
    store.add(run(1, failed=True, failure=failure))
    async with client(journal=store) as web:
        shown = text_of(await web.get(f"/runs/{run(1).id}"))
    assert "Observed unauthorized: close code 3501 bad request" in shown
    assert "Look first The token: missing (close code 3501)" in shown
    assert "disconnected" not in shown


async def test_it_leads_to_the_runs_before_and_after_to_the_last_good_one_and_to_the_reason() -> None:
    async with client(journal=journal(), runbooks=lambda *of: f"https://runbooks.example.com/{'/'.join(of)}") as web:
        page = (await web.get(f"/runs/{run(2).id}")).text
        first = (await web.get(f"/runs/{run(1).id}")).text
    assert f'rel="prev" href="/runs/{run(1).id}"' in page
    assert f'rel="next" href="/runs/{run(4).id}"' in page
    assert page.count(f'href="/runs/{run(1).id}"') == 2
    assert 'href="/faults#lost"' in page
    assert 'href="https://runbooks.example.com/RelayMessagesLost/demo"' in page
    assert 'href="/?relay=demo"' in page
    assert "no earlier run" in first


async def test_it_shows_the_log_lines_of_the_run() -> None:
    store = Journal()
    line = LogLine(START, "debug", "connection lost", {"code": "3001", "error": EVIL})
    store.add(run(1, failed=True), (line,))
    async with client(journal=store) as web:
        response = await web.get(f"/runs/{run(1).id}")
    assert "12:00:00.000 debug connection lost code= 3001 error= <script>alert(1)</script>" in text_of(response)
    assert EVIL not in response.text


async def test_an_idle_failure_is_dated_at_the_fault() -> None:
    dropped = Failure(step=Step.HOLD, reason=Reason.DISCONNECTED)
    idle = run(1, failed=True, failure=dropped, duration=29.0)
    idle = idle._replace(exchanges=(idle.exchanges[0]._replace(failure=dropped, ended=28.9),))
    store = Journal()
    store.add(idle)
    async with client(journal=store) as web:
        shown = text_of(await web.get(f"/runs/{idle.id}"))
        listed = (await web.get(f"/api/v1/runs/{idle.id}")).json()
    assert "began 2024-05-01 12:01:00 UTC , took 29.00 s · failed at 12:01:28" in shown
    assert listed["failedAt"] == "2024-05-01T12:01:28.900000+00:00"


async def test_it_shows_how_much_is_omitted() -> None:
    store = Journal()
    store.add(run(1, exchanges=run(1).exchanges * 1_000))
    async with client(journal=store) as web:
        assert "800 more exchanges" in text_of(await web.get(f"/runs/{run(1).id}"))


async def test_an_unknown_run_is_404_with_a_way_back() -> None:
    async with client() as web:
        text = await web.get(f"/runs/{UNKNOWN}")
        page = await web.get(f"/runs/{UNKNOWN}", headers={"Accept": "text/html,*/*;q=0.8"})
        other = await web.get("/none", headers={"Accept": "text/html"})
    said = "Run not found: it expired, or another monitor or shard made it"
    assert (text.status_code, text.text) == (404, f"{said}\n")
    assert page.status_code == other.status_code == 404
    assert f"<h1>{said}</h1>" in page.text
    assert '<a href="/">All relays</a>' in page.text
    assert '<a href="/">All relays</a>' in other.text


async def test_a_slot_in_an_outage_says_what_failed_in_it_and_what_the_attempt_found() -> None:
    cut = Mark("dapp", Step.HOLD, 0.0, 0.0, "disconnected: close code 3001", failed=True)
    refused = Failure(step=Step.TCP, reason=Reason.REFUSED, detail="as seen by an attempt 4 s later")
    store = Journal()
    store.add(run(1, failed=True, failure=refused, timeline=(cut,)))
    async with client(journal=store) as web:
        shown = text_of(await web.get(f"/runs/{run(1).id}"))
    assert "In this run hold disconnected: close code 3001; the cause is that of an attempt: Expected" in shown
    assert "Observed refused: as seen by an attempt 4 s later" in shown


async def test_the_faults_are_explained() -> None:
    async with client() as web:
        response = await web.get("/faults")
    assert 'id="refused"' in response.text
    assert "refused No program listens at that address and port. Look first: Is the relay's process" in text_of(
        response
    )

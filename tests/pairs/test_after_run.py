"""Verdicts on messages whose run ended before: they are stored with the run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from monitor.config import parse
from monitor.embedded import parse_fault
from monitor.results import MessagesJudged, UnjudgedMessage
from monitor.vocabulary import Verdict
from tests.daemon.virtual_monitor import virtual_monitor
from tests.probes.harness import PERSISTENT, embedded, plan, probe_at, serving
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.results import Run

pytestmark = WITH_SOCKETS


@pytest.mark.parametrize(
    ("spec", "verdict", "note"),
    [
        ("unstored:channel=session,count=1", Verdict.LOST, "judged 1 s after it was to be sent"),
        ("delay:channel=session,at=push,by=0.6,count=1", Verdict.LATE, "arrived 0.6 s after it was to be sent"),
    ],
)
async def test_a_message_is_judged_after_its_run(spec: str, verdict: Verdict, note: str) -> None:
    """The page and the API said "pending" of it for ever."""
    keys: Any = {"schedule": "{every: 1h}", "timeout": "500ms", "settle": "0s", "messages": "1"}
    async with embedded() as relay, probe_at(relay.url, "realistic-session", **keys) as made:
        relay.plan = plan(spec)
        run = await made.run_once()
        assert [fate.verdict for fate in run.messages] == [None]
        await made.all_judged()
        (judged,) = [report for report in made.all(MessagesJudged) if report.after_run]
    (message,) = judged.after_run
    assert judged.verdict is verdict
    assert message._replace(note="") == UnjudgedMessage(run.id, "request", run.messages[0].sequence)
    assert message.note.startswith(note[:10])
    (fate,) = run.with_verdict(message, judged.verdict).messages
    assert (fate.verdict, fate.note) == (verdict, message.note)


CONFIG = """
relays: [{{name: demo, url: "{url}", limits: {{connects_per_minute: 6000, messages_per_minute: 6000}}}}]
probes:
  - {{name: steady, scenario: steady-messaging, message_interval: 1s, settle: 0s, timeout: 1s, pairs: 1}}
"""


async def test_the_verdict_on_a_lost_message_gets_into_the_journal() -> None:
    async with (
        embedded() as relay,
        virtual_monitor(parse(CONFIG.format(url=relay.url), "test", {})) as monitor,
    ):
        await until(monitor.runs)
        assert relay.plan is not None
        relay.plan.set([parse_fault("unstored:channel=session,count=1")])

        def failed() -> list[Run]:
            return [stored.run for stored in monitor.journal.runs(relay="demo", probe="steady", outcome="failed")]

        await until(failed)
        assert [fate.verdict for fate in failed()[-1].messages] == [None]
        await until(lambda: failed()[-1].messages[0].verdict is not None)
        assert failed()[-1].messages[0].verdict is Verdict.LOST


async def test_a_message_of_a_pair_that_is_closed_before_is_not_judged_and_says_why() -> None:
    keys = PERSISTENT | {"timeout": "5s"}
    async with embedded() as relay, probe_at(relay.url, "steady-messaging", **keys) as made:
        async with serving(made):
            await made.until(lambda: made.runs)
            assert relay.plan is not None
            relay.plan.set([parse_fault("drop:channel=session,count=1")])
            await made.until(lambda: any(run.failure for run in made.runs), 20)
        (judged,) = [report for report in made.all(MessagesJudged) if report.after_run]
    assert judged.verdict is None
    assert judged.after_run[0].note == "not judged: the pair was closed before it had to arrive"


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.05)

"""`relay_up` on a real relay, fed by a continuous probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from monitor.config import attempts
from monitor.reachability import rhythm
from monitor.results import Confirmed
from monitor.vocabulary import Outcome
from tests.probes.harness import (
    PERSISTENT,
    probe_at,
    serving,
)
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from monitor.embedded import EmbeddedRelay

pytestmark = [WITH_SOCKETS, pytest.mark.usefixtures("nothing_is_left_open")]


async def test_a_relay_is_up_at_the_first_message_that_crosses(relay: EmbeddedRelay) -> None:
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT) as made:
        made.watch_reachability()
        assert made.monitored_relays.relays["demo"].verdict.up is None
        async with serving(made):
            await made.until(lambda: made.ups)
        assert made.ups == [True]


async def test_a_connection_that_is_held_says_nothing_of_messages(relay: EmbeddedRelay) -> None:
    keys: dict[str, Any] = {"schedule": "continuous", "connections": "1"}
    async with probe_at(relay.url, "steady-state", {"duration": 0.2}, **keys) as made:
        made.watch_reachability()
        async with serving(made):
            await made.until(lambda: len(made.runs) >= 2)
        assert {run.outcome for run in made.runs[:2]} == {Outcome.OK}
        assert made.ups == []


async def test_a_relay_is_down_once_fresh_attempts_confirm_it_and_up_again_when_it_is_back(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "CONFIRMATION_SPACING", 0.1)
    monkeypatch.setattr(rhythm, "FAILING_INTERVAL", 0.2)
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT) as made:
        made.watch_reachability()
        async with serving(made):
            await made.until(lambda: made.ups == [True])
            await relay.stop()
            await made.until(lambda: made.ups == [True, False])
            assert [report.ok for report in made.all(Confirmed)][:3] == [False] * 3
            await relay.start()
            await made.until(lambda: made.ups == [True, False, True])


async def test_one_blip_takes_no_relay_down(relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "CONFIRMATION_SPACING", 0.1)
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT) as made:
        made.watch_reachability()
        async with serving(made):
            await made.until(lambda: made.ups == [True])
            relay.disconnect_all(3001)
            await made.until(lambda: any(report.ok for report in made.all(Confirmed)))
            since = len(made.runs)
            await made.until(lambda: any(run.outcome is Outcome.OK for run in made.runs[since:]))
        assert made.ups == [True]

"""Outages of every kind at a real relay in this process, with and without a continuous probe."""

from __future__ import annotations

import pytest

from monitor.config import attempts
from monitor.embedded import parse_fault
from monitor.reachability import rhythm
from monitor.vocabulary import Condition
from tests.probes.harness import PERSISTENT, QUICK_SESSION, ProbeHarness, embedded, probe_at, serving
from tests.virtual_time import WITH_SOCKETS

pytestmark = [WITH_SOCKETS, pytest.mark.usefixtures("nothing_is_left_open")]

MANY = {"connects_per_minute": 6000, "messages_per_minute": 60000}

OUTAGES = {
    "503 and two minutes": "status:code=503,by=120",
    "503 and an hour": "status:code=503,by=3600",
    "503": "status:code=503",
    "429 and an hour": "status:code=429,by=3600",
    "429": "status:code=429",
    "error 111 at the hello": "error:at=hello,code=111",
    "error 111 at subscribe": "error:at=subscribe,code=111",
    "close 3013": "close:at=hello,code=3013",
    "close 3504": "close:at=hello,code=3504",
    "silent": "silent:at=upgrade",
    "nothing pushed": "drop",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "CONFIRMATION_SPACING", 0.2)
    monkeypatch.setattr(rhythm, "FAILING_INTERVAL", 0.5)
    monkeypatch.setattr(rhythm, "REDUCED_INTERVAL", 2.0)


def condition(made: ProbeHarness) -> str:
    return made.monitored_relays.relays["demo"].verdict.status.condition.value


@pytest.mark.parametrize("spec", OUTAGES.values(), ids=OUTAGES.keys())
async def test_an_outage_from_the_start_is_found_and_its_end_too(spec: str) -> None:
    """Before, `relay_up` was absent for as long as the relay asked for less."""
    keys = PERSISTENT | {"timeout": "3s"}
    async with embedded(spec) as relay, probe_at(relay.url, "steady-messaging", None, MANY, **keys) as made:
        assert relay.plan is not None
        made.watch_reachability()
        async with serving(made):
            await made.until(lambda: condition(made) == Condition.DOWN, 60)
            assert made.ups == [False]
            relay.plan.set([])
            await made.until(lambda: condition(made) == Condition.UP, 90)
            assert made.ups == [False, True]
            await made.until(lambda: made.pair(0).ready, 5)


@pytest.mark.parametrize("spec", OUTAGES.values(), ids=OUTAGES.keys())
async def test_regular_attempts_alone_find_an_outage_and_its_end(spec: str) -> None:
    """Before, a relay with scheduled probes only was never down while it asked for less: its slots were skipped."""
    keys = QUICK_SESSION | {"timeout": "3s"}
    async with embedded() as relay, probe_at(relay.url, "realistic-session", None, MANY, **keys) as made:
        assert relay.plan is not None
        verdict = made.monitored_relays.relays["demo"].verdict
        made.watch_reachability(regular=True)
        await made.until(lambda: made.ups == [True], 60)
        relay.plan.set([parse_fault(spec)])
        verdict._confirmation.request_attempt()
        await made.until(lambda: made.ups == [True, False], 60)
        assert verdict.status.accepting is False
        relay.plan.set([])
        await made.until(lambda: condition(made) == Condition.UP, 90)
        assert made.ups == [True, False, True]

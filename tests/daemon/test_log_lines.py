"""A relay that fails for long writes a line a minute, whatever the outage looks like. In virtual time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import structlog

from monitor.embedded import parse_fault
from monitor.logs import REPETITIONS, configure
from tests.daemon.test_outages import KINDS as OUTAGES
from tests.daemon.test_outages import configured, fail
from tests.daemon.virtual_monitor import virtual_monitor
from tests.probes.harness import embedded
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = WITH_SOCKETS

MINUTES = 4
KINDS = ("refused", "silent", "429", "silent node", "a fifth lost")


@pytest.fixture
def _logs() -> Iterator[None]:
    before = structlog.get_config()
    configure("json", "info")
    yield
    REPETITIONS.forget()
    REPETITIONS.enabled = False
    structlog.configure(**before)


@pytest.mark.usefixtures("_logs")
@pytest.mark.parametrize("kind", KINDS)
async def test_an_outage_writes_its_first_failures_whole_and_then_a_line_a_minute(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with embedded() as relay, virtual_monitor(configured(relay.url)) as monitor:
        monkeypatch.setattr(REPETITIONS, "_clock", monitor.clock)
        await monitor.until_up()
        await asyncio.sleep(60.0)
        capsys.readouterr()
        assert relay.plan is not None
        if kind in OUTAGES:
            await fail(relay, kind)
        else:
            share = 1 if kind == "silent node" else 0.2
            relay.plan.set([parse_fault(f"drop:channel=session,probability={share}")])
        minutes: list[Counter[str]] = []
        for _ in range(MINUTES):
            for _ in range(60):
                await asyncio.sleep(1.0)
                REPETITIONS.summarize()
            minutes.append(Counter(json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()))
        REPETITIONS.forget()
    assert minutes[0].total() <= 14, minutes
    assert all(minute.total() <= 4 for minute in minutes[1:]), minutes
    assert minutes[-1] == {"failures continue": 1}, minutes

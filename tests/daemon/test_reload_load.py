"""Many reloads: connections of unchanged probes stay, and nothing leaks."""

from __future__ import annotations

import asyncio
import gc
import re
from pathlib import Path

import pytest

from tests.daemon.harness import page, until
from tests.daemon.reloading import ONE, TWO, running
from tests.relays import BUILD_TIMEOUT, ENGINE, Engine

pytestmark = pytest.mark.alone


@pytest.mark.required_counterpart(ENGINE)
@pytest.mark.timeout(BUILD_TIMEOUT)
async def test_unchanged_probes_keep_their_connections(engine: Engine) -> None:
    """Over twenty reloads, only the probe that is added and removed connects; the engine counts connects."""
    text = f"""\
relays:
  - name: real
    url: "{engine.url}"
    limits: {{messages_per_minute: 60000, connects_per_minute: 6000}}
    confirm: {{every: 10m}}
probes:
  - {{name: steady, scenario: steady-messaging, pairs: 10, message_interval: 100ms, settle: 0s, timeout: 5s}}
  - {{name: idle, scenario: steady-state, connections: 5}}
"""
    added = "  - {name: guest, scenario: steady-state, connections: 3}\n"

    async def connects() -> int:
        found = re.search(
            r'^centrifuge_client_command_duration_seconds_count\{.*method="connect"\} (\d+)',
            await engine.metrics(),
            re.MULTILINE,
        )
        assert found is not None
        return int(found[1])

    async def connected(number: int) -> None:
        async with asyncio.timeout(20):
            while await engine.connections() != number:  # noqa: ASYNC110 - the engine is another process
                await asyncio.sleep(0.02)

    async with running(text) as made:
        await connected(25)
        await made.delivers("real")
        verdict = made.monitor.monitored_relays.relays["real"].verdict
        await until(lambda: verdict.status.attempts == 1 and not verdict._confirmation.attempts.running)
        before = await connects()
        for number in range(20):
            made.text = text + added if number % 2 == 0 else text
            await made.monitor.reload()
            assert (await engine.connections()) >= 25
            if number % 2 == 0:
                await connected(28)
            await made.delivers("real")
        await connected(25)
        assert await connects() == before + 10 * 3
        assert made.exchanges("real", "failed") + made.exchanges("real", "aborted") == 0


def resources() -> dict[str, int]:
    """Return the numbers of tasks and descriptors of this process."""
    gc.collect()
    descriptors = Path("/proc/self/fd")
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(list(descriptors.iterdir())) if descriptors.exists() else 0,
    }


async def test_many_reloads_leak_nothing() -> None:
    """Add, change and remove relays, probes and schedules forty times."""
    variants = [
        ONE,
        TWO,
        TWO.replace("message_interval: 200ms", "message_interval: 150ms"),
        ONE.replace("  - {name: idle, scenario: steady-state}\n", "").replace("every: 2m", "every: 3m"),
    ]
    async with running() as made:

        async def reloaded() -> tuple[dict[str, int], int]:
            made.text = ONE
            await made.monitor.reload()
            await until(lambda: made.connections("one") == 6)
            await made.delivers("one")
            await until(lambda: not made.monitor.monitored_relays.background)
            return resources(), len(page(made.monitor))

        before, series = await reloaded()
        for number in range(40):
            made.text = variants[number % len(variants)]
            await made.monitor.reload()
            await asyncio.sleep(0.02 * (number % 3))  # at a different state each time
        async with asyncio.timeout(30):
            while True:
                after, count = await reloaded()
                if after["tasks"] <= before["tasks"] and after["descriptors"] <= before["descriptors"]:
                    break
        assert count == series

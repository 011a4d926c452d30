"""The command `once` against a relay that is silent from some step on: it ends within its timeout."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

import pytest

from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from tests.relays import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

CONFIG = """
relays: [{{name: mute, url: "{url}"}}]
probes:
  - {{name: steady, scenario: steady-messaging, timeout: 1s}}
"""

STEPS = {
    "silent:at=tcp": ("tcp", "timeout"),
    "silent:at=tls": ("tls", "silent"),
    "silent:at=upgrade": ("upgrade", "silent"),
    "silent:at=hello": ("hello", "silent"),
    "silent:at=subscribe": ("subscribe", "silent"),
    "silent:at=history": ("history", "silent"),
    "silent:at=publish": ("publish", "silent"),
    "drop:channel=session": ("deliver", "unrecovered"),
}


@pytest.mark.parametrize("spec", STEPS)
async def test_a_silent_relay_is_reported_by_step_within_the_timeout(spec: str, tmp_path: Path) -> None:
    relay = EmbeddedRelay(plan=FaultPlan([parse_fault(spec)]))
    await relay.start()
    config = tmp_path / "config.yaml"
    url = relay.url.replace("ws:", "wss:") if "tls" in spec else relay.url
    config.write_text(CONFIG.format(url=url), encoding="utf-8")
    arguments = ("-m", "monitor", "once", "--config", str(config), "--output", "json")
    started_at = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT
    )
    async with asyncio.timeout(30):
        stdout, stderr = await process.communicate()
    elapsed = time.monotonic() - started_at
    await relay.stop()
    (run,) = json.loads(stdout)
    assert process.returncode == 1, stderr
    assert (run["failure"]["step"], run["failure"]["reason"]) == STEPS[spec]
    assert run["durationSeconds"] < 2.5
    assert elapsed < 10  # with the interpreter's start, on a busy machine

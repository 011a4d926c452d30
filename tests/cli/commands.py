"""Run the command line as a process."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.relays import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
relays:
  - {name: demo, url: embedded, limits: {messages_per_minute: 6000}}
  - {name: other, url: embedded}
probes:
  - {name: steady, scenario: steady-messaging, relays: demo, message_interval: 100ms, settle: 0s}
  - {name: offline, scenario: async-delivery, relays: demo, schedule: {every: 1m}, delay: 100ms}
  - {name: idle, scenario: steady-state, timeout: 1s}
"""


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "monitor", *map(str, arguments)]


def monitor(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)

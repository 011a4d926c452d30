"""Drill three times with production intervals, then with each link cut: `python -m tests.drill [CUT …]`.

Prints each chain, which link was said to be missing, and which alerts arrived at whom. Exits 1 if a whole chain fails,
or a cut one does not.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import pytest

from tests.drill.chain import CUTS, Chain, Drilled
from tests.e2e.programs import ALERTMANAGER, PROMETHEUS, find

DRILLS: Final = 3
TIMEOUT: Final = "75s"
OBSERVED: Final = {"scrape": 240.0, "alertmanager": 60.0}
"""Seconds for which the alerts of a cut are observed after the drill: `RelayMonitorAbsent` waits for three minutes."""

MISSING: Final = dict(zip(CUTS, ("scraped", "firing", "received", "received", "received"), strict=True))
"""The link that must be said to be missing."""


async def main(cuts: tuple[str, ...]) -> int:
    """Run everything, and return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        async with Chain(Path(folder), interval="15s") as chain:
            await chain.until_up(180)
            good = True
            for number in range(1, DRILLS + 1):
                # A drill that follows another one at once begins at the same place in the intervals.
                await asyncio.sleep(random.uniform(0, 15))
                done = await chain.drill("3m")
                _print(f"whole chain, drill {number}", done)
                good &= done.status == 0
            for link in cuts:
                good &= await _cut(chain, link)
            return 0 if good else 1


async def _cut(chain: Chain, link: str) -> bool:
    """Drill with a link cut; return whether what was said is right, and the chain is whole again afterwards."""
    notifications = chain.world.receiver.notifications
    async with chain.cut(link):
        notifications.clear()
        done = await chain.drill(TIMEOUT)
        _print(f"without {link}", done)
        # A warning waits for an evaluation and Alertmanager's 30 s.
        ended = time.monotonic()
        await asyncio.sleep(OBSERVED.get(link, 60.0))
        fires = sorted(await chain.firing() - {"Watchdog"})
        watchdogs = [each.at for each in notifications if each.receiver == "dead-mans-switch"]
        notified = {
            receiver: sorted(chain.received(receiver)) for receiver in ("pages", "tickets") if chain.received(receiver)
        }
        last = f"{time.monotonic() - watchdogs[-1]:.0f} s ago" if watchdogs else "never"
        seconds = time.monotonic() - ended
        _write(f"  {seconds:.0f} s after it: firing {fires}; received {notified}; Watchdog {last}")
    right = (done.status, done.drill["missing"]) == (1, MISSING[link])
    again = await chain.drill("3m")
    _print(f"{link} repaired", again)
    return right and again.status == 0


def _print(what: str, done: Drilled) -> None:
    _write(f"{what}: exit status {done.status}\n{done.text.rstrip()}")


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for program in (PROMETHEUS, ALERTMANAGER):
        try:
            find(program)
        except pytest.skip.Exception as missing:
            sys.exit(str(missing))
    sys.exit(asyncio.run(main(tuple(sys.argv[1:]) or CUTS)))

"""Run one case on the host `central` of its network.

`python -m tests.locations.run_case NAME NETWORK FOLDER RULES INTERVAL` prints the rows, and what nobody expected, as
JSON.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.locations.cases import ALL, CASES
from tests.locations.measurement import Measurement, voted
from tests.locations.network import Network
from tests.locations.world import World

START: Final = 90.0
"""Seconds until all locations vote."""

AFTER: Final = 20.0
"""Seconds after the last repair within which a page would still be a fault's."""


async def run(name: str, network: str, folder: Path, rules: Path, interval: str) -> dict[str, Any]:
    """Start a world, run a case in it, and return what was measured."""
    async with World(Network(network), folder, rules, topology=CASES[name].topology, interval=interval) as world:
        measurement = Measurement(name, world)
        await measurement.follows(measurement.begin("all programs are started"), voted(START, **ALL))
        if not measurement.rows[0].wrong:
            await CASES[name].run(measurement)
            await asyncio.sleep(AFTER)
        rows = [asdict(row) for row in measurement.rows]
        surplus = measurement.surplus(CASES[name].allowed)
        return {"rows": rows, "surplus": surplus, "busy": measurement.on_busy_machine}


async def main(name: str, network: str, folder: str, rules: str, interval: str) -> None:
    """Run the case; SIGTERM cancels it, so that all programs are stopped."""
    work = asyncio.ensure_future(run(name, network, Path(folder), Path(rules), interval))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    json.dump(await work, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

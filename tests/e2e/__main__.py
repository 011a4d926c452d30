"""How long until somebody is paged, with the intervals people use: `python -m tests.e2e [TRIES]`.

The shipped probes and SLOs, a scrape and an evaluation every 15 s, Alertmanager's waits as generated. The engine is
killed, or stopped in its tracks, at a random moment; printed is the time until the webhook has `RelayDown`.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.chain import Chain, Pace, chain
from tests.relays import PROGRAM, ROOT, Engine

PACE = Pace(scrape="15s", evaluation="15s", group_wait=None)


def shipped() -> str:
    """The shipped configuration, with the relay and the address left open."""
    text = (ROOT / "config.yaml").read_text("utf-8").replace("{", "{{").replace("}", "}}")
    lines = []
    for line in text.splitlines():
        if line.lstrip().startswith("url: ") and "RELAY_URL" in line:
            line = '    url: "{relay}"'  # noqa: PLW2901 - the one line that changes
        elif line.lstrip().startswith("listen: "):
            line = '  listen: "{listen}"'  # noqa: PLW2901 - and this one
        lines.append(line)
    return "\n".join(lines) + "\n"


async def one(made: Chain, kind: str) -> float:
    """Seconds until the page; the relay is well again afterwards."""
    await made.healthy(180)
    await asyncio.sleep(random.uniform(5, 20))
    before = len(made.receiver.pages())
    assert made.relay is not None
    began = time.monotonic()
    if kind == "killed":
        await made.relay.kill()
    else:
        made.relay.pause()
    await made.receiver.until(lambda: any("RelayDown" in page.names() for page in made.receiver.pages()[before:]), 180)
    took = time.monotonic() - began
    if kind == "killed":
        made.relay = await Engine.start(PROGRAM, "-listen", f"127.0.0.1:{made.ports['relay']}")
    else:
        made.relay.resume()
    return took


async def main() -> None:
    """Try each kind so often, each against a chain of its own: a group that has paged waits before it pages again."""
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    for kind in ("killed", "silent"):
        times = []
        for _ in range(tries):
            with tempfile.TemporaryDirectory() as folder:
                async with chain(Path(folder), PROGRAM, shipped(), {}, pace=PACE) as made:
                    times.append(await one(made, kind))
            sys.stderr.write(f"{kind}: {times[-1]:.1f} s\n")
        sys.stdout.write(f"{kind}: median {statistics.median(times):.1f} s, worst {max(times):.1f} s of {tries}\n")


if __name__ == "__main__":
    asyncio.run(main())

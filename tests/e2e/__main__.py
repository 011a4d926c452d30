"""How long until somebody is paged, with the intervals people use: `python -m tests.e2e [TRIES]`.

The shipped probes and SLOs, a scrape and an evaluation every 15 s, Alertmanager's waits as generated. The engine is
killed, or stopped in its tracks, at a random moment; printed is the time until the webhook has `RelayDown`. A few tries
run side by side, each with programs and data of its own: a group that has paged waits before it pages again.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
from pathlib import Path

from tests.e2e.chain import Chain, Pace, chain
from tests.relays import PROGRAM, ROOT

AT_ONCE = 4
PACE = Pace(scrape="15s", evaluation="15s", group_wait=None, resend="1m")


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


async def one(kind: str, slots: asyncio.Semaphore) -> float:
    """Seconds until the page."""
    async with slots:
        with tempfile.TemporaryDirectory() as folder:
            async with chain(Path(folder), PROGRAM, shipped(), {}, pace=PACE) as made:
                took = await _break(made, kind)
    sys.stderr.write(f"{kind}: {took:.1f} s\n")
    return took


async def _break(made: Chain, kind: str) -> float:
    await made.healthy(180)
    await asyncio.sleep(random.uniform(30, 60))
    assert made.relay is not None
    assert made.receiver.pages() == []
    if kind == "killed":
        await made.relay.kill()
    else:
        made.relay.pause()
    took = await made.paged("RelayDown", 180)
    for page in made.receiver.pages():
        if page.names() != {"RelayDown"}:
            sys.stderr.write(f"{kind}: another page: {page}\n")
    if kind == "silent":
        made.relay.resume()
    return took


async def main() -> None:
    """Try each kind so often."""
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    slots = asyncio.Semaphore(AT_ONCE)
    for kind in ("killed", "silent"):
        times = await asyncio.gather(*(one(kind, slots) for _ in range(tries)))
        sys.stdout.write(f"{kind}: median {statistics.median(times):.1f} s, worst {max(times):.1f} s of {tries}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())

"""Measure the time to page with production intervals: `python -m tests.e2e [TRIES]`.

The shipped probes and SLOs, a scrape and an evaluation every 15 s, Alertmanager's generated waits, and 24 hours of
history without failures. Prints the time from the fault, which starts at a random time, to the webhook's receipt of the
page, and how many blips paged. Several tries run in parallel, each with its own programs and data.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pytest

from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from tests.counterparts import ENGINE, ROOT, MissingToolError
from tests.e2e.blips import BLIPS, blip
from tests.e2e.chain import Chain, Pace, chain
from tests.e2e.programs import ALERTMANAGER, PROMETHEUS, PROMTOOL, find

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.e2e.receiver import Notification

T = TypeVar("T")

MAX_PARALLEL: Final = 8
PACE: Final = Pace(scrape="15s", evaluation="15s", group_wait=None, resend="1m")


def shipped() -> str:
    """Return the shipped configuration as a template with the fields relay and listen."""
    text = (ROOT / "config.yaml").read_text("utf-8").replace("{", "{{").replace("}", "}}")
    lines = []
    for line in text.splitlines():
        if line.lstrip().startswith("url: ") and "RELAY_URL" in line:
            line = '    url: "{relay}"'  # noqa: PLW2901 - the one line that changes
        elif line.lstrip().startswith("listen: "):
            line = '  listen: "{listen}"'  # noqa: PLW2901 - and this one
        lines.append(line)
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A fault, its number of tries, and the alert (and SLO) that must page within `seconds`."""

    name: str
    alert: str
    slo: str = ""
    seconds: float
    tries: int = 0  # 0: as many as requested
    fault: str = ""  # of an embedded relay; otherwise the engine is killed or stopped

    def pages(self, page: Notification) -> bool:
        """Return whether this is the expected page."""
        labels = [alert["labels"] for alert in page.alerts if alert["status"] == "firing"]
        return any(item["alertname"] == self.alert and item.get("slo", "") == self.slo for item in labels)


BUDGET_ALERT: Final = "RelayErrorBudgetBurn"
KINDS: Final = (
    Kind(name="killed", alert="RelayDown", seconds=180),
    Kind(name="silent", alert="RelayDown", seconds=180),
    Kind(
        name="half a second more each way",
        alert=BUDGET_ALERT,
        slo="round-trip",
        seconds=1200,
        tries=3,
        fault="delay:channel=session,by=0.5",
    ),
    Kind(
        name="one message in twenty lost",
        alert=BUDGET_ALERT,
        slo="delivery",
        seconds=1800,
        tries=5,
        fault="drop:channel=session,probability=0.0513",  # one exchange in ten
    ),
)
BLIP_TRIES: Final = 20
OBSERVED_AFTER_BLIP: Final = 150.0
"""Seconds after a blip within which a page would arrive: several scrapes, evaluations and waits."""


async def time_to_page(kind: Kind) -> float:
    """Return the seconds until the page."""
    async with AsyncExitStack() as stack:
        relay, config = await _relay(stack) if kind.fault else (None, shipped())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = await stack.enter_async_context(chain(folder, ENGINE.path, config, {}, pace=PACE, history=True))
        await _healthy_for_a_while(made)
        began = time.monotonic()
        if relay is not None:
            assert relay.plan is not None
            relay.plan.set([parse_fault(kind.fault)])
        elif kind.name == "killed":
            assert made.relay is not None
            await made.relay.kill()
        else:
            assert made.relay is not None
            made.relay.pause()
            stack.callback(made.relay.resume)
        await made.receiver.until(lambda: any(kind.pages(page) for page in made.receiver.pages()), kind.seconds)
        took = time.monotonic() - began
    sys.stderr.write(f"{kind.name}: {took:.1f} s; pages: {[sorted(page.names()) for page in made.receiver.pages()]}\n")
    return took


async def has_no_page(kind: str) -> bool:
    """Return whether one blip did not page."""
    async with AsyncExitStack() as stack:
        relay, config = await _relay(stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = await stack.enter_async_context(chain(folder, ENGINE.path, config, {}, pace=PACE, history=True))
        await _healthy_for_a_while(made)
        await blip(relay, kind)
        await asyncio.sleep(OBSERVED_AFTER_BLIP)
        pages = made.receiver.pages()
    sys.stderr.write(f"blip {kind}: pages: {[sorted(page.names()) for page in pages]}\n")
    return not pages


async def _relay(stack: AsyncExitStack) -> tuple[EmbeddedRelay, str]:
    """Start an embedded relay, and return it with a configuration that monitors it."""
    relay = EmbeddedRelay(plan=FaultPlan())
    await relay.start()
    stack.push_async_callback(relay.stop)
    return relay, shipped().replace("{relay}", relay.url)


async def _healthy_for_a_while(made: Chain) -> None:
    """Wait until every probe is up, and then for a random time."""
    await made.healthy(180)
    await asyncio.sleep(random.uniform(30, 60))
    assert made.receiver.pages() == []


async def _bounded(slots: asyncio.Semaphore, work: Coroutine[None, None, T]) -> T:
    async with slots:
        return await work


async def main() -> None:
    """Measure each fault, and print the results."""
    try:
        ENGINE.obtain()
    except MissingToolError as missing:
        sys.exit(str(missing))
    for program in (PROMTOOL, PROMETHEUS, ALERTMANAGER):
        try:
            find(program)
        except pytest.skip.Exception as missing:
            sys.exit(str(missing))
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    slots = asyncio.Semaphore(MAX_PARALLEL)
    async with asyncio.TaskGroup() as group:
        attempts = {
            kind: [
                group.create_task(_bounded(slots, time_to_page(kind))) for _ in range(min(asked, kind.tries or asked))
            ]
            for kind in KINDS
        }
        blips = [BLIPS[number % len(BLIPS)] for number in range(min(2 * asked, BLIP_TRIES))]
        quiet = [group.create_task(_bounded(slots, has_no_page(kind))) for kind in blips]
    for kind, tasks in attempts.items():
        times = [task.result() for task in tasks]
        middle, worst = statistics.median(times), max(times)
        sys.stdout.write(f"{kind.name}: {kind.alert} after {middle:.1f} s, worst {worst:.1f} s, of {len(times)}\n")
    sys.stdout.write(f"blips: {sum(not task.result() for task in quiet)} pages of {len(quiet)}\n")


if __name__ == "__main__":
    asyncio.run(main())

"""`python -m bench.modules`: which modules one exchange of a persistent pair enters, in the daemon.

A profile function notes the module of every function that is called from one slot of the pair to the next. The relay
runs in a thread of its own, which is not profiled. What only some slots enter, such as periodic checks, is left out.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Final

from monitor.config import parse
from monitor.daemon.app import Monitor
from monitor.embedded import EmbeddedRelay

if TYPE_CHECKING:
    from types import FrameType

SLOTS: Final = 8
"""Slots that are counted."""

SLOT_START: Final = "ProbeContext.recorder"
"""The function that each slot calls first, and once."""

CONFIG: Final = """
server: {{listen: "127.0.0.1:0"}}
relays: [{{name: relay, url: "{url}"}}]
probes: [{{name: steady, scenario: steady-messaging, message_interval: 200ms, settle: 0s, pairs: 1}}]
"""


class Profile:
    """Collects, slot by slot, the modules of `monitor` that are entered, and how many calls are made."""

    def __init__(self) -> None:
        self.slots: list[set[str]] = []
        self.calls: list[int] = []

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Note a call; `sys.setprofile` calls it."""
        del argument
        if event != "call":
            return
        module = frame.f_globals.get("__name__", "")
        if not module.startswith("monitor."):
            return
        if frame.f_code.co_qualname == SLOT_START:
            self.slots.append(set())
            self.calls.append(0)
        if self.slots:
            self.slots[-1].add(module)
            self.calls[-1] += 1


def serve_relay(started: threading.Event, urls: list[str], stop: threading.Event) -> None:
    """Run the embedded relay on an event loop of its own."""

    async def serve() -> None:
        relay = EmbeddedRelay()
        await relay.start()
        urls.append(relay.url)
        started.set()
        await asyncio.to_thread(stop.wait)
        await relay.stop()

    asyncio.run(serve())


async def trace(url: str) -> Profile:
    """Run the daemon until enough slots are traced."""
    monitor = Monitor(parse(CONFIG.format(url=url), "modules", {}))
    await monitor.start()
    profile = Profile()
    sys.setprofile(profile)
    try:
        while len(profile.slots) <= SLOTS + 1:  # noqa: ASYNC110 - a slot is no event
            await asyncio.sleep(0.05)
    finally:
        sys.setprofile(None)
        await monitor.stop()
    return profile


def main() -> None:
    """Print the modules and their number."""
    started, stop = threading.Event(), threading.Event()
    urls: list[str] = []
    relay = threading.Thread(target=serve_relay, args=(started, urls, stop))
    relay.start()
    started.wait()
    try:
        profile = asyncio.run(trace(urls[0]))
    finally:
        stop.set()
        relay.join()
    complete = profile.slots[1:-1]
    modules = set.intersection(*complete)
    print("\n".join(sorted(modules)))
    print(f"{len(modules)} modules, {min(profile.calls[1:-1])} calls an exchange")


if __name__ == "__main__":
    main()

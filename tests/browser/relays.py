"""Embedded relays in a thread of their own: the tests of this folder are synchronous, as Playwright's interface is."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self, TypeVar

from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from monitor.embedded.server import PATH
from tests.relay.harness import serving

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    from tests.relay.harness import Script

Result = TypeVar("Result")

CALL_TIMEOUT = 15.0


class Node:
    """One node of a relay. It keeps its port when it is stopped and started again."""

    def __init__(self, relays: Relays, node: EmbeddedRelay, plan: FaultPlan) -> None:
        self._relays = relays
        self.node = node
        self._plan = plan

    @property
    def url(self) -> str:
        """URL for clients."""
        return self.node.url

    @property
    def connections(self) -> int:
        """Number of connected clients."""
        return self.node.connections

    def inject(self, *specs: str) -> None:
        """Replace the faults by these; none without arguments."""
        self._plan.set(parse_fault(spec) for spec in specs)

    def stop(self) -> None:
        """Stop the node: further connects are refused."""
        self._relays.call(self.node.stop())

    def start(self) -> None:
        """Start the node again, on the same port."""
        self._relays.call(self.node.start())


class Relays:
    """The event loop of all relays. As a context manager it runs the loop, and stops every node at the end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedded relays", daemon=True)
        self._nodes: list[Node] = []
        self._servers = AsyncExitStack()

    def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT)

    def serve(self, script: Script) -> str:
        """Start a server that handles each connection with a script, and return its URL for clients."""
        return f"ws://127.0.0.1:{self.call(self._servers.enter_async_context(serving(script)))}{PATH}"

    async def _stop_all(self) -> None:
        await self._servers.aclose()
        await asyncio.gather(*(node.node.stop() for node in self._nodes))

    def add(self) -> Node:
        """Start a relay of one node."""
        return self.cluster(1)[0]

    def cluster(self, size: int) -> list[Node]:
        """Start a relay of `size` nodes with one broker."""
        nodes: list[Node] = []
        broker = None
        for _ in range(size):
            plan = FaultPlan()
            relay = EmbeddedRelay(plan=plan, broker=broker)
            broker = relay.broker
            self.call(relay.start())
            nodes.append(Node(self, relay, plan))
        self._nodes += nodes
        return nodes

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call(self._stop_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT)
        self._loop.close()

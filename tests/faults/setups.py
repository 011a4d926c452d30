"""Setups that cause faults: the embedded relay's plan, scripted servers, TLS, the engine alone or behind toxiproxy."""

from __future__ import annotations

import resource
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.results import PhaseTimed
from tests.faults.rows import FaultyRelay
from tests.faults.toxiproxy import toxic
from tests.probes.harness import embedded as embedded_relay
from tests.relay.harness import refusing_handshake, serving
from tests.relays import Engine
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from monitor.vocabulary import Phase
    from tests.faults.rows import Env, Setup
    from tests.probes.harness import ProbeHarness
    from tests.relay.harness import Script


def embedded(*specs: str, ping_interval: float = 25.0, scheme: str = "ws") -> Setup:
    """Return the embedded relay with these faults."""

    @asynccontextmanager
    async def setup(_: Env) -> AsyncIterator[FaultyRelay]:
        async with embedded_relay(*specs, ping_interval=ping_interval) as relay:
            yield FaultyRelay(url=relay.url.replace("ws:", f"{scheme}:", 1))

    return setup


def server(script: Script, *, tls: str = "", scheme: str = "ws", **certificate: Any) -> Setup:
    """Return a server that handles each connection with `script`, over TLS if `tls` is not empty."""

    @asynccontextmanager
    async def setup(env: Env) -> AsyncIterator[FaultyRelay]:
        context = env.certificates.server(**certificate) if tls else None
        relay: dict[str, Any] = {"tls": {"ca_file": str(env.certificates.ca_file)}} if scheme == "wss" else {}
        async with serving(script, tls=context) as port:
            yield FaultyRelay(url=f"{scheme}://127.0.0.1:{port}/connection/websocket", relay=relay)

    return setup


def handshake_failing(**certificate: Any) -> Setup:
    """Return a server that ends the TLS handshake with an alert."""

    @asynccontextmanager
    async def setup(env: Env) -> AsyncIterator[FaultyRelay]:
        async with refusing_handshake(env.certificates.server(**certificate)) as port:
            yield FaultyRelay(
                url=f"wss://127.0.0.1:{port}/connection/websocket",
                relay={"tls": {"ca_file": str(env.certificates.ca_file)}},
            )

    return setup


def no_listener() -> Setup:
    """Return a port without a listener."""

    @asynccontextmanager
    async def setup(_: Env) -> AsyncIterator[FaultyRelay]:
        yield FaultyRelay(url=f"ws://127.0.0.1:{closed_port()}/connection/websocket")

    return setup


def at_address(url: str) -> Setup:
    """Return a relay at this URL."""

    @asynccontextmanager
    async def setup(_: Env) -> AsyncIterator[FaultyRelay]:
        yield FaultyRelay(url=url)

    return setup


def network(kind: str, stream: str = "downstream", **attributes: int) -> Setup:
    """Return the engine behind toxiproxy with one toxic."""

    @asynccontextmanager
    async def setup(env: Env) -> AsyncIterator[FaultyRelay]:
        async with await Engine.start(env.engine) as engine:
            yield FaultyRelay(url=await env.toxiproxy.before(engine.url, toxic(kind, stream, **attributes)))

    return setup


@dataclass(frozen=True, slots=True)
class AfterPhase:
    """The point at which a run has reported a phase `count` times; the clock would differ from machine to machine."""

    phase: Phase
    count: int

    async def reached(self, made: ProbeHarness) -> None:
        """Wait until the run has come to this point."""
        await made.until(lambda: [report.phase for report in made.all(PhaseTimed)].count(self.phase) >= self.count)


def engine(action: Callable[[Engine], Awaitable[None]], once: AfterPhase | None = None) -> Setup:
    """Return the engine, with `action` applied at that point of the run, or before the run."""

    @asynccontextmanager
    async def setup(env: Env) -> AsyncIterator[FaultyRelay]:
        async with await Engine.start(env.engine) as relay:
            if once is None:
                await action(relay)
                yield FaultyRelay(url=relay.url)
                return

            async def during_run(made: ProbeHarness) -> None:
                await once.reached(made)
                await action(relay)

            yield FaultyRelay(url=relay.url, during_run=during_run)

    return setup


async def pause(relay: Engine) -> None:
    """Stop the process; its sockets stay open."""
    relay.pause()


async def starve(relay: Engine) -> None:
    """Limit its descriptors to those that are open, so that it accepts no connection."""
    _starve(relay.pid)


def _starve(pid: int) -> None:
    highest = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, highest + 1))


async def kill(relay: Engine) -> None:
    """Kill it; its clients get no close frame."""
    await relay.kill()


async def stop(relay: Engine) -> None:
    """Stop it; its clients get a close frame."""
    await relay.stop()


def restarted(once: AfterPhase) -> Setup:
    """Return the engine, killed at that point and restarted on the same port: new epoch, no history."""

    @asynccontextmanager
    async def setup(env: Env) -> AsyncIterator[FaultyRelay]:
        port = closed_port()
        old = await Engine.start(env.engine, "-listen", f"127.0.0.1:{port}")
        new: list[Engine] = []

        async def restart(made: ProbeHarness) -> None:
            await once.reached(made)
            await old.kill()
            new.append(await Engine.start(env.engine, "-listen", f"127.0.0.1:{port}"))

        try:
            yield FaultyRelay(url=old.url, during_run=restart)
        finally:
            for relay in (old, *new):
                await relay.kill()

    return setup

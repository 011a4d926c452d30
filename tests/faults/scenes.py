"""What makes each fault: the embedded relay's plan, a server of a few lines, TLS, toxiproxy before the engine, the
engine itself."""

from __future__ import annotations

import resource
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.results import PhaseTimed
from tests.faults.rows import Where
from tests.faults.toxiproxy import toxic
from tests.probes.harness import embedded as started
from tests.relay.harness import demanding, serving
from tests.relays import Engine
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from monitor.vocabulary import Phase
    from tests.faults.rows import Env, LoadContext
    from tests.probes.harness import ProbeHarness
    from tests.relay.harness import Script


def embedded(*specs: str, ping_interval: float = 25.0, scheme: str = "ws") -> LoadContext:
    """The embedded relay with these faults."""

    @asynccontextmanager
    async def scene(_: Env) -> AsyncIterator[Where]:
        async with started(*specs, ping_interval=ping_interval) as relay:
            yield Where(url=relay.url.replace("ws:", f"{scheme}:", 1))

    return scene


def server(play: Script, *, tls: str = "", scheme: str = "ws", **certificate: Any) -> LoadContext:
    """A server that plays `play` to every connection, with a certificate where `tls` is "yes"."""

    @asynccontextmanager
    async def scene(env: Env) -> AsyncIterator[Where]:
        context = env.certificates.server(**certificate) if tls else None
        relay: dict[str, Any] = {"tls": {"ca_file": str(env.certificates.ca_file)}} if scheme == "wss" else {}
        async with serving(play, tls=context) as port:
            yield Where(url=f"{scheme}://127.0.0.1:{port}/connection/websocket", relay=relay)

    return scene


def demanding_a_certificate() -> LoadContext:
    """A server that wants a certificate of its client."""

    @asynccontextmanager
    async def scene(env: Env) -> AsyncIterator[Where]:
        with demanding(env.certificates.server(asks=True)) as port:
            yield Where(
                url=f"wss://127.0.0.1:{port}/connection/websocket",
                relay={"tls": {"ca_file": str(env.certificates.ca_file)}},
            )

    return scene


def nobody() -> LoadContext:
    """A port on which nobody listens."""

    @asynccontextmanager
    async def scene(_: Env) -> AsyncIterator[Where]:
        yield Where(url=f"ws://127.0.0.1:{closed_port()}/connection/websocket")

    return scene


def somewhere(url: str) -> LoadContext:
    """An address as it is."""

    @asynccontextmanager
    async def scene(_: Env) -> AsyncIterator[Where]:
        yield Where(url=url)

    return scene


def proxied(kind: str, stream: str = "downstream", **attributes: int) -> LoadContext:
    """The engine behind a toxiproxy with one toxic."""

    @asynccontextmanager
    async def scene(env: Env) -> AsyncIterator[Where]:
        async with await Engine.start(env.engine) as engine:
            yield Where(url=await env.toxiproxy.before(engine.url, toxic(kind, stream, **attributes)))

    return scene


@dataclass(frozen=True, slots=True)
class Once:
    """The moment when a run has reported a phase so often; by the clock it is another one on every machine."""

    phase: Phase
    often: int

    async def reached(self, made: ProbeHarness) -> None:
        """Wait for it."""
        await made.until(lambda: [report.phase for report in made.all(PhaseTimed)].count(self.phase) >= self.often)


def engine(act: Callable[[Engine], Awaitable[None]], once: Once | None = None) -> LoadContext:
    """The engine; `act` is done to it at that moment of the run, or before it."""

    @asynccontextmanager
    async def scene(env: Env) -> AsyncIterator[Where]:
        async with await Engine.start(env.engine) as relay:
            if once is None:
                await act(relay)
                yield Where(url=relay.url)
                return

            async def meanwhile(made: ProbeHarness) -> None:
                await once.reached(made)
                await act(relay)

            yield Where(url=relay.url, meanwhile=meanwhile)

    return scene


async def pause(relay: Engine) -> None:
    """Stop it in its tracks."""
    relay.pause()


async def starve(relay: Engine) -> None:
    """Let it open nothing more: not a file, not a connection."""
    _starve(relay.pid)


def _starve(pid: int) -> None:
    highest = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, highest + 1))


async def kill(relay: Engine) -> None:
    """End it without a word."""
    await relay.kill()


async def stop(relay: Engine) -> None:
    """End it in good order."""
    await relay.stop()


def restarted(once: Once) -> LoadContext:
    """The engine, killed at that moment and started anew on the same port: another epoch, no history."""

    @asynccontextmanager
    async def scene(env: Env) -> AsyncIterator[Where]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        old = await Engine.start(env.engine, "-listen", f"127.0.0.1:{port}")
        new: list[Engine] = []

        async def restart(made: ProbeHarness) -> None:
            await once.reached(made)
            await old.kill()
            new.append(await Engine.start(env.engine, "-listen", f"127.0.0.1:{port}"))

        try:
            yield Where(url=old.url, meanwhile=restart)
        finally:
            for relay in (old, *new):
                await relay.kill()

    return scene

"""What makes each fault: the embedded relay's plan, a server of a few lines, TLS, toxiproxy before the engine, the
engine itself."""

from __future__ import annotations

import asyncio
import resource
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from tests.faults.rows import Where
from tests.faults.toxiproxy import toxic
from tests.relays import Engine
from tests.transport.scene import closed_port, demanding, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.faults.rows import Env, Scene
    from tests.transport.scene import Play


def embedded(*specs: str, ping_interval: float = 25.0, scheme: str = "ws") -> Scene:
    """The embedded relay with these faults."""

    @asynccontextmanager
    async def scene(_: Env) -> AsyncIterator[Where]:
        plan = FaultPlan([parse_fault(spec) for spec in specs])
        relay = EmbeddedRelay(plan=plan, ping_interval=ping_interval)
        await relay.start()
        try:
            yield Where(url=relay.url.replace("ws:", f"{scheme}:", 1))
        finally:
            await relay.stop()

    return scene


def server(play: Play, *, tls: str = "", scheme: str = "ws", **certificate: Any) -> Scene:
    """A server that plays `play` to every connection, with a certificate where `tls` is "yes"."""

    @asynccontextmanager
    async def scene(env: Env) -> AsyncIterator[Where]:
        context = env.certificates.server(**certificate) if tls else None
        relay: dict[str, Any] = {"tls": {"ca_file": str(env.certificates.ca_file)}} if scheme == "wss" else {}
        async with serving(play, tls=context) as port:
            yield Where(url=f"{scheme}://127.0.0.1:{port}/connection/websocket", relay=relay)

    return scene


def demanding_a_certificate() -> Scene:
    """A server that wants a certificate of its client."""

    @asynccontextmanager
    async def scene(env: Env) -> AsyncIterator[Where]:
        with demanding(env.certificates.server(asks=True)) as port:
            yield Where(
                url=f"wss://127.0.0.1:{port}/connection/websocket",
                relay={"tls": {"ca_file": str(env.certificates.ca_file)}},
            )

    return scene


def nobody() -> Scene:
    """A port on which nobody listens."""

    @asynccontextmanager
    async def scene(_: Env) -> AsyncIterator[Where]:
        yield Where(url=f"ws://127.0.0.1:{closed_port()}/connection/websocket")

    return scene


def somewhere(url: str) -> Scene:
    """An address as it is."""

    @asynccontextmanager
    async def scene(_: Env) -> AsyncIterator[Where]:
        yield Where(url=url)

    return scene


def proxied(kind: str, stream: str = "downstream", **attributes: int) -> Scene:
    """The engine behind a toxiproxy with one toxic."""

    @asynccontextmanager
    async def scene(env: Env) -> AsyncIterator[Where]:
        async with await Engine.start(env.engine) as engine:
            yield Where(url=await env.toxiproxy.before(engine.url, toxic(kind, stream, **attributes)))

    return scene


def engine(*flags: str, meanwhile: Callable[[Engine], Awaitable[None]] | None = None, after: float = 0.0) -> Scene:
    """The engine; `meanwhile` is done to it `after` seconds into the run, or before it where that is 0."""

    @asynccontextmanager
    async def scene(env: Env) -> AsyncIterator[Where]:
        async with await Engine.start(env.engine, *flags) as relay:
            doing = None
            if meanwhile is not None and not after:
                await meanwhile(relay)
            elif meanwhile is not None:
                doing = asyncio.ensure_future(_later(after, relay, meanwhile))
            yield Where(url=relay.url)
            if doing is not None:
                await doing

    return scene


async def _later(seconds: float, relay: Engine, act: Callable[[Engine], Awaitable[None]]) -> None:
    await asyncio.sleep(seconds)
    await act(relay)


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


def restarted(after: float) -> Scene:
    """The engine, killed and started anew on the same port: another epoch, no history."""

    @asynccontextmanager
    async def scene(env: Env) -> AsyncIterator[Where]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        old = await Engine.start(env.engine, "-listen", f"127.0.0.1:{port}")
        new: list[Engine] = []

        async def restart() -> None:
            await asyncio.sleep(after)
            await old.kill()
            new.append(await Engine.start(env.engine, "-listen", f"127.0.0.1:{port}"))

        doing = asyncio.ensure_future(restart())
        try:
            yield Where(url=old.url)
            await doing
        finally:
            for relay in (old, *new):
                await relay.kill()

    return scene

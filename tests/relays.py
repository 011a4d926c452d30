"""Relays to test against, each started by the test that needs it and gone when that test is over.

Three kinds speak the same protocol: `embedded`, our own; `engine`, a small program on the library Centrifugo is
built on (`tests/engine/`); and Centrifugo itself, where CENTRIFUGO_BIN names it. A test that asks for `relay_url` or
`start_relay` runs against each.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

import httpx
import pytest

from monitor.clock import LoopClock
from monitor.embedded.namespaces import Namespace
from monitor.embedded.server import EmbeddedRelay
from tests import counterparts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path
    from types import TracebackType

    from tests.counterparts import Counterpart

ROOT = counterparts.ROOT
BUILD_TIMEOUT = counterparts.TIMEOUT
START_TIMEOUT = 10.0
STOP_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a relay asks of its clients and keeps of `session` channels. Seconds; the defaults are production's."""

    history_size: int = 20
    history_ttl: int = 300
    ping_interval: float = 25.0
    pong_timeout: float = 8.0
    stale_timeout: float = 10.0
    token: str | None = None


class Relay(Protocol):
    """A relay that runs."""

    @property
    def url(self) -> str:
        """Where clients connect."""

    async def stop(self) -> None:
        """End it, if it still runs."""


class Process:
    """A relay in a process of its own."""

    def __init__(self, url: str, process: asyncio.subprocess.Process) -> None:
        self.url = url
        self._process = process

    @property
    def http_url(self) -> str:
        """The relay's HTTP side, without a path."""
        parts = urlsplit(self.url)
        return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def pause(self) -> None:
        """Stop the relay in its tracks: its sockets stay open and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)
        # The signal is only sent by now; the last of the relay's threads may answer for a while yet.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused relay go on."""
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End the relay without a word to its clients."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """End the relay; its clients hear 3001."""
        if self._process.returncode is None:
            self.resume()
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
            raise


class Engine(Process):
    """The engine, started by `Engine.start`; as a context manager it is stopped at the end."""

    @classmethod
    async def start(cls, program: Path, *flags: str) -> Self:
        """Run the engine and wait until it listens. It stops when this process dies, whatever way."""
        process = await asyncio.create_subprocess_exec(
            program, "-stdin", *flags, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT):
            said = (await process.stdout.readline()).decode().split()
        if len(said) != 2 or said[0] != "listening":
            raise RuntimeError(f"the engine did not start with {flags}: exit status {await process.wait()}")
        return cls(said[1], process)

    async def connections(self) -> int:
        """Clients connected now."""
        return int(await self._page("/connections"))

    async def metrics(self) -> str:
        """What Prometheus would scrape."""
        return await self._page("/metrics")

    async def _page(self, path: str) -> str:
        # Its certificate is whatever the test gave it, and the address is our own child's.
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:  # noqa: S501
            return (await client.get(f"{self.http_url}{path}")).raise_for_status().text

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def obtained(counterpart: Counterpart) -> Path:
    """Build a counterpart if necessary and return its path; the test skips where it cannot be built."""
    try:
        return counterpart.obtain()
    except counterparts.MissingToolError as missing:
        return pytest.skip(f"{counterpart.name} is not built: {missing}")


@pytest.fixture(scope="session")
def engine_program() -> Path:
    """The engine's program."""
    return obtained(counterparts.ENGINE)


@pytest.fixture(scope="session")
def toxiproxy_program() -> Path:
    """Toxiproxy's program."""
    return obtained(counterparts.TOXIPROXY)


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """The packages that the Node programs of tests/interop import."""
    return obtained(counterparts.NODE_PACKAGES)


def _seconds(value: float) -> str:
    return f"{round(value * 1000)}ms"


async def _embedded(terms: Terms) -> Relay:
    relay = EmbeddedRelay(
        namespaces=(
            Namespace(name="handshake", size=5, ttl=300.0),
            Namespace(name="session", size=terms.history_size, ttl=float(terms.history_ttl)),
        ),
        ping_interval=terms.ping_interval,
        pong_timeout=terms.pong_timeout,
        stale_timeout=terms.stale_timeout,
        token=terms.token,
        clock=LoopClock(),
    )
    await relay.start()
    return relay


def engine_flags(terms: Terms) -> list[str]:
    """The engine's command line for these terms."""
    flags = [
        *("-history-size", str(terms.history_size)),
        *("-history-ttl", f"{terms.history_ttl}s"),
        *("-ping-interval", _seconds(terms.ping_interval)),
        *("-pong-timeout", _seconds(terms.pong_timeout)),
        *("-stale-timeout", _seconds(terms.stale_timeout)),
    ]
    return flags if terms.token is None else [*flags, "-token", terms.token]


def centrifugo_config(terms: Terms, port: int) -> dict[str, object]:
    """Centrifugo 6's configuration for these terms. It takes no token: its tokens are signed, not compared."""
    allowed = {
        f"allow_{what}_for_{whom}": True
        for what in ("subscribe", "publish", "history")
        for whom in ("client", "anonymous")
    }
    regex = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    return {
        "http_server": {"address": "127.0.0.1", "port": port},
        "client": {
            "allowed_origins": ["*"],
            "allow_anonymous_connect_without_token": True,
            "ping_interval": _seconds(terms.ping_interval),
            "pong_timeout": _seconds(terms.pong_timeout),
            "stale_close_delay": _seconds(terms.stale_timeout),
        },
        "channel": {
            "namespaces": [
                {
                    "name": name,
                    "channel_regex": regex,
                    "history_size": size,
                    "history_ttl": f"{ttl}s",
                    "force_positioning": True,
                    "force_recovery": True,
                    **allowed,
                }
                for name, size, ttl in (("handshake", 5, 300), ("session", terms.history_size, terms.history_ttl))
            ]
        },
        "health": {"enabled": True},
    }


async def _centrifugo(program: str, terms: Terms, folder: Path) -> Relay:
    if terms.token is not None:
        pytest.skip("Centrifugo's tokens are signed; a plain one cannot be set")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / f"centrifugo-{port}.json"
    config.write_text(json.dumps(centrifugo_config(terms, port)), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        program, "--config", config, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
    )
    relay = Process(f"ws://127.0.0.1:{port}/connection/websocket", process)
    try:
        async with asyncio.timeout(START_TIMEOUT), httpx.AsyncClient(trust_env=False) as client:
            while process.returncode is None:
                try:
                    await client.get(f"{relay.http_url}/health")
                except httpx.TransportError:
                    await asyncio.sleep(0.05)  # not virtual: a foreign program starts
                else:
                    return relay
    except BaseException:
        await relay.kill()
        raise
    raise RuntimeError(f"Centrifugo did not start with {config}: exit status {process.returncode}")


ENGINE = "relay engine"
"""The name of the engine in `required_counterpart`."""

KINDS = [
    "embedded",
    # The first of them may have to build it.
    pytest.param("engine", marks=[pytest.mark.required_counterpart(ENGINE), pytest.mark.timeout(BUILD_TIMEOUT)]),
    pytest.param("centrifugo", marks=pytest.mark.integration),
]


@pytest.fixture(params=KINDS)
def relay_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of relay in turn."""
    return str(request.param)


@pytest.fixture
async def start_relay(
    relay_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[[Terms], Awaitable[Relay]]]:
    """Start a relay of this kind on the given terms; it is stopped after the test."""
    if relay_kind == "engine":
        program = request.getfixturevalue("engine_program")
    elif relay_kind == "centrifugo":
        program = os.environ.get("CENTRIFUGO_BIN")
        if not program:
            pytest.skip("CENTRIFUGO_BIN names no Centrifugo 6 program")
    async with AsyncExitStack() as started:

        async def start(terms: Terms) -> Relay:
            relay: Relay
            if relay_kind == "embedded":
                relay = await _embedded(terms)
            elif relay_kind == "engine":
                relay = await Engine.start(program, *engine_flags(terms))
            else:
                relay = await _centrifugo(program, terms, tmp_path)
            started.push_async_callback(relay.stop)
            return relay

        yield start


@pytest.fixture
async def relay_url(start_relay: Callable[[Terms], Awaitable[Relay]]) -> str:
    """The address of a relay of each kind, on production's terms."""
    return (await start_relay(Terms())).url


@pytest.fixture
async def engine(engine_program: Path) -> AsyncIterator[Engine]:
    """An engine on production's terms. Its test carries `required_counterpart("relay engine")`."""
    async with await Engine.start(engine_program) as running:
        yield running

"""Relays for tests, started and stopped by fixtures.

There are three kinds: `embedded`; `engine`, a small program that uses the library of Centrifugo (`tests/engine/`); and
Centrifugo itself, if CENTRIFUGO_BIN is its path. A test with `relay_url` or `start_relay` runs against each.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
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
from tests.sockets import closed_port

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
class RelaySettings:
    """Settings of a relay, times in seconds. History is that of `session` channels. The defaults are production's."""

    history_size: int = 20
    history_ttl: int = 300
    ping_interval: float = 25.0
    pong_timeout: float = 8.0
    stale_timeout: float = 10.0
    token: str | None = None


class Relay(Protocol):
    """A running relay."""

    @property
    def url(self) -> str:
        """URL for clients."""

    async def stop(self) -> None:
        """Stop it if it is running."""


class Process:
    """A relay in a process of its own."""

    def __init__(self, url: str, process: asyncio.subprocess.Process) -> None:
        self.url = url
        self._process = process

    @property
    def http_url(self) -> str:
        """HTTP URL of the relay, without a path."""
        parts = urlsplit(self.url)
        return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def pause(self) -> None:
        """Suspend the process: its sockets stay open, and it sends nothing."""
        self._process.send_signal(signal.SIGSTOP)
        # The signal is delivered later: wait until all threads are suspended.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Continue a paused relay."""
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """Kill the relay, without a close frame for its clients."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """Stop the relay; its clients get the close code 3001."""
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
    """The engine, started by `Engine.start`. As a context manager it is stopped at the end."""

    @classmethod
    async def start(cls, program: Path, *flags: str) -> Self:
        """Start the engine and wait until it listens. It exits with this process."""
        process = await asyncio.create_subprocess_exec(
            program, "-stdin", *flags, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT):
            words = (await process.stdout.readline()).decode().split()
        if len(words) != 2 or words[0] != "listening":
            raise RuntimeError(f"the engine did not start with {flags}: exit status {await process.wait()}")
        return cls(words[1], process)

    async def connections(self) -> int:
        """Return the number of connected clients."""
        return int(await self._page("/connections"))

    async def metrics(self) -> str:
        """Return the metrics."""
        return await self._page("/metrics")

    async def _page(self, path: str) -> str:
        # The certificate is the test's, and the address that of a child process.
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:  # noqa: S501
            return (await client.get(f"{self.http_url}{path}")).raise_for_status().text

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def obtained(counterpart: Counterpart) -> Path:
    """Build a counterpart if necessary and return its path; skip the test if it cannot be built."""
    try:
        return counterpart.obtain()
    except counterparts.MissingToolError as missing:
        return pytest.skip(f"{counterpart.name} is not built: {missing}")


@pytest.fixture(scope="session")
def engine_program() -> Path:
    """Path of the engine."""
    return obtained(counterparts.ENGINE)


@pytest.fixture(scope="session")
def toxiproxy_program() -> Path:
    """Path of toxiproxy."""
    return obtained(counterparts.TOXIPROXY)


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """Path of the packages that the Node programs of tests/interop import."""
    return obtained(counterparts.NODE_PACKAGES)


def _seconds(value: float) -> str:
    return f"{round(value * 1000)}ms"


async def _embedded(settings: RelaySettings) -> Relay:
    relay = EmbeddedRelay(
        namespaces=(
            Namespace(name="handshake", size=5, ttl=300.0),
            Namespace(name="session", size=settings.history_size, ttl=float(settings.history_ttl)),
        ),
        ping_interval=settings.ping_interval,
        pong_timeout=settings.pong_timeout,
        stale_timeout=settings.stale_timeout,
        token=settings.token,
        clock=LoopClock(),
    )
    await relay.start()
    return relay


def engine_flags(settings: RelaySettings) -> list[str]:
    """Return the flags of the engine for these settings."""
    flags = [
        *("-history-size", str(settings.history_size)),
        *("-history-ttl", f"{settings.history_ttl}s"),
        *("-ping-interval", _seconds(settings.ping_interval)),
        *("-pong-timeout", _seconds(settings.pong_timeout)),
        *("-stale-timeout", _seconds(settings.stale_timeout)),
    ]
    return flags if settings.token is None else [*flags, "-token", settings.token]


def centrifugo_config(settings: RelaySettings, port: int) -> dict[str, object]:
    """Return the configuration of Centrifugo 6 for these settings, without the token: its tokens are signed."""
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
            "ping_interval": _seconds(settings.ping_interval),
            "pong_timeout": _seconds(settings.pong_timeout),
            "stale_close_delay": _seconds(settings.stale_timeout),
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
                for name, size, ttl in (("handshake", 5, 300), ("session", settings.history_size, settings.history_ttl))
            ]
        },
        "health": {"enabled": True},
    }


async def _centrifugo(program: str, settings: RelaySettings, folder: Path) -> Relay:
    if settings.token is not None:
        pytest.skip("tokens of Centrifugo are signed; a plain one cannot be set")
    port = closed_port()
    config = folder / f"centrifugo-{port}.json"
    config.write_text(json.dumps(centrifugo_config(settings, port)), encoding="utf-8")
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
                    await asyncio.sleep(0.05)  # real time: another program starts
                else:
                    return relay
    except BaseException:
        await relay.kill()
        raise
    raise RuntimeError(f"Centrifugo did not start with {config}: exit status {process.returncode}")


ENGINE = "relay engine"
"""Name of the engine in `required_counterpart`."""

KINDS = [
    "embedded",
    # The first test may have to build it.
    pytest.param("engine", marks=[pytest.mark.required_counterpart(ENGINE), pytest.mark.timeout(BUILD_TIMEOUT)]),
    pytest.param("centrifugo", marks=pytest.mark.integration),
]


@pytest.fixture(params=KINDS)
def relay_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of relay."""
    return str(request.param)


@pytest.fixture
async def start_relay(
    relay_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[[RelaySettings], Awaitable[Relay]]]:
    """A function that starts a relay of this kind with the given settings. It is stopped after the test."""
    if relay_kind == "engine":
        program = request.getfixturevalue("engine_program")
    elif relay_kind == "centrifugo":
        program = os.environ.get("CENTRIFUGO_BIN")
        if not program:
            pytest.skip("CENTRIFUGO_BIN is not set to a Centrifugo 6 program")
    async with AsyncExitStack() as started:

        async def start(settings: RelaySettings) -> Relay:
            relay: Relay
            if relay_kind == "embedded":
                relay = await _embedded(settings)
            elif relay_kind == "engine":
                relay = await Engine.start(program, *engine_flags(settings))
            else:
                relay = await _centrifugo(program, settings, tmp_path)
            started.push_async_callback(relay.stop)
            return relay

        yield start


@pytest.fixture
async def relay_url(start_relay: Callable[[RelaySettings], Awaitable[Relay]]) -> str:
    """URL of a relay of each kind with the production settings."""
    return (await start_relay(RelaySettings())).url


@pytest.fixture
async def engine(engine_program: Path) -> AsyncIterator[Engine]:
    """An engine with the production settings. Its tests are marked `required_counterpart("relay engine")`."""
    async with await Engine.start(engine_program) as running:
        yield running

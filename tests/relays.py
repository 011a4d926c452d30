"""Relays for tests, started and stopped by fixtures.

There are three kinds: `embedded`; `engine`, a small program that uses the library of Centrifugo (`tests/engine/`); and
`centrifugo`. A test with `relay_url` or `start_relay` runs against each.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

import httpx
import pytest

from monitor.clock import LoopClock
from monitor.embedded.namespaces import Namespace
from monitor.embedded.server import EmbeddedRelay
from tests import counterparts
from tests.relay_settings import RelaySettings, centrifugo_config, engine_flags
from tests.sockets import closed_port, open_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.counterparts import Counterpart

ROOT = counterparts.ROOT
BUILD_TIMEOUT = counterparts.TIMEOUT
START_TIMEOUT = 10.0
STOP_TIMEOUT = 10.0


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
    async def start(cls, program: Path, *flags: str, inside: Sequence[str] = ()) -> Self:
        """Start the engine and wait until it listens. It exits with this process.

        `inside` are words before the command, which run it elsewhere, such as in a network namespace.
        """
        process = await asyncio.create_subprocess_exec(
            *inside, program, "-stdin", *flags, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
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
def centrifugo_program() -> Path:
    """Path of Centrifugo."""
    return obtained(counterparts.CENTRIFUGO)


@pytest.fixture(scope="session")
def toxiproxy_program() -> Path:
    """Path of toxiproxy."""
    return obtained(counterparts.TOXIPROXY)


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """Path of the packages that the Node programs of tests/interop import."""
    return obtained(counterparts.NODE_PACKAGES)


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


async def start_centrifugo(program: Path, config: dict[str, object], port: int, folder: Path) -> Process:
    """Start Centrifugo with this configuration, which listens on `port`, and wait until it answers."""
    file = folder / f"centrifugo-{port}.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    # Centrifugo reads settings from variables with this prefix.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")}
    log = folder / f"centrifugo-{port}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program, "--config", file, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, env=environ
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
    raise RuntimeError(f"Centrifugo ended with {process.returncode}:\n{log.read_text('utf-8')}")


async def _start(kind: str, program: Path, settings: RelaySettings, folder: Path) -> Relay:
    """Start a relay that is a program."""
    if kind == "engine":
        return await Engine.start(program, *engine_flags(settings))
    port = closed_port()
    return await start_centrifugo(program, centrifugo_config(settings, port), port, folder)


ENGINE = "relay engine"
"""Name of the engine in `required_counterpart`."""

CENTRIFUGO = "Centrifugo"
"""Name of Centrifugo in `required_counterpart`."""

KINDS = [
    "embedded",
    # The first test may have to build it.
    pytest.param("engine", marks=[pytest.mark.required_counterpart(ENGINE), pytest.mark.timeout(BUILD_TIMEOUT)]),
    pytest.param(
        "centrifugo", marks=[pytest.mark.required_counterpart(CENTRIFUGO), pytest.mark.timeout(BUILD_TIMEOUT)]
    ),
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
    program = None if relay_kind == "embedded" else request.getfixturevalue(f"{relay_kind}_program")
    async with AsyncExitStack() as started:

        async def start(settings: RelaySettings) -> Relay:
            relay = await (_embedded(settings) if program is None else _start(relay_kind, program, settings, tmp_path))
            started.push_async_callback(relay.stop)
            return relay

        yield start


@pytest.fixture(scope="session")
def shared_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Path], Relay]]:
    """A function that returns a relay of a kind with the production settings, one for all tests of this process.

    A test's event loop is closed after the test, so these relays have their own, which runs at their start and end.
    """
    loop = asyncio.new_event_loop()
    running: dict[str, Relay] = {}

    def start(kind: str, program: Path) -> Relay:
        if kind not in running:
            running[kind] = loop.run_until_complete(
                _start(kind, program, RelaySettings(), tmp_path_factory.mktemp(kind))
            )
        return running[kind]

    yield start
    for relay in running.values():
        loop.run_until_complete(relay.stop())
    loop.close()


@pytest.fixture
async def embedded_relay() -> AsyncIterator[Relay]:
    """An embedded relay with the production settings."""
    relay = await _embedded(RelaySettings())
    yield relay
    await relay.stop()


@pytest.fixture
def production_relay(relay_kind: str, request: pytest.FixtureRequest) -> Relay:
    """A relay of each kind with the production settings.

    Tests share it: a test uses its own channels only, and does not stop the relay.
    """
    relay: Relay
    if relay_kind == "embedded":
        relay = request.getfixturevalue("embedded_relay")
    else:
        program = request.getfixturevalue(f"{relay_kind}_program")
        relay = request.getfixturevalue("shared_relay")(relay_kind, program)
    return relay


@pytest.fixture
async def relay_url(production_relay: Relay) -> AsyncIterator[str]:
    """URL of a relay of each kind with the production settings. Waits after the test until its sockets are closed."""
    before = open_sockets()
    yield production_relay.url
    async with asyncio.timeout(STOP_TIMEOUT):
        while open_sockets() > before:  # noqa: ASYNC110 - there is no event for this
            await asyncio.sleep(0.005)


@pytest.fixture
async def engine(engine_program: Path) -> AsyncIterator[Engine]:
    """An engine with the production settings. Its tests are marked `required_counterpart("relay engine")`."""
    async with await Engine.start(engine_program) as running:
        yield running

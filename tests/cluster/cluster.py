"""Two Centrifugos on a real Redis, each through a link of its own, behind a load balancer."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, Self

import pytest

from tests.balancer import Balancer
from tests.cluster.link import RedisLink
from tests.relay_settings import RelaySettings, centrifugo_config
from tests.relays import Process, start_centrifugo
from tests.sockets import closed_port

if TYPE_CHECKING:
    import ssl
    from pathlib import Path
    from types import TracebackType

    from tests.faults.toxiproxy import Toxiproxy

INSTALL: Final = "apt-get install -y redis-server"
START_TIMEOUT: Final = 15.0


def redis_program() -> str:
    """Return the path of Redis; without it the test is skipped and says what to install."""
    found = shutil.which("redis-server")
    return found if found is not None else str(pytest.skip(f"redis-server is not on PATH: {INSTALL}"))


class Redis:
    """A Redis of its own on a free port, without persistence."""

    def __init__(self, folder: Path) -> None:
        self.port = closed_port()
        self._log = folder / f"redis-{self.port}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        flags = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(redis_program(), *flags, stdout=log, stderr=log)
        async with asyncio.timeout(START_TIMEOUT):
            while self._process.returncode is None:
                with suppress(OSError):
                    await self.command("PING")
                    return
                await asyncio.sleep(0.05)  # real time: another program starts
        raise RuntimeError(f"Redis ended with {self._process.returncode}: {self._log.read_text('utf-8')}")

    async def command(self, *words: str) -> str:
        """Send one command, and return the first line of the reply."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(" ".join(words).encode() + b"\r\n")
            return (await reader.readline()).decode().strip()
        finally:
            writer.close()

    async def stop(self) -> None:
        """Stop it."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


class Node:
    """One Centrifugo: stopped, killed and started again on the same port, with other settings if wanted."""

    def __init__(self, program: Path, folder: Path, redis: RedisLink, settings: RelaySettings) -> None:
        self.port = closed_port()
        self.link = redis
        self.settings = settings
        self.client: dict[str, Any] = {}
        """Changes of the section `client` of the configuration."""

        self._program, self._folder = program, folder
        self._process: Process | None = None

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"ws://{self.address}/connection/websocket"

    async def start(self) -> None:
        """Start it and wait until it answers."""
        config = centrifugo_config(self.settings, self.port)
        section = config["client"]
        assert isinstance(section, dict)
        section.update(self.client)
        address = f"redis://127.0.0.1:{self.link.port}"
        # Many programs start at the same time, so that a second may be too short.
        config["engine"] = {"type": "redis", "redis": {"address": [address], "connect_timeout": "10s"}}
        self._process = await start_centrifugo(self._program, config, self.port, self._folder)

    async def stop(self) -> None:
        """Stop it: its clients get the close code 3001."""
        if self._process is not None:
            await self._process.stop()

    async def kill(self) -> None:
        """Kill it, without a close frame for its clients."""
        if self._process is not None:
            await self._process.kill()

    async def restart(self) -> None:
        """Stop it and start it with the present settings."""
        await self.stop()
        await self.start()


class Cluster:
    """The cluster. As a context manager it is started and stopped."""

    def __init__(
        self,
        folder: Path,
        program: Path,
        toxiproxy: Toxiproxy,
        settings: RelaySettings,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._folder, self._program, self._toxiproxy = folder, program, toxiproxy
        self._settings = settings
        self._tls = tls
        self._stack = AsyncExitStack()
        self._proxies: list[str] = []
        self.redis = Redis(folder)
        self.nodes: list[Node] = []
        self.balancer = Balancer(tls=tls)
        self.client: dict[str, Any] = {}
        """Changes of the section `client` of each node's first configuration."""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.redis.stop)
            await self.redis.start()
            for _ in range(2):
                await self._add_node(stack)
            self.balancer.backends = [node.address for node in self.nodes]
            await stack.enter_async_context(self.balancer)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _add_node(self, stack: AsyncExitStack) -> None:
        proxied = await self._toxiproxy.before(f"redis://127.0.0.1:{self.redis.port}")
        self._proxies.append(self._toxiproxy.latest)
        host, _, port = proxied.removeprefix("redis://").rpartition(":")
        link = RedisLink(host, int(port))
        await link.start()
        stack.push_async_callback(link.stop)
        node = Node(self._program, self._folder, link, self._settings)
        node.client |= self.client
        stack.push_async_callback(node.stop)
        await node.start()
        self.nodes.append(node)

    async def connect_redis(self, *, connected: bool) -> None:
        """Cut both nodes off from Redis, or connect them again."""
        for name in self._proxies:
            await self._toxiproxy.enable(name, enabled=connected)

    async def set_client(self, **settings: Any) -> None:
        """Restart each node with changed settings of the section `client`, one after the other."""
        for node in self.nodes:
            node.client |= settings
            await node.restart()

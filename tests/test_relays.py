"""The relay engine as a program: start, metrics, pause, stop, TLS, flags."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
import trustme
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from monitor.embedded.session import VERSION
from tests.counterparts import CENTRIFUGO_VERSION, ENGINE_SOURCES, go
from tests.relay_settings import RelaySettings, centrifugo_config, engine_flags
from tests.relays import BUILD_TIMEOUT, CENTRIFUGO, ENGINE, Engine

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 10.0

pytestmark = [pytest.mark.required_counterpart(ENGINE), pytest.mark.timeout(BUILD_TIMEOUT)]


def modules(program: Path) -> dict[str, str]:
    """Each module that a Go program is built from, and its version."""
    done = subprocess.run([go(), "version", "-m", program], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return {line[1]: line[2] for line in lines if line[0] == "dep"}


async def hello(socket: ClientConnection) -> None:
    """Send a connect command and wait for the reply."""
    await socket.send(json.dumps({"id": 1, "connect": {}}))
    async with asyncio.timeout(DEADLINE):
        await socket.recv()


async def test_it_counts_its_clients(engine: Engine) -> None:
    assert await engine.connections() == 0
    async with connect(engine.url, proxy=None) as first, connect(engine.url, proxy=None) as second:
        await hello(first)
        await hello(second)
        assert await engine.connections() == 2


async def test_a_paused_engine_sends_nothing_until_resumed(engine: Engine) -> None:
    async with connect(engine.url, proxy=None) as socket:
        engine.pause()
        await socket.send(json.dumps({"id": 1, "connect": {}}))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await socket.recv()
        engine.resume()
        async with asyncio.timeout(DEADLINE):
            assert json.loads(await socket.recv())["id"] == 1


async def test_a_killed_engine_sends_no_close_frame(engine: Engine) -> None:
    async with connect(engine.url, proxy=None) as socket:
        await hello(socket)
        await engine.kill()
        with pytest.raises(ConnectionClosed) as closing:
            await socket.recv()
        assert closing.value.rcvd is None


async def test_a_paused_engine_can_be_stopped(engine: Engine) -> None:
    engine.pause()
    await engine.stop()


async def test_it_exits_when_its_parent_exits(engine_program: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        engine_program, "-stdin", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        assert (await process.stdout.readline()).startswith(b"listening ws://127.0.0.1:")
        process.stdin.close()  # as the kernel does when the parent exits
        assert await process.wait() == 0
        assert await process.stdout.read() == b""


async def test_it_serves_tls_with_a_certificate(engine_program: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with await Engine.start(engine_program, "-tls-cert", str(chain), "-tls-key", str(key)) as engine:
        assert engine.url.startswith("wss://")
        async with connect(engine.url, ssl=context, proxy=None) as socket:
            await hello(socket)
            assert await engine.connections() == 1


@pytest.mark.parametrize(
    "flags",
    [
        ("-history-ttl", "1500ms"),
        ("-history-size", "0"),
        ("-ping-interval", "1s", "-pong-timeout", "1s"),
        ("-stale-timeout", "0s"),
        ("-tls-cert", "chain.pem"),
        ("more",),
    ],
)
async def test_invalid_flags_are_refused(engine_program: Path, flags: tuple[str, ...]) -> None:
    with pytest.raises(RuntimeError, match="exit status 2"):
        await Engine.start(engine_program, *flags)


async def test_its_metrics_are_prometheus_text(engine: Engine) -> None:
    assert "centrifuge_node_num_clients" in await engine.metrics()


@pytest.mark.required_counterpart(CENTRIFUGO)
def test_engine_and_centrifugo_have_the_same_libraries(engine_program: Path, centrifugo_program: Path) -> None:
    engine, centrifugo = modules(engine_program), modules(centrifugo_program)
    for library in ("github.com/centrifugal/centrifuge", "github.com/centrifugal/protocol"):
        assert engine[library] == centrifugo[library]


def test_all_relays_have_the_same_version() -> None:
    main = (ENGINE_SOURCES / "main.go").read_text("utf-8")
    assert f'version      = "{CENTRIFUGO_VERSION}"' in main
    assert VERSION == CENTRIFUGO_VERSION


def test_engine_and_centrifugo_have_the_same_settings() -> None:
    settings = RelaySettings(history_size=3, history_ttl=7, ping_interval=2.0, pong_timeout=0.5, stale_timeout=4.0)
    flags = engine_flags(settings)
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    text = json.dumps(centrifugo_config(settings, 1))
    assert given == {
        "-history-size": "3",
        "-history-ttl": "7s",
        "-ping-interval": "2000ms",
        "-pong-timeout": "500ms",
        "-stale-timeout": "4000ms",
    }
    assert all(f'"{value}"' in text for flag, value in given.items() if flag != "-history-size")
    assert '"history_size": 3' in text

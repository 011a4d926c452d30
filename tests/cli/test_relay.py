"""The command `relay`."""

from __future__ import annotations

import asyncio
import re
import signal
import socket

import pytest
from typer.testing import CliRunner

from monitor.cli import app
from tests.cli.commands import command, monitor
from tests.relays import ROOT

pytestmark = pytest.mark.integration


class TestRelay:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_it_prints_its_url_and_serves_until_a_signal(self, number: signal.Signals) -> None:
        process = await asyncio.create_subprocess_exec(
            *command("relay", "--listen", "127.0.0.1:0"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(20):
                listening, url = (await process.stdout.readline()).decode().split()
                assert listening == "listening"
                ((host, port),) = re.findall(r"ws://([\d.]+):(\d+)/connection/websocket", url)
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(
                    b"GET /connection/websocket HTTP/1.1\r\nHost: demo\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                )
                assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
                writer.close()
                process.send_signal(number)
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    @pytest.mark.parametrize("listen", ["8000", "127.0.0.1:x", "127.0.0.1:70000", ""])
    def test_an_invalid_address_is_wrong_usage(self, listen: str) -> None:
        done = CliRunner().invoke(app, ["relay", "--listen", listen])
        assert (done.exit_code, done.stdout) == (2, "")
        assert "--listen" in done.stderr

    def test_a_port_in_use_is_one_line_on_stderr(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            done = monitor("relay", "--listen", f"127.0.0.1:{port}")
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert f"127.0.0.1:{port}" in done.stderr

"""A fault of one relay's settings makes that relay unknown, with a reason, and disturbs no other."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohappyeyeballs import start_connection

from monitor.config import parse
from monitor.embedded import EmbeddedRelay
from monitor.relay.dial import dial
from monitor.relay.resolve import look_up
from monitor.relay.routes import has_route
from monitor.vocabulary import Condition
from tests.daemon.harness import page, running, shown, until
from tests.probes.harness import embedded
from tests.relay.harness import serving
from tests.relay.test_proxy import TunnelProxy
from tests.relay_settings import RelaySettings, centrifugo_config, signed_token
from tests.relays import BUILD_TIMEOUT, CENTRIFUGO, start_centrifugo
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from monitor.config import Config
    from monitor.daemon.app import Monitor
    from monitor.relay.resolve import AddressInfo

PROBES = """
probes:
  - {name: steady, scenario: steady-messaging, message_interval: 500ms, settle: 0s, timeout: 2s, pairs: 1}
"""


@asynccontextmanager
async def watching(**relays: str) -> AsyncIterator[tuple[Monitor, EmbeddedRelay]]:
    """Watch the relays `other`, which is well, and `faulty`, with these settings; "URL" is that of a relay."""
    async with AsyncExitStack() as stack:
        relay = EmbeddedRelay()
        await relay.start()
        stack.push_async_callback(relay.stop)
        settings = "".join(f"  - {{{text.replace('URL', relay.url)}, name: {name}}}\n" for name, text in relays.items())
        monitor = await stack.enter_async_context(running(parse(f"relays:\n{settings}{PROBES}", "test", {})))
        yield monitor, relay


def condition(monitor: Monitor, relay: str) -> Condition:
    return monitor.monitored_relays.relays[relay].verdict.status.condition


def reason(monitor: Monitor, relay: str) -> str:
    return monitor.monitored_relays.relays[relay].verdict.status.reason_unknown


def exchanged(monitor: Monitor, relay: str, outcome: str) -> float:
    return shown(monitor, "relay_probe_exchanges_total", relay=relay, outcome=outcome)


async def assert_only_faulty_is_unknown(monitor: Monitor, *parts: str) -> None:
    """Wait until `faulty` is unknown for a reason with these parts; `other` is up, and the monitor healthy."""
    await until(lambda: condition(monitor, "other") is Condition.UP)
    await until(lambda: all(part in reason(monitor, "faulty") for part in parts), 30)
    assert condition(monitor, "faulty") is Condition.UNKNOWN
    assert condition(monitor, "other") is Condition.UP
    assert shown(monitor, "relay_monitor_healthy") == 1
    assert monitor.monitored_relays.relays["faulty"].verdict.status.up is not False


class TestFiles:
    @pytest.mark.parametrize("kind", ["token", "header", "ca"])
    async def test_a_file_on_a_mount_that_hangs_stops_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """Before, the event loop was blocked, and everything with it."""
        path = tmp_path / "file"
        path.write_text("content")
        settings = {
            "token": f'url: "URL", token_file: "{path}"',
            "header": f'url: "URL", headers: {{dapp: {{X-Key: {{file: "{path}"}}}}}}',
            "ca": f'url: "wss://127.0.0.1:1/connection/websocket", tls: {{ca_file: "{path}"}}',
        }
        release, blocked = threading.Event(), []

        def hang(*_: object) -> Any:
            blocked.append(threading.current_thread())
            release.wait(60)
            raise OSError("the mount is gone")

        monkeypatch.setattr("monitor.config.secrets.read_file", hang)
        monkeypatch.setattr("monitor.relay.tls._load", hang)
        try:
            async with watching(other='url: "URL"', faulty=settings[kind]) as (monitor, _):
                await assert_only_faulty_is_unknown(monitor, "hang")
                assert len({thread.ident for thread in blocked}) == 1, "one thread, however many connects"
        finally:
            release.set()

    async def test_a_missing_header_file_is_named_and_found_again(self, tmp_path: Path) -> None:
        path = tmp_path / "header"
        path.write_text("one")
        headers = f'headers: {{wallet: {{X-Key: {{file: "{path}"}}}}}}'
        async with watching(other='url: "URL"', faulty=f'url: "URL", {headers}') as (monitor, relay):
            await until(lambda: condition(monitor, "faulty") is Condition.UP)
            path.unlink()
            relay.disconnect_all(3001)
            await assert_only_faulty_is_unknown(monitor, f"the secret in {path} cannot be read")
            path.write_text("two")
            await until(lambda: condition(monitor, "faulty") is Condition.UP, 40)

    async def test_a_file_that_goes_missing_while_all_is_well_is_noticed_at_the_next_attempt(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "header"
        path.write_text("one")
        faulty = f'url: "URL", headers: {{dapp: {{X-Key: {{file: "{path}"}}}}}}, confirm: {{every: 10s}}'
        async with watching(other='url: "URL"', faulty=faulty) as (monitor, _):
            await until(lambda: condition(monitor, "faulty") is Condition.UP)
            path.unlink()
            started = time.monotonic()
            await assert_only_faulty_is_unknown(monitor, f"the secret in {path} cannot be read")
            assert time.monotonic() - started < 18, "without a second attempt every 10 s: that would be 20 s"

    async def test_a_client_key_that_does_not_fit_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "cert.pem").write_text("no certificate")
        (tmp_path / "key.pem").write_text("no key")
        tls = f'cert_file: "{tmp_path}/cert.pem", key_file: "{tmp_path}/key.pem"'
        tls = f'url: "wss://127.0.0.1:1/connection/websocket", tls: {{{tls}}}'
        async with watching(other='url: "URL"', faulty=tls) as (monitor, _):
            await assert_only_faulty_is_unknown(monitor, "the relay's tls files cannot be used")


class TestProxy:
    @pytest.fixture(autouse=True)
    def _all_but_one_relay_is_proxied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", "127.0.0.1")

    async def test_a_dead_proxy_of_one_relay_is_that_relays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before, the relay was down."""
        port = closed_port()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        async with watching(other='url: "URL"', faulty='url: "ws://localhost:1/connection/websocket"') as (monitor, _):
            await assert_only_faulty_is_unknown(monitor, f"proxy 127.0.0.1:{port}: Connection refused")

    async def test_what_a_dying_proxy_breaks_does_not_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(serving(TunnelProxy()))
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
            relay = EmbeddedRelay()
            await relay.start()
            proxied = relay.url.replace("127.0.0.1", "localhost")
            async with watching(other='url: "URL"', faulty=f'url: "{proxied}"') as (monitor, _):
                await until(lambda: condition(monitor, "faulty") is Condition.UP)
                await until(lambda: exchanged(monitor, "faulty", "ok") >= 2)
                await stack.aclose()
                await assert_only_faulty_is_unknown(monitor, f"proxy 127.0.0.1:{port}: Connection refused")
                await until(lambda: exchanged(monitor, "faulty", "aborted") >= 2)
                assert exchanged(monitor, "faulty", "failed") == 0
            await relay.stop()

    @pytest.mark.parametrize("scheme", ["http", "socks5"])
    async def test_a_proxy_whose_address_is_silent_is_named(self, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
        monkeypatch.setenv("http_proxy", f"{scheme}://198.51.100.1:3128")
        monkeypatch.setattr("monitor.relay.dial.aiohappyeyeballs.start_connection", _hang_at("198.51.100.1"))
        async with watching(other='url: "URL"', faulty='url: "ws://localhost:1/connection/websocket"') as (monitor, _):
            await assert_only_faulty_is_unknown(monitor, "proxy 198.51.100.1:3128: no answer in time")

    async def test_a_proxy_that_refuses_the_monitor_is_named_and_one_that_cannot_reach_the_relay_tells_of_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        status = [b"407 Proxy Authentication Required"]

        async def proxy(reader: Any, writer: Any) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 " + status[0] + b"\r\n\r\n")
            await writer.drain()

        async with serving(proxy) as port:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
            async with watching(other='url: "URL"', faulty='url: "ws://localhost:1/connection/websocket"') as (
                monitor,
                _,
            ):
                await assert_only_faulty_is_unknown(monitor, f"proxy 127.0.0.1:{port}: it answered 407")
                status[0] = b"503 Service Unavailable"
                await until(lambda: condition(monitor, "faulty") is Condition.DOWN, 60)
                assert shown(monitor, "relay_monitor_healthy") == 1

    async def test_a_proxy_that_all_relays_share_is_the_monitors_until_it_is_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("no_proxy")
        monkeypatch.setattr("monitor.health.self_check.UNHEALTHY_PERIOD", 2.0)
        monkeypatch.setattr("monitor.health.self_check.RECHECK_INTERVAL", 0.5)
        port = closed_port()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        async with watching(other='url: "URL"', faulty='url: "URL"') as (monitor, _):
            await until(lambda: not monitor.health.healthy, 30)
            assert shown(monitor, "relay_monitor_failed_check", check="proxy") == 1
            assert monitor.health.reasons == [
                f"all relays are reached through it: proxy 127.0.0.1:{port}: Connection refused"
            ]
            assert {condition(monitor, name) for name in ("other", "faulty")} == {Condition.UNKNOWN}
            server = await asyncio.start_server(TunnelProxy(), "127.0.0.1", port)
            await until(lambda: {condition(monitor, name) for name in ("other", "faulty")} == {Condition.UP}, 60)
            assert shown(monitor, "relay_monitor_failed_check", check="proxy") == 0
            server.close()


def _hang_at(host: str) -> Any:
    """Return a connect that never ends to this host: its packets are dropped."""

    async def connect(found: list[AddressInfo], **options: Any) -> socket.socket:
        if found[0][4][0] == host:
            await asyncio.Event().wait()
        return await start_connection(found, **options)

    return connect


class TestRoutes:
    async def test_a_name_without_an_address_for_us_is_unknown_and_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before, the whole monitor was unhealthy: "no network"."""

        async def resolve(host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[AddressInfo]:
            if host != "relay.example":
                return await look_up(host, port, family)
            return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", port, 0, 0))]

        _without_ipv6(monkeypatch, resolve)
        async with watching(other='url: "URL"', faulty='url: "ws://relay.example/connection/websocket"') as (
            monitor,
            _,
        ):
            await assert_only_faulty_is_unknown(
                monitor, "no IPv6 route from here to [2001:db8::1]:80", "set ip_protocol: ip4"
            )

    async def test_nodes_by_name_without_a_route_of_ours_are_no_nodes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before, every second exchange was aborted."""
        port: list[int] = []

        async def resolve(host: str, _: int, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[AddressInfo]:
            found: list[AddressInfo] = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", port[0], 0, 0))]
            return found + await look_up("127.0.0.1", port[0], family)

        _without_ipv6(monkeypatch, resolve)
        relay = EmbeddedRelay()
        await relay.start()
        port.append(int(relay.url.split(":")[2].split("/")[0]))
        config = f'relays: [{{name: demo, url: "{relay.url}", endpoints: [{{dns: "nodes.example:80"}}]}}]\n{PROBES}'
        async with running(parse(config, "test", {})) as monitor:
            await until(lambda: shown(monitor, "relay_probe_exchanges_total", outcome="ok") >= 6)
            assert shown(monitor, "relay_probe_exchanges_total", outcome="aborted") == 0
            assert condition(monitor, "demo") is Condition.UP
            assert shown(monitor, "relay_monitor_healthy") == 1
        await relay.stop()


def _without_ipv6(monkeypatch: pytest.MonkeyPatch, resolve: Any) -> None:
    monkeypatch.setattr("monitor.relay.dial.has_route", lambda item: item[0] == socket.AF_INET and has_route(item))
    defaults: Any = dial.__kwdefaults__
    monkeypatch.setitem(defaults, "resolver", resolve)


def token(**claims: float) -> str:
    return "e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".c2ln"


class TestCredentials:
    @pytest.mark.parametrize(("left", "expected"), [(-60.0, Condition.UNKNOWN), (3600.0, Condition.DOWN)])
    async def test_a_token_refused_after_its_own_expiry_is_not_the_relays_fault(
        self, tmp_path: Path, left: float, expected: Condition
    ) -> None:
        """Before, the relay was down."""
        path = tmp_path / "token"
        now = time.time()
        path.write_text(token(exp=now + left, iat=now + left - 7200))
        async with embedded("error:at=hello,code=109") as relay:
            config = f'relays: [{{name: demo, url: "{relay.url}", token_file: "{path}"}}]\n{PROBES}'
            await self._check(parse(config, "test", {}), now, left, expected)

    async def _check(self, config: Config, now: float, left: float, expected: Condition) -> None:
        async with running(config) as monitor:
            await until(
                lambda: condition(monitor, "demo") is expected and bool(left > 0 or reason(monitor, "demo")), 40
            )
            expiry = "relay_probe_token_expiry_timestamp_seconds"
            await until(lambda: bool(page(monitor, expiry)))
            assert shown(monitor, expiry) == pytest.approx(now + left)
            assert shown(monitor, "relay_probe_token_lifetime_seconds") == pytest.approx(7200)
            if left < 0:
                assert shown(monitor, "relay_probe_exchanges_total", outcome="failed") == 0

    @pytest.mark.required_counterpart(CENTRIFUGO)
    @pytest.mark.timeout(BUILD_TIMEOUT)
    async def test_centrifugo_refuses_an_expired_token_until_another_one_is_in_its_file(
        self, centrifugo_program: Path, tmp_path: Path
    ) -> None:
        path, key, port = tmp_path / "token", "a secret of the relay", closed_port()

        def write(seconds: float) -> None:
            now = int(time.time())
            path.write_text(signed_token(key, exp=int(now + seconds), iat=now))

        settings = centrifugo_config(RelaySettings(token_key=key), port)
        relay = await start_centrifugo(centrifugo_program, settings, port, tmp_path)
        write(8)
        confirm = "confirm: {every: 5s}"
        config = f'relays: [{{name: demo, url: "{relay.url}", token_file: "{path}", {confirm}}}]\n{PROBES}'
        async with running(parse(config, "test", {})) as monitor:
            await until(lambda: condition(monitor, "demo") is Condition.UP)
            await until(lambda: "this monitor's token expired at " in reason(monitor, "demo"), 60)
            assert condition(monitor, "demo") is Condition.UNKNOWN
            assert shown(monitor, "relay_monitor_healthy") == 1
            write(3600)
            await until(lambda: condition(monitor, "demo") is Condition.UP, 30)
            lifetime = "relay_probe_token_lifetime_seconds"
            await until(lambda: shown(monitor, lifetime) == 3600)
            relays = monitor.monitored_relays.relays["demo"]
            assert relays.verdict.outage is None, "the relay was never down"
        await relay.stop()

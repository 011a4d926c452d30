"""Own faults end to end: the monitor's network, its references, its proxy and the settings of one relay."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from monitor.daemon.app import Monitor
from monitor.embedded import EmbeddedRelay
from monitor.reachability import rhythm
from monitor.results import ATTEMPT
from monitor.vocabulary import Condition, Outcome, Reason, Step
from tests.clocks import SteppingClock
from tests.daemon.harness import page, running, shown, total, until
from tests.daemon.test_pipeline import configured, exchanges, up
from tests.relay.harness import serving
from tests.relay.test_proxy import TunnelProxy
from tests.sockets import closed_port, unanswering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def reference() -> Iterator[str]:
    """Address of a reachable host."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def closed_address(host: str = "127.0.0.2") -> str:
    """Return an address that refuses connections."""
    return f"{host}:{closed_port()}"


@contextlib.asynccontextmanager
async def without_references() -> AsyncIterator[tuple[Monitor, list[str]]]:
    """Run a monitor whose references answered at its start, and no longer do when its relay first fails."""
    with contextlib.ExitStack() as network, unanswering() as relay:
        servers = [
            network.enter_context(socket.create_server((host, 0), backlog=64)) for host in ("127.0.0.2", "127.0.0.3")
        ]
        references = [f"{host}:{port}" for host, port in (server.getsockname() for server in servers)]
        async with running(configured(f"ws://{relay}/connection/websocket", *references)) as monitor:
            await until(lambda: monitor.health.reference_up is True)
            network.close()
            yield monitor, references


@pytest.mark.alone
class TestLocalFault:
    async def test_without_a_reachable_reference_the_fault_is_local(self) -> None:
        async with without_references() as (monitor, references):
            await until(lambda: exchanges(monitor, "aborted") >= 2)
            found = page(monitor)
            assert total(found, "relay_monitor_healthy") == 0
            assert exchanges(monitor, "failed") == 0
            assert total(found, "relay_slo_events_total", slo="delivery") == 0
            assert total(found, "relay_slo_events_total", slo="stability") < 0.5
            assert up(monitor) is None
            (why,) = monitor.health.reasons
            assert why == "no reference reachable: " + ", ".join(
                sorted(f"{each}: Connection refused" for each in references)
            )
            assert {kept.run.outcome for kept in monitor.journal.runs() if kept.run.probe != ATTEMPT} == {
                Outcome.ABORTED
            }

    async def test_with_a_reachable_reference_the_relay_is_down(self, reference: str) -> None:
        url = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        async with running(configured(url, closed_address(), reference)) as monitor:
            await until(lambda: up(monitor) is False)
            await until(lambda: exchanges(monitor, "failed") >= 2)
            assert exchanges(monitor, "aborted") == 0
            assert shown(monitor, "relay_monitor_healthy") == 1
            assert monitor.health.reasons == []

    async def test_failures_of_relay_and_references_at_once_do_not_count(self) -> None:
        relay = EmbeddedRelay()
        await relay.start()
        with contextlib.ExitStack() as network:
            first, second = (
                network.enter_context(socket.create_server((host, 0), backlog=64))
                for host in ("127.0.0.1", "127.0.0.2")
            )
            references = [f"{host}:{port}" for host, port in (each.getsockname() for each in (first, second))]
            async with running(configured(relay.url, *references)) as monitor:
                await until(lambda: exchanges(monitor, "ok") >= 2)
                network.close()
                await relay.stop()
                await until(lambda: exchanges(monitor, "aborted") >= 2)
                found = page(monitor)
                assert total(found, "relay_monitor_healthy") == 0
                assert total(found, "relay_slo_events_total", slo="delivery", outcome="bad") == 0
                # A stopping relay drops connections one by one, so others may still deliver for a short time.
                assert total(found, "relay_slo_events_total", slo="stability", outcome="bad") < 0.5
                assert exchanges(monitor, "failed") == 0
                assert up(monitor) is True

    async def test_the_monitor_is_healthy_once_a_reference_is_reachable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitor.health.self_check.UNHEALTHY_PERIOD", 2.0)
        monkeypatch.setattr("monitor.health.self_check.RECHECK_INTERVAL", 0.5)
        monkeypatch.setattr(rhythm, "ROUND_INTERVAL", 1.0)
        async with without_references() as (monitor, references):
            await until(lambda: not monitor.health.healthy)
            assert up(monitor) is None
            host, _, port = references[0].rpartition(":")
            with socket.create_server((host, int(port)), backlog=64):
                await until(lambda: up(monitor) is False)
            assert shown(monitor, "relay_up", relay="demo") == 0

    async def test_a_real_outage_is_not_frozen_away_by_references_that_never_answered(self) -> None:
        """Before, the monitor stayed unhealthy and no verdict was reached for as long as the outage lasted."""
        references = [closed_address(), closed_address("127.0.0.3")]
        url = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        with capture_logs() as logs:
            async with running(configured(url, *references)) as monitor:
                await until(lambda: up(monitor) is False)
                await until(lambda: exchanges(monitor, "failed") >= 2)
                assert shown(monitor, "relay_monitor_healthy") == 1
        event = "a reference proves nothing until it answers"
        warnings = [line["reference"] for line in logs if line["event"] == event]
        assert warnings == [f"{address}: Connection refused" for address in references]

    async def test_references_that_only_the_proxy_reaches_do_not_hide_a_real_outage(
        self, reference: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before, references were asked directly: behind a firewall every outage was frozen away."""
        proxy = TunnelProxy({"one.example:443": reference, "two.example:443": reference})
        relay = EmbeddedRelay()
        await relay.start()
        async with serving(proxy) as port:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
            async with running(configured(relay.url, "one.example:443", "two.example:443")) as monitor:
                await until(lambda: up(monitor) is True)
                await until(lambda: monitor.health.reference_up is True)
                await relay.stop()
                await until(lambda: up(monitor) is False)
                assert shown(monitor, "relay_monitor_healthy") == 1
                cause = monitor.monitored_relays.relays["demo"].verdict.status.cause
                assert cause is not None
                assert (cause.step, cause.reason) == (Step.PROXY, Reason.HTTP_STATUS)
        assert {"one.example:443", "two.example:443"} <= {request.split(" ")[1] for request in proxy.requests}

    async def test_an_aborted_run_is_logged_as_aborted(self) -> None:
        with capture_logs() as logs:
            async with without_references() as (monitor, _):
                await until(lambda: exchanges(monitor, "aborted") >= 2)
        printed = {(line["event"], line["outcome"]) for line in logs if line["event"].startswith("run ")}
        assert printed == {("run aborted", "aborted")}


class TestClock:
    @pytest.mark.parametrize(
        ("seconds", "unhealthy"), [(31 * 86400.0, True), (-31 * 86400.0, True), (3.0, True), (0.5, False)]
    )
    async def test_a_step_of_the_wall_clock_is_over_soon_and_fails_nothing(
        self, monkeypatch: pytest.MonkeyPatch, seconds: float, *, unhealthy: bool
    ) -> None:
        """Before, after 31 days every exchange failed for 15 minutes while the monitor was healthy."""
        monkeypatch.setattr("monitor.health.self_check.UNHEALTHY_PERIOD", 2.0)
        clock = SteppingClock()
        relay = EmbeddedRelay()
        await relay.start()
        monitor = Monitor(configured(relay.url), clock=clock)
        await monitor.start()
        try:
            await until(lambda: up(monitor) is True and exchanges(monitor, "ok") >= 1)
            clock.offset = seconds
            if unhealthy:
                await until(lambda: shown(monitor, "relay_monitor_failed_check", check="clock") == 1)
            await until(lambda: monitor.health.healthy)
            before = exchanges(monitor, "ok")
            await until(lambda: exchanges(monitor, "ok") >= before + 4)
            assert exchanges(monitor, "failed") == 0
            assert up(monitor) is True
            status = monitor.monitored_relays.relays["demo"].verdict.status
            assert status.condition is Condition.UP, status
        finally:
            await monitor.stop()
            await relay.stop()


class TestHealth:
    async def test_a_monitor_whose_health_flaps_changes_no_condition(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitor.health.self_check.UNHEALTHY_PERIOD", 0.5)
        relay = EmbeddedRelay()
        await relay.start()
        async with running(configured(relay.url)) as monitor:
            verdict = monitor.monitored_relays.relays["demo"].verdict
            await until(lambda: verdict.status.condition is Condition.UP)
            since = verdict.status.since
            for _ in range(4):
                monitor.health.mark_unhealthy("memory", "nearly exhausted")
                assert shown(monitor, "relay_up") == 1
                await until(lambda: monitor.health.healthy)
                await asyncio.sleep(0.5)
                assert (verdict.status.condition, verdict.status.since) == (Condition.UP, since)
        await relay.stop()

    @pytest.mark.parametrize(("seconds", "healthy"), [(0.9, True), (1.6, False)])
    async def test_a_loop_that_is_blocked_for_less_than_a_second_is_healthy(
        self, seconds: float, *, healthy: bool
    ) -> None:
        relay = EmbeddedRelay()
        await relay.start()
        async with running(configured(relay.url)) as monitor:
            await until(lambda: up(monitor) is True and exchanges(monitor, "ok") >= 1)
            for _ in range(2):
                time.sleep(seconds)  # noqa: ASYNC251 - that is the fault
                await asyncio.sleep(0.5)
            assert monitor.health.healthy is healthy
            assert up(monitor) is True
            assert exchanges(monitor, "failed") == 0
        await relay.stop()

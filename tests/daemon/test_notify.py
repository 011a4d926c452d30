"""Notifications to a service manager: a real datagram socket receives them."""

from __future__ import annotations

import os
import signal
import socket
import time
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from monitor.daemon.lifecycle import Phase
from monitor.daemon.notify import ServiceManager, describe_status, notifying
from monitor.results import RelayStatus
from monitor.vocabulary import Condition
from tests.daemon.harness import Daemon, config, running, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Receiver:
    """The service manager's end of the socket: keeps the datagrams."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(0)
        self.received: list[str] = []

    @property
    def environ(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address}

    def drain(self) -> list[str]:
        """Return the datagrams that came since the last call."""
        new = []
        while True:
            try:
                new.append(self.socket.recv(65536).decode())
            except BlockingIOError:
                self.received += new
                return new

    def has(self, text: str) -> bool:
        self.drain()
        return any(text in datagram for datagram in self.received)


@pytest.fixture(params=["path", "abstract"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    path = str(tmp_path / "notify")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # its number makes the abstract name this test's own
        made = Receiver(path if request.param == "path" else f"@relay-monitor-{taken.getsockname()[1]}")
        yield made
        made.socket.close()


def test_phases_are_sent_as_the_protocol_names_them(receiver: Receiver) -> None:
    manager = ServiceManager(receiver.environ)
    for phase in (Phase.STARTING, Phase.RUNNING, Phase.RELOADING, Phase.RUNNING, Phase.STOPPING, Phase.STOPPED):
        manager.on_phase(phase)
    manager.close()
    first, reloading, *others = receiver.drain()
    assert (first, others) == ("READY=1", ["READY=1", "STOPPING=1\nSTATUS=Stopping"])
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert 0 <= time.monotonic_ns() // 1000 - int(reloading.rpartition("=")[2]) < 10_000_000


def test_without_a_service_manager_nothing_is_sent() -> None:
    manager = ServiceManager({})
    assert not manager.listens
    manager.send("READY=1")


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative/path"])
def test_an_address_of_another_kind_is_logged(address: str) -> None:
    with capture_logs() as logged:
        assert not ServiceManager({"NOTIFY_SOCKET": address}).listens
    assert [line["why"] for line in logged] == [f"NOTIFY_SOCKET is {address}, not a Unix socket"]


def test_a_service_manager_that_has_gone_is_logged_once(tmp_path: Path) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    with capture_logs() as logged:
        manager.send("READY=1")
        manager.send("WATCHDOG=1")
    manager.send("STOPPING=1")
    manager.close()
    assert [(line["event"], line["address"]) for line in logged] == [
        ("service manager not notified", str(tmp_path / "notify"))
    ]


def test_a_service_manager_that_does_not_read_is_not_waited_for(receiver: Receiver) -> None:
    manager = ServiceManager(receiver.environ)
    with capture_logs() as logged:
        while not logged:
            manager.send("WATCHDOG=1", "X=" + "x" * 10_000)
    receiver.drain()
    manager.send("READY=1")
    manager.close()
    assert receiver.drain() == ["READY=1"]


def test_a_closed_service_manager_is_not_notified(receiver: Receiver) -> None:
    manager = ServiceManager(receiver.environ)
    manager.close()
    manager.send("READY=1")
    assert receiver.drain() == []


@pytest.mark.parametrize(
    ("environ", "timeout"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_one_process(environ: dict[str, str], timeout: float | None) -> None:
    assert ServiceManager(environ).watchdog_timeout == timeout


async def test_a_blocked_event_loop_sends_no_watchdog_message(receiver: Receiver) -> None:
    environ = receiver.environ | {"WATCHDOG_USEC": "300000"}
    async with running(config()) as monitor, notifying(monitor, environ):
        await until(lambda: receiver.has("WATCHDOG=1"))
        time.sleep(0.4)  # noqa: ASYNC251 - blocks the loop for longer than the timeout
        assert receiver.drain() == []
        await until(lambda: "WATCHDOG=1" in receiver.drain())


async def test_the_status_is_sent_when_it_changes(receiver: Receiver) -> None:
    async with running(config()) as monitor, notifying(monitor, receiver.environ | {"WATCHDOG_USEC": "60000"}):
        await until(lambda: receiver.has("STATUS=1 of 1 relay up"))
        monitor.health.mark_unhealthy("event_loop", "event loop blocked\nfor 2.0 s")
        await until(lambda: receiver.has("STATUS=Unhealthy, verdicts are suspended: event loop blocked for 2.0 s"))
    statuses = [text for text in receiver.received if text.startswith("STATUS=")]
    assert all(before != after for before, after in pairwise(statuses))


def status(relay: str, condition: Condition) -> RelayStatus:
    return RelayStatus(relay=relay, condition=condition, since=datetime.now(UTC), up=None, accepting=None)


UP, DOWN, REFUSING, UNKNOWN = Condition.UP, Condition.DOWN, Condition.NOT_ACCEPTING, Condition.UNKNOWN


@pytest.mark.parametrize(
    ("conditions", "reasons", "text"),
    [
        ([], [], "0 of 0 relays up"),
        ([UP], [], "1 of 1 relay up"),
        ([DOWN], [], "0 of 1 relay up; down: r0"),
        ([UP, REFUSING, DOWN, UNKNOWN], [], "1 of 4 relays up; down: r2; not accepting: r1; unknown: r3"),
        ([DOWN] * 5, [], "0 of 5 relays up; down: r0, r1, r2 and 2 more"),
        ([UP], ["no network", "a"], "Unhealthy, verdicts are suspended: no network; a"),
    ],
)
def test_the_status_names_the_relays_that_are_not_up(
    conditions: list[Condition], reasons: list[str], text: str
) -> None:
    statuses = [status(f"r{number}", condition) for number, condition in enumerate(conditions)]
    assert describe_status(statuses, reasons) == text


@pytest.mark.integration
@pytest.mark.slow
def test_a_process_says_when_it_is_ready_reloads_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", receiver.address)
    monkeypatch.setenv("WATCHDOG_USEC", "1500000")
    daemon = Daemon(tmp_path)
    try:
        daemon.until(lambda: receiver.has("READY=1") and receiver.has("WATCHDOG=1") and receiver.has("1 of 1 relay up"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until(lambda: receiver.has("RELOADING=1") and receiver.received[-1] != "RELOADING=1")
        daemon.until(lambda: receiver.has("READY=1") and receiver.received.count("READY=1") == 2)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(15) == 0
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
        daemon.process.communicate()
        receiver.drain()
        receiver.socket.close()
    phases = [text.split("\n")[0] for text in receiver.received if not text.startswith(("WATCHDOG", "STATUS"))]
    assert phases == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]

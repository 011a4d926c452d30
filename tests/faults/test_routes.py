"""Routes and links that fail, in a network namespace, so that the host's routes stay unchanged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.integration, pytest.mark.required_as_root("network namespaces")]

INSTALL = "apt-get install -y iproute2, and run as root where network namespaces are allowed"

CONFIG = """
relays: [{name: far, url: "ws://192.0.2.1/connection/websocket"}]
probes: [{name: session, scenario: realistic-session, schedule: {every: 5m}, messages: 1, timeout: 1s}]
"""

SILENT_RESOLVER = """
import socket, time
taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taken.bind(("127.0.0.1", 53))
print("bound", flush=True)
time.sleep(60)
"""

LOSSY_LINE = """
import fcntl, os, random, selectors, struct
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
chance, waiting = random.Random(1), selectors.DefaultSelector()

def open_tun(name):
    opened = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(opened, TUNSETIFF, struct.pack("16sH", name, IFF_TUN | IFF_NO_PI))
    return opened

near, far = open_tun(b"near0"), open_tun(b"far0")
waiting.register(near, selectors.EVENT_READ, far)
waiting.register(far, selectors.EVENT_READ, near)
print("open", flush=True)
while True:
    for ready, _ in waiting.select():
        packet = os.read(ready.fd, 65536)
        if chance.random() >= 0.07:
            try:
                os.write(ready.data, packet)
            except OSError:
                pass  # the other interface is not up yet
"""
"""A link between two networks that drops 7 % of the packets; not every kernel has netem."""


def ip(*arguments: str) -> bool:
    ip = shutil.which("ip")
    return (
        ip is not None
        and subprocess.run([ip, *arguments], capture_output=True, timeout=10, check=False).returncode == 0
    )


@pytest.fixture
def namespace() -> Iterator[str]:
    """Create a network namespace with a loopback interface, and yield its name."""
    name = f"relay-monitor-{os.getpid()}"
    if not ip("netns", "add", name):
        pytest.skip(f"no network namespace can be created: {INSTALL}")
    try:
        assert ip("netns", "exec", name, "ip", "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "delete", name)


def run_in(
    namespace: str,
    *command: str,
    stdin: int | None = None,
    stdout: int | IO[str] = subprocess.PIPE,
    stderr: int | IO[str] = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start a program in a namespace; as a context manager it is killed at the end."""
    return _KilledAtExit(
        ["ip", "netns", "exec", namespace, *command], stdin=stdin, stdout=stdout, stderr=stderr, text=True, cwd=ROOT
    )


class _KilledAtExit(subprocess.Popen[str]):
    def __exit__(self, *_: object) -> None:
        self.kill()
        self.communicate(timeout=10)


def start_once(namespace: str, folder: Path, config: str) -> subprocess.Popen[str]:
    file = folder / "config.yaml"
    file.write_text(config, encoding="utf-8")
    return run_in(namespace, sys.executable, "-m", "monitor", "once", "--config", str(file), "--output", "json")


def failed_run(once: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the run that a failed `once` printed."""
    stdout, stderr = once.communicate(timeout=30)
    assert once.returncode == 1, stderr
    (run,) = json.loads(stdout)
    return dict(run)


def _connections(namespace: str) -> int:
    """Return the number of established TCP connections to port 80."""
    table = subprocess.run(
        ["ip", "netns", "exec", namespace, "cat", "/proc/net/tcp"],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    ).stdout
    return sum(fields[1].endswith(":0050") and fields[3] == "01" for fields in map(str.split, table.splitlines()))


def _wait(done: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("route", "outcome", "cause"),
    [
        (("unreachable", "192.0.2.0/24"), "failed", ("tcp", "unreachable")),
        ((), "aborted", None),
    ],
    ids=["a router reports unreachable", "no local route"],
)
def test_an_unreachable_relay_fails_the_run_and_a_missing_local_route_aborts_it(
    namespace: str, tmp_path: Path, route: tuple[str, ...], outcome: str, cause: tuple[str, str] | None
) -> None:
    if route:
        assert ip("netns", "exec", namespace, "ip", "route", "add", *route)
    run = failed_run(start_once(namespace, tmp_path, CONFIG))
    assert run["outcome"] == outcome
    if cause is not None:
        assert (run["failure"]["step"], run["failure"]["reason"]) == cause


def test_a_silent_resolver_is_a_timeout_at_the_resolve_step(namespace: str, tmp_path: Path) -> None:
    resolver = Path("/etc/netns") / namespace / "resolv.conf"
    resolver.parent.mkdir(parents=True)
    try:
        resolver.write_text("nameserver 127.0.0.1\n", encoding="ascii")
        with run_in(namespace, sys.executable, "-c", SILENT_RESOLVER) as resolver_process:
            assert resolver_process.stdout is not None
            assert resolver_process.stdout.readline() == "bound\n"
            run = failed_run(start_once(namespace, tmp_path, CONFIG.replace("192.0.2.1", "relay.example.com")))
    finally:
        shutil.rmtree(resolver.parent)
    assert (run["failure"]["step"], run["failure"]["reason"]) == ("resolve", "timeout")
    assert run["durationSeconds"] < 3


@pytest.fixture
def far(namespace: str) -> Iterator[str]:
    """Create a second network namespace, and yield its name."""
    name = f"{namespace}-far"
    assert ip("netns", "add", name)
    yield name
    ip("netns", "delete", name)


def _join(namespace: str, far: str) -> None:
    """Configure the two interfaces of a link, near0 and far0."""
    for name, link, address in ((namespace, "near0", "192.0.2.2/24"), (far, "far0", "192.0.2.1/24")):
        assert ip("netns", "exec", name, "ip", "address", "add", address, "dev", link)
        assert ip("netns", "exec", name, "ip", "link", "set", link, "up")


def test_lost_packets_delay_messages_and_lose_none(
    namespace: str, far: str, engine_program: Path, tmp_path: Path
) -> None:
    with run_in(namespace, sys.executable, "-c", LOSSY_LINE) as line:
        assert line.stdout is not None
        if line.stdout.readline() != "open\n":
            pytest.skip("no tun device can be created: that needs root and /dev/net/tun")
        assert ip("netns", "exec", namespace, "ip", "link", "set", "far0", "netns", far)
        _join(namespace, far)
        with run_in(far, str(engine_program), "-listen", "192.0.2.1:80") as engine:
            assert engine.stdout is not None
            assert engine.stdout.readline().startswith("listening")
            config = CONFIG.replace("messages: 1, timeout: 1s", "messages: 3, timeout: 15s, wallet_delay: 0s")
            once = start_once(namespace, tmp_path, config)
            stdout, stderr = once.communicate(timeout=100)
    assert once.returncode == 0, stderr
    (run,) = json.loads(stdout)
    assert run["outcome"] == "ok"
    assert {message["verdict"] for message in run["messages"]} == {"delivered"}


def test_a_link_that_goes_down_during_a_session_is_reported_as_silent(
    namespace: str, far: str, engine_program: Path, tmp_path: Path
) -> None:
    """The connection is half-open: neither side is notified, and nothing is refused."""
    assert ip("link", "add", "near0", "netns", namespace, "type", "veth", "peer", "name", "far0", "netns", far)
    _join(namespace, far)
    with run_in(far, str(engine_program), "-listen", "192.0.2.1:80") as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline().startswith("listening")
        config = CONFIG.replace("timeout: 1s", "timeout: 1s, settle: 3s, wallet_delay: 0s")
        once = start_once(namespace, tmp_path, config)
        _wait(lambda: _connections(far) == 2)
        time.sleep(1)  # the pairing, which takes milliseconds
        assert ip("netns", "exec", far, "ip", "link", "set", "far0", "down")
        run = failed_run(once)
    assert (run["failure"]["step"], run["failure"]["reason"]) == ("publish", "silent")

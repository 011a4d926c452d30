"""The monitor's own network, cut in a network namespace: three relays and a reference beyond a link."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import Samples, samples, total
from tests.faults.test_routes import INSTALL, failed_run, ip, namespace, run_in, start_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["namespace"]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.required_as_root("network namespaces"),
]

RELAYS = ("192.0.2.11", "192.0.2.12", "192.0.2.13")
REFERENCES = ("192.0.2.21", "192.0.2.22")
PORT = 8000

CONFIG = """
server: {listen: "127.0.0.1:9464"}
references: [%s]
relays: [%s]
probes:
  - {name: steady, scenario: steady-messaging, message_interval: 1s, settle: 0s, timeout: 2s, pairs: 1}
"""

LISTEN = """
import socket, sys, time
servers = [socket.create_server((host, 443)) for host in sys.argv[1:]]
print("listening", flush=True)
time.sleep(600)
"""

FETCH = """
import json, sys, urllib.request
for _ in sys.stdin:
    try:
        page = urllib.request.urlopen("http://127.0.0.1:9464/metrics", timeout=5).read().decode()
    except OSError:
        page = ""
    print(json.dumps(page), flush=True)
"""
"""Prints the page of the monitor for each line that it reads: a new process for each page would take the processor."""

POLL = 0.25
"""Seconds between two looks at the page."""


class Link:
    """The monitor in the namespace `here`, and beyond a link `far`, with the relays' and the references' addresses."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self.here, self.far = f"relay-monitor-{os.getpid()}-here", f"relay-monitor-{os.getpid()}-far"
        for name in (self.here, self.far):
            if not ip("netns", "add", name):
                pytest.skip(f"no network namespace can be created: {INSTALL}")
            stack.callback(ip, "netns", "delete", name)
            assert ip("netns", "exec", name, "ip", "link", "set", "lo", "up")
        assert ip("link", "add", "near0", "netns", self.here, "type", "veth", "peer", "name", "far0", "netns", self.far)
        for name, link, addresses in (
            (self.here, "near0", ("192.0.2.1",)),
            (self.far, "far0", (*RELAYS, *REFERENCES)),
        ):
            for address in addresses:
                assert ip("netns", "exec", name, "ip", "address", "add", f"{address}/24", "dev", link)
            assert ip("netns", "exec", name, "ip", "link", "set", link, "up")
        self.relays: list[subprocess.Popen[str]] = []
        self._fetcher = stack.enter_context(run_in(self.here, sys.executable, "-c", FETCH, stdin=subprocess.PIPE))

    def start_relays(self) -> None:
        for host in RELAYS:
            command = (sys.executable, "-m", "monitor", "relay", "--listen", f"{host}:{PORT}")
            self.relays.append(self._stack.enter_context(run_in(self.far, *command)))

    def kill_relays(self) -> None:
        for relay in self.relays:
            relay.kill()
        self.relays.clear()

    def start_references(self) -> None:
        listening = self._stack.enter_context(run_in(self.far, sys.executable, "-c", LISTEN, *REFERENCES))
        assert listening.stdout is not None
        assert listening.stdout.readline() == "listening\n"

    def start_monitor(self, *, references: bool) -> None:
        relays = ", ".join(f'{{name: r{host[-2:]}, url: "ws://{host}:{PORT}/connection/websocket"}}' for host in RELAYS)
        asked = ", ".join(f'"{host}:443"' for host in REFERENCES) if references else ""
        file = self._folder / "config.yaml"
        file.write_text(CONFIG % (asked, relays), encoding="utf-8")
        log = self._stack.enter_context((self._folder / "log").open("w"))
        self._stack.enter_context(
            run_in(self.here, sys.executable, "-m", "monitor", "run", "--config", str(file), stdout=log, stderr=log)
        )

    def cut(self, at: str = "far") -> None:
        assert self._set_link(at, "down")

    def restore(self, at: str = "far") -> None:
        assert self._set_link(at, "up")

    def _set_link(self, at: str, state: str) -> bool:
        namespace, link = (self.far, "far0") if at == "far" else (self.here, "near0")
        return ip("netns", "exec", namespace, "ip", "link", "set", link, state)

    def page(self) -> Samples:
        assert self._fetcher.stdin is not None
        assert self._fetcher.stdout is not None
        self._fetcher.stdin.write("\n")
        self._fetcher.stdin.flush()
        return samples(json.loads(self._fetcher.stdout.readline()))

    def until(self, condition: Callable[[Samples], bool], seconds: float = 60) -> Samples:
        """Wait until a condition on the page holds, and return that page."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.page()
            with contextlib.suppress(AssertionError):
                if condition(found):
                    return found
            time.sleep(POLL)
        raise AssertionError((self._folder / "log").read_text()[-4000:])


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    with contextlib.ExitStack() as stack:
        yield Link(stack, tmp_path)


@pytest.fixture
def hosts(namespace: str) -> Iterator[Callable[[str], int]]:
    """Write the names that the namespace knows."""
    folder = Path("/etc/netns") / namespace
    folder.mkdir(parents=True)
    yield partial((folder / "hosts").write_text, encoding="ascii")
    shutil.rmtree(folder)


BY_NAME = """
relays: [{name: far, url: "ws://relay.test/connection/websocket", endpoints: [{dns: "relay.test:80"}]}]
probes:
  - {name: session, scenario: realistic-session, schedule: {every: 5m}, messages: 1, timeout: 5s, wallet_delay: 0s}
"""


def test_a_node_by_name_without_a_route_of_ours_is_no_node(
    namespace: str, hosts: Callable[[str], int], tmp_path: Path
) -> None:
    """Before, every run in which a participant met the IPv6 address was aborted."""
    hosts("127.0.0.1 relay.test\n2001:db8::1 relay.test\n2001:db8::2 relay.test\n")
    with run_in(namespace, sys.executable, "-m", "monitor", "relay", "--listen", "127.0.0.1:80") as relay:
        assert relay.stdout is not None
        assert relay.stdout.readline()
        for _ in range(3):
            once = start_once(namespace, tmp_path, BY_NAME)
            stdout, stderr = once.communicate(timeout=60)
            assert once.returncode == 0, stderr
            assert [run["outcome"] for run in json.loads(stdout)] == ["ok"]


def test_a_name_with_addresses_of_another_family_only_says_what_to_do(
    namespace: str, hosts: Callable[[str], int], tmp_path: Path
) -> None:
    hosts("2001:db8::1 relay.test\n")
    run = failed_run(start_once(namespace, tmp_path, BY_NAME))
    assert run["outcome"] == "aborted"
    assert run["failure"]["detail"].startswith("no IPv6 route from here to [2001:db8::1]:80; set ip_protocol: ip4")


def ups(found: Samples) -> list[float]:
    """Return `relay_up` of the relays that have one."""
    return [value for (name, _), value in found.items() if name == "relay_up"]


def failed(check: str) -> Callable[[Samples], bool]:
    return lambda found: total(found, "relay_monitor_failed_check", check=check) == 1


def all_up(found: Samples) -> bool:
    return ups(found) == [1, 1, 1] and total(found, "relay_monitor_healthy") == 1


def test_without_references_a_cut_link_is_one_failed_check_and_no_relay_is_down(link: Link) -> None:
    """Before, each relay was down, and each paged."""
    link.start_relays()
    link.start_monitor(references=False)
    link.until(all_up)
    link.cut()
    found = link.until(failed("all_relays"))
    assert 0 not in ups(found)
    assert total(found, "relay_monitor_healthy") == 0
    link.restore()
    found = link.until(all_up, 120)
    assert total(found, "relay_monitor_failed_check") == 0


def test_without_references_a_real_outage_of_all_relays_still_pages_as_that_one_check(link: Link) -> None:
    link.start_relays()
    link.start_monitor(references=False)
    link.until(all_up)
    link.kill_relays()
    link.until(failed("all_relays"))
    time.sleep(30)  # it lasts as long as the outage
    found = link.page()
    assert total(found, "relay_monitor_failed_check", check="all_relays") == 1
    assert 0 not in ups(found)
    link.start_relays()
    link.until(all_up, 120)


def test_with_references_that_answer_a_common_outage_is_down_for_each(link: Link) -> None:
    link.start_relays()
    link.start_references()
    link.start_monitor(references=True)
    link.until(all_up)
    link.kill_relays()
    found = link.until(lambda found: ups(found) == [0, 0, 0])
    assert total(found, "relay_monitor_healthy") == 1
    assert total(found, "relay_monitor_reference_up") == 1


def both(found: Samples) -> bool:
    return failed("all_relays")(found) and failed("network")(found)


@pytest.mark.parametrize("at", ["far", "here"], ids=["packets are lost", "no route from here"])
def test_with_references_a_cut_link_is_both_checks_until_it_is_back(link: Link, at: str) -> None:
    """Before, it was `network` only, so that nothing paged for 15 minutes."""
    link.start_relays()
    link.start_references()
    link.start_monitor(references=True)
    link.until(all_up)
    link.cut(at)
    found = link.until(lambda found: both(found) and total(found, "relay_monitor_reference_up") == 0)
    assert 0 not in ups(found)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:  # neither ends before the other
        found = link.page()
        assert both(found)
        assert 0 not in ups(found)
        time.sleep(1)
    link.restore(at)
    found = link.until(all_up, 120)
    assert total(found, "relay_monitor_failed_check") == 0

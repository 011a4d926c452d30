"""The network of a world, in namespaces of Linux: hosts with a link each to a router, and the names that they know.

A location has a second link, over which Prometheus scrapes its monitor: a location can be cut off from the relays while
its monitor is scraped, or altogether. Needs root. Namespaces and links are gone with `delete`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCATIONS: Final = ("fra", "iad", "sin")
CENTRAL: Final = "central"
RELAYS: Final = "relays"
REFERENCES: Final = "references"
ROUTER: Final = "router"

NUMBERS: Final = {name: number for number, name in enumerate((*LOCATIONS, RELAYS, REFERENCES), 1)}
"""The number of each host's subnets."""

RELAY: Final = f"10.20.{NUMBERS[RELAYS]}.2"
STAGING: Final = f"10.20.{NUMBERS[RELAYS]}.3"
NAMES: Final = {
    "relay.example.com": RELAY,
    "relay.staging.example.com": STAGING,
    "reference-1.example.net": f"10.20.{NUMBERS[REFERENCES]}.2",
    "reference-2.example.org": f"10.20.{NUMBERS[REFERENCES]}.3",
}
"""The addresses behind the names in the example's configuration."""

SETTINGS: Final = Path("/etc/netns")
"""Where `ip netns exec` finds the files that a namespace has in place of those in /etc."""

TIMEOUT: Final = 10.0


class NetworkError(Exception):
    """A namespace or a link cannot be made. The message has the command and what it said."""


def ip(*arguments: str) -> str:
    """Run `ip` and return what it prints. Raises `NetworkError`."""
    program = shutil.which("ip")
    if program is None:
        raise NetworkError("there is no `ip`: apt-get install -y iproute2")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode != 0:
        raise NetworkError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """The hosts of one world. Two worlds have equal addresses and different namespaces, by their `name`."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts."""
        return (*NUMBERS, CENTRAL, ROUTER)

    def inside(self, host: str) -> tuple[str, ...]:
        """Return the words before a command that is to run on a host."""
        return ("ip", "netns", "exec", self._namespace(host))

    def create(self) -> None:
        """Create all namespaces and links. Raises `NetworkError`."""
        for host in self.hosts:
            ip("netns", "add", self._namespace(host))
            ip("-n", self._namespace(host), "link", "set", "lo", "up")
        for host, number in NUMBERS.items():
            self._join((host, "out", f"10.20.{number}.2"), (ROUTER, f"to-{host}", f"10.20.{number}.1"))
            self._set_default_route(host)
        for host in (RELAYS, REFERENCES):
            ip("-n", self._namespace(host), "address", "add", f"10.20.{NUMBERS[host]}.3/24", "dev", "out")
        for location in LOCATIONS:
            number = NUMBERS[location]
            self._join((location, "scraped", f"10.30.{number}.2"), (CENTRAL, f"to-{location}", f"10.30.{number}.1"))
        forward = ("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        subprocess.run([*self.inside(ROUTER), *forward], timeout=TIMEOUT, check=True)
        for host, lines in self._host_files():
            folder = SETTINGS / self._namespace(host)
            folder.mkdir(parents=True)
            (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n", "ascii")

    def delete(self) -> None:
        """End what still runs on the hosts, and delete them."""
        for host in self.hosts:
            with suppress(NetworkError):
                for process in ip("netns", "pids", self._namespace(host)).split():
                    with suppress(ProcessLookupError):
                        os.kill(int(process), signal.SIGKILL)
                ip("netns", "delete", self._namespace(host))
            shutil.rmtree(SETTINGS / self._namespace(host), ignore_errors=True)
        with suppress(OSError):
            SETTINGS.rmdir()  # if it is empty

    def cut_egress(self, location: str, *, at_router: bool = False) -> None:
        """Cut a location's way to relays and references: at its own interface, or at the other end of its link."""
        host, link = (ROUTER, f"to-{location}") if at_router else (location, "out")
        self._set_link(host, link, "down")

    def cut_scrapes(self, location: str) -> None:
        """Cut a location's link to Prometheus."""
        self._set_link(location, "scraped", "down")

    def cut_path(self, location: str) -> None:
        """Drop what a location sends to the relay; everything else is forwarded."""
        ip("-n", self._namespace(ROUTER), "rule", "add", *self._path(location))

    def restore(self, location: str) -> None:
        """Repair everything that was cut of a location."""
        for host, link in ((ROUTER, f"to-{location}"), (location, "out"), (location, "scraped")):
            self._set_link(host, link, "up")
        self._set_default_route(location)
        with suppress(NetworkError):
            ip("-n", self._namespace(ROUTER), "rule", "delete", *self._path(location))

    def _namespace(self, host: str) -> str:
        return f"relay-monitor-{self.name}-{host}"

    def _join(self, *ends: tuple[str, str, str]) -> None:
        """Make a link between two hosts, with the name and the address of the interface at each end."""
        (host, link, _), (peer, peer_link, _) = ends
        near = (link, "netns", self._namespace(host), "type", "veth")
        ip("link", "add", *near, "peer", "name", peer_link, "netns", self._namespace(peer))
        for name, interface, address in ends:
            ip("-n", self._namespace(name), "address", "add", f"{address}/24", "dev", interface)
            self._set_link(name, interface, "up")

    def _set_link(self, host: str, link: str, state: str) -> None:
        ip("-n", self._namespace(host), "link", "set", link, state)

    def _set_default_route(self, host: str) -> None:
        """Set a host's default route, which is lost when its interface goes down."""
        ip("-n", self._namespace(host), "route", "replace", "default", "via", f"10.20.{NUMBERS[host]}.1")

    def _path(self, location: str) -> tuple[str, ...]:
        return ("from", f"10.20.{NUMBERS[location]}.2", "to", RELAY, "blackhole")

    def _host_files(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the names that each host knows."""
        for location in LOCATIONS:
            central = f"10.30.{NUMBERS[location]}.1 prometheus.example.com"
            yield location, [*(f"{address} {name}" for name, address in NAMES.items()), central]
        scraped = (
            f"10.30.{NUMBERS[location]}.2 monitor.{location}.example.com prometheus.{location}.example.com"
            for location in LOCATIONS
        )
        yield CENTRAL, ["127.0.0.1 alertmanager prometheus.example.com", *scraped]

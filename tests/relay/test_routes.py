"""Addresses without a route of our own."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest

from monitor.errors import SettingsError
from monitor.relay import routes
from monitor.relay.target import Target
from monitor.vocabulary import Reason, Step
from tests.relay.harness import serving, upgrading

if TYPE_CHECKING:
    from monitor.relay.resolve import AddressInfo
    from tests.relay.harness import RecordingObserver


def address(host: str, port: int = 443) -> AddressInfo:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (host, port, 0, 0) if ":" in host else (host, port))


@pytest.fixture
def without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has no IPv6 route; `has_route` itself is tested in namespaces and below."""
    real = routes.has_route
    monkeypatch.setattr("monitor.relay.dial.has_route", lambda item: item[0] == socket.AF_INET and real(item))


def test_an_address_of_this_machine_has_a_route_and_a_family_it_does_not_know_has_none() -> None:
    assert routes.has_route(address("127.0.0.1"))
    assert not routes.has_route((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%99", 443, 0, 99)))


@pytest.mark.parametrize("number", sorted(routes.NO_ROUTE))
def test_the_kernels_answer_decides(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    class Probe(socket.socket):
        def connect(self, _address: object) -> None:
            raise OSError(number, "no route")

    monkeypatch.setattr(socket, "socket", Probe)
    assert not routes.has_route(address("192.0.2.1"))


def test_an_error_of_another_kind_is_left_to_the_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    class Probe(socket.socket):
        def connect(self, _address: object) -> None:
            raise OSError(errno.EACCES, "a firewall")

    monkeypatch.setattr(socket, "socket", Probe)
    assert routes.has_route(address("192.0.2.1"))


@pytest.mark.usefixtures("without_ipv6")
async def test_an_address_without_a_route_is_no_node(observer: RecordingObserver) -> None:
    """Before, every second connect picked the IPv6 node and was aborted."""
    async with serving(upgrading()) as port:

        async def resolver(*_: object) -> list[AddressInfo]:
            return [address("2001:db8::1", port), address("127.0.0.1", port), address("2001:db8::2", port)]

        for pick in range(6):
            target = Target(url=f"ws://relay.example:{port}", connect_to=f"relay.example:{port}", pick=pick)
            (await observer.dial(target, resolver=resolver)).abort()
    assert observer.failed_families == []


@pytest.mark.usefixtures("without_ipv6")
@pytest.mark.parametrize(
    ("ip_protocol", "advice"),
    [
        ("any", "set ip_protocol: ip4 once the relay has an IPv4 address, or give this machine an IPv6 route"),
        ("ip6", "set ip_protocol: ip4 or any, or give this machine an IPv6 route"),
    ],
)
async def test_a_relay_without_an_address_for_us_is_a_fault_of_its_settings_here(
    observer: RecordingObserver, ip_protocol: str, advice: str
) -> None:
    async def resolver(*_: object) -> list[AddressInfo]:
        return [address("2001:db8::1")]

    with pytest.raises(SettingsError) as caught:
        await observer.dial(Target(url="wss://relay.example", ip_protocol=ip_protocol), resolver=resolver)
    assert (caught.value.step, caught.value.reason) == (Step.TCP, Reason.UNREACHABLE)
    assert caught.value.detail == f"no IPv6 route from here to [2001:db8::1]:443; {advice}"
    assert caught.value.shared == "", "this machine has a network"
    assert observer.failed_families == []


@pytest.mark.usefixtures("without_ipv6")
async def test_a_proxy_has_the_routes_and_the_relay_needs_none(
    observer: RecordingObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolver(host: str, *_: object) -> list[AddressInfo]:
        return [address("2001:db8::1" if host == "relay.example" else "2001:db8::9")]

    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    with pytest.raises(SettingsError) as caught:
        await observer.dial(Target(url="ws://relay.example"), resolver=resolver)
    assert caught.value.step is Step.PROXY
    assert caught.value.detail.startswith("proxy proxy.example:3128: no IPv6 route from here to [2001:db8::9]:443")
    assert caught.value.shared == "proxy proxy.example:3128"


def test_a_machine_without_ipv4_routes_shares_that_among_its_relays() -> None:
    assert routes.no_route_error(Step.TCP, [address("192.0.2.1")], "any").shared == routes.NETWORK
    assert routes.no_route_error(Step.TCP, [address("2001:db8::1")], "any").shared == ""
    both = routes.no_route_error(Step.TCP, [address("192.0.2.1"), address("2001:db8::1")], "any")
    assert both.detail == "no IPv4 and no IPv6 route from here to 192.0.2.1:443, [2001:db8::1]:443"

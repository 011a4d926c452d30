"""Routes that end: in a network namespace of the test's own, since no test may change this machine's routes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSTALL = "apt-get install -y iproute2, and run as root where network namespaces are allowed"

CONFIG = """
relays: [{name: far, url: "ws://192.0.2.1/connection/websocket"}]
probes: [{name: session, scenario: realistic-session, schedule: {every: 5m}, messages: 1, timeout: 1s}]
"""


def _ip(*arguments: str) -> bool:
    ip = shutil.which("ip")
    return (
        ip is not None
        and subprocess.run([ip, *arguments], capture_output=True, timeout=10, check=False).returncode == 0
    )


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network of its own with nothing but a loopback."""
    name = f"relay-monitor-{os.getpid()}"
    if not _ip("netns", "add", name):
        pytest.skip(f"no network namespace can be made: {INSTALL}")
    try:
        assert _ip("netns", "exec", name, "ip", "link", "set", "lo", "up")
        yield name
    finally:
        _ip("netns", "delete", name)


@pytest.mark.parametrize(
    ("route", "outcome", "cause"),
    [
        (("unreachable", "192.0.2.0/24"), "failed", ("tcp", "unreachable")),
        ((), "aborted", None),
    ],
    ids=["a router says there is no way", "no route of our own"],
)
def test_a_route_that_ends_is_the_relays_and_none_at_all_is_ours(
    namespace: str, tmp_path: Path, route: tuple[str, ...], outcome: str, cause: tuple[str, str] | None
) -> None:
    if route:
        assert _ip("netns", "exec", namespace, "ip", "route", "add", *route)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    command = ("ip", "netns", "exec", namespace, sys.executable, "-m", "monitor", "once", "--config", str(config))
    done = subprocess.run(
        [*command, "--output", "json"], capture_output=True, text=True, timeout=30, check=False, cwd=ROOT
    )
    (run,) = json.loads(done.stdout)
    assert done.returncode == 1
    assert run["outcome"] == outcome
    if cause is not None:
        assert (run["failure"]["step"], run["failure"]["reason"]) == cause

"""The tiers of the tests, and what keeps a test in its tier.

A test is `integration` when it starts a program, ours or a foreign one; `slow` when it takes seconds; `alone` when it
holds real time against bounds that a busy machine breaks. A test that is none of these is `unit`. Markers say so, and
where a fixture or another marker already shows it, this module adds them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

STARTS_PROGRAMS = frozenset({"engine_program", "toxiproxy_program", "node_packages"})
"""Fixtures of which every user is an integration test."""

OTHER_TIERS = ("integration", "slow", "alone")

PROCESS_EVENTS = frozenset({"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"})
"""Audit events of Python with which a program starts."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--alone`, which splits a run into a parallel and a serial phase and leaves `-m` to the user."""
    parser.addoption("--alone", choices=("skip", "only"), help="leave out the tests marked alone, or run only these")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the markers that a test's fixtures and other markers imply, and select what `--alone` asks for."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if item.get_closest_marker("required_counterpart") or not STARTS_PROGRAMS.isdisjoint(fixtures):
            item.add_marker("integration")
        if not any(item.get_closest_marker(tier) for tier in OTHER_TIERS):
            item.add_marker("unit")
    if (asked := config.getoption("alone")) is not None:
        selected: dict[bool, list[pytest.Item]] = {True: [], False: []}
        for item in items:
            selected[(item.get_closest_marker("alone") is not None) == (asked == "only")].append(item)
        config.hook.pytest_deselected(items=selected[False])
        items[:] = selected[True]


class _Guard:
    """Refuses to start a program while a unit test runs. An audit hook cannot be removed, so there is one."""

    def __init__(self) -> None:
        self.test: str | None = None
        sys.addaudithook(self._audit)

    def _audit(self, event: str, _: tuple[Any, ...]) -> None:
        if self.test is not None and event in PROCESS_EVENTS:
            raise RuntimeError(f"{self.test} starts a program: mark it with pytest.mark.integration")


_GUARD = _Guard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hold a unit test to its tier while it runs."""
    _GUARD.test = item.nodeid if item.get_closest_marker("unit") else None
    try:
        return (yield)
    finally:
        _GUARD.test = None

"""The tiers of tests, as pytest markers, and the phases in which `tests.phases` runs them.

`integration`: starts a program. `slow`: takes seconds. `alone`: compares real time with bounds that fail on a busy
machine. `unit`: all others. This module adds the markers that follow from fixtures and other markers.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

STARTS_PROGRAMS = frozenset({"engine_program", "centrifugo_program", "toxiproxy_program", "node_packages"})
"""Fixtures whose users are integration tests."""

WAITING = ("tests/cluster/", "tests/e2e/", "tests/field/")
COMPUTING = ("tests/slo/",)
"""Folders whose tests take up to minutes, and wait most of it, or compute: half of the workers begin with each."""

ALONE = b"mark.alone"
"""In a file without it there is no test of the phase `alone`."""

BROWSER = "tests/browser"
"""Folder of the tests in a browser."""


class Phase(StrEnum):
    """Part of all tests. Tests in a browser share daemons, and Playwright has the main thread: one process has them."""

    PARALLEL = "parallel"
    BROWSER = "browser"
    ALONE = "alone"


OTHER_TIERS = ("integration", "slow", "alone")

PROCESS_EVENTS = frozenset({"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"})
"""Audit events of Python that start a program."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--phase`."""
    parser.addoption("--phase", choices=[*Phase], help="run the tests of this phase")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files without a test of the phase: their import takes most of the time of a short phase."""
    phase = config.getoption("phase")
    if phase is None or collection_path.suffix != ".py":
        return None
    if phase == Phase.ALONE:
        return ALONE not in collection_path.read_bytes() or None
    is_in_browser = collection_path.is_relative_to(config.rootpath / BROWSER)
    return is_in_browser != (phase == Phase.BROWSER) or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add markers, and apply `--phase`."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if item.get_closest_marker("required_counterpart") or not STARTS_PROGRAMS.isdisjoint(fixtures):
            item.add_marker("integration")
        if not any(item.get_closest_marker(tier) for tier in OTHER_TIERS):
            item.add_marker("unit")
    if (phase := config.getoption("phase")) is not None:
        _must_be_found([item for item in items if _phase_of(item) == Phase.ALONE])
        selected: dict[bool, list[pytest.Item]] = {True: [], False: []}
        for item in items:
            selected[_phase_of(item) == phase].append(item)
        config.hook.pytest_deselected(items=selected[False])
        items[:] = selected[True]
    # Playwright keeps an event loop in the main thread until the session ends: tests that run their own come before.
    items.sort(key=lambda item: item.nodeid.startswith(f"{BROWSER}/"))
    if (workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))) > 1:
        items[:] = _long_ones_first(items, workers)


def _must_be_found(alone: list[pytest.Item]) -> None:
    """Raise `UsageError` if the phase `alone` would leave out a file with such tests: they would run in no phase."""
    for path in {item.path for item in alone}:
        if ALONE not in path.read_bytes():
            raise pytest.UsageError(f"{path}: has tests with the marker alone: write pytest.mark.alone in this file")


def _phase_of(item: pytest.Item) -> Phase:
    if item.get_closest_marker("alone") is not None:
        return Phase.ALONE
    return Phase.BROWSER if item.nodeid.startswith(f"{BROWSER}/") else Phase.PARALLEL


def _long_ones_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests in an order whose equal parts, one for each worker, begin with long ones."""
    waiting = [item for item in items if item.nodeid.startswith(WAITING)]
    computing = [item for item in items if item.nodeid.startswith(COMPUTING)]
    others = iter([item for item in items if not item.nodeid.startswith((*WAITING, *COMPUTING))])
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        long, of_kind = (computing, workers // 2) if worker % 2 else (waiting, (workers + 1) // 2)
        ordered += long[worker // 2 :: of_kind]
        size = len(items) * (worker + 1) // workers - len(ordered)
        ordered += [item for _, item in zip(range(size), others, strict=False)]
    return ordered + list(others)


class _Guard:
    """Prevents unit tests from starting programs. An audit hook cannot be removed, so there is only one."""

    def __init__(self) -> None:
        self.test: str | None = None
        sys.addaudithook(self._audit)

    def _audit(self, event: str, _: tuple[Any, ...]) -> None:
        if self.test is not None and event in PROCESS_EVENTS:
            raise RuntimeError(f"{self.test} starts a program: mark it with pytest.mark.integration")


_GUARD = _Guard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Enable the guard while a unit test runs."""
    _GUARD.test = item.nodeid if item.get_closest_marker("unit") else None
    try:
        return (yield)
    finally:
        _GUARD.test = None

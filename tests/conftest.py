"""What every test stands on: hypothesis' profiles, logging as it was, and counterparts that must be there under CI."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

pytest_plugins = ["pytester", "tests.relays", "tests.faults.toxiproxy", "tests.tiers"]

CI = os.environ.get("CI") == "true"

# No deadline: the machine's load is not the code's fault. Under CI the same examples each time, so that red stays red.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if CI else "default")

# looptime asks for the current loop around every test; up to Python 3.13 that makes one where none was ever set, and
# nobody closes it.
asyncio.set_event_loop(None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CI, fail a test marked `required_counterpart` that skips: a green run has met every counterpart."""
    report = yield
    if CI and report.skipped and item.get_closest_marker("required_counterpart"):
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        report.longrepr = f"{item.nodeid}: CI must meet every real counterpart, but this was skipped: {reason}"
    return report


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A test may run a command, which sets up logging for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("apscheduler", "uvicorn", "websockets")}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, number in levels.items():
        logging.getLogger(name).setLevel(number)

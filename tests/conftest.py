"""Plugins, hypothesis profiles, logging, and what tests require in CI."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

pytest_plugins = ["pytester", "tests.relays", "tests.faults.toxiproxy", "tests.loop_watch", "tests.tiers"]

CI = os.environ.get("CI") == "true"
ALL_CASES = not CI or "ALL_CASES" in os.environ
"""Whether cases that take minutes of the processor run; CI leaves them to targets of make."""

AS_ROOT = os.geteuid() == 0

# No deadline, since the machine may be busy. In CI the examples are the same each time.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if CI else "default")

# looptime gets the current event loop around every test; up to Python 3.13 this creates one, which is never closed,
# unless one was set before.
asyncio.set_event_loop(None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, fail a test marked `required_counterpart` that is skipped; as root, also one marked `required_as_root`."""
    report = yield
    required = item.get_closest_marker("required_counterpart") or (
        AS_ROOT and item.get_closest_marker("required_as_root")
    )
    if CI and report.skipped and required:
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        report.longrepr = f"{item.nodeid}: CI requires every real counterpart, but this was skipped: {reason}"
    return report


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Restore logging, which a command sets up for the whole process.

    Tracebacks are plain, as in the program: structlog's own take a tenth of a second of CPU time.
    """
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("apscheduler", "uvicorn", "websockets")}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, number in levels.items():
        logging.getLogger(name).setLevel(number)


@pytest.fixture
def no_older_objects() -> Iterator[None]:
    """Hide the objects of earlier tests, which are millions, from `gc.get_objects`."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()

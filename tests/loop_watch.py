"""Nothing blocks an event loop: tests of the daemon fail on a blocking call there, and on a step of more than 50 ms.

A step is one callback of the loop. What counts is the CPU time of its thread, so that a busy machine changes nothing;
garbage collection, whose cost is that of all objects of the test process, is subtracted. blockbuster would do for the
calls, but it needs forbiddenfruit, which has had no release since 2021 and no wheel.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    from _pytest.monkeypatch import MonkeyPatch

MAX_STEP: Final = 0.05
"""Seconds of CPU time that one step of the program may take."""

BLOCKING_EVENTS: Final = frozenset(
    {
        "fcntl.flock",
        "fcntl.lockf",
        "open",
        "os.chmod",
        "os.link",
        "os.listdir",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.scandir",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.getnameinfo",
        "sqlite3.connect",
        "subprocess.Popen",
        "time.sleep",
    }
)
"""Audit events of calls that may wait for a disk, a resolver or another process."""

BLOCKING_FUNCTIONS: Final = (
    (os, "stat"),
    (os, "fsync"),
    (ssl.SSLContext, "load_cert_chain"),
    (ssl.SSLContext, "load_default_certs"),
    (ssl.SSLContext, "load_verify_locations"),
    (threading.Condition, "wait"),
    (threading.Thread, "join"),
)
"""Calls that raise no audit event."""

PROGRAM: Final = str(Path(__file__).parents[1] / "monitor") + os.sep
TESTS: Final = str(Path(__file__).parent) + os.sep
ALLOWED_FILES: Final = ("/proc/", "/sys/", "/dev/null", ":memory:", PROGRAM)
"""Files of the kernel and databases in memory, which wait for no disk, and of the program itself, read once."""

ALLOWED_CALLERS: Final = ("<frozen importlib", "linecache", "/rich/", "traceback.py")
"""Imports, and tracebacks of bugs."""


class LoopWatch:
    """Finds blocking calls and long steps of the program on any event loop while `active`."""

    def __init__(self) -> None:
        self.active = False
        self.found: list[str] = []
        self.longest_step = 0.0
        self._outer: asyncio.AbstractEventLoop | None = None
        """A loop that runs around the whole test: Playwright's runs for as long as a browser of the process is open."""

        self._collecting = 0.0
        self._collected = 0.0
        sys.addaudithook(self._audit)  # it cannot be removed, so there is only one

    def watch(self, patch: MonkeyPatch) -> None:
        """Watch until `patch` is undone."""
        self.found, self.longest_step = [], 0.0
        self._outer = asyncio._get_running_loop()
        gc.callbacks.append(self._time_collection)
        for owner, name in BLOCKING_FUNCTIONS:
            patch.setattr(owner, name, self._checked(getattr(owner, name), f"{owner.__name__}.{name}"))
        patch.setattr(asyncio.Handle, "_run", self._timed(asyncio.Handle._run))
        patch.setattr(self, "active", True)

    def stop(self) -> None:
        """End the watch, before `patch` is undone."""
        gc.callbacks.remove(self._time_collection)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.active and event in BLOCKING_EVENTS:
            self._check(event, arguments)

    def _checked(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def checked(*arguments: Any, **more: Any) -> Any:
            self._check(name, arguments)
            return function(*arguments, **more)

        return checked

    def _check(self, call: str, arguments: tuple[Any, ...]) -> None:
        if asyncio._get_running_loop() in {None, self._outer} or _is_test(asyncio.current_task()):
            return
        if arguments and isinstance(arguments[0], (str, os.PathLike)):
            if os.fspath(arguments[0]).startswith(ALLOWED_FILES):
                return
        elif call == "open":
            return  # an open descriptor
        if (position := _position(sys._getframe(2))) is not None:
            self.found.append(f"{call}({', '.join(map(repr, arguments[:1]))}) on the event loop: {position}")

    def _timed(self, run: Callable[[asyncio.Handle], None]) -> Callable[[asyncio.Handle], None]:
        def timed(handle: asyncio.Handle) -> None:
            if getattr(handle, "_loop", None) is self._outer is not None:
                run(handle)
                return
            callback, collected = getattr(handle, "_callback", None), self._collected
            started = time.thread_time()
            run(handle)
            spent = time.thread_time() - started - (self._collected - collected)
            if spent > self.longest_step and (work := _work(callback)) is not None:
                self.longest_step = spent
                if spent > MAX_STEP:
                    self.found.append(f"a step of {spent * 1000:.0f} ms on the event loop: {work}")

        return timed

    def _time_collection(self, phase: str, _: dict[str, int]) -> None:
        if asyncio._get_running_loop() is None:
            return
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting


def _position(frame: FrameType | None) -> str | None:
    """Return the line of the program that makes a call, or None if it is a test's, or allowed."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(TESTS) or any(part in name for part in ALLOWED_CALLERS):
            return None
        if frame.f_code is threading.Thread.start.__code__:
            return None  # waits for the thread to run, not to end
        if name.startswith(PROGRAM):
            if frame.f_locals.get("flags", 0) == socket.AI_NUMERICHOST:
                return None  # no query
            return f"{Path(name).relative_to(Path(PROGRAM).parent)}:{frame.f_lineno}, {frame.f_code.co_name}"
        frame = frame.f_back
    return None


def _work(callback: Any) -> str | None:
    """Return what a callback runs, or None if it is a test's."""
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        coroutine = task.get_coro()
        return None if _is_test(task) else f"task {task.get_name()!r}, {getattr(coroutine, '__qualname__', coroutine)}"
    return repr(callback)


def _is_test(task: asyncio.Task[Any] | None) -> bool:
    """Return True for a task that a test or a library began, as pytest-asyncio begins the test itself."""
    code: CodeType | None = getattr(task.get_coro(), "cr_code", None) if task is not None else None
    return code is not None and not code.co_filename.startswith(PROGRAM)


_WATCH: Final = LoopWatch()


@pytest.fixture
def loop_watch(monkeypatch: MonkeyPatch) -> Iterator[LoopWatch]:
    """Fail the test if its program blocks an event loop."""
    with monkeypatch.context() as patch:
        _WATCH.watch(patch)
        yield _WATCH
        _WATCH.stop()
    if _WATCH.found:
        pytest.fail("\n".join(sorted(set(_WATCH.found))))


WATCHED_FOLDERS: Final = frozenset(
    {"daemon", "health", "journal", "probes", "reachability", "relay", "schedule", "web"}
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let all tests of some folders use `loop_watch`, unless they are marked `blocks_loop`."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if folder in WATCHED_FOLDERS and not item.get_closest_marker("blocks_loop"):
            getattr(item, "fixturenames", []).append("loop_watch")

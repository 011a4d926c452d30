"""`run --watch`: reload the configuration when the content of its file has changed.

The content is compared, not the file's time or inode: Kubernetes replaces a symbolic link to the folder of a mounted
ConfigMap, editors replace the file, and other tools write into it.
"""

from __future__ import annotations

import asyncio
import hashlib
import stat
from typing import TYPE_CHECKING, Final

import structlog

from monitor.config.document import MAX_BYTES
from monitor.daemon.lifecycle import StoppingError
from monitor.errors import MonitorError
from monitor.threads import BoundedCalls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_log = structlog.get_logger(__name__)

CHECK_INTERVAL: Final = 10.0
"""Seconds between two looks at the file."""

STABLE_TIME: Final = 1.0
"""Seconds for which new content must stay the same: a file that is being written may be valid and incomplete."""

RETRY_INTERVAL: Final = 60.0
"""Seconds between attempts to load content that could not be loaded: a file that it names may appear later."""

READ_TIMEOUT: Final = 5.0
"""Seconds that one read of the file may take."""


class WatchedFile:
    """The configuration file, and the content that was loaded last. Its methods may block.

    load: reads and checks the file and applies nothing. Raises `MonitorError`.
    """

    def __init__(self, path: Path, load: Callable[[], object]) -> None:
        self.path = path
        self.load = load
        self.loaded = ""

    def mark_loaded(self) -> None:
        """Remember the present content. To be called before it is loaded: a change between the two is then found."""
        self.loaded = self.content()

    def content(self) -> str:
        """Return what identifies the content: a hash, or the error of a file that cannot be read."""
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):
                return "not a regular file"  # a pipe has its content once
            with self.path.open("rb") as file:
                return hashlib.sha256(file.read(MAX_BYTES + 1)).hexdigest()
        except OSError as error:
            return f"cannot be read: {error.strerror}"


class ConfigWatch:
    """Reloads when a watched file has changed.

    Content that cannot be loaded is reported once: `reload` logs and exports it. It is then tried quietly, and applied
    once it can be loaded.
    """

    def __init__(
        self, file: WatchedFile, reload: Callable[[], Awaitable[None]], calls: BoundedCalls | None = None
    ) -> None:
        """Watch `file`. `reload` marks its content, and loads and applies it; it raises `MonitorError`."""
        self._file = file
        self._reload = reload
        self._calls = calls or BoundedCalls()
        self._hangs = False
        self._retry_at: float | None = None

    async def run(self) -> None:
        """Compare the content every `CHECK_INTERVAL` seconds, until cancelled."""
        _log.info("configuration file watched", path=str(self._file.path), seconds=CHECK_INTERVAL)
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            if await self._has_changed():
                _log.info("configuration reload requested", by="change of the file", path=str(self._file.path))
                await self._apply()
            elif self._retry_at is not None and asyncio.get_running_loop().time() >= self._retry_at:
                if await self._loads():
                    await self._apply()
                else:
                    self._retry_at += RETRY_INTERVAL

    async def _has_changed(self) -> bool:
        """Return True if there is new content that has stopped changing."""
        content = await self._content()
        if content in {None, self._file.loaded}:
            return False
        await asyncio.sleep(STABLE_TIME)
        return await self._content() == content

    async def _content(self) -> str | None:
        """Return the file's content, or None while its read hangs, which is logged once."""
        try:
            content = await self._calls.call("watch of the configuration", self._file.content, READ_TIMEOUT)
        except TimeoutError:
            if not self._hangs:
                _log.warning("the configuration file does not answer", path=str(self._file.path), seconds=READ_TIMEOUT)
            self._hangs = True
            return None
        self._hangs = False
        return content

    async def _apply(self) -> None:
        self._retry_at = None
        try:
            await self._reload()
        except StoppingError:
            return
        except MonitorError:
            # Content that loads and is refused needs a restart: trying it again would report it again.
            if not await self._loads():
                self._retry_at = asyncio.get_running_loop().time() + RETRY_INTERVAL

    async def _loads(self) -> bool:
        try:
            await self._calls.call("trial of the configuration", self._file.load, READ_TIMEOUT)
        except (MonitorError, TimeoutError):
            return False
        return True

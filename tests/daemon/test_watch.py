"""`run --watch`: each change of the file is one reload, and no read of it blocks the event loop. In virtual time."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from monitor.daemon.lifecycle import StoppingError
from monitor.daemon.watch import CHECK_INTERVAL, READ_TIMEOUT, RETRY_INTERVAL, STABLE_TIME, ConfigWatch, WatchedFile
from monitor.errors import StartupError
from monitor.threads import BoundedCalls
from tests.daemon.harness import Daemon, samples, total
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path
    from typing import TypeVar

    Result = TypeVar("Result")

GOOD, BETTER, BAD = "relays: []", "relays: [one]", "bad"


class ImmediateCalls(BoundedCalls):
    """Calls that end before time advances."""

    async def call(self, name: str, work: Callable[[], Result], timeout: float) -> Result:
        with ThreadPoolExecutor(1, thread_name_prefix=name) as pool:
            return pool.submit(work).result(timeout)


class ConfigMap:
    """A folder as the kubelet writes it: `config.yaml` → `..data/config.yaml`, `..data` → the newest version."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.number = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "config.yaml"
        self.path.symlink_to("..data/config.yaml")
        self.replace(text)

    def replace(self, text: str) -> None:
        """Write a new version, and rename a link to it over the old one."""
        self.number += 1
        version = self.folder / f"..version_{self.number}"
        version.mkdir()
        (version / "config.yaml").write_text(text)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.folder / "..data")


class Reloads:
    """What a daemon does with the file: it loads what does not contain `bad`, and refuses what contains `refused`."""

    def __init__(self, path: Path) -> None:
        self.file = WatchedFile(path, self.load)
        self.applied: list[str] = []
        self.failed = 0
        self.missing: Path | None = None
        self.file.mark_loaded()

    def load(self) -> str:
        try:
            text = self.file.path.read_text()
        except OSError as error:
            raise StartupError(str(error.strerror)) from None
        if BAD in text or (self.missing is not None and not self.missing.exists()):
            raise StartupError("bad")
        return text

    async def reload(self) -> None:
        try:
            text = await ImmediateCalls().call("reload", self._read, 5.0)
        except StartupError:
            self.failed += 1
            raise
        self.applied.append(text)

    def _read(self) -> str:
        self.file.mark_loaded()
        text = self.load()
        if "refused" in text:
            raise StartupError("needs a restart")
        return text


@asynccontextmanager
async def watching(reloads: Reloads, calls: BoundedCalls | None = None) -> AsyncIterator[None]:
    task = asyncio.create_task(ConfigWatch(reloads.file, reloads.reload, calls or ImmediateCalls()).run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()


@pytest.fixture
def mounted(tmp_path: Path) -> ConfigMap:
    return ConfigMap(tmp_path / "mounted", GOOD)


@WITHOUT_SOCKETS
class TestWatch:
    async def test_a_replaced_link_is_one_reload_within_eleven_seconds(self, mounted: ConfigMap) -> None:
        reloads = Reloads(mounted.path)
        async with watching(reloads):
            await asyncio.sleep(CHECK_INTERVAL * 3.5)
            assert reloads.applied == []
            mounted.replace(BETTER)
            await asyncio.sleep(CHECK_INTERVAL + STABLE_TIME)
            assert reloads.applied == [BETTER]
            await asyncio.sleep(CHECK_INTERVAL * 10)
            assert reloads.applied == [BETTER]

    async def test_a_link_to_the_same_content_is_no_reload(self, mounted: ConfigMap) -> None:
        reloads = Reloads(mounted.path)
        async with watching(reloads):
            mounted.replace(GOOD)
            mounted.path.resolve().touch()
            await asyncio.sleep(CHECK_INTERVAL * 3)
            assert (reloads.applied, reloads.failed) == ([], 0)

    async def test_content_that_cannot_be_loaded_is_tried_once_and_the_next_one_is_applied(
        self, mounted: ConfigMap
    ) -> None:
        reloads = Reloads(mounted.path)
        async with watching(reloads):
            mounted.replace(BAD)
            await asyncio.sleep(RETRY_INTERVAL * 10)
            assert (reloads.applied, reloads.failed) == ([], 1)
            mounted.replace(f"{BAD} in another way")
            await asyncio.sleep(RETRY_INTERVAL * 10)
            assert (reloads.applied, reloads.failed) == ([], 2)
            mounted.replace(GOOD)
            await asyncio.sleep(CHECK_INTERVAL + STABLE_TIME)
            assert (reloads.applied, reloads.failed) == ([GOOD], 2)

    async def test_a_file_that_the_content_names_may_appear_later(self, mounted: ConfigMap, tmp_path: Path) -> None:
        """Kubernetes updates each volume at a time of its own: a token may come after the relay that needs it."""
        reloads = Reloads(mounted.path)
        async with watching(reloads):
            reloads.missing = tmp_path / "token"
            mounted.replace(BETTER)
            await asyncio.sleep(RETRY_INTERVAL * 3)
            assert (reloads.applied, reloads.failed) == ([], 1)
            reloads.missing.touch()
            await asyncio.sleep(RETRY_INTERVAL + CHECK_INTERVAL)
            assert (reloads.applied, reloads.failed) == ([BETTER], 1)

    async def test_content_that_is_refused_is_refused_once(self, mounted: ConfigMap) -> None:
        reloads = Reloads(mounted.path)
        async with watching(reloads):
            mounted.replace("refused: it loads, and needs a restart")
            await asyncio.sleep(RETRY_INTERVAL * 10)
            assert (reloads.applied, reloads.failed) == ([], 1)

    async def test_a_file_that_is_being_written_is_left_until_it_stays_the_same(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(GOOD)
        reloads = Reloads(path)
        async with watching(reloads):
            text = "relays: ["
            for number in range(60):
                text += f"{number}, "
                path.write_text(text)
                await asyncio.sleep(0.9)
            assert (reloads.applied, reloads.failed) == ([], 0)
            path.write_text(text + "]")
            await asyncio.sleep((CHECK_INTERVAL + STABLE_TIME) * 2)
            assert reloads.applied == [text + "]"]

    async def test_a_removed_file_is_reported_once_and_found_again(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(GOOD)
        reloads = Reloads(path)
        async with watching(reloads):
            path.unlink()
            await asyncio.sleep(RETRY_INTERVAL * 3)
            assert (reloads.applied, reloads.failed) == ([], 1)
            path.write_text(GOOD)
            await asyncio.sleep(CHECK_INTERVAL + STABLE_TIME)
            assert reloads.applied == [GOOD]

    async def test_a_read_that_hangs_blocks_nothing_and_is_logged_once(self, mounted: ConfigMap) -> None:
        reloads, hang, threads = Reloads(mounted.path), threading.Event(), threading.active_count()
        hanging = WatchedFile(mounted.path, reloads.load)
        hanging.loaded = reloads.file.loaded
        hanging.content = hang.wait  # type: ignore[assignment,method-assign] # it returns once the test ends
        reloads.file = hanging
        with capture_logs() as lines:
            async with watching(reloads, BoundedCalls()):
                await asyncio.sleep((CHECK_INTERVAL + READ_TIMEOUT) * 10)
                assert threading.active_count() == threads + 1
        hang.set()
        assert [line["event"] for line in lines] == [
            "configuration file watched",
            "the configuration file does not answer",
        ]

    async def test_a_monitor_that_stops_is_left_alone(self, mounted: ConfigMap) -> None:
        reloads = Reloads(mounted.path)

        async def stopping() -> None:
            reloads.failed += 1
            reloads.file.loaded = await ImmediateCalls().call("mark", reloads.file.content, 5.0)
            raise StoppingError

        reloads.reload = stopping  # type: ignore[method-assign]
        async with watching(reloads):
            mounted.replace(BETTER)
            await asyncio.sleep(RETRY_INTERVAL * 3)
            assert reloads.failed == 1


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    """Its content is there once, for the start."""
    os.mkfifo(tmp_path / "config.yaml")
    file = WatchedFile(tmp_path / "config.yaml", lambda: None)
    file.mark_loaded()
    assert file.content() == file.loaded == "not a regular file"


@pytest.fixture
def watching_daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, "--watch")
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.mark.integration
@pytest.mark.slow
def test_a_daemon_reloads_by_itself_and_keeps_its_configuration_if_the_new_one_is_invalid(
    watching_daemon: Daemon,
) -> None:
    daemon = watching_daemon
    text = daemon.path.read_text()
    daemon.until(lambda: daemon.get("/-/ready").status_code == 200)

    def reloaded() -> float:
        return total(samples(daemon.get("/metrics").text), "relay_monitor_config_last_reload_successful")

    def relays() -> list[str]:
        return [relay["name"] for relay in daemon.get("/api/v1/status").json()["relays"]]

    daemon.path.write_text(text + "relayz: []\n")
    daemon.until(lambda: reloaded() == 0)
    assert relays() == ["demo"]
    daemon.path.write_text(text.replace("name: demo", "name: renamed"))
    daemon.until(lambda: relays() == ["renamed"])
    assert reloaded() == 1
    logged = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    failures = [line["why"] for line in logged if line["event"] == "configuration reload failed"]
    assert len(failures) == 1
    assert "relayz: is not a key here; did you mean relays?" in failures[0]

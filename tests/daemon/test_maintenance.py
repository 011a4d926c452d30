"""Maintenance on demand survives a restart, excludes what fails, and stands in log and journal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from monitor.clock import SYSTEM_CLOCK
from monitor.daemon.maintenance import NAME, MaintenanceOnDemand
from monitor.errors import RequestError
from monitor.state import StateFolder

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.schedule import Window


class Process:
    """What one process of the monitor does with its windows."""

    def __init__(self, folder: Path) -> None:
        self.state = StateFolder(folder)
        self.changes: list[tuple[str, str]] = []
        self.windows = MaintenanceOnDemand(
            self.state, SYSTEM_CLOCK, relays=lambda: ["a", "b"], configured=tuple, on_change=self._on_change
        )
        self.windows.read()

    def _on_change(self, window: Window, what: str) -> None:
        self.changes.append((window.id, what))

    def stop(self) -> None:
        self.windows.close(5)
        self.state.close()


def test_a_window_survives_a_restart(tmp_path: Path) -> None:
    first = Process(tmp_path)
    window = first.windows.start(["a"], 600, "deploy", "ana")
    ended = first.windows.start(["b"], 600, "network", "ana")
    first.windows.end(ended.id)
    first.stop()
    assert first.changes == [(window.id, "started"), (ended.id, "started"), (ended.id, "ended")]
    second = Process(tmp_path)
    assert second.windows.list() == (window,)
    assert second.windows.windows.active("a", SYSTEM_CLOCK.time()) == window
    second.windows.end(window.id)
    second.stop()
    assert Process(tmp_path).windows.list() == ()


def test_a_window_that_ended_while_no_monitor_ran_is_logged_once(tmp_path: Path) -> None:
    first = Process(tmp_path)
    window = first.windows.start(["a"], 600, "deploy", "ana")
    first.stop()
    file = tmp_path / NAME
    file.write_text(file.read_text().replace(window.end.isoformat(), window.start.isoformat()))
    with capture_logs() as lines:
        second = Process(tmp_path)
    assert second.windows.list() == ()
    assert second.changes == [(window.id, "expired")]
    assert [(line["event"], line["window"], line["note"]) for line in lines] == [
        ("maintenance expired", window.id, "no monitor ran at its end")
    ]
    second.stop()
    assert Process(tmp_path).changes == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"windows": [{"id": "x"}]}',
        b"[" * 100_000,
        json.dumps({"windows": [{"id": "x", "relays": [], "start": "", "end": "", "reason": "", "by": ""}]}).encode(),
    ],
)
def test_a_damaged_file_is_said_and_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with capture_logs() as lines:
        assert Process(tmp_path).windows.list() == ()
    assert [line["event"] for line in lines] == ["maintenance windows of the last run ignored: damaged"]


def test_a_file_that_promises_a_longer_window_is_not_believed(tmp_path: Path) -> None:
    first = Process(tmp_path)
    first.windows.start(["a"], 600, "deploy", "ana")
    first.stop()
    stored = json.loads((tmp_path / NAME).read_text())
    stored["windows"][0]["end"] = "2999-01-01T00:00:00+00:00"
    (tmp_path / NAME).write_text(json.dumps(stored))
    windows = Process(tmp_path).windows.windows
    assert windows._open  # it counts, for the longest time that is allowed
    assert all(entry.end - SYSTEM_CLOCK.monotonic() <= 4 * 3600 for entry in windows._open.values())


def test_each_change_is_logged_with_who_and_until_when(tmp_path: Path) -> None:
    process = Process(tmp_path)
    with capture_logs() as lines:
        window = process.windows.start(None, 600, "deploy", "ana")
        process.windows.end(window.id, by="ben")
    assert [line["event"] for line in lines] == ["maintenance started", "maintenance ended"]
    started, ended = lines
    assert (started["relays"], started["reason"], started["started_by"]) == (["a", "b"], "deploy", "ana")
    assert (ended["window"], ended["by"]) == (window.id, "ben")


def test_a_relay_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    process = Process(tmp_path)
    with pytest.raises(RequestError, match="no relay 'c'"):
        process.windows.start(["a", "c"], 600, "deploy", "ana")
    assert process.windows.list() == ()

"""Standard streams that are closed, full, not read, or of another encoding."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from monitor import streams
from monitor.errors import OutputError
from monitor.logs import configure, report_lost_lines
from monitor.streams import MAX_QUEUED_BYTES, Stderr, Stdout, shows_colors
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]

DAEMON = """
location: here
server: {{listen: "127.0.0.1:{port}"}}
relays: [{{name: gone, url: "ws://127.0.0.1:{gone}/connection/websocket"}}]
probes: [{{name: steady, scenario: steady-messaging, message_interval: 1s}}]
"""

ONCE = """
relays: [{name: demo, url: embedded}]
probes: [{name: idle, scenario: steady-state, timeout: 1s}]
"""

LOAD = ("load", "--target", "embedded", "--connections", "1", "--ramp-up", "0", "--output")


class Pipe:
    """A pipe; `full` ones accept nothing until they are read."""

    def __init__(self, *, full: bool = False) -> None:
        self.reader, self.writer = os.pipe()
        self.filling = 0
        if full:
            os.set_blocking(self.writer, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.filling += os.write(self.writer, b"\0" * 4096)
            os.set_blocking(self.writer, True)

    def close(self) -> None:
        for descriptor in (self.reader, self.writer):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def read_all(self) -> bytes:
        """Close the writing end, and return what was written after the filling."""
        os.close(self.writer)
        with open(self.reader, "rb", closefd=False) as file:
            return file.read()[self.filling :]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def full_pipe() -> Iterator[Pipe]:
    made = Pipe(full=True)
    yield made
    made.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.yaml"
    path.write_text(ONCE)
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "monitor", *map(str, arguments)]


def shell(arguments: list[str], redirections: str) -> subprocess.CompletedProcess[str]:
    script = f"exec {shlex.join(arguments)} {redirections}"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


class TestStderr:
    def test_without_a_queue_lines_are_written_at_once(self, pipe: Pipe) -> None:
        Stderr(pipe.writer).write(b"first\n")
        assert pipe.read_all() == b"first\n"

    def test_queued_lines_are_written_in_order(self, pipe: Pipe) -> None:
        stderr = Stderr(pipe.writer)
        stderr.start_queue(_ignore)
        for number in range(100):
            stderr.write(b"%d\n" % number)
        assert stderr.drain()
        stderr.write(b"later\n")
        stderr.end_queue()
        stderr.write(b"last\n")
        assert pipe.read_all().split() == [b"%d" % number for number in range(100)] + [b"later", b"last"]

    def test_a_reader_that_stops_blocks_nobody_and_is_told_how_many_lines_it_missed(self, full_pipe: Pipe) -> None:
        stderr = Stderr(full_pipe.writer)
        line = b"x" * 999 + b"\n"
        count = 3 * MAX_QUEUED_BYTES // len(line)
        stderr.start_queue(lambda lost: _ignore(stderr.write(b"lost %d\n" % lost)))
        for _ in range(count):
            stderr.write(line)
        # The notice is the last line, or lines follow it that were written after the thread took the first ones.
        received = _read_until(full_pipe.reader, b"lost")
        stderr.write(b"last\n")
        *lines, last = (received + _read_until(full_pipe.reader, b"last"))[full_pipe.filling :].splitlines()
        assert last == b"last"
        notices = [each for each in lines if each.startswith(b"lost ")]
        kept = lines.count(line.rstrip())
        assert len(lines) == kept + len(notices)
        assert kept + sum(int(each.removeprefix(b"lost ")) for each in notices) == count
        assert MAX_QUEUED_BYTES - len(line) < kept * len(line) <= 2 * MAX_QUEUED_BYTES

    def test_the_end_waits_once_for_a_bounded_time(self, full_pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams, "FLUSH_TIMEOUT", 0.05)
        stderr = Stderr(full_pipe.writer)
        stderr.start_queue(_ignore)
        stderr.write(b"stuck\n")
        assert not stderr.drain()
        monkeypatch.setattr(streams, "FLUSH_TIMEOUT", 60)
        stderr.end_queue()
        stderr.write(b"later\n")
        assert _read_until(full_pipe.reader, b"later\n").endswith(b"stuck\nlater\n")
        assert stderr.drain()

    @pytest.mark.parametrize("has_queue", [False, True])
    def test_a_pipe_without_a_reader_loses_lines_only(self, pipe: Pipe, *, has_queue: bool) -> None:
        os.close(pipe.reader)
        stderr = Stderr(pipe.writer)
        if has_queue:
            stderr.start_queue(_ignore)
        assert stderr.write(b"nobody\n") == 7
        assert stderr.drain()
        assert stderr.write(b"reads\n") == 6
        assert stderr.drain()

    def test_a_finalizer_may_write_while_its_thread_writes(self, pipe: Pipe) -> None:
        stderr = Stderr(pipe.writer)
        stderr.start_queue(_ignore)
        with stderr._changed:
            stderr.write(b"inner\n")
        stderr.end_queue()
        assert pipe.read_all() == b"inner\n"

    def test_the_notice_of_lost_lines_is_a_log_line_at_every_level(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure("json", "error")
        report_lost_lines(7)
        line = json.loads(capsys.readouterr().err)
        assert (line["event"], line["lines"], line["level"]) == ("log lines lost", 7, "error")


@pytest.mark.parametrize("stream", [Stdout, Stderr])
def test_a_pipe_that_another_process_made_non_blocking_gets_everything(
    stream: Callable[[int], io.RawIOBase], pipe: Pipe
) -> None:
    os.set_blocking(pipe.writer, False)
    data = bytes(range(256)) * 4096
    writing = threading.Thread(target=stream(pipe.writer).write, args=(data,))
    writing.start()
    with open(pipe.reader, "rb", closefd=False) as file:
        assert file.read(len(data)) == data
    writing.join()


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", b"\xe2\x82\xac \\ud800"), ("latin-1", b"\\u20ac \\ud800"), ("ascii", b"\\u20ac \\ud800")],
)
def test_what_an_encoding_lacks_is_written_with_backslashes(encoding: str, written: bytes, pipe: Pipe) -> None:
    previous = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    streams._text(Stdout(pipe.writer), previous).write("€ \ud800")
    assert pipe.read_all() == written


def test_an_output_error_says_what_is_wrong(pipe: Pipe) -> None:
    os.close(pipe.reader)
    with pytest.raises(OutputError, match="stdout: Broken pipe") as raised:
        Stdout(pipe.writer).write(b"result")
    assert raised.value.reader_gone
    with pytest.raises(OutputError, match="stdout: Bad file descriptor") as raised:
        Stdout(-1).write(b"result")
    assert not raised.value.reader_gone


@pytest.mark.parametrize(("terminal_type", "colors"), [("xterm", True), ("dumb", False), ("unknown", False)])
def test_a_dumb_terminal_gets_no_colors(terminal_type: str, *, colors: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", terminal_type)
    main, terminal = pty.openpty()
    with os.fdopen(terminal, "w", encoding="utf-8") as stream:
        assert shows_colors(stream) is colors
    os.close(main)


@pytest.mark.integration
class TestDaemon:
    def test_a_stderr_that_nobody_reads_stops_neither_probes_nor_pages_nor_sigterm(
        self, tmp_path: Path, full_pipe: Pipe
    ) -> None:
        path = tmp_path / "monitor.yaml"
        port = closed_port()
        path.write_text(DAEMON.format(port=port, gone=closed_port()))
        url = f"http://127.0.0.1:{port}"
        arguments = command("run", "--config", path)
        with subprocess.Popen(arguments, stdout=full_pipe.writer, stderr=full_pipe.writer, cwd=ROOT) as process:
            try:
                down = re.compile(r'^relay_up{[^}]*relay="gone"} 0', re.MULTILINE)
                _until(lambda: down.search(httpx.get(url + "/metrics", timeout=2).text) is not None)
                assert httpx.get(url + "/-/healthy", timeout=2).status_code == 200
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
            finally:
                process.kill()

    @pytest.mark.parametrize("redirections", ["<&-", ">&- 2>&-"])
    def test_it_runs_with_closed_streams_and_stops(self, redirections: str, tmp_path: Path) -> None:
        path = tmp_path / "monitor.yaml"
        port = closed_port()
        path.write_text(DAEMON.format(port=port, gone=closed_port()))
        script = f"exec {shlex.join(command('run', '--config', path))} {redirections}"
        with subprocess.Popen(["sh", "-c", script], stderr=subprocess.DEVNULL, cwd=ROOT) as process:
            try:
                _until(lambda: httpx.get(f"http://127.0.0.1:{port}/-/ready", timeout=2).status_code == 200)
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
            finally:
                process.kill()


@pytest.mark.integration
@pytest.mark.slow
class TestClosed:
    @pytest.mark.parametrize("redirections", ["<&-", "2>&-"])
    def test_without_stdin_or_stderr_results_are_as_ever(self, redirections: str, config: Path, tmp_path: Path) -> None:
        done = shell(command("once", "--config", config), redirections)
        assert (done.returncode, done.stdout[:2], done.stderr) == (0, "ok", "")
        done = shell(command(*LOAD, tmp_path / "result.json"), redirections)
        assert done.returncode == 0
        assert "PASS" in done.stdout

    def test_workers_have_streams_of_their_own(self, tmp_path: Path) -> None:
        target = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        flags = ("--connections", "2", "--ramp-up", "0", "--timeout", "1", "--workers", "2")
        done = shell(command("load", "--target", target, *flags, "--output", tmp_path / "result.json"), "<&- 2>&-")
        assert done.returncode == 1
        assert "FAIL" in done.stdout
        assert json.loads((tmp_path / "result.json").read_text())["meta"]["workers"] == 2

    @pytest.mark.parametrize("redirections", [">&-", "1</dev/null"])
    def test_without_stdout_it_is_said_what_is_missing(self, redirections: str, config: Path, tmp_path: Path) -> None:
        complaint = "relay-monitor: stdout: Bad file descriptor\n"
        textfile = tmp_path / "relay.prom"
        done = shell(command("once", "--config", config, "--textfile", textfile), redirections)
        assert (done.returncode, done.stderr) == (2, complaint)
        assert "relay_once_success" in textfile.read_text()
        result = tmp_path / "result.json"
        done = shell(command(*LOAD, result), redirections)
        assert (done.returncode, done.stderr) == (2, complaint)
        assert json.loads(result.read_text())["passed"] is True
        for arguments in (
            ("check", "--config", config),
            ("schema",),
            ("--help",),
            ("relay", "--listen", "127.0.0.1:0"),
        ):
            done = shell(command(*arguments), redirections)
            assert (done.returncode, done.stderr) == (2, complaint), arguments

    def test_without_any_stream_the_exit_status_remains(self, config: Path, tmp_path: Path) -> None:
        assert shell(command("once", "--config", config), "<&- >/dev/null 2>&-").returncode == 0
        assert shell(command("once", "--config", config), "<&- >&- 2>&-").returncode == 2
        assert shell(command("check", "--config", tmp_path / "none.yaml"), "<&- >&- 2>&-").returncode == 2


@pytest.mark.integration
@pytest.mark.slow
class TestReader:
    def test_a_stderr_that_accepts_nothing_changes_no_exit_status(self, config: Path, tmp_path: Path) -> None:
        assert shell(command("once", "--config", config), "2>/dev/full").returncode == 0
        assert shell(command("check", "--config", tmp_path / "none.yaml"), "2>/dev/full").returncode == 2
        assert shell(command("relay", "--listen", "x"), "2>/dev/full").returncode == 2

    def test_a_reader_that_has_gone_ends_the_command_quietly(self, config: Path, tmp_path: Path, pipe: Pipe) -> None:
        os.close(pipe.reader)
        textfile = tmp_path / "relay.prom"
        for arguments in (
            ("once", "--config", config, "--textfile", textfile),
            ("schema",),
            (*LOAD, tmp_path / "r.json"),
        ):
            done = subprocess.run(
                command(*arguments), stdout=pipe.writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
                cwd=ROOT,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (141, ""), arguments
        assert textfile.exists()
        assert (tmp_path / "r.json").exists()

    def test_an_error_whose_reader_has_gone_keeps_its_exit_status(self, tmp_path: Path, pipe: Pipe) -> None:
        os.close(pipe.reader)
        for arguments in (("check", "--config", tmp_path / "none.yaml"), ("relay", "--listen", "x")):
            assert (
                subprocess.run(command(*arguments), stderr=pipe.writer, timeout=60, check=False, cwd=ROOT).returncode
                == 2
            )

    def test_a_load_test_ends_although_nobody_reads_its_messages(self, tmp_path: Path, full_pipe: Pipe) -> None:
        done = subprocess.run(
            command(*LOAD, tmp_path / "result.json"), stdout=subprocess.PIPE, stderr=full_pipe.writer, text=True,
            timeout=60, check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0
        assert "PASS" in done.stdout

    @pytest.mark.parametrize("arguments", [("once", "--config"), LOAD])
    def test_results_that_nobody_reads_do_not_hold_off_sigterm(
        self, arguments: tuple[str, ...], tmp_path: Path, config: Path, full_pipe: Pipe
    ) -> None:
        last = config if arguments[0] == "once" else tmp_path / "result.json"
        with subprocess.Popen(
            command(*arguments, last), stdout=full_pipe.writer, stderr=full_pipe.writer, cwd=ROOT
        ) as process:
            try:
                _until(lambda: _is_blocked_in_write(process.pid))
                process.send_signal(signal.SIGTERM)
                assert process.wait(5) == -signal.SIGTERM
            finally:
                process.kill()

    def test_a_terminal_that_is_stopped_does_not_stop_a_load_test(self, tmp_path: Path) -> None:
        main, terminal = pty.openpty()  # a terminal that nobody reads accepts a few kilobytes
        result = tmp_path / "result.json"
        arguments = ("load", "--target", "embedded", "--connections", "5", "--ramp-up", "4", "--output", result)
        try:
            done = subprocess.run(
                command(*arguments), stdout=subprocess.PIPE, stderr=terminal, text=True, timeout=60, check=False,
                cwd=ROOT, env=os.environ | {"TERM": "xterm"},
            )  # fmt: skip
        finally:
            os.close(main)
            os.close(terminal)
        assert done.returncode == 0
        assert "PASS" in done.stdout


def _ignore(_: object) -> None:
    pass


def _read_until(descriptor: int, ending: bytes) -> bytes:
    """Read until a line has `ending`, to the end of a line; more lines may follow it."""
    found = b""
    while not (ending in found and found.endswith(b"\n")):
        found += os.read(descriptor, 65536)
    return found


def _until(is_true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if is_true():
                return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def _is_blocked_in_write(pid: int) -> bool:
    """Return True if the main thread of a process is in the system call write(1, …)."""
    number, first, *_ = [*Path(f"/proc/{pid}/syscall").read_text().split(), ""]
    return (number, first) in {("1", "0x1"), ("64", "0x1")}  # of x86-64 and arm64

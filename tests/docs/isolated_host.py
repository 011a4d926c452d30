"""A reader's machine: namespaces with a network of their own, over this machine's files, which no command changes.

Commands of the documentation run here as they are written: with the default ports, as root, in the folder of the
project, with `relay-monitor` installed. All names of the examples lead to 127.0.0.0/8.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.docs.blocks import ROOT

if TYPE_CHECKING:
    from types import TracebackType

PREPARE: Final = """
mount -t tmpfs tmpfs "$FOLDER"
for folder in "$@"; do
    part="$FOLDER/parts/$folder"
    mkdir -p "$part/upper" "$part/work" "$FOLDER/merged"
    mount -t overlay -o "lowerdir=$folder,upperdir=$part/upper,workdir=$part/work" overlay "$FOLDER/merged$folder"
done
mount --rbind /dev "$FOLDER/merged/dev"
mount --rbind /sys "$FOLDER/merged/sys"
mount -t proc proc "$FOLDER/merged/proc"
ip link set lo up
mkdir -p "$FOLDER/merged/run/reader"
exec chroot "$FOLDER/merged" sleep infinity
"""
"""The file systems in the arguments are laid over by empty ones. The first process waits."""

SHELL: Final = """
cd "$(cat /run/reader/folder)"
. /run/reader/variables
trap 'export -p > /run/reader/variables; pwd > /run/reader/folder' EXIT
"""
"""Makes each command continue the shell of the one before: its variables and its folder."""

START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 15.0
POLL: Final = 0.05
LISTENING: Final = "0A"
"""The state of a socket in /proc/net/tcp."""


class IsolatedHost:
    """The machine, while the context lasts; `folder` is an empty one. `env` replaces the whole environment.

    Raises `OSError` with the kernel's message, for example if the caller is not root.
    """

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder = folder
        self._env = env
        self._pid = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        parts = [str(folder) for folder in _file_systems(ROOT, Path(sys.prefix), Path(sys.base_prefix))]
        isolate = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc", PREPARE, "sh"]
        log = self._folder / "host.log"
        with log.open("wb") as output:
            first = subprocess.Popen(
                [*isolate, *parts], env=os.environ | {"FOLDER": str(self._folder)}, stdout=output, stderr=output
            )
        self._processes.append(first)
        deadline = time.monotonic() + START_TIMEOUT
        while not self._pid:
            if first.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise OSError(log.read_text("utf-8").strip() or "the host did not start")
            for child in _children(first):
                if Path(f"/proc/{child}/comm").read_text("ascii").strip() == "sleep":
                    self._pid = child
            time.sleep(POLL)
        self.write("/run/reader/folder", str(ROOT))
        self.write("/run/reader/variables", "")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes of the machine."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()

    def path(self, name: str) -> Path:
        """Return the path, from outside, of a file; a relative name begins at the folder of the project."""
        return Path(f"/proc/{self._pid}/root", str(ROOT / name).removeprefix("/"))

    def write(self, name: str, text: str) -> None:
        """Write a file, and the folders that it needs."""
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(text, "utf-8")

    def copy(self, source: Path, name: str) -> None:
        """Copy a file of this machine."""
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, self.path(name))

    def run(self, command: str, timeout: float, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Its variables and its folder are those of the next one; `typed` is its input.

        Raises `subprocess.TimeoutExpired`.
        """
        process = subprocess.Popen(
            self._inside(SHELL + command), env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True, cwd="/",
        )  # fmt: skip
        try:
            stdout, stderr = process.communicate(typed, timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)

    def start(self, command: str, log: str) -> subprocess.Popen[bytes]:
        """Start a program that runs until it is stopped. Its output goes to the file `log` in the folder."""
        command = re.sub(r"^((?:\w+=\S* )*)(?!exec )", r"\1exec ", command)  # it gets the signals itself
        with (self._folder / log).open("ab") as output:
            process = subprocess.Popen(
                self._inside(SHELL + command), env=self._env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, cwd="/",
            )  # fmt: skip
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a command that was started, as a service manager does, and wait until it has ended."""
        for child in _children(process):
            os.kill(child, signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.remove(process)

    def listens(self, address: str) -> bool:
        """Return whether a process of the machine listens on an address of IPv4, or on all of its port."""
        host, _, port = address.partition(":")
        local = {f"{part}:{int(port):04X}" for part in (socket.inet_aton(host)[::-1].hex().upper(), "0" * 8, "0" * 32)}
        tables = [Path(f"/proc/{self._pid}/net/{name}").read_text("ascii") for name in ("tcp", "tcp6")]
        rows = [line.split() for table in tables for line in table.splitlines()[1:]]
        return any(row[1] in local and row[3] == LISTENING for row in rows)

    def _inside(self, script: str) -> list[str]:
        namespaces = ["--mount", "--net", "--pid", "--root", "--wd"]
        return ["nsenter", f"--target={self._pid}", *namespaces, "bash", "-c", script]


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the ids, outside, of the processes that a running one has started."""
    if process.poll() is not None:
        return []
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()]


def _file_systems(*paths: Path) -> list[Path]:
    """Return the mount points on the ways to these paths, those that contain others first."""
    ways = {folder for path in paths for folder in (path.resolve(), *path.resolve().parents)}
    return sorted(folder for folder in ways if folder.is_mount())

"""Run what an image says as a container does: its user, its environment, its command, and a root that is read-only."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

PREPARE: Final = """
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --bind /dev "$ROOT/dev"
mount -o remount,bind,ro "$ROOT"
exec chroot --userspec="$CONTAINER_USER" --groups= "$ROOT" env -i $VARIABLES "$@"
"""
"""In mount and process namespaces of its own: files, then the command as process 1 without privileges."""


RUN_TIMEOUT: Final = 300.0
"""Seconds for a command: `simulate` takes most of a minute of CPU."""


class Container:
    """A process of an image. `environ` is added to the image's own."""

    def __init__(self, root: Path, config: dict[str, Any], environ: dict[str, str]) -> None:
        self._root = root
        self._config = config
        self._variables = {**dict(pair.split("=", 1) for pair in config["Env"]), **environ}

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command, by default the image's own, in namespaces of its own; the network is the host's."""
        words = command or (*self._config["Entrypoint"], *self._config["Cmd"])
        environ = {
            "PATH": os.environ["PATH"],
            "ROOT": str(self._root),
            "CONTAINER_USER": self._config["User"],
            "VARIABLES": " ".join(f"{name}={value}" for name, value in self._variables.items()),  # without spaces
        }
        return subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", PREPARE, "sh", *words],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Raises `TimeoutExpired`."""
        with self.start(*command) as process:
            try:
                stdout, stderr = process.communicate(timeout=RUN_TIMEOUT)
            finally:
                process.kill()  # if it has not ended
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def child_of(process: subprocess.Popen[str]) -> int:
    """Return the id, outside, of the process that runs inside the namespaces."""
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(children, encoding="ascii") as listed:  # noqa: PTH123 - a file of the kernel
        return int(listed.read().split()[0])


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Stop a container as Docker does, and return its status and its log."""
    os.kill(child_of(process), signal.SIGTERM)
    _, log = process.communicate(timeout=15)
    return process.returncode, log

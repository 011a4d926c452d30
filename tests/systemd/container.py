"""A systemd of its own: process 1 of new namespaces, on a copy of this host's files that is gone afterwards."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.image.container import child_of

if TYPE_CHECKING:
    from types import TracebackType

SYSTEMD: Final = Path("/usr/lib/systemd/systemd")

FILES: Final = """
mount -t tmpfs -o mode=755 tmpfs "$FOLDER"
mkdir "$FOLDER/upper" "$FOLDER/work" "$FOLDER/root"
mount -t overlay -o "lowerdir=/,upperdir=$FOLDER/upper,workdir=$FOLDER/work" overlay "$FOLDER/root"
cd "$FOLDER/root"
mount -t proc proc proc
mount --rbind /dev dev
rm -rf etc/systemd/system/*
chroot . sh -euc "$INSTALL" >&2
umount --lazy dev
umount proc
# Read by systemd in its own network, where the names of others lead nowhere.
printf '127.0.0.1 localhost\\n' > etc/hosts
exec unshare --net --pid --fork --kill-child --uts --ipc --cgroup --propagation private sh -euc "$BOOT"
"""
"""In a mount namespace: a layer above this host's files, in which `$INSTALL` is run."""

BOOT: Final = """
ip link set lo up
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir .outside
pivot_root . .outside
cd /
umount --lazy .outside
# systemd expects it of who starts it in a container: mounts of credentials are made in a namespace below.
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /usr/lib/systemd/systemd --unit=basic.target --show-status=no
"""
"""As process 1 of namespaces: the file systems of a container, then systemd."""

MASKED: Final = ("systemd-udevd.service", "systemd-timesyncd.service", "systemd-resolved.service", "getty.target")
"""Units of the host's Debian that a container does not need."""

TIMEOUT: Final = 60.0


class Container:
    """A systemd that runs. As a context manager it is started and ended.

    `install` is a shell script that is run in the copy of the host's files before, with the host's network.
    """

    def __init__(self, folder: Path, install: str) -> None:
        self._folder, self._install = folder, install
        self._group = _cgroups() / f"relay-monitor-{os.getpid()}"
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._group.mkdir()
        masks = "".join(f"ln -s /dev/null /etc/systemd/system/{unit}\n" for unit in MASKED)
        environ = os.environ | {"FOLDER": str(self._folder), "INSTALL": masks + self._install, "BOOT": BOOT}
        # In a group of its own, which is the root of the groups that systemd sees: it moves all processes of its root.
        enter = f'echo "$$" > {self._group}/cgroup.procs\nexec unshare --mount --propagation private sh -euc "$FILES"'
        self._process = subprocess.Popen(
            ["sh", "-euc", enter], env=environ | {"FILES": FILES}, stdin=subprocess.DEVNULL, text=True
        )
        try:
            self._wait_for_boot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # process 1 ends with it, and all others with process 1
        self._process.wait()
        deadline = time.monotonic() + TIMEOUT
        while "populated 1" in (self._group / "cgroup.events").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        for folder, _, _ in sorted(os.walk(self._group), reverse=True):
            with suppress(OSError):
                Path(folder).rmdir()

    def run(self, *command: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command beside systemd, as root."""
        inside = ("nsenter", "--target", str(self._first), "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup")
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "PAGER": "cat", **(environ or {})}
        return subprocess.run(
            [*inside, *command], env=variables, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )

    @property
    def _first(self) -> int:
        """The id of its process 1 outside."""
        return child_of(self._process)

    def _wait_for_boot(self) -> None:
        """Wait until systemd has started what it starts by itself. Raises `RuntimeError`."""
        while self._process.poll() is None:
            with suppress(OSError, IndexError):
                state = self.run("systemctl", "is-system-running").stdout.strip()
                if state in {"running", "degraded"}:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"systemd does not start: exit status {self._process.returncode}")


def _cgroups() -> Path:
    """Return where the unified hierarchy of control groups is mounted."""
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():
        _, path, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(path)
    raise RuntimeError("no cgroup2 is mounted")

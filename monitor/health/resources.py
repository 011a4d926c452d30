"""What the machine gives this process, and how little of it is left: descriptors and memory."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTORS: Final = Path("/proc/self/fd")
STATM: Final = Path("/proc/self/statm")
CGROUP: Final = Path("/proc/self/cgroup")
CGROUPS: Final = Path("/sys/fs/cgroup")

MEMORY_SHARE: Final = 0.95
"""The share of a memory limit from which it counts as exhausted: past it the kernel reclaims, and everything waits."""

_PAGE: Final = resource.getpagesize()


def spare_descriptors(limit: int) -> int:
    """Descriptors that must stay free: a pair's reconnect, a scrape and the journal need some at once."""
    return min(64, max(8, limit // 50))


def exhausted() -> Iterator[str]:
    """What is nearly exhausted now, in words; nothing where all is well or where the machine does not say."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = descriptors_used()
    if limit != resource.RLIM_INFINITY and used is not None and used > limit - spare_descriptors(limit):
        yield f"descriptors nearly exhausted: {min(used, limit)} of {limit} in use"
    elif used is None and not _may_open():
        yield "descriptors exhausted: the machine has none left"
    memory = memory_used()
    if memory is None:
        return
    size, resident = memory
    allowed = memory_limit()
    if allowed is not None and resident > allowed * MEMORY_SHARE:
        yield f"memory nearly exhausted: {_mib(resident)} of the {_mib(allowed)} its cgroup may have"
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY and size > address_space * MEMORY_SHARE:
        yield f"memory nearly exhausted: {_mib(size)} of an address space of {_mib(address_space)}"


def descriptors_used() -> int | None:
    """Descriptors this process has open; None where that cannot be told."""
    try:
        # The listing has one open itself.
        return len(os.listdir(DESCRIPTORS)) - 1  # noqa: PTH208 - numbers are enough, and this is done every second
    except OSError as error:
        if error.errno == errno.EMFILE:
            return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return None


def memory_used() -> tuple[int, int] | None:
    """The address space and the resident memory of this process, in bytes; None where that cannot be told."""
    try:
        size, resident, *_ = STATM.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return int(size) * _PAGE, int(resident) * _PAGE


def memory_limit() -> int | None:
    """The strictest memory limit of this process' cgroup and those above it, in bytes; None where there is none."""
    try:
        lines = CGROUP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    limits: list[int] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            limits += _limits_above(CGROUPS, path, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits_above(CGROUPS / "memory", path, "memory.limit_in_bytes")
    # An unlimited group of the first version says so by a number that no machine has.
    return min((limit for limit in limits if limit < 1 << 60), default=None)


def _limits_above(root: Path, path: str, name: str) -> Iterator[int]:
    """The limits of a group and of all above it. In a container the group's own path may not be there: the root is."""
    folder = root / path.lstrip("/")
    for each in (folder, *folder.parents):
        with contextlib.suppress(OSError, ValueError):  # it is not there, or says "max"
            yield int((each / name).read_text(encoding="ascii"))
        if each == root:
            return


def _may_open() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in {errno.EMFILE, errno.ENFILE}
    return True


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"

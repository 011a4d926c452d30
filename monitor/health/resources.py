"""Descriptors and memory of this process, and their limits."""

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
"""Share of a memory limit above which memory counts as exhausted: the kernel then reclaims and stalls the process."""

_PAGE: Final = resource.getpagesize()


def raise_descriptor_limit() -> int | None:
    """Raise the limit of open descriptors as far as this process may; return it, or None if there is no limit.

    The usual soft limit of 1024 is less than the connections of 200 relays. It protects programs that call select().
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS reports no limit and refuses such a value
            return soft
    return descriptor_limit()


def descriptor_limit() -> int | None:
    """Return the number of open descriptors that a process may raise its limit to, or None if there is no limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else hard


def reserved_descriptors(limit: int) -> int:
    """Return the number of descriptors that must stay free, for reconnects, scrapes and the journal."""
    return min(64, max(8, limit // 50))


def exhausted() -> Iterator[str]:
    """Yield a description of each resource that is nearly exhausted, as far as the machine reports it."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = descriptors_used()
    if limit != resource.RLIM_INFINITY and used is not None and used > limit - reserved_descriptors(limit):
        yield f"descriptors nearly exhausted: {min(used, limit)} of {limit} in use"
    elif used is None and not _may_open():
        yield "descriptors exhausted: the system limit is reached"
    memory = memory_used()
    if memory is None:
        return
    size, resident = memory
    allowed = memory_limit()
    if allowed is not None and resident > allowed * MEMORY_SHARE:
        yield f"memory nearly exhausted: {_mib(resident)} of the cgroup's {_mib(allowed)}"
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY and size > address_space * MEMORY_SHARE:
        yield f"memory nearly exhausted: {_mib(size)} of an address space of {_mib(address_space)}"


def descriptors_used() -> int | None:
    """Return the number of open descriptors, or None if it is unknown."""
    try:
        # Since Linux 6.2 this is the number. To list the connections of 200 relays takes 3 ms of the event loop.
        if number := DESCRIPTORS.stat().st_size:
            return number
        # The listing itself uses one.
        return len(os.listdir(DESCRIPTORS)) - 1  # noqa: PTH208 - called every second, and names suffice
    except OSError as error:
        if error.errno == errno.EMFILE:
            return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return None


def memory_used() -> tuple[int, int] | None:
    """Return address space and resident memory in bytes, or None if they are unknown."""
    try:
        size, resident, *_ = STATM.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return int(size) * _PAGE, int(resident) * _PAGE


def memory_limit() -> int | None:
    """Return the lowest memory limit of this process' cgroup and its ancestors in bytes, or None."""
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
    # cgroup v1 reports no limit as a huge number.
    return min((limit for limit in limits if limit < 1 << 60), default=None)


def _limits_above(root: Path, path: str, name: str) -> Iterator[int]:
    """Yield the limits of a group and its ancestors. In a container only the root may be visible."""
    folder = root / path.lstrip("/")
    for each in (folder, *folder.parents):
        with contextlib.suppress(OSError, ValueError):  # missing, or "max"
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

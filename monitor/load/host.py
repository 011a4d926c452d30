"""The host that a test runs on: its description, its cost of the test, and its limit of open files."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any, Final

from monitor.errors import StartupError
from monitor.health.resources import raise_descriptor_limit

RESERVED_DESCRIPTORS: Final = 64
"""File descriptors for everything but the test's own sockets."""


def raise_file_limit(sockets: int) -> None:
    """Raise the soft limit of open files to the hard one. Raises `StartupError` if that is too low for the test."""
    allowed, needed = raise_descriptor_limit(), sockets + RESERVED_DESCRIPTORS
    if allowed is not None and needed > allowed:
        raise StartupError(
            f"this test opens {sockets} sockets and needs {needed} file descriptors, "
            f"and this process may have {allowed}: "
            "raise the hard limit (`ulimit -Hn`, LimitNOFILE=, nofile in limits.conf), use fewer pairs, "
            "or spread them with --workers"
        )


def describe() -> dict[str, Any]:
    """Describe the host, as written in a result."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu(),
        "memoryMb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def cost() -> dict[str, float]:
    """Return the CPU seconds and the peak memory (MB) of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024
    return {"cpuSeconds": used.ru_utime + used.ru_stime, "peakRssMb": used.ru_maxrss * unit / 1e6}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())

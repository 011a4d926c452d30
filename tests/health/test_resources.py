"""Limits of descriptors and memory: set in a process of its own, or written as cgroup files."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monitor.health import resources

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os, resource
from monitor.health.resources import descriptors_used, exhausted, memory_used
{setup}
print(list(exhausted()))
"""


def output_of(setup: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(setup=setup)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("limit", "reserved"), [(64, 8), (1024, 20), (4096, 64), (1 << 20, 64)])
def test_the_number_of_descriptors_that_must_stay_free(limit: int, reserved: int) -> None:
    assert resources.reserved_descriptors(limit) == reserved


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    """Most systems begin with 1024, which are fewer than the connections of 200 relays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard, 1024) - 1, hard))
    try:
        assert resources.raise_descriptor_limit() == (None if hard == resource.RLIM_INFINITY else hard)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.integration
def test_nearly_exhausted_descriptors_are_reported() -> None:
    setup = """
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
while descriptors_used() < 56:
    os.open(os.devnull, os.O_RDONLY)
print(list(exhausted()))
os.open(os.devnull, os.O_RDONLY)
"""
    assert output_of(setup) == "[]\n['descriptors nearly exhausted: 57 of 64 in use']"


@pytest.mark.integration
def test_exhausted_descriptors_are_reported() -> None:
    setup = """
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        os.open(os.devnull, os.O_RDONLY)
except OSError:
    pass
"""
    assert output_of(setup) == "['descriptors nearly exhausted: 64 of 64 in use']"


@pytest.mark.integration
def test_a_nearly_full_address_space_is_reported() -> None:
    setup = "resource.setrlimit(resource.RLIMIT_AS, (memory_used()[0] + (1 << 20),) * 2)"
    printed = output_of(setup)
    assert printed.startswith("['memory nearly exhausted: ")
    assert "of an address space of" in printed
    assert output_of("resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))") == "[]"


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cgroup file system, and the file with the groups of this process."""
    monkeypatch.setattr(resources, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(resources, "CGROUP", tmp_path / "own")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_lowest_limit_of_all_ancestors_counts(cgroups: Path) -> None:
    write(cgroups / "own", "0::/pods/monitor\n")
    write(cgroups / "cgroup/pods/memory.max", "200000000\n")
    write(cgroups / "cgroup/pods/monitor/memory.max", "max\n")
    assert resources.memory_limit() == 200_000_000


def test_in_a_container_the_root_has_the_limit(cgroups: Path) -> None:
    write(cgroups / "own", "0::/../not/there\n")
    write(cgroups / "cgroup/memory.max", "100000000\n")
    assert resources.memory_limit() == 100_000_000


def test_cgroup_v1_reports_no_limit_as_a_huge_number(cgroups: Path) -> None:
    write(cgroups / "own", "5:cpu,cpuacct:/\n4:memory:/docker/x\n")
    write(cgroups / "cgroup/memory/docker/x/memory.limit_in_bytes", "9223372036854771712\n")
    assert resources.memory_limit() is None
    write(cgroups / "cgroup/memory/memory.limit_in_bytes", "300000000\n")
    assert resources.memory_limit() == 300_000_000


def test_without_cgroups_there_is_no_limit(cgroups: Path) -> None:
    assert resources.memory_limit() is None


def test_memory_near_its_limit_is_reported(cgroups: Path) -> None:
    used = resources.memory_used()
    assert used is not None
    write(cgroups / "own", "0::/\n")
    write(cgroups / "cgroup/memory.max", f"{used[1] // 2}\n")
    (why,) = resources.exhausted()
    assert why.startswith("memory nearly exhausted: ")
    assert " of the cgroup's " in why
    write(cgroups / "cgroup/memory.max", f"{used[1] * 4}\n")
    assert list(resources.exhausted()) == []

"""How little is left: limits really set, each in a process of its own, and cgroups as files."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monitor.health import resources

if TYPE_CHECKING:
    from pathlib import Path

LIMITED = """
import os, resource
from monitor.health.resources import descriptors_used, exhausted, memory_used
{setup}
print(list(exhausted()))
"""


def said_by(setup: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(setup=setup)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("limit", "spare"), [(64, 8), (1024, 20), (4096, 64), (1 << 20, 64)])
def test_some_descriptors_must_stay_free(limit: int, spare: int) -> None:
    assert resources.spare_descriptors(limit) == spare


@pytest.mark.integration
def test_descriptors_that_run_out_are_told_before_there_are_none() -> None:
    setup = """
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
while descriptors_used() < 56:
    os.open(os.devnull, os.O_RDONLY)
print(list(exhausted()))
os.open(os.devnull, os.O_RDONLY)
"""
    assert said_by(setup) == "[]\n['descriptors nearly exhausted: 57 of 64 in use']"


@pytest.mark.integration
def test_none_left_at_all_is_told_too() -> None:
    setup = """
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        os.open(os.devnull, os.O_RDONLY)
except OSError:
    pass
"""
    assert said_by(setup) == "['descriptors nearly exhausted: 64 of 64 in use']"


@pytest.mark.integration
def test_an_address_space_that_is_nearly_full_is_told() -> None:
    setup = "resource.setrlimit(resource.RLIMIT_AS, (memory_used()[0] + (1 << 20),) * 2)"
    said = said_by(setup)
    assert said.startswith("['memory nearly exhausted: ")
    assert "of an address space of" in said
    assert said_by("resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))") == "[]"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cgroup file system, and what this process says of its groups."""
    monkeypatch.setattr(resources, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(resources, "CGROUP", tmp_path / "own")
    return tmp_path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_strictest_cgroup_above_counts(machine: Path) -> None:
    put(machine / "own", "0::/pods/monitor\n")
    put(machine / "cgroup/pods/memory.max", "200000000\n")
    put(machine / "cgroup/pods/monitor/memory.max", "max\n")
    assert resources.memory_limit() == 200_000_000


def test_a_container_sees_its_own_group_as_the_root(machine: Path) -> None:
    put(machine / "own", "0::/../not/there\n")
    put(machine / "cgroup/memory.max", "100000000\n")
    assert resources.memory_limit() == 100_000_000


def test_the_first_version_says_unlimited_by_a_number(machine: Path) -> None:
    put(machine / "own", "5:cpu,cpuacct:/\n4:memory:/docker/x\n")
    put(machine / "cgroup/memory/docker/x/memory.limit_in_bytes", "9223372036854771712\n")
    assert resources.memory_limit() is None
    put(machine / "cgroup/memory/memory.limit_in_bytes", "300000000\n")
    assert resources.memory_limit() == 300_000_000


def test_a_machine_without_cgroups_has_no_limit(machine: Path) -> None:
    assert resources.memory_limit() is None


def test_memory_near_its_limit_is_told(machine: Path) -> None:
    used = resources.memory_used()
    assert used is not None
    put(machine / "own", "0::/\n")
    put(machine / "cgroup/memory.max", f"{used[1] // 2}\n")
    (why,) = resources.exhausted()
    assert why.startswith("memory nearly exhausted: ")
    assert " of the cgroup's " in why
    put(machine / "cgroup/memory.max", f"{used[1] * 4}\n")
    assert list(resources.exhausted()) == []

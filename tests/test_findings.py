"""Findings of the fuzzer, and its seeds, as regression tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.targets import SEEDS, TARGETS

FINDINGS = sorted(path for path in (Path(__file__).parents[1] / "fuzz" / "findings").glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", FINDINGS, ids=[f"{path.parent.name}-{path.name[:20]}" for path in FINDINGS])
def test_a_finding_is_fixed(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_a_seed_raises_no_unexpected_error(target: str) -> None:
    for seed in SEEDS[target]:
        TARGETS[target](seed)
        TARGETS[target](seed[: len(seed) // 2])
        TARGETS[target](seed.replace(b"1", b"-1e999"))

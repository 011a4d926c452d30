"""Fuzz one target with atheris. A finding is written to `fuzz/findings/TARGET/`; the exit status is then 77."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["monitor", "websockets"]):
    from fuzz.targets import SEEDS, TARGETS


def main() -> None:
    """Run `python -m fuzz TARGET SECONDS`."""
    if len(sys.argv) != 3 or sys.argv[1] not in TARGETS or not sys.argv[2].isdigit():  # noqa: PLR2004
        sys.exit(f"usage: python -m fuzz TARGET SECONDS; TARGET is one of {', '.join(TARGETS)}")
    target, seconds = sys.argv[1:]
    findings = Path(__file__).with_name("findings") / target
    findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[target]):
            (Path(corpus) / f"seed{number}").write_bytes(seed)
        options = [f"-max_total_time={seconds}", f"-artifact_prefix={findings}/", "-max_len=4096", "-timeout=10"]
        atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", corpus], TARGETS[target])
        atheris.Fuzz()


main()

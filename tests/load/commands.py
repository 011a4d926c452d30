"""Runs the command `load`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from monitor.cli import app

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = os.environ | {"NO_PROXY": "127.0.0.1"}


async def start(*flags: str, **environ: str) -> asyncio.subprocess.Process:
    """Start the command in a process of its own, with more variables in its environment."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "load", *flags),
        env=ENVIRON | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def run_one_connection(folder: Path, *flags: str) -> Any:
    """Run a load test of one connection in this process."""
    defaults = ("--target", "embedded", "--connections", "1", "--ramp-up", "0", "--output", str(folder / "r.json"))
    return CliRunner().invoke(app, ["load", *defaults, *flags], env={"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})

"""Cut off locations of the example in deploy/locations: `python -m tests.locations [--interval TIME] [CASE …]`.

Each case has a network of its own in namespaces, with three monitors, their relays and references, Prometheus and
Alertmanager; all run side by side. Needs root. Prints what followed each fault, and after which time; exits with 1 if
something is not as docs/locations.md says. Figures and logs are in build/locations.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import pytest

from monitor.text_table import Column, table, terminal_width
from tests.counterparts import BUILD, ENGINE, ROOT, MissingToolError
from tests.e2e.programs import ALERTMANAGER, PROMETHEUS, find
from tests.locations.cases import CASES
from tests.locations.measurement import Row
from tests.locations.network import CENTRAL, Network, NetworkError
from tests.locations.reference import CONFIG
from tests.locations.world import INTERVAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FOLDER: Final = BUILD / "locations"
TIMEOUT: Final = 900.0
"""Seconds for each case."""

STAGGER: Final = 10.0
"""Seconds between the starts of two cases: a world's programs take some CPU until they are ready."""

STOP_TIMEOUT: Final = 30.0


def generate(interval: str) -> Path:
    """Generate the rules of the example with the command of its documentation, and return their folder."""
    config, output = FOLDER / "config.yaml", FOLDER / "central"
    text = CONFIG.read_text("utf-8").replace(f"_interval: {INTERVAL}", f"_interval: {interval}")
    config.write_text(text, "utf-8")
    command = [sys.executable, "-m", "monitor", "generate", "--config", str(config), "--output", str(output)]
    environ = os.environ | {"LOCATION": "fra"}
    subprocess.run(command, env=environ, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=120, check=True)
    return output


async def run(name: str, network: Network, rules: Path, interval: str, after: float) -> dict[str, Any]:
    """Run a case `after` so many seconds in a process of its own, and return what it measured."""
    await asyncio.sleep(after)
    process = await asyncio.create_subprocess_exec(
        *network.inside(CENTRAL),
        *(sys.executable, "-m", "tests.locations.run_case", name, network.name, FOLDER / name, rules, interval),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            output, _ = await process.communicate()
    except TimeoutError:
        return {"rows": [], "surplus": [f"{name}: not finished within {TIMEOUT:g} s"]}
    finally:
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
    if process.returncode != 0:
        return {"rows": [], "surplus": [f"{name}: ended with {process.returncode}; its logs are in {FOLDER / name}"]}
    measured: dict[str, Any] = json.loads(output)
    return measured


async def run_all(names: Sequence[str], interval: str) -> list[dict[str, Any]]:
    """Run cases side by side."""
    main = asyncio.current_task()
    assert main is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, main.cancel)
    rules = await asyncio.to_thread(generate, interval)
    with ExitStack() as stack:
        networks = [Network(f"{os.getpid()}-{number}") for number, _ in enumerate(names)]
        for network in networks:
            stack.callback(network.delete)
            network.create()
        return await asyncio.gather(
            *(
                run(name, network, rules, interval, STAGGER * number)
                for number, (name, network) in enumerate(zip(names, networks, strict=True))
            )
        )


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table, and the texts of the notifications."""
    columns = (
        Column("what is done"), Column("what follows"), Column("after", right=True), Column("limit", right=True)
    )  # fmt: skip
    cells: list[Sequence[str] | str] = []
    case = done = ""
    for row in rows:
        if row.case != case:
            cells.append(f"{row.case}:")
        after = "never" if row.seconds is None else f"{row.seconds:.0f} s"
        cells.append(
            (
                "" if (row.case, row.done) == (case, done) else f"  {row.done}",
                row.followed,
                f"{after}{' WRONG' if row.wrong else ''}",
                f"{row.limit:.0f} s",
            )
        )
        case, done = row.case, row.done
    yield from table(columns, cells, width=terminal_width(sys.stdout))
    yield ""
    yield from dict.fromkeys(f"{row.followed.partition(' ')[0]} {row.summary}" for row in rows if row.summary)


def show(measured: Sequence[dict[str, Any]]) -> bool:
    """Print what was measured, write it to a file, and return whether all is as it should be."""
    rows = [Row(**row) for each in measured for row in each["rows"]]
    wrong = [f"{row.case}: {row.done}: {row.followed}" for row in rows if row.wrong]
    wrong += [what for each in measured for what in each["surplus"]]
    sys.stdout.write("\n".join([*lines(rows), "", *(f"WRONG {what}" for what in wrong)]) + "\n")
    if any(each.get("busy") for each in measured):
        sys.stdout.write("the machine was busy: round trips took so long that their objective burned\n")
    sys.stdout.write(f"{len(rows)} times, {len(wrong)} wrong\n")
    figures = {"rows": [asdict(row) for row in rows], "wrong": wrong}
    (FOLDER / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return not wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named cases, or all; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.locations")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"default: all of {', '.join(CASES)}")
    parser.add_argument("--interval", default=INTERVAL, help="of scrapes and evaluations (15s)")
    options = parser.parse_args(arguments)
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if os.geteuid() != 0:
        sys.stderr.write("only root can make network namespaces\n")
        return 2
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    try:
        ENGINE.obtain()
        for program in (PROMETHEUS, ALERTMANAGER):
            find(program)
        measured = asyncio.run(run_all(options.cases or list(CASES), options.interval))
    except (MissingToolError, NetworkError, pytest.skip.Exception) as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    except asyncio.CancelledError:
        return 130
    return int(not show(measured))


if __name__ == "__main__":
    sys.exit(main())

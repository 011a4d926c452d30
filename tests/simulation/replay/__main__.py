"""Replay a day with known outages: `python -m tests.simulation.replay NUMBER`, after NUMBER cases judged by promtool.

Exit 1 if a page is not named as it must be.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tests.cli.commands import monitor
from tests.dashboards import backfill
from tests.simulation.replay import judged, world

OPTIONS: Final = ("simulate", "--replay", "--since", "1d", "--until", "2026-02-04")

Named = tuple[str, str, str, str]
"""Kind, alert, relay, and the time of a page."""

CHANGES: Final[tuple[tuple[dict[str, str], set[Named]], ...]] = (
    (
        {"alpha_page_after": "5m", "gamma_scope": "regional"},
        {
            ("lost", "RelayDown", "alpha", "05:00"),
            ("gained", "RelayErrorBudgetBurn", "alpha", "05:06"),
            ("gained", "RelayDown", "gamma", "14:01"),
            ("moved", "RelayDown", "alpha", "02:00"),
        },
    ),
    ({"objective": "99%"}, {("lost", "RelayErrorBudgetBurn", "beta", "08:08")}),
    (
        {"beta_max_severity": "warning"},
        {
            ("lost", "RelayDown", "beta", "05:30"),
            ("lost", "RelayErrorBudgetBurn", "beta", "08:08"),
        },
    ),
    ({}, set()),
)
"""Changes of the configuration, and what each does."""


async def replayed(folder: Path) -> bool:
    """Replay each change, print what it does, and return whether that is right."""
    before = world.load(world.config())
    (folder / "old.yaml").write_text(world.config())
    store = world.recorded(before, world.OUTAGES, 24.0)
    world.write(store, folder)
    print(f"recorded: {world.count(store):,} samples of {len(store.all())} series")  # noqa: T201 - a command
    right = True
    async with backfill.opened(folder) as prometheus:
        for changes, expected in CHANGES:
            (folder / "new.yaml").write_text(world.config(**changes))
            files = ("--config", folder / "new.yaml", "--against", folder / "old.yaml")
            options: tuple[str | Path, ...] = (*OPTIONS, *files, "--prometheus", prometheus.url)
            started = time.monotonic()
            text, values = monitor(*options), monitor(*options, "--output", "json")
            took = (time.monotonic() - started) / 2
            found = json.loads(values.stdout)
            as_expected = named(found) == expected and values.returncode == any(kind == "lost" for kind, *_ in expected)
            right = right and as_expected
            print(  # noqa: T201 - a command
                f"\n{changes or 'no change'}, {took:.1f} s:\n{text.stdout}{text.stderr}"
                + ("" if as_expected else f"WRONG: expected {sorted(expected)}, exit {values.returncode}\n")
            )
    return right


def named(found: dict[str, Any]) -> set[Named]:
    """Return kind, alert, relay and time of each page that a change gains, loses or moves."""
    return {
        (kind, page["alert"], page["relay"], page["at"][11:16])
        for kind, changes in found["changes"].items()
        if kind != "unchanged"
        for change in changes
        for page in [(change["old"] or change["new"])[0]]
    }


if __name__ == "__main__":
    judged.main(int(sys.argv[1]) if sys.argv[1:] else 10)
    with tempfile.TemporaryDirectory() as name:
        sys.exit(0 if asyncio.run(replayed(Path(name))) else 1)

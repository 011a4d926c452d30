"""Record worlds, and draw the dashboards over them.

| command | does |
|---|---|
| `pictures DOCS` | records everything in build/worlds, and draws the pictures of the documentation |
| `record FOLDER [WORLD…]`, `record-load FOLDER` | records real monitors, or a load test |
| `simulate FOLDER` | writes the data of simulated monitors |
| `document DOCS RECORDING…` | draws the pictures of the documentation over recordings that there are |
| `draw FOLDER PICTURES [NAME…]` | draws over a recording: what has one of the texts in its name, or everything |
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.dashboards.gallery import captions, documented, drawn, photograph
from tests.dashboards.recording import Recording, record, record_load
from tests.dashboards.simulation import simulate
from tests.dashboards.worlds import REAL
from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

WORLDS: Final = ROOT / "build" / "worlds"


async def _draw(recording: Recording, pictures: Path, names: Sequence[str]) -> None:
    def wanted(name: str) -> bool:
        return not names or any(part in name for part in names)

    async with recording.opened() as program:
        # Playwright's interface is synchronous, and allows no event loop in its thread.
        taken = await asyncio.to_thread(lambda: photograph(drawn(recording, program.url, wanted), pictures))
    for picture in taken:
        sys.stdout.write(f"{picture.name}: {picture.screens:.1f} screens\n")
        for complaint in picture.complaints():
            sys.stdout.write(f"  {complaint}\n")


async def _document(recordings: Sequence[Recording], docs: Path) -> None:
    found: list[tuple[str, str]] = []
    for recording in recordings:
        async with recording.opened() as program:
            url = program.url
            found += await asyncio.to_thread(lambda: list(documented(recording, url, docs / "img")))  # noqa: B023
    await asyncio.to_thread((docs / "dashboard-pictures.md").write_text, captions(found), "utf-8")


def _pictures(docs: Path) -> None:
    """Make all recordings, and draw the pictures of the documentation."""
    shutil.rmtree(WORLDS, ignore_errors=True)
    real, load = asyncio.run(record(WORLDS / "real")), asyncio.run(record_load(WORLDS / "load"))
    asyncio.run(_document([real, load, simulate(WORLDS / "simulated")], docs))


def main() -> None:
    """Run the command."""
    match sys.argv[1:]:
        case ["pictures", docs]:
            _pictures(Path(docs))
        case ["record", folder, *names]:
            asyncio.run(record(Path(folder), [world for world in REAL if not names or world.name in names]))
        case ["record-load", folder]:
            asyncio.run(record_load(Path(folder)))
        case ["simulate", folder]:
            simulate(Path(folder))
        case ["document", docs, *recordings]:
            asyncio.run(_document([Recording.load(Path(each)) for each in recordings], Path(docs)))
        case ["draw", folder, pictures, *names]:
            asyncio.run(_draw(Recording.load(Path(folder)), Path(pictures), names))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()

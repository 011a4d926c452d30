"""Record worlds, and draw the dashboards over them.

`python -m tests.dashboards record FOLDER` records real monitors, `record-load FOLDER` a load test, `simulate FOLDER`
simulated monitors.
`draw FOLDER PICTURES [NAME…]` draws the dashboards of this code over a recording: those whose name contains one of the
texts, or all.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.dashboards.gallery import drawn, photograph
from tests.dashboards.recording import Recording, record, record_load
from tests.dashboards.simulation import simulate

if TYPE_CHECKING:
    from collections.abc import Sequence


async def _draw(recording: Recording, pictures: Path, names: Sequence[str]) -> None:
    def wanted(world: str, file: str) -> bool:
        name = f"{file.removesuffix('.json')}-{world}"
        return not names or any(part in name for part in names)

    async with recording.opened() as program:
        # Playwright's interface is synchronous, and allows no event loop in its thread.
        taken = await asyncio.to_thread(lambda: photograph(drawn(recording, program.url, wanted), pictures))
    for picture in taken:
        screens = picture.page.height / 900
        sys.stdout.write(f"{picture.name}: {screens:.1f} screens\n")
        for complaint in picture.complaints():
            sys.stdout.write(f"  {complaint}\n")


def main() -> None:
    """Run the command."""
    match sys.argv[1:]:
        case ["record", folder]:
            asyncio.run(record(Path(folder)))
        case ["record-load", folder]:
            asyncio.run(record_load(Path(folder)))
        case ["simulate", folder]:
            simulate(Path(folder))
        case ["draw", folder, pictures, *names]:
            asyncio.run(_draw(Recording.load(Path(folder)), Path(pictures), names))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()

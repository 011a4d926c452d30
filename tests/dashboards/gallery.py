"""Pictures of every dashboard over every world of a recording, and what one would complain of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.config import parse
from monitor.slo.dashboards import dashboards, files
from tests.dashboards.page import Settings, draw
from tests.dashboards.pictures import FIRST_SCREEN, Camera
from tests.dashboards.prometheus import Prometheus
from tests.dashboards.recording import LOAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.dashboards.page import Page
    from tests.dashboards.recording import Recorded, Recording


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn dashboard: its world, the name of its file, and the page."""

    world: Recorded
    dashboard: str
    page: Page

    @property
    def name(self) -> str:
        """The name of its pictures."""
        return f"{self.dashboard.removesuffix('.json')}-{self.world.name}"

    def complaints(self) -> Iterator[str]:
        """Yield what one would complain of."""
        yield from self.page.problems
        for panel in self.page.panels:
            yield from (f"{panel.title}: {text}" for text in panel.complaints)
            if panel.empty:
                yield f"{panel.title}: empty"


def drawn(
    recording: Recording, url: str, wanted: Callable[[str, str], bool] = lambda _world, _file: True
) -> Iterator[Picture]:
    """Draw each dashboard over each world for which `wanted` is true of their names."""
    with Prometheus(url) as prometheus:
        for world in recording.worlds:
            config = parse(world.config, world.name, {})
            made = files(config)
            for board in dashboards(config):
                is_of_load = board.file == "load-test.json"
                if is_of_load is (world.name == LOAD) and wanted(world.name, board.file):
                    settings = Settings(
                        variables={"relay": world.detail} if board.file == "relay-detail.json" else {},
                        start=f"{recording.until - recording.length}",
                        end=f"{recording.until}",
                        scrape=recording.scrape,
                    )
                    yield Picture(
                        world, board.file, draw(json.loads(made[f"dashboards/{board.file}"]), prometheus, settings)
                    )


def photograph(pictures: Iterator[Picture], folder: Path) -> list[Picture]:
    """Write each picture's first screen, and the whole page as `…-whole`."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with Camera() as camera:
        for picture in pictures:
            camera.photograph(picture.page, folder / f"{picture.name}.png", FIRST_SCREEN)
            camera.photograph(picture.page, folder / f"{picture.name}-whole.png")
            taken.append(picture)
    return taken

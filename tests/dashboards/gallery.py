"""Pictures of every dashboard over every world of a recording, and what one would complain of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.config import parse
from monitor.slo.dashboards import dashboards, files
from tests.dashboards.page import Settings, draw
from tests.dashboards.pictures import FIRST_SCREEN, Camera
from tests.dashboards.prometheus import Prometheus
from tests.dashboards.recording import LOAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from monitor.slo.dashboards.model import Panel
    from tests.dashboards.page import Page
    from tests.dashboards.recording import Recorded, Recording


FIRST: Final = {
    "relays-overview": (
        *("healthy", "outage", "degraded", "not-accepting", "silent-node", "maintenance", "many"),
        *("one-relay", "hundred-relays", "twelve-slos", "five-locations", "long-names"),
    ),
    "relay-detail": (
        *("healthy", "outage", "degraded", "not-accepting", "silent-node", "maintenance", "centrifugo"),
        *("five-locations", "long-names"),
    ),
    "monitor-health": ("healthy", "outage", "five-locations"),
    "load-test": (LOAD,),
}
"""The first screens in the documentation, by dashboard: the worlds."""

COMPLETE: Final = ("relays-overview-outage", "relay-detail-outage", "relay-detail-centrifugo", "monitor-health-outage")
"""The pictures of whole pages in the documentation."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn dashboard: its world, the name of its file without its ending, and the page.

    `reasons` say why a panel may be empty, by its title.
    """

    world: Recorded
    dashboard: str
    page: Page
    reasons: dict[str, str]

    @property
    def name(self) -> str:
        """The name of its pictures."""
        return f"{self.dashboard}-{self.world.name}"

    @property
    def screens(self) -> float:
        """How many screens long the page is."""
        return self.page.height / FIRST_SCREEN

    def complaints(self) -> Iterator[str]:
        """Yield what one would complain of."""
        yield from self.page.problems
        for panel in self.page.panels:
            yield from (f"{panel.title}: {text}" for text in panel.complaints)
            if panel.empty:
                yield f"{panel.title}: empty, {self.reasons.get(panel.title) or 'WITHOUT A REASON'}"


def drawn(recording: Recording, url: str, wanted: Callable[[str], bool] = lambda _: True) -> Iterator[Picture]:
    """Draw each dashboard over each world for which `wanted` is true of the picture's name.

    The dashboard of load tests is drawn over load tests only, and nothing else is.
    """
    with Prometheus(url) as prometheus:
        for world in recording.worlds:
            config = parse(world.config, world.name, {})
            made = files(config)
            for board in dashboards(config):
                name = board.file.removesuffix(".json")
                if (name == "load-test") is not (world.name == LOAD) or not wanted(f"{name}-{world.name}"):
                    continue
                settings = Settings(
                    variables={"relay": world.detail} if name == "relay-detail" else {},
                    start=f"{recording.until - recording.length}",
                    end=f"{recording.until}",
                    scrape=recording.scrape,
                )
                page = draw(json.loads(made[f"dashboards/{board.file}"]), prometheus, settings)
                yield Picture(world, name, page, {panel.title: _reason(panel) for panel in board.panels})


def _reason(panel: Panel) -> str:
    """Return why a panel may be empty: each of its queries needs a reason."""
    reasons = [query.empty_reason for query in panel.queries]
    return "; ".join(dict.fromkeys(reasons)) if all(reasons) else ""


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


def documented(recording: Recording, url: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Write the pictures of the documentation that show worlds of this recording; yield their names and captions."""
    names = {f"{name}-{world}" for name, worlds in FIRST.items() for world in worlds}
    with Camera() as camera:
        for picture in drawn(recording, url, names.__contains__):
            file = f"dashboard-{picture.name}"
            caption = f"{picture.world.caption[:1].upper()}{picture.world.caption[1:]}: {recording.source}."
            camera.photograph(picture.page, folder / f"{file}.png", FIRST_SCREEN)
            yield file, caption
            if picture.name in COMPLETE:
                camera.photograph(picture.page, folder / f"{file}-whole.png")
                yield f"{file}-whole", "The same, with all rows open."


def captions(pictures: Iterable[tuple[str, str]]) -> str:
    """Return the page of the documentation that shows these pictures with their captions."""
    lines = [
        "# Pictures of the dashboards",
        "",
        "Drawn from the dashboards' queries over recorded data, not by Grafana, whose fonts and details differ. Each",
        "is the first screen of 1600 by 900 pixels, unless it says otherwise; click on it for its full size.",
        "`make pictures` draws them again.",
        "",
    ]
    for name, caption in sorted(pictures, key=lambda item: _position(item[0])):
        # A link to the picture itself: it is wider than the page.
        lines += [f"[![{name.removeprefix('dashboard-')}](img/{name}.png)](img/{name}.png)", "", caption, ""]
    return "\n".join(lines).rstrip() + "\n"


def _position(name: str) -> tuple[int, int, str]:
    """Return where a picture is shown: by dashboard, then by world."""
    for board, (dashboard, worlds) in enumerate(FIRST.items()):
        for index, world in enumerate(worlds):
            if name.removesuffix("-whole") == f"dashboard-{dashboard}-{world}":
                return board, index, name
    return len(FIRST), 0, name

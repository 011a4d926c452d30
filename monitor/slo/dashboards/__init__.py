"""The dashboards: from the configuration to the files that Grafana reads.

`model` says what a dashboard is, `overview`, `detail` (with `failing`, `speed` and `centrifugo`) and `health` what the
three of them ask, out of `parts` and `promql`; `drawing` and `writing` make Grafana's JSON of it, `exceptions` the
linter's file, `page` the reader's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.slo.dashboards.detail import detail
from monitor.slo.dashboards.exceptions import exceptions
from monitor.slo.dashboards.health import health
from monitor.slo.dashboards.overview import overview
from monitor.slo.dashboards.page import page
from monitor.slo.dashboards.writing import write

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.slo.dashboards.model import Board


def boards(config: Config) -> tuple[Board, ...]:
    """The dashboards of a configuration."""
    return overview(config), detail(config), health(config)


def files(config: Config) -> dict[str, bytes]:
    """Every file, by its path: the same configuration makes the same bytes."""
    made = boards(config)
    return {
        **{f"dashboards/{board.file}": write(board) for board in made},
        "dashboards/.lint": exceptions(made),
        "docs/dashboards.md": page(made),
    }


__all__ = ["boards", "files"]

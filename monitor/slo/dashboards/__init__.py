"""The Grafana dashboards of a configuration.

`overview`, `detail` (with `failures`, `latency`, `connections`, `centrifugo`), `health` (with `resources`) and `load`
build the dashboards as values of `model`, from `shared_panels`, `alert_panels`, `slo_panels`, `annotations` and
`promql`; `lean` names what is not exported. `panels` and `grafana_json` write them as JSON, `lint_exclusions` writes
the linter's file and `docs_page` the page of the documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.slo.dashboards.detail import detail
from monitor.slo.dashboards.docs_page import docs_page
from monitor.slo.dashboards.grafana_json import to_json
from monitor.slo.dashboards.health import health
from monitor.slo.dashboards.lean import explained
from monitor.slo.dashboards.lint_exclusions import exclusions
from monitor.slo.dashboards.load import load_test
from monitor.slo.dashboards.overview import overview

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.slo.dashboards.model import Dashboard


def dashboards(config: Config) -> tuple[Dashboard, ...]:
    """Return the dashboards of a configuration."""
    boards = overview(config), detail(config), health(config), load_test(config)
    return tuple(explained(board) for board in boards) if config.metrics.detail == "lean" else boards


def files(config: Config) -> dict[str, bytes]:
    """Return every file by its path; the same configuration gives the same bytes."""
    made = dashboards(config)
    return {
        **{f"dashboards/{board.file}": to_json(board) for board in made},
        "dashboards/.lint": exclusions(made),
        "docs/dashboards.md": docs_page(made),
    }


__all__ = ["dashboards", "files"]

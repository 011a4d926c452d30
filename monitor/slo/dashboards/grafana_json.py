"""Dashboards as the JSON that Grafana reads; the same dashboard gives the same bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from monitor.slo.dashboards.model import WIDTH, Annotation, Dashboard, Panel, Row, Variable
from monitor.slo.dashboards.panels import SOURCE, draw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TAG: Final = "relay-monitor"
_ANY: Final = ".+"


def to_json(board: Dashboard) -> bytes:
    """Return the file of a dashboard. Raises `ValueError` if two panels have one id or a line leaves a gap."""
    made = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .time(board.range, "now")
        .refresh("30s")
        .timezone("browser")
        .variables([_source(), *(_variable(variable) for variable in board.variables)])
        .links(_links(board))
    )
    y = 0
    for row in board.rows:
        y = _put(made, board, row, y)
    value = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    numbers = [panel["id"] for panel in _panels(value)]
    if len(numbers) != len(set(numbers)):
        raise ValueError(f"two panels of {board.title} have one id: give one of them another title")
    for variable, written in zip(board.variables, value["templating"]["list"][1:], strict=True):
        if variable.hidden:
            # In an address it would stay that of one relay when another one is selected. The SDK cannot build this.
            written["skipUrlSync"] = True
    # The SDK has only some fields of a Prometheus annotation.
    value["annotations"] = {
        "list": [_annotation(annotation, board.scrape_interval) for annotation in board.annotations]
    }
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _put(made: build.Dashboard, board: Dashboard, row: Row, y: int) -> int:
    """Add a row at line `y` of the grid and return the first line below it; one without a title has no heading."""
    if not row.title:
        y -= 1
    header = (
        build.Row(row.title).id(board.panel_id(f"row {row.title}")).grid_pos(dashboard.GridPos(h=1, w=WIDTH, x=0, y=y))
    )
    placed = list(_places(row.panels, y + 1))
    drawn = [draw(panel, board.panel_id(panel.title), board.scrape_interval, x, top) for panel, x, top in placed]
    if row.collapsed:
        header.collapsed(True)  # noqa: FBT003 - the SDK's signature
        for item in drawn:
            header.with_panel(item)
    if row.title:
        made.with_row(header)
    if row.collapsed:
        return y + 1
    for item in drawn:
        made.with_panel(item)
    return max((top + panel.height for panel, _, top in placed), default=y + 1)


def _places(panels: Sequence[Panel], y: int) -> Iterator[tuple[Panel, int, int]]:
    """Yield each panel with its x and y; the panels of a line have one height and fill the width."""
    x = 0
    for panel in panels:
        if x + panel.width > WIDTH:
            raise ValueError(f"{panel.title!r} does not fit into its line: {x} + {panel.width} columns of {WIDTH}")
        yield panel, x, y
        x += panel.width
        if x == WIDTH:
            x, y = 0, y + panel.height
    if x:
        raise ValueError(f"{panels[-1].title!r} leaves a gap: {x} columns of {WIDTH}")


def _panels(value: Any) -> Iterator[Any]:
    for panel in value["panels"]:
        yield panel
        yield from panel.get("panels", ())


def _source() -> build.DatasourceVariable:
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _variable(variable: Variable) -> build.QueryVariable:
    made = (
        build.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query({"query": variable.query, "refId": variable.name})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(variable.several)
        .include_all(variable.several)
    )
    if variable.several:
        made.all_value(_ANY).current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    elif variable.value:
        made.current(dashboard.VariableOption(selected=True, text=variable.value, value=variable.value))
    if variable.hidden:
        made.hide(dashboard.VariableHide.HIDE_VARIABLE)
    return made


def _links(board: Dashboard) -> list[Any]:
    page, relay = board.external_url, "?relay=${relay}" if board.is_of_one_relay else ""
    return [
        build.DashboardLink("Dashboards")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(True)  # noqa: FBT003 - the SDK's signature
        .keep_time(True),  # noqa: FBT003
        _link("On-call page", f"{page}/{relay}", "The monitor's own page, with the timeline of each run"),
        _link("Incidents", f"{page}/incidents{relay}", "What happened, when and why, for the post-mortem"),
        _link("Runbooks", board.runbook_base_url, "Meaning and mitigation of each alert"),
    ]


def _link(title: str, url: str, tip: str) -> build.DashboardLink:
    link = build.DashboardLink(title).type(dashboard.DashboardLinkType.LINK).url(url).tooltip(tip)
    return link.icon("external link").target_blank(True)  # noqa: FBT003 - the SDK's signature


def _annotation(annotation: Annotation, scrape_interval: float) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "datasource": source,
        "enable": True,
        "expr": annotation.expr,
        "iconColor": annotation.colour,
        "name": annotation.name,
        "step": f"{scrape_interval:g}s",
        "target": {"datasource": source, "expr": annotation.expr, "refId": "Anno"},
        "textFormat": annotation.text,
        "titleFormat": annotation.title,
    }

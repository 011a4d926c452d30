"""Panels, built with Grafana's foundation SDK.

The SDK leaves `refId` empty unless it is set, gives nulls the colour of the first threshold, and takes intervals as
duration strings.
"""

from __future__ import annotations

import math
import string
from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from monitor.slo.dashboards.model import UNKNOWN, Kind, Panel, Query
from monitor.slo.dashboards.shared_panels import OBJECTIVE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
NO_DATA: Final = "no data"
_NO_DATA_MAPPING: Final = dashboard.SpecialValueMap(
    options=dashboard.DashboardSpecialValueMapOptions(
        match=dashboard.SpecialValueMatch.NULL_AND_NAN,
        result=dashboard.ValueMappingResult(text=NO_DATA, color=UNKNOWN),
    )
)
_PER_WINDOW: Final = 4
"""`$__rate_interval` is this multiple of a query's minimum step."""

Drawn = heatmap.Panel | stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel


def draw(panel: Panel, number: int, scrape_interval: float, x: int, y: int) -> Drawn:
    """Return the SDK's panel with its id and its position on the grid."""
    drawn = _KINDS[panel.kind](panel)
    drawn.id(number).title(panel.title).description(panel.description).datasource(SOURCE)
    drawn.grid_pos(dashboard.GridPos(h=panel.height, w=panel.width, x=x, y=y))
    drawn.unit(panel.unit).no_value(NO_DATA).thresholds(_thresholds(panel.threshold_lines or panel.steps))
    drawn.interval(_seconds(scrape_interval))
    drawn.mappings([*_states(panel), _NO_DATA_MAPPING])
    if panel.decimals is not None:
        drawn.decimals(panel.decimals)
    if panel.minimum is not None:
        drawn.min(panel.minimum)
    if panel.maximum is not None:
        drawn.max(panel.maximum)
    if panel.link is not None:
        title, url = panel.link
        drawn.data_links([build.DashboardLink(title).url(url)])
    for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        drawn.with_target(_target(panel.kind, query, letter, scrape_interval))
    return drawn


def _seconds(length: float) -> str:
    return f"{math.ceil(length)}s"


def _target(kind: Kind, query: Query, letter: str, scrape_interval: float) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).ref_id(letter).editor_mode(QueryEditorMode.CODE).datasource(SOURCE)
    target.interval(_seconds(max(scrape_interval, query.window / _PER_WINDOW)))
    match kind:
        case Kind.STAT | Kind.TABLE:
            target.instant().format(PromQueryFormat.TABLE if kind is Kind.TABLE else PromQueryFormat.TIME_SERIES)
        case Kind.HEATMAP:
            target.range().format(PromQueryFormat.HEATMAP)
        case _:
            target.range().format(PromQueryFormat.TIME_SERIES)
    if query.legend:
        target.legend_format(query.legend)
    return target.exemplar(query.exemplars)


def _thresholds(steps: Sequence[tuple[float, str]]) -> build.ThresholdsConfig:
    # Values below the first step have the colour of missing data, because Grafana gives it to nulls too.
    first = dashboard.Threshold(value=None, color=UNKNOWN if steps else "text")
    return build.ThresholdsConfig().steps(
        [first, *(dashboard.Threshold(value=value, color=colour) for value, colour in steps)]
    )


def _states(panel: Panel) -> list[dashboard.ValueMapping]:
    if not panel.states:
        return []
    options = {
        str(state.value): dashboard.ValueMappingResult(text=state.text, color=state.colour, index=index)
        for index, state in enumerate(panel.states)
    }
    return [dashboard.ValueMap(options=options)]


def _stat(panel: Panel) -> stat.Panel:
    return (
        stat.Panel()
        .reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))  # noqa: FBT003
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .color_mode(
            common.BigValueColorMode.BACKGROUND if panel.steps or panel.states else common.BigValueColorMode.NONE
        )
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE)
    )


def _lines(panel: Panel) -> timeseries.Panel:
    drawn = (
        timeseries.Panel()
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(
            options.VizLegendOptions()
            .show_legend(True)  # noqa: FBT003 - the SDK's signature
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .calcs([])
        )
        .tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
        .draw_style(common.GraphDrawStyle.BARS if panel.bars else common.GraphDrawStyle.LINE)
        .fill_opacity(60 if panel.bars else 30 if panel.stacked else 0)
        .line_width(1)
        .show_points(common.VisibilityMode.AUTO)
    )
    if panel.stacked:
        drawn.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if panel.threshold_lines:
        drawn.thresholds_style(options.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    if any(query.legend.startswith(OBJECTIVE_PREFIX) for query in panel.queries):
        drawn.override_by_regexp(
            f"/^{OBJECTIVE_PREFIX}/",
            [
                dashboard.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]}),
                dashboard.DynamicConfigValue(id_val="custom.lineWidth", value=2),
                dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "red"}),
            ],
        )
    return drawn


def _heatmap(panel: Panel) -> heatmap.Panel:
    return (
        heatmap.Panel()
        .calculate(False)  # noqa: FBT003 - Prometheus has the buckets
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .cell_gap(1)
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .exemplars_color("rgba(255,0,255,0.7)")
        .show_legend()
    )


def _timeline(_: Panel) -> statetimeline.Panel:
    return (
        statetimeline.Panel()
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .merge_values(True)  # noqa: FBT003 - the SDK's signature
        .show_value(common.VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
    )


def _table(panel: Panel) -> table.Panel:
    several = len(panel.queries) > 1
    drawn = table.Panel().show_header(True)  # noqa: FBT003 - the SDK's signature
    columns = {
        f"Value #{letter}" if several else "Value": query
        for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False)
    }
    if several:
        drawn.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    order: dict[str, Any] = {name: index for index, name in enumerate([*panel.labels, *columns])}
    drawn.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True, "__name__": True, "job": True},
                "indexByName": order,
                "renameByName": {name: query.column for name, query in columns.items()},
            },
        )
    )
    for query in columns.values():
        properties = [dashboard.DynamicConfigValue(id_val="unit", value=query.unit)]
        if query.steps:
            steps = _thresholds(query.steps).build().steps
            properties += [
                dashboard.DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": steps}),
                dashboard.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
            ]
        drawn.override_by_name(query.column, properties)
    return drawn


_KINDS: Final[Mapping[Kind, Callable[[Panel], Drawn]]] = {
    Kind.STAT: _stat,
    Kind.TIME_SERIES: _lines,
    Kind.HEATMAP: _heatmap,
    Kind.STATE_TIMELINE: _timeline,
    Kind.TABLE: _table,
}

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

from monitor.slo.dashboards.model import NO_DATA, OBJECTIVE_PREFIX, Between, Column, Kind, Legend, Panel, Query, State
from monitor.slo.dashboards.palette import NEUTRAL, TEXT, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

SOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
MAX_BARS: Final = 120
"""Most bars of a graph: with more, neighbouring bars merge."""

MAX_POINTS: Final = 240
"""Most points of a sparkline or a state timeline, whose queries cost more than they show beyond that."""

LEGEND_WIDTH: Final = 260
"""Pixels of a legend at the right."""

_PER_WINDOW: Final = 4
"""`$__rate_interval` is this multiple of a query's minimum step."""

Drawn = heatmap.Panel | stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel


def draw(panel: Panel, number: int, scrape_interval: float, x: int, y: int) -> Drawn:
    """Return the SDK's panel with its id and its position on the grid."""
    drawn = _KINDS[panel.kind](panel)
    drawn.id(number).title(panel.title).description(panel.description).datasource(SOURCE)
    drawn.grid_pos(dashboard.GridPos(h=panel.height, w=panel.width, x=x, y=y))
    drawn.unit(panel.unit).no_value(panel.no_value).thresholds(_thresholds(panel.threshold_lines or panel.steps))
    drawn.interval(_seconds(scrape_interval))
    drawn.mappings([*_mappings(panel.states), _empty(NO_DATA, UNKNOWN)])
    if panel.decimals is not None:
        drawn.decimals(panel.decimals)
    if panel.minimum is not None:
        drawn.min(panel.minimum)
    if panel.maximum is not None:
        drawn.max(panel.maximum)
    if panel.bars:
        drawn.max_data_points(MAX_BARS)
    elif panel.sparkline or panel.kind is Kind.STATE_TIMELINE:
        drawn.max_data_points(MAX_POINTS)
    if panel.link is not None or panel.links:
        drawn.data_links([_link(*link) for link in (*([panel.link] if panel.link else []), *panel.links)])
    for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        drawn.with_target(_target(panel, query, letter, scrape_interval))
    return drawn


def _link(title: str, url: str) -> build.DashboardLink:
    return build.DashboardLink(title).url(url).target_blank(not url.startswith("/d/"))


def _seconds(length: float) -> str:
    return f"{math.ceil(length)}s"


def _step(query: Query, scrape_interval: float) -> str:
    """Return the minimum step of a query.

    Grafana writes `$__interval` in one whole unit: with a step of 90 s it says 1m, and a third of all events is in no
    bar.
    """
    if "$__interval" not in query.expr:
        return _seconds(max(scrape_interval, query.window / _PER_WINDOW))
    unit = next(unit for unit in (86_400, 3600, 60, 1) if scrape_interval >= unit or unit == 1)
    return _seconds(unit * math.ceil(scrape_interval / unit))


def _target(panel: Panel, query: Query, letter: str, scrape_interval: float) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).ref_id(letter).editor_mode(QueryEditorMode.CODE).datasource(SOURCE)
    target.interval(_step(query, scrape_interval))
    match panel.kind:
        case Kind.TABLE:
            target.instant().format(PromQueryFormat.TABLE)
        case Kind.STAT if not panel.sparkline:
            target.instant().format(PromQueryFormat.TIME_SERIES)
        case Kind.HEATMAP:
            target.range().format(PromQueryFormat.HEATMAP)
        case _:
            target.range().format(PromQueryFormat.TIME_SERIES)
    if query.legend:
        target.legend_format(query.legend)
    return target.exemplar(query.exemplars)


def _thresholds(steps: Sequence[tuple[float, str]]) -> build.ThresholdsConfig:
    # Values below the first step have the colour of missing data, because Grafana gives it to nulls too.
    first = dashboard.Threshold(value=None, color=UNKNOWN if steps else TEXT)
    return build.ThresholdsConfig().steps(
        [first, *(dashboard.Threshold(value=value, color=colour) for value, colour in steps)]
    )


def _mappings(states: Iterable[State | Between]) -> list[dashboard.ValueMapping]:
    """Return the mappings of values; those of single values come first, since the first that applies counts."""
    options, ranges = {}, []
    for index, state in enumerate(states):
        result = dashboard.ValueMappingResult(text=state.text, color=state.colour, index=index)
        if isinstance(state, State):
            value = state.value if isinstance(state.value, str) else f"{state.value:g}"
            options[value] = result
        else:
            limits = dashboard.DashboardRangeMapOptions(from_val=state.first, to=state.last, result=result)
            ranges.append(dashboard.RangeMap(options=limits))
    return [*([dashboard.ValueMap(options=options)] if options else []), *ranges]


def _empty(text: str, colour: str) -> dashboard.SpecialValueMap:
    """Return the mapping of nulls and NaN."""
    return dashboard.SpecialValueMap(
        options=dashboard.DashboardSpecialValueMapOptions(
            match=dashboard.SpecialValueMatch.NULL_AND_NAN,
            result=dashboard.ValueMappingResult(text=text, color=colour),
        )
    )


def _stat(panel: Panel) -> stat.Panel:
    coloured = panel.steps or panel.states
    is_quiet = panel.sparkline or panel.quiet
    mode = common.BigValueColorMode.VALUE if is_quiet else common.BigValueColorMode.BACKGROUND
    shown = common.BigValueTextMode.VALUE_AND_NAME if panel.named else common.BigValueTextMode.VALUE
    # The last point of a graph is that of now, or NaN; the last that is not null may be hours old.
    last = "last" if panel.sparkline else "lastNotNull"
    drawn = (
        stat.Panel()
        .reduce_options(options.ReduceDataOptions().calcs([last]).values(False).fields(""))  # noqa: FBT003
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .color_mode(mode if coloured else common.BigValueColorMode.NONE)
        .graph_mode(common.BigValueGraphMode.AREA if panel.sparkline else common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.NAME if panel.text else shown)
    )
    if panel.size is not None:
        drawn.text(options.VizTextDisplayOptions().value_size(panel.size))
    for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        if query.steps:
            drawn.override_by_query(letter, [_steps(query.steps)])
    return drawn


def _steps(steps: Sequence[tuple[float, str]]) -> dashboard.DynamicConfigValue:
    value = {"mode": "absolute", "steps": _thresholds(steps).build().steps}
    return dashboard.DynamicConfigValue(id_val="thresholds", value=value)


def _fixed(colour: str) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def _legend(panel: Panel) -> options.VizLegendOptions:
    legend = options.VizLegendOptions().show_legend(panel.legend is not Legend.NONE).calcs([])
    if panel.legend is Legend.RIGHT:
        table_mode = legend.display_mode(common.LegendDisplayMode.TABLE).placement(common.LegendPlacement.RIGHT)
        return table_mode.width(LEGEND_WIDTH)
    return legend.display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM)


def _lines(panel: Panel) -> timeseries.Panel:
    drawn = (
        timeseries.Panel()
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(_legend(panel))
        .tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
        .draw_style(common.GraphDrawStyle.BARS if panel.bars else common.GraphDrawStyle.LINE)
        .fill_opacity(80 if panel.bars else 30 if panel.stacked else 0)
        .line_width(0 if panel.bars else 1)
        .show_points(common.VisibilityMode.NEVER if panel.bars else common.VisibilityMode.AUTO)
    )
    if panel.bars:
        drawn.bar_alignment(common.BarAlignment.BEFORE)  # a value counts the interval that ends at its time
    if panel.stacked:
        drawn.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if panel.threshold_lines:
        drawn.thresholds_style(options.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    if panel.log:
        drawn.scale_distribution(options.ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10))
    if panel.soft_minimum is not None:
        drawn.axis_soft_min(panel.soft_minimum)
    if panel.soft_maximum is not None:
        drawn.axis_soft_max(panel.soft_maximum)
    _colour(drawn, panel)
    return drawn


def _colour(drawn: timeseries.Panel, panel: Panel) -> None:
    """Give series the colours of their queries, their legends, and of objectives."""
    for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        if query.colour:
            drawn.override_by_query(letter, [_fixed(query.colour)])
    for pattern, colour in panel.colours:
        drawn.override_by_regexp(f"/{pattern}/", [_fixed(colour)])
    if any("absent(" in query.expr for query in panel.queries):
        drawn.override_by_regexp(f"/^{NO_DATA}$/", [_fixed(UNKNOWN)])
    if any(query.legend.startswith(OBJECTIVE_PREFIX) for query in panel.queries):
        drawn.override_by_regexp(
            f"/^{OBJECTIVE_PREFIX}/",
            [
                dashboard.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]}),
                dashboard.DynamicConfigValue(id_val="custom.lineWidth", value=1),
                dashboard.DynamicConfigValue(id_val="custom.showPoints", value="never"),
                _fixed(NEUTRAL),
            ],
        )


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


def _timeline(panel: Panel) -> statetimeline.Panel:
    legend = options.VizLegendOptions().show_legend(panel.legend is not Legend.NONE).calcs([])
    return (
        statetimeline.Panel()
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .legend(legend.display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM))
        .merge_values(True)  # noqa: FBT003 - the SDK's signature
        .show_value(common.VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
    )


def _table(panel: Panel) -> table.Panel:
    several = len(panel.queries) > 1
    drawn = table.Panel().show_header(True).cell_height(common.TableCellHeight.SM)  # noqa: FBT003
    values = {
        f"Value #{letter}" if several else "Value": query
        for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False)
    }
    labels = [label if isinstance(label, Column) else Column(label=label) for label in panel.labels]
    if several:
        drawn.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    order: dict[str, Any] = {name: index for index, name in enumerate(_order(labels, values))}
    drawn.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(("Time", "__name__", "install", "job"), True),
                "indexByName": order,
                "renameByName": {name: query.column for name, query in values.items()}
                | {column.label: column.title for column in labels if column.title},
            },
        )
    )
    if panel.sort:
        fields = (options.TableSortByFieldState().display_name(name.lstrip("-")) for name in panel.sort)
        drawn.sort_by([field.desc(name[:1] == "-") for name, field in zip(panel.sort, fields, strict=True)])
    for query in values.values():
        drawn.override_by_name(query.column, list(_value_column(query)))
    for column in labels:
        if column.label not in {query.column for query in values.values()}:
            drawn.override_by_name(column.title or column.label, list(_label_column(column)))
    return drawn


def _order(labels: Sequence[Column], values: Mapping[str, Query]) -> list[str]:
    """Return the columns in their order; a query whose column is named in `labels` too stands there."""
    by_title = {query.column: name for name, query in values.items()}
    placed = [by_title.get(column.label, column.label) for column in labels]
    return [*placed, *(name for name in values if name not in placed)]


def _value_column(query: Query) -> Iterator[dashboard.DynamicConfigValue]:
    yield dashboard.DynamicConfigValue(id_val="unit", value=query.unit)
    if query.align:
        yield dashboard.DynamicConfigValue(id_val="custom.align", value=query.align)
    if query.decimals is not None:
        yield dashboard.DynamicConfigValue(id_val="decimals", value=query.decimals)
    if query.steps:
        yield _steps(query.steps)
    yield from _cells(
        [*_mappings(query.states), _empty(query.empty_text, UNKNOWN if query.empty_text == NO_DATA else NEUTRAL)],
        "color-background" if query.filled else "color-text" if query.steps or query.states else "",
        query.width,
        query.links,
        hidden=query.hidden,
    )


def _label_column(column: Column) -> Iterator[dashboard.DynamicConfigValue]:
    return _cells(
        [*_mappings(column.states), _empty(column.empty_text, TEXT)],
        "color-text" if column.states else "auto" if column.wrap else "",
        column.width,
        column.links,
        hidden=column.hidden,
    )


def _cells(
    mappings: list[dashboard.ValueMapping],
    cell: str,
    width: int | None,
    links: Sequence[tuple[str, str]],
    *,
    hidden: bool,
) -> Iterator[dashboard.DynamicConfigValue]:
    yield dashboard.DynamicConfigValue(id_val="mappings", value=mappings)
    if cell:
        more: Mapping[str, Mapping[str, Any]] = {"color-background": {"mode": "basic"}, "auto": {"wrapText": True}}
        yield dashboard.DynamicConfigValue(id_val="custom.cellOptions", value={"type": cell, **more.get(cell, {})})
    if width is not None:
        yield dashboard.DynamicConfigValue(id_val="custom.width", value=width)
    if links:
        value = [{"title": title, "url": url, "targetBlank": not url.startswith("/d/")} for title, url in links]
        yield dashboard.DynamicConfigValue(id_val="links", value=value)
    if hidden:
        yield dashboard.DynamicConfigValue(id_val="custom.hidden", value=True)


_KINDS: Final[Mapping[Kind, Callable[[Panel], Drawn]]] = {
    Kind.STAT: _stat,
    Kind.TIME_SERIES: _lines,
    Kind.HEATMAP: _heatmap,
    Kind.STATE_TIMELINE: _timeline,
    Kind.TABLE: _table,
}

"""The generated files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as dashboard_model

from monitor.config import Config, load, parse
from monitor.slo.dashboards import files
from monitor.slo.dashboards.grafana_json import to_json
from monitor.slo.dashboards.lean import NOT_EXPORTED
from monitor.slo.dashboards.model import Dashboard, Kind, Panel, Query, Row
from tests.relays import ROOT
from tests.slo.dashboards.linter import panels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def test_the_same_configuration_gives_the_same_bytes(written: Mapping[str, bytes]) -> None:
    assert files(load(ROOT / "config.yaml", {})) == written


def test_the_committed_files_match_the_shipped_configuration(written: Mapping[str, bytes]) -> None:
    committed = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in (ROOT / "dashboards").iterdir()}
    committed["docs/dashboards.md"] = (ROOT / "docs" / "dashboards.md").read_bytes()
    assert {name: committed.get(name) == text for name, text in written.items()} == dict.fromkeys(committed, True)


def test_keys_are_sorted_and_files_end_with_a_newline(written: Mapping[str, bytes]) -> None:
    for name, text in written.items():
        assert text.endswith(b"\n"), name
        if name.endswith(".json"):
            assert (json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode() == text


def test_no_objective_is_hard_coded(shipped: Config, written: Mapping[str, bytes]) -> None:
    """Other thresholds, objectives and SLOs give the same dashboards, which read them from series."""
    slos = tuple(
        slo.model_copy(update={"threshold": slo.threshold and 0.7, "objective": slo.objective and Decimal("0.95")})
        for slo in shipped.slos
    )
    another = slos[0].model_copy(update={"name": "another"})
    assert files(shipped.model_copy(update={"slos": (*slos, another)})) == written


def cells(dashboard: dict[str, Any]) -> Iterator[tuple[int, int]]:
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                yield x, y


def test_panels_fill_the_grid_without_overlap(dashboard: dict[str, Any]) -> None:
    taken = list(cells(dashboard))
    assert len(taken) == len(set(taken))
    height = max(y for _, y in taken) + 1
    assert set(taken) == {(x, y) for x in range(24) for y in range(height)}


SCREEN, BAR, LINE = 900, 104, 38
"""Pixels: of a screen, of Grafana's bars above the first panel, and of a line of the grid with its gap."""


@pytest.mark.parametrize("locations", [1, 3, 5])
def test_what_is_open_fits_the_screens(locations: int) -> None:
    """The first screen answers, the detail of a relay has three and the monitor's health two; other rows are closed."""
    names = [f"location-{number}" for number in range(locations)]
    made = files(parse(f"location: {names[0]}\nlocations: {json.dumps(names)}\n{TWO}", "config.yaml", {}))
    for name, first_row, screens in (("relay-detail", "Latency", 3), ("monitor-health", "Schedule", 2)):
        board = json.loads(made[f"dashboards/{name}.json"])
        ends = [BAR + LINE * (panel["gridPos"]["y"] + panel["gridPos"]["h"]) for panel in board["panels"]]
        (begin,) = (panel["gridPos"]["y"] for panel in board["panels"] if panel["title"] == first_row)
        assert BAR + LINE * begin <= SCREEN + LINE
        assert max(ends) <= screens * SCREEN


def test_a_panel_keeps_its_id_when_another_is_added_before_it(models: tuple[Dashboard, ...]) -> None:
    board = models[0]
    new = Row(title="New", panels=(Panel(kind=Kind.STAT, title="x", description="x?", queries=(), width=24),))
    before = {panel["title"]: panel["id"] for panel in panels(json.loads(to_json(board)))}
    after = {
        panel["title"]: panel["id"] for panel in panels(json.loads(to_json(replace(board, rows=(new, *board.rows)))))
    }
    assert after == before | {"x": after["x"]}
    assert len(set(after.values())) == len(after)


@pytest.mark.parametrize(
    ("widths", "message"),
    [((12, 8), "'b' leaves a gap: 20 columns of 24"), ((20, 8), "'b' does not fit into its line")],
)
def test_a_row_that_does_not_fill_the_grid_is_rejected(
    models: tuple[Dashboard, ...], widths: tuple[int, ...], message: str
) -> None:
    wrong = tuple(
        Panel(kind=Kind.STAT, title=title, description="?", queries=(Query(expr="up"),), width=width)
        for title, width in zip("ab", widths, strict=True)
    )
    with pytest.raises(ValueError, match=message):
        to_json(replace(models[0], rows=(Row(title="r", panels=wrong),)))


def test_two_panels_of_one_title_are_rejected(models: tuple[Dashboard, ...]) -> None:
    board = models[0]
    with pytest.raises(ValueError, match="two panels of Relays overview have one id"):
        to_json(replace(board, rows=(board.rows[0], replace(board.rows[0], title="Again"))))


def test_missing_data_is_never_green(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        # Another text is good news, or says what is missing: then the query itself says if there are no data.
        absent = all("absent(" in target["expr"] or "Watchdog" in target["expr"] for target in panel["targets"][:1])
        assert defaults["noValue"] == "no data" or absent, panel["title"]
        assert defaults["thresholds"]["steps"][0]["color"] in {"purple", "text"}, panel["title"]
        assert {
            "type": "special", "options": {"match": "null+nan", "result": {"text": "no data", "color": "purple"}},
        } in defaults["mappings"], panel["title"]  # fmt: skip


def test_what_lean_does_not_export_is_named() -> None:
    """Failures are not counted by step and runs not by result: "no exchange fails" would be said of an outage."""
    made = files(parse(f"{TWO}metrics: {{detail: lean}}\n", "config.yaml", {}))
    named = {
        name: {
            panel["title"]
            for panel in panels(json.loads(made[f"dashboards/{name}.json"]))
            if panel["fieldConfig"]["defaults"]["noValue"] == NOT_EXPORTED
        }
        for name in ("relays-overview", "relay-detail", "monitor-health")
    }
    assert named == {
        "relays-overview": {"Failures by step and reason"},
        "relay-detail": {
            "Connection phases", "Failures by step and reason", "Mean reconnect time", "Missed and skipped runs",
            "Relay (wire) latency",
        },
        "monitor-health": {"Missed and skipped runs"},
    }  # fmt: skip
    page = made["docs/dashboards.md"].decode()
    assert page.count(f"| {NOT_EXPORTED} |") == sum(map(len, named.values()))


def test_latency_graphs_have_exemplars(written: Mapping[str, bytes]) -> None:
    """Round trip, pairing and recovery have exemplars; wire, phases and reconnects have none."""
    expected = {
        "relays-overview": set(),
        "relay-detail": {
            "Round-trip latency", "Round-trip latency distribution", "Pairing, new sessions and offline recovery",
        },
    }  # fmt: skip
    for name, titles in expected.items():
        found = {
            panel["title"]
            for panel in panels(json.loads(written[f"dashboards/{name}.json"]))
            if any(target["exemplar"] for target in panel["targets"])
        }
        assert found == titles


def test_links_to_the_other_dashboards_the_monitor_and_the_runbooks(dashboard: dict[str, Any]) -> None:
    relay = "?relay=${relay}" if dashboard["uid"] == "relay-monitor-relay" else ""
    assert [(link["type"], link.get("url"), link["tags"]) for link in dashboard["links"]] == [
        ("dashboards", None, ["relay-monitor"]),
        ("link", f"http://127.0.0.1:9464/{relay}", []),
        ("link", f"http://127.0.0.1:9464/incidents{relay}", []),
        ("link", "https://runbooks.example.com/relay-monitor", []),
    ]
    assert dashboard["tags"] == ["relay-monitor"]


def test_every_linked_dashboard_exists(written: Mapping[str, bytes]) -> None:
    made = [json.loads(text) for name, text in written.items() if name.endswith(".json")]
    uids = {dashboard["uid"] for dashboard in made}
    urls = {link["url"].split("?")[0] for dashboard in made for panel in panels(dashboard) for link in links(panel)}
    assert urls == {
        "/d/relay-monitor-relay",
        "https://runbooks.example.com/relay-monitor/${__data.fields.alertname}.md",
        "http://127.0.0.1:9464/",
        "http://127.0.0.1:9464/incidents",
    }
    assert "relay-monitor-relay" in uids


def links(panel: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the links of a panel and of its columns."""
    yield from panel["fieldConfig"]["defaults"].get("links", ())
    for override in panel["fieldConfig"]["overrides"]:
        yield from (link for entry in override["properties"] if entry["id"] == "links" for link in entry["value"])


def test_links_between_dashboards_keep_what_is_selected(dashboard: dict[str, Any]) -> None:
    """Install, locations, data source and time range; the relay is that of the row or series."""
    for panel in panels(dashboard):
        for link in links(panel):
            if link["url"].startswith("/d/"):
                query = link["url"].split("?")[1].split("&")
                assert query[0] == "var-install=${install}"
                assert query[1].startswith("var-relay=${__")
                assert query[2:] == ["${location:queryparam}", "${datasource:queryparam}", "${__url_time_range}"]


def test_annotations_are_starts_of_critical_alerts(dashboard: dict[str, Any]) -> None:
    """As regions of every alert they would fill all graphs during an incident."""
    marks = {mark["name"]: mark for mark in dashboard["annotations"]["list"]}
    starts = marks["Critical alerts"]["expr"]
    assert starts == marks["Critical alerts"]["target"]["expr"]
    assert starts.count('alertstate="firing", severity="critical"') == 2
    assert "unless max by (alertname, relay) (last_over_time(ALERTS{" in starts
    assert starts.endswith("offset $__interval))")
    assert all(mark["enable"] for mark in marks.values())


TWO = """
relays:
  - {name: one, url: embedded, centrifugo_selector: 'job="a"'}
  - {name: two, url: embedded, centrifugo_selector: 'job="a"'}
  - {name: three, url: embedded, centrifugo_selector: 'job="b", cluster="x"'}
  - {name: four, url: embedded}
probes:
  - {name: steady, scenario: steady-messaging, schedule: continuous, pairs: 1, message_interval: 5s}
  - {name: seldom, scenario: async-delivery, schedule: {every: 10m}, delay: 10s}
prometheus: {scrape_interval: 30s}
"""


def test_the_row_of_centrifugo_follows_the_selected_relay() -> None:
    """Its selectors are a hidden variable, which has the label of the selected relay and is in no address."""
    made = json.loads(files(parse(TWO, "config.yaml", {}))["dashboards/relay-detail.json"])
    (row,) = (row for row in made["panels"] if row["type"] == "row" and "Centrifugo" in row["title"])
    assert (row["title"], row["collapsed"]) == ("Centrifugo of $relay", True)
    asked = [target["expr"] for panel in row["panels"] for target in panel["targets"]]
    asked += [mark["expr"] for mark in made["annotations"]["list"] if "Centrifugo" in mark["name"]]
    for expr in asked:
        assert set(re.findall(r"centrifugo_\w+\{[^}]*\}\}", expr)) == {
            f"{name}{{${{centrifugo_selector:raw}}}}" for name in re.findall(r"(centrifugo_\w+)\{", expr)
        }
        # The variable of a relay without a selector is empty, and would select every Centrifugo.
        assert 'relay="$relay", centrifugo_selector!=""}' in expr
    (variable,) = (each for each in made["templating"]["list"] if each["name"] == "centrifugo_selector")
    assert (variable["hide"], variable["skipUrlSync"]) == (2, True)
    assert variable["query"]["query"].startswith("label_values(relay_probe_relay_info{")
    assert variable["query"]["query"].endswith('relay="$relay"}, centrifugo_selector)')


def test_the_detail_selects_its_relay_exactly(written: Mapping[str, bytes]) -> None:
    """Grafana escapes no value of a variable with one value: the dot of `=~"eu.1"` would match `eu-1` too."""
    text = written["dashboards/relay-detail.json"].decode()
    assert (text.count("relay=~"), text.count("install=~")) == (0, 0)
    assert text.count('relay=\\"$relay\\"') > 50


def test_relays_without_a_selector_have_no_row_of_centrifugo() -> None:
    made = files(parse(re.sub(r", centrifugo_selector: '[^']*'", "", TWO), "config.yaml", {}))
    assert b"centrifugo" not in made["dashboards/relay-detail.json"].lower()


def test_rates_span_enough_runs() -> None:
    """Grafana's `$__rate_interval` is four times a query's minimum step."""
    made = json.loads(files(parse(TWO, "config.yaml", {}))["dashboards/relay-detail.json"])
    steps = {
        (panel["title"], target["legendFormat"].split()[0]): target["interval"]
        for panel in panels(made)
        for target in panel["targets"]
        if target.get("legendFormat")
    }
    assert steps["Persistent pairs connected", "{{probe}}"] == "30s"  # the scrape interval
    assert steps["Pairing, new sessions and offline recovery", "offline"] == "750s"  # 50 min: five runs
    # One pair makes 100 exchanges, 10.5 s each, in 1,050 s: 18 min.
    assert steps["Round-trip latency", "P99"] == "270s"


def test_the_sli_is_calculated_over_the_window_of_its_slo() -> None:
    slos = """
slos:
  - {name: week, probe: steady, sli: availability, objective: 99%, window: 7d}
  - {name: month, probe: steady, sli: availability, objective: 99%}
"""
    made = json.loads(files(parse(TWO + slos, "config.yaml", {}))["dashboards/relay-detail.json"])
    (table,) = (panel for panel in panels(made) if panel["title"] == "SLO status")
    parts = [
        f'slo:sli_error:ratio_rate{window}{{install="$install", location=~"$location", relay="$relay"}} '
        "and on (install, relay, slo, location) "
        'relay_slo_window_seconds{install="$install", job=~"$job", instance=~"$instance", location=~"$location", '
        'relay="$relay"} '
        f"== {seconds}"
        for window, seconds in (("7d", 604_800), ("30d", 2_592_000))
    ]
    assert table["targets"][2]["expr"] == f"1 - max by (relay, slo, probe, location) ({' or '.join(parts)})"


def test_colours_start_where_alerts_do(dashboard: dict[str, Any]) -> None:
    """A certificate has those of its alerts; panels with objectives have none."""
    steps = {
        panel["title"]: [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]]
        for panel in panels(dashboard)
    }
    assert steps.get("Success rate", []) == steps.get("Persistent pairs connected", []) == []
    expiry = [-1e9, 3 * 86_400, 14 * 86_400]
    assert steps.get("Certificate and token expire in", expiry) == expiry


def test_the_page_lists_every_panel(models: tuple[Dashboard, ...], written: Mapping[str, bytes]) -> None:
    page = written["docs/dashboards.md"].decode()
    for board in models:
        assert f"## {board.title}\n" in page
        for panel in board.panels:
            assert f"| {panel.title} | {panel.description} |" in page
            assert "?" in panel.description, panel.title


def test_the_exclusions_are_yaml_without_aliases(written: Mapping[str, bytes]) -> None:
    text = written["dashboards/.lint"].decode()
    assert "&id" not in text
    rules = yaml.safe_load(text)["exclusions"]
    assert list(rules) == ["target-promql-rule", "target-job-rule", "target-instance-rule", "target-counter-agg-rule"]


def differences(written: Any, read: Any, path: str = "") -> Iterator[str]:
    """Yield the paths at which `read` differs from `written`."""
    if isinstance(written, dict):
        for key, value in written.items():
            yield from differences(value, read[key], f"{path}.{key}") if key in read else (f"{path}.{key}",)
    elif isinstance(written, list):
        for index, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif written != read:
        yield path


def test_grafanas_sdk_reads_the_dashboards_without_loss(dashboard: dict[str, Any]) -> None:
    """Except annotations, of which the SDK has only some fields."""
    plugins.register_default_plugins()
    back = json.loads(json.dumps(dashboard_model.Dashboard.from_json(dashboard), cls=JSONEncoder))
    del dashboard["annotations"]
    assert list(differences(dashboard, back)) == []


@pytest.mark.parametrize(
    ("install", "uid"),
    [
        ("default", "relay-monitor-relay"),
        ("staging.eu", "relay-monitor-relay-staging_eu"),
        ("a" * 40, "relay-monitor-relay-aaaaaaaaaaa-6fc9f3b5"),
    ],
)
def test_dashboards_of_two_installs_are_two(install: str, uid: str) -> None:
    """Each has an uid, a title and a first selection of its own, and links to its own detail."""
    made = files(parse(f"install: {install}\n{TWO}", "config.yaml", {}))
    detail = json.loads(made["dashboards/relay-detail.json"])
    assert (len(detail["uid"]) <= 40, detail["uid"][:30]) == (True, uid[:30])
    assert detail["title"] == ("Relay detail" if install == "default" else f"Relay detail ({install})")
    (variable,) = (each for each in detail["templating"]["list"] if each["name"] == "install")
    assert variable["current"]["value"] == install
    overview = made["dashboards/relays-overview.json"].decode()
    assert f"/d/{detail['uid']}?var-install=${{install}}" in overview


def test_links_to_the_on_call_page_name_a_location() -> None:
    """The address of the page may contain those of the monitor; a link of a dashboard leads to the generating one."""
    text = "location: eu\nalerts: {external_url: 'https://monitor-{shard}.{location}.example.com/'}\n" + TWO
    for name, made in files(parse(text, "config.yaml", {})).items():
        if name.endswith(".json"):
            urls = [link["url"] for link in json.loads(made)["links"] if link.get("url")]
            assert urls[0].startswith("https://monitor-0.eu.example.com/"), name
            assert urls[1].startswith("https://monitor-0.eu.example.com/incidents"), name
            assert b"monitor-{shard}" not in made, name

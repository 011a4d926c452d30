"""compose.yaml, the files that it mounts, and config.yaml agree with each other. No container is started."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from monitor.config import Config, load
from monitor.slo.dashboards import files
from tests.relay_settings import RelaySettings, centrifugo_config
from tests.relays import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
FOLDER = ROOT / "deploy" / "compose"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def config() -> Config:
    return load(ROOT / "config.yaml", {"RELAY_MONITOR_LISTEN": "0.0.0.0:9464", "RELAY_URL": relay_url()})


def relay_url() -> str:
    default = re.fullmatch(r"\$\{RELAY_URL:-(.+)\}", SERVICES["monitor"]["environment"]["RELAY_URL"])
    assert default is not None
    return default[1]


def mounts(service: str) -> dict[str, str]:
    """Return the files of the project that a service mounts: path here → path in the container."""
    parts = [mount.split(":") for mount in SERVICES[service].get("volumes", ())]
    return {source: target for source, target, *_ in parts if source.startswith("./")}


def ports(service: str) -> set[tuple[int, int]]:
    """Return the ports published on loopback, with those in the container."""
    split = [entry.split(":") for entry in SERVICES[service]["ports"]]
    assert {host for host, _, _ in split} == {"127.0.0.1"}
    return {(int(here), int(there)) for _, here, there in split}


def test_every_image_is_pinned_by_a_version() -> None:
    images = {name: service["image"] for name, service in SERVICES.items() if "image" in service}
    assert set(SERVICES) - set(images) == {"monitor"}
    assert [image for image in images.values() if not re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", image)] == []
    assert SERVICES["monitor"]["build"] == "."


def test_mounted_files_exist_and_are_read_only() -> None:
    for name, service in SERVICES.items():
        for source, target in mounts(name).items():
            assert (ROOT / source).exists(), source
            assert f"{source}:{target}:ro" in service["volumes"]
    named = [mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", ())]
    assert {name for name in named if not name.startswith("./")} == set(COMPOSE["volumes"])


def test_the_relay_has_the_production_namespaces_and_the_expected_port() -> None:
    relay = read("centrifugo.json")
    assert relay == centrifugo_config(RelaySettings(), 8000) | {
        "http_server": {"address": "", "port": 8000},
        "prometheus": {"enabled": True},
    }
    assert mounts("relay")["./deploy/compose/centrifugo.json"] in SERVICES["relay"]["command"]
    assert ports("relay") == {(8000, 8000)}
    assert SERVICES["relay"]["healthcheck"]["test"][-1] == "http://127.0.0.1:8000/health"
    assert relay_url() == "ws://relay:8000/connection/websocket"


def test_the_monitor_uses_the_shipped_configuration(config: Config) -> None:
    image = (ROOT / "Dockerfile").read_text("utf-8")
    assert json.loads(image.rsplit("\nCMD ", 1)[1])[2] == mounts("monitor")["./config.yaml"]
    assert "RELAY_MONITOR_LISTEN=0.0.0.0:9464" in image
    assert config.relays[0].url == relay_url()
    assert ports("monitor") == {(9464, config.server.port)}


def test_the_default_image_is_runtime_and_the_load_job_uses_tools() -> None:
    stages = re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert stages[-2:] == ["tools", "runtime"]
    job = yaml.safe_load((ROOT / "deploy/kubernetes/load-job.yaml").read_text("utf-8"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "relay-monitor:tools"


def test_links_in_alerts_and_dashboards_have_the_published_ports(config: Config) -> None:
    assert urlsplit(config.alerts.external_url).netloc == "127.0.0.1:9464"
    assert urlsplit(config.alerts.grafana_url).netloc == "127.0.0.1:3000"
    assert ports("grafana") == {(3000, 3000)}


def test_prometheus_has_the_configured_intervals_and_targets(config: Config) -> None:
    prometheus = read("prometheus.yml")
    assert prometheus["global"] == {
        "scrape_interval": f"{config.prometheus.scrape_interval:g}s",
        "evaluation_interval": f"{config.prometheus.evaluation_interval:g}s",
    }
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    assert targets == {"relay-monitor": ["monitor:9464"], "centrifugo": ["relay:8000"]}
    assert [relay.centrifugo_selector for relay in config.relays] == ['job="centrifugo"']
    alertmanagers = prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert alertmanagers == ["alertmanager:9093"]
    assert ports("alertmanager") == {(9093, 9093)}


def test_prometheus_finds_the_rules_here_and_in_the_container() -> None:
    (rules,) = read("prometheus.yml")["rule_files"]
    assert (FOLDER / rules).resolve() == ROOT / "alerts" / "relay-monitor.rules.yml"
    mounted = mounts("prometheus")
    # From /etc/prometheus, ../../alerts is /alerts.
    assert (mounted["./deploy/compose/prometheus.yml"], mounted["./alerts"]) == (
        "/etc/prometheus/prometheus.yml",
        "/" + rules.removeprefix("../../").partition("/")[0],
    )
    assert f"--config.file={mounted['./deploy/compose/prometheus.yml']}" in SERVICES["prometheus"]["command"]


def test_the_retention_is_longer_than_the_longest_window(config: Config) -> None:
    command = " ".join(SERVICES["prometheus"]["command"])
    retention = re.search(r"--storage\.tsdb\.retention\.time=(\d+)d", command)
    assert retention is not None
    assert int(retention[1]) * 86_400 > max(slo.window for slo in config.slos)
    assert "--enable-feature=exemplar-storage" in command


@pytest.mark.integration
def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on PATH: apt-get install -y prometheus")
    done = subprocess.run(
        [program, "check", "config", FOLDER / "prometheus.yml"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout


@pytest.mark.integration
def test_amtool_accepts_the_mounted_routes() -> None:
    program = shutil.which("amtool")
    if program is None:
        pytest.skip("amtool is not on PATH: apt-get install -y prometheus-alertmanager")
    source, target = next(iter(mounts("alertmanager").items()))
    assert f"--config.file={target}" in SERVICES["alertmanager"]["command"]
    done = subprocess.run(
        [program, "check-config", ROOT / source], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_has_the_data_source_and_the_dashboards(config: Config) -> None:
    (source,) = read("grafana/datasources.yml")["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    assert source["jsonData"]["timeInterval"] == f"{config.prometheus.scrape_interval:g}s"
    (provider,) = read("grafana/dashboards.yml")["providers"]
    folder = mounts("grafana")["./dashboards"]
    assert provider["options"]["path"] == folder
    shown = {f"{folder}/{name.removeprefix('dashboards/')}" for name in files(config) if name.endswith(".json")}
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in shown
    for target in mounts("grafana").values():
        assert target.startswith(("/etc/grafana/provisioning/", folder))


def test_the_dashboards_use_the_provisioned_type_of_data_source() -> None:
    (source,) = read("grafana/datasources.yml")["datasources"]
    for path in sorted((ROOT / "dashboards").glob("*.json")):
        variables = json.loads(path.read_text("utf-8"))["templating"]["list"]
        chosen = [variable for variable in variables if variable["type"] == "datasource"]
        assert [(variable["name"], variable["query"]) for variable in chosen] == [("datasource", source["type"])]


def test_exemplars_link_to_the_page_of_their_run(config: Config) -> None:
    (source,) = read("grafana/datasources.yml")["datasources"]
    (link,) = source["jsonData"]["exemplarTraceIdDestinations"]
    # Grafana reads $$ as a dollar sign in these files.
    assert (link["name"], link["url"]) == ("run_id", f"{config.alerts.external_url}/runs/$${{__value.raw}}")


def test_the_image_contains_no_deployment_files() -> None:
    included = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert included.isdisjoint({"compose.yaml", "deploy", "dashboards", "alerts"})

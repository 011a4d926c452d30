"""The example of three locations in deploy/locations: its files agree with each other, and promtool accepts them."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from monitor.config import parse, text_of
from monitor.slo.generate import generated, write
from tests.locations.reference import FOLDER, TARGET, config, render

if TYPE_CHECKING:
    from pathlib import Path

LOCATIONS: Final = ("fra", "iad", "sin")
CENTRAL: Final = ("prometheus-direct.yml", "prometheus-federated.yml", "prometheus-receiving.yml")
LOCAL: Final = ("prometheus-local.yml", "prometheus-remote-write.yml")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example's files and what `generate` writes."""
    folder = tmp_path_factory.mktemp("central")
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    write(generated(config("fra")), folder)
    return folder


def test_all_locations_share_one_configuration_and_its_rules() -> None:
    """Alerts and panels that are about no location link to the pages of the one that generated them."""
    first = generated(config(LOCATIONS[0]))
    for location in LOCATIONS:
        made = config(location)
        assert (made.location, made.locations) == (location, LOCATIONS)
        for name, content in generated(made).items():
            links = ((f"-{location}.", "-fra."), (f"{{{{ else }}}}{location}{{{{ end }}}}", "{{ else }}fra{{ end }}"))
            text = content.decode()
            for own, of_first in links if content != first[name] else ():
                text = text.replace(own, of_first)
            assert text == first[name].decode()


def test_a_monitor_of_no_location_is_an_error() -> None:
    with pytest.raises(Exception, match="LOCATION is not set"):
        parse(text_of(FOLDER / "config.yaml"), "config.yaml", {})


@pytest.mark.parametrize("name", [*CENTRAL, *LOCAL])
def test_every_prometheus_has_the_configured_intervals(name: str) -> None:
    expected, found = config("fra").prometheus, read(name)["global"]
    assert found["scrape_interval"] == f"{expected.scrape_interval:g}s"
    assert found.get("evaluation_interval", "15s") == f"{expected.evaluation_interval:g}s"
    assert all("scrape_interval" not in job for job in read(name).get("scrape_configs", []))


def test_rules_are_evaluated_in_one_place() -> None:
    for name in CENTRAL:
        assert read(name)["rule_files"] == ["alerts/relay-monitor.rules.yml"]
        assert read(name)["alerting"]
    for name in LOCAL:
        assert read(name).keys().isdisjoint({"rule_files", "alerting"})


def test_every_location_is_scraped() -> None:
    for name in ("prometheus-direct.yml", "prometheus-federated.yml"):
        (job,) = read(name)["scrape_configs"]
        (targets,) = job["static_configs"]
        assert [target.split(".")[1] for target in targets["targets"]] == list(LOCATIONS)
    port = config("fra").server.port
    for name in LOCAL:
        assert read(name)["scrape_configs"][0]["static_configs"] == [{"targets": [f"127.0.0.1:{port}"]}]
    (federated,) = read("prometheus-federated.yml")["scrape_configs"]
    assert federated["params"]["match[]"] == ['{job="relay-monitor"}']
    assert (federated["honor_labels"], federated["honor_timestamps"]) == (True, False)


@pytest.mark.integration
@pytest.mark.parametrize("name", [*CENTRAL, *LOCAL])
def test_promtool_accepts_the_configuration_and_its_rules(name: str, central: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on PATH: apt-get install -y prometheus")
    text = (central / name).read_text("utf-8")
    password = central / "password"
    password.touch()
    (central / name).write_text(text.replace("/etc/prometheus/central-password", str(password)), "utf-8")
    done = subprocess.run(
        [program, "check", "config", central / name], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if name in CENTRAL:
        assert "1 rule files found" in done.stdout


def test_the_merged_tree_is_up_to_date() -> None:
    assert TARGET.read_text("utf-8") == render()


@pytest.fixture
def amtool() -> str:
    """The path of Alertmanager's tool."""
    program = shutil.which("amtool")
    if program is None:
        pytest.skip("amtool is not on PATH: apt-get install -y prometheus-alertmanager")
    return program


@pytest.mark.integration
class TestAlertmanager:
    @pytest.mark.parametrize("name", ["alertmanager.yml", "alertmanager-company.yml"])
    def test_amtool_accepts_it(self, name: str, amtool: str) -> None:
        done = subprocess.run(
            [amtool, "check-config", FOLDER / name], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("alert", "receiver"),
        [
            (
                "service=relay-monitor install=production alertname=RelayDown severity=critical owner=wallets",
                "relay-monitor-production-pages of wallets",
            ),
            (
                "service=relay-monitor install=production alertname=RelayMonitorAbsent severity=critical",
                "relay-monitor-production-pages",
            ),
            (
                "service=relay-monitor install=production alertname=RelayProbeFailing severity=warning",
                "relay-monitor-production-tickets",
            ),
            (
                "service=relay-monitor install=production alertname=Watchdog severity=none",
                "relay-monitor-production-dead-mans-switch",
            ),
            (
                "service=relay-monitor install=production alertname=RelayInMaintenance severity=info",
                "relay-monitor-production-nobody",
            ),
            ("service=billing alertname=Down severity=critical", "pager"),
            ("service=billing alertname=Slow severity=warning", "chat"),
        ],
    )
    def test_alerts_of_relays_take_the_branch_and_all_others_the_companys_routes(
        self, alert: str, receiver: str, amtool: str
    ) -> None:
        command = [amtool, "config", "routes", "test", f"--config.file={TARGET}", *alert.split()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, receiver), done.stderr

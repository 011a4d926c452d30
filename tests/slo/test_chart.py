"""The Helm chart's values that `generate --format chart` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import parse, text_of
from monitor.slo import dashboards
from monitor.slo.chart import OWN_KEYS, VALUES_FILE, chart_files
from monitor.slo.rules import rules_file
from tests.relays import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = text_of(ROOT / "config.yaml")


def values_of(text: str) -> dict[str, Any]:
    files = chart_files(parse(text, "config.yaml", {}), text, "config.yaml")
    assert list(files) == [VALUES_FILE]
    read: dict[str, Any] = yaml.safe_load(files[VALUES_FILE])
    return read


def test_they_have_the_configuration_its_rules_and_its_dashboards() -> None:
    config, values = parse(SHIPPED, "config.yaml", {}), values_of(SHIPPED)
    assert sorted(values) == ["config", "generated"]
    assert parse(yaml.safe_dump(values["config"]), "config.yaml", {}) == config
    assert values["generated"]["rules"] == yaml.safe_load(rules_file(config))
    made = {f"dashboards/{name}": text for name, text in values["generated"]["dashboards"].items()}
    committed = {name: content for name, content in dashboards.files(config).items() if name.endswith(".json")}
    assert made.keys() == committed.keys()
    for name, text in made.items():
        assert "\n" not in text
        assert yaml.safe_load(text) == yaml.safe_load(committed[name])


@pytest.mark.parametrize(
    "change",
    [
        ("location: local  ", "location: there  "),
        ("journal: {max_age: 30d", "journal: {max_age: 1d"),
        ("state_dir: null", "state_dir: /state"),
        ("listen: $", "listen: 127.0.0.1:1 # $"),
    ],
)
def test_rules_and_dashboards_depend_on_none_of_the_keys_that_may_differ(change: tuple[str, str]) -> None:
    base = SHIPPED.replace("locations: [local]", "locations: [local, there]")
    text = SHIPPED.replace(*change).replace("locations: [local]", "locations: [local, there]")
    assert text != base
    before, after = values_of(base), values_of(text)
    differing = [key for key in after["config"] if after["config"][key] != before["config"].get(key)]
    assert set(differing) <= set(OWN_KEYS)
    assert after["generated"] == before["generated"]


def test_files_that_only_the_pod_has_need_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        SHIPPED.replace("    owner: null", "    token_file: /run/secrets/there-only/token\n    owner: null")
    )
    arguments = ["generate", "--config", str(path), "--format", "chart", "--output", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (0, "1 file written\n")
    values = yaml.safe_load((tmp_path / VALUES_FILE).read_text("utf-8"))
    assert values["config"]["relays"][0]["token_file"] == "/run/secrets/there-only/token"
    assert CliRunner().invoke(app, [*arguments, "--check"]).exit_code == 0
    path.write_text(path.read_text().replace("page_after: 30s", "page_after: 1m"))
    assert CliRunner().invoke(app, [*arguments, "--check"]).exit_code == 1

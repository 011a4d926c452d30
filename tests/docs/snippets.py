"""The snippets of configuration files: of which program each is, and whether that program accepts it.

A snippet may be a part of a file. The monitor's own are completed by the shipped configuration.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.config import Config, parse
from monitor.errors import MonitorError
from monitor.web.config import WebConfig, load_web
from tests.docs.blocks import ROOT
from tests.e2e.programs import AMTOOL, PROMTOOL, find
from tests.json_schema import validator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.docs.blocks import Block

TIMEOUT: Final = 60.0


class Kind(StrEnum):
    """The program that reads a snippet."""

    MONITOR = "relay-monitor"
    WEB = "relay-monitor's web configuration"
    PROMETHEUS = "Prometheus"
    ALERTMANAGER = "Alertmanager"
    CHART = "the Helm chart"
    GRAFANA = "Grafana's provisioning"
    SYSTEMD = "systemd"
    QUERY = "a query of Prometheus"


class SnippetError(Exception):
    """A snippet that nothing reads, or that is wrong. The message has its place and the fault."""

    def __init__(self, block: Block, what: str) -> None:
        super().__init__(f"{block.where}: {what}")


def kind_of(block: Block) -> Kind:
    """Return the program that reads a snippet. Raises `SnippetError` if there is none."""
    if block.language == "promql":
        return Kind.QUERY
    if block.language == "ini":
        return Kind.SYSTEMD
    keys = _mapping(block).keys()
    for kind, known in _KEYS.items():
        if keys and keys <= known:
            return kind
    raise SnippetError(block, f"no program is known that reads {', '.join(sorted(keys))}; add it to {__name__}")


def check(block: Block, folder: Path) -> None:
    """Let the program read a snippet. Raises `SnippetError` with what it says; skips if it is not installed."""
    _CHECKS[kind_of(block)](block, folder)


def _check_query(block: Block, folder: Path) -> None:
    check_queries([block], folder)


def check_queries(blocks: Iterable[Block], folder: Path) -> int:
    """Let promtool parse the queries, all at once: each becomes a recording rule. Return their number."""
    rules = [
        {"record": f"query:{number}", "expr": block.text, "labels": {"at": block.where}}
        for number, block in enumerate(blocks)
    ]
    path = folder / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "docs", "rules": rules}]}), "utf-8")
    done = _run(find(PROMTOOL), "check", "rules", str(path))
    if done.returncode != 0:
        raise ValueError(f"{done.stdout}{done.stderr}")
    return len(rules)


def write_into(config: str, snippet: str) -> str:
    """Return a configuration with the keys of a snippet."""
    return yaml.safe_dump(_merged(yaml.safe_load(config), yaml.safe_load(snippet)), sort_keys=False, allow_unicode=True)


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    return new


def _mapping(block: Block) -> dict[str, Any]:
    try:
        made = yaml.safe_load(block.text)
    except yaml.YAMLError as error:
        raise SnippetError(block, f"is not YAML: {error}") from None
    if not isinstance(made, dict):
        raise SnippetError(block, "is not a mapping: write the key above it")
    return made


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def _check_monitor(block: Block, _: Path) -> None:
    """Load the snippet as `relay-monitor check` does, in the shipped configuration unless it is a whole one."""
    snippet = _mapping(block)
    text = block.text
    if not {"relays", "probes"} <= snippet.keys():
        completed = _merged(yaml.safe_load((ROOT / "config.yaml").read_text("utf-8")), snippet)
        if "probes" in snippet and "slos" not in snippet:
            completed["slos"] = []  # the shipped ones name the shipped probes
        known = {relay["name"] for relay in completed["relays"]}
        named = {name for part in completed["maintenance"] for name in part.get("relays", [])}
        completed["relays"] += [{"name": name, "url": "embedded"} for name in sorted(named - known)]
        text = yaml.safe_dump(completed, sort_keys=False, allow_unicode=True)
    try:
        parse(text, "config.yaml", {}, check_files=False)
    except MonitorError as error:
        raise SnippetError(block, str(error)) from None


def _check_web(block: Block, folder: Path) -> None:
    """Load the snippet as the monitor does. The certificates that it names are made."""
    from tests.docs.examples import files  # noqa: PLC0415 - makes keys

    for key in ("cert_file", "key_file", "client_ca_file"):
        if (name := (_mapping(block).get("tls_server_config") or {}).get(key)) is not None:
            (folder / name).write_text(files()["/etc/reader/front.pem"], "utf-8")
    (folder / "web.yml").write_text(block.text, "utf-8")
    try:
        load_web(folder / "web.yml")
    except MonitorError as error:
        raise SnippetError(block, str(error)) from None


def _check_prometheus(block: Block, folder: Path) -> None:
    for name in _mapping(block).get("rule_files", []):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "alerts" / "relay-monitor.rules.yml", folder / name)
    _check_file(block, folder / "prometheus.yml", find(PROMTOOL), "check", "config")


def _check_alertmanager(block: Block, folder: Path) -> None:
    _check_file(block, folder / "alertmanager.yml", find(AMTOOL), "check-config")


def _check_file(block: Block, path: Path, *command: str) -> None:
    path.write_text(block.text, "utf-8")
    done = _run(*command, str(path))
    if done.returncode != 0:
        raise SnippetError(block, f"{done.stdout}{done.stderr}")


def _check_chart(block: Block, _: Path) -> None:
    """Check the snippet against the schema of the chart's values, beside the default ones."""
    chart = ROOT / "deploy" / "chart"
    schema = json.loads((chart / "values.schema.json").read_text("utf-8"))
    defaults = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))
    error = next(validator(schema).iter_errors(_merged(defaults, _mapping(block))), None)
    if error is not None:
        raise SnippetError(block, f"{error.json_path}: {error.message}")


def _check_grafana(block: Block, _: Path) -> None:
    """Check the keys against those of the files that the project ships, and where links to runs lead."""
    shipped = [yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / "deploy/compose/grafana").rglob("*.yml")]
    wrong = set(_keys(_mapping(block))) - {key for made in shipped for key in _keys(made)}
    if wrong:
        raise SnippetError(block, f"{', '.join(sorted(wrong))}: no file of deploy/compose/grafana has it")
    if re.search(r"/runs/(?!\$\$\{__value\.raw\}$)", block.text, re.MULTILINE):
        raise SnippetError(block, "the link to a run is /runs/$${__value.raw}")


def _keys(value: Any, path: str = "") -> Iterable[str]:
    """Yield the path of each key."""
    if isinstance(value, list):
        for item in value:
            yield from _keys(item, f"{path}[]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}.{key}"
            yield from _keys(item, f"{path}.{key}")


def _check_systemd(block: Block, folder: Path) -> None:
    """Let systemd read the snippet as a drop-in of the shipped unit."""
    program = find(("systemd-analyze",))
    unit = folder / "relay-monitor.service"
    text = (ROOT / "deploy" / "systemd" / unit.name).read_text("utf-8")
    unit.write_text(text.replace("/usr/local/bin/relay-monitor", "/bin/true"), "utf-8")
    drop_in = folder / f"{unit.name}.d" / "override.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(block.text, "utf-8")
    done = _run(program, "verify", "--man=no", str(unit))
    if said := [line for line in done.stderr.splitlines() if unit.name in line]:
        raise SnippetError(block, "\n".join(said))


_KEYS: Final[dict[Kind, frozenset[str]]] = {
    Kind.GRAFANA: frozenset({"apiVersion", "datasources", "providers"}),
    Kind.WEB: frozenset(WebConfig.model_fields),
    Kind.MONITOR: frozenset(Config.model_fields),
    Kind.PROMETHEUS: frozenset({"global", "rule_files", "scrape_configs", "alerting", "remote_write", "storage"}),
    Kind.ALERTMANAGER: frozenset({"global", "route", "receivers", "inhibit_rules", "templates", "time_intervals"}),
    Kind.CHART: frozenset(yaml.safe_load((ROOT / "deploy/chart/values.yaml").read_text("utf-8"))),
}
"""The top-level keys of each file, in the order in which they are compared."""

_CHECKS: Final[dict[Kind, Callable[[Block, Path], None]]] = {
    Kind.MONITOR: _check_monitor,
    Kind.WEB: _check_web,
    Kind.PROMETHEUS: _check_prometheus,
    Kind.ALERTMANAGER: _check_alertmanager,
    Kind.CHART: _check_chart,
    Kind.GRAFANA: _check_grafana,
    Kind.SYSTEMD: _check_systemd,
    Kind.QUERY: _check_query,
}

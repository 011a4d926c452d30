"""The chart as `helm template` renders it for the sets of values in `sets/`."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from monitor.config import parse, text_of
from monitor.slo.chart import VALUES_FILE, chart_files
from tests.chart.schemas import KUBERNETES, PATTERN, SCHEMAS
from tests.counterparts import HELM, KUBECONFORM, ROOT

if TYPE_CHECKING:
    from monitor.config import Config
    from tests.counterparts import Counterpart

CHART: Final = ROOT / "deploy" / "chart"
SETS: Final = Path(__file__).parent / "sets"
NAMES: Final = ("minimal", "shards", "stack", "lean")
NAMESPACE: Final = "monitoring"
TIMEOUT: Final = 60.0

Object = dict[str, Any]


def program(made: Counterpart) -> Path:
    """Return the path of a counterpart, or skip the test."""
    if not made.path.exists():
        pytest.skip(f"{made.path.relative_to(ROOT)} is missing: run make chart")
    return made.path


def run(*command: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command; `text` is its stdin."""
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def helm(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of helm, as for the oldest version of Kubernetes that the chart supports."""
    version = () if command == "package" else (f"--kube-version={KUBERNETES[0]}",)
    return run(program(HELM), command, *arguments, *version)


def kubeconform(rendered: str, version: str) -> subprocess.CompletedProcess[str]:
    """Check objects against the schemas of a version of Kubernetes, and of Prometheus' Operator."""
    schemas = program(SCHEMAS)
    locations = [f"-schema-location={schemas / folder / PATTERN}" for folder in (version, "operator")]
    return run(program(KUBECONFORM), "-strict", "-summary", f"-kubernetes-version={version}", *locations, text=rendered)


def config_text(name: str) -> str:
    """Return the configuration of a set; the shipped one if it has none."""
    own = SETS / name / "config.yaml"
    return text_of(own if own.exists() else ROOT / "config.yaml")


def config_of(name: str) -> Config:
    """Return the configuration of a set, whose secrets exist in a pod only."""
    return parse(config_text(name), "/etc/relay-monitor/config.yaml", {}, check_files=False)


@cache
def generated_values(name: str) -> bytes:
    """Return what `generate --format chart` writes for a set's configuration."""
    return chart_files(config_of(name), config_text(name), "config.yaml")[VALUES_FILE]


def values_of(name: str, folder: Path) -> list[str]:
    """Return the options that name a set's values; those of `generate` are written below `folder`."""
    own = SETS / name
    options = [f"--values={own / 'values.yaml'}"]
    if (own / "config.yaml").exists():
        program(HELM)
        (folder / VALUES_FILE).write_bytes(generated_values(name))
        options.insert(0, f"--values={folder / VALUES_FILE}")
    return options


def template(*options: str | Path, chart: Path = CHART) -> str:
    """Return what `helm template` prints."""
    done = helm("template", "relay-monitor", chart, f"--namespace={NAMESPACE}", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def rendered(name: str) -> str:
    """Return what a set renders."""
    with TemporaryDirectory() as folder:
        return template(*values_of(name, Path(folder)))


def objects(text: str) -> list[Object]:
    """Parse what `helm template` printed."""
    return [made for made in yaml.safe_load_all(text) if made is not None]


def find(made: list[Object], kind: str, name: str = "relay-monitor") -> Object:
    """Return the one object of that kind and name."""
    (found,) = [each for each in made if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pod_spec(made: Object) -> Object:
    """Return the pod's spec in an object that makes one, or {}."""
    if made["kind"] == "Pod":
        return dict(made["spec"])
    spec = made.get("spec", {})
    return dict(spec["template"]["spec"]) if "template" in spec else {}

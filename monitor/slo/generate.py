"""Everything an on-call team deploys, from one configuration: the same configuration, the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.slo import dashboards
from monitor.slo.alertmanager import alertmanager_file
from monitor.slo.rules import rules_file
from monitor.slo.runbooks import runbook_files

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config import Config


def generated(config: Config, *, operator: bool = False) -> dict[str, bytes]:
    """Every file by its path; `operator`: the rules as a PrometheusRule."""
    return {
        "alerts/relay-monitor.rules.yml": rules_file(config, operator=operator),
        "alerts/alertmanager.yml": alertmanager_file(config),
        **dashboards.files(config),
        **runbook_files(config),
    }


def drift(files: dict[str, bytes], folder: Path) -> list[str]:
    """What in a folder is not as it would be written, each as a line."""
    found = []
    for name, content in files.items():
        path = folder / name
        if not path.exists():
            found.append(f"{path}: is missing")
        elif path.read_bytes() != content:
            found.append(f"{path}: is not in step with the configuration")
    kept = {path.rpartition("/")[2] for path in files if path.startswith("docs/runbooks/")}
    strays = (folder / "docs" / "runbooks").glob("*.md")
    return found + [f"{path}: belongs to no alert any more" for path in sorted(strays) if path.name not in kept]


def write(files: dict[str, bytes], folder: Path) -> None:
    """Write them all. Raises `OSError`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

"""All generated files of a configuration; the same configuration gives the same bytes."""

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
    """Return every file by its path; with `operator` the rules are a PrometheusRule."""
    return {
        "alerts/relay-monitor.rules.yml": rules_file(config, operator=operator),
        "alerts/alertmanager.yml": alertmanager_file(config),
        **dashboards.files(config),
        **runbook_files(config),
    }


def differences(files: dict[str, bytes], folder: Path) -> list[str]:
    """Return a line for each file in `folder` that is missing, differs, or is a runbook of no alert."""
    found = []
    for name, content in files.items():
        path = folder / name
        if not path.exists():
            found.append(f"{path}: is missing")
        elif path.read_bytes() != content:
            found.append(f"{path}: differs from the configuration")
    runbooks = {path.rpartition("/")[2] for path in files if path.startswith("docs/runbooks/")}
    existing = sorted((folder / "docs" / "runbooks").glob("*.md")) if runbooks else []
    return found + [f"{path}: belongs to no alert" for path in existing if path.name not in runbooks]


def write(files: dict[str, bytes], folder: Path) -> None:
    """Write all files below `folder`. Raises `OSError`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
